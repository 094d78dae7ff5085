"""From a tree to one polars expression over columns; nothing in it raises for a record, what has no result is null."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any

import polars as pl

from mediation.core.expressions import column_moments as moments
from mediation.core.expressions import column_numbers as numbers
from mediation.core.expressions import column_texts as texts
from mediation.core.expressions.column_numbers import decimal
from mediation.core.expressions.kinds import MOMENT, Kind
from mediation.core.expressions.tree import Call, Expression, Field, Literal, Node, nodes_of

Columns = Mapping[str, pl.Expr] | Callable[[str], pl.Expr]
INSTANT = pl.Datetime("us", "UTC")


def to_polars(expression: Expression, columns: Columns) -> pl.Expr:
    """The expression over `columns` (field name to column expression).

    Columns are String, Decimal or integer of at most their kind's scale, Datetime("us", "UTC") and Boolean. Numbers
    come out as Decimal(38, scale of the expression's kind). An expression without fields is a literal: one row alone.
    """
    return _Compiler(columns if callable(columns) else columns.__getitem__).of(expression.root)


class _Compiler:
    def __init__(self, column: Callable[[str], pl.Expr]) -> None:
        self.column = column

    def of(self, node: Node) -> pl.Expr:
        if isinstance(node, Field):
            column = self.column(node.name)
            return numbers.bounded(column, node.kind) if node.kind.is_number else column
        if isinstance(node, Literal):
            return literal(node.value, node.kind)
        if node.op in WITH_OPERANDS:
            return WITH_OPERANDS[node.op](self, node)
        return ON_COLUMNS[node.op](*(self.of(argument) for argument in node.args))

    def at(self, node: Node, kind: Kind) -> pl.Expr:
        """The column of `node`, a number widened to the scale of `kind`."""
        if isinstance(node, Literal) and isinstance(node.value, Decimal):
            return literal(numbers.decimal_of(value_of(node, kind.scale), kind.scale), kind)
        column = self.of(node)
        return column.cast(decimal(kind.scale)) if kind.is_number and node.kind.scale != kind.scale else column

    def aligned(self, nodes: tuple[Node, ...]) -> list[pl.Expr]:
        widest = max((node.kind for node in nodes), key=lambda kind: kind.scale)
        return [self.at(node, widest) for node in nodes]

    def units(self, node: Node) -> pl.Expr:
        """A number as its Int128 count of units."""
        if isinstance(node, Literal):
            return pl.lit(value_of(node, node.kind.scale), pl.Int128)
        return self.of(node).to_physical()


def literal(value: Any, kind: Kind) -> pl.Expr:
    """A literal column of a kind."""
    if kind.is_number:
        return pl.lit(value, decimal(kind.scale))
    return pl.lit(value, {"text": pl.String(), "moment": INSTANT, "boolean": pl.Boolean()}[kind.name])


def value_of(node: Node, scale: int = 0) -> Any:
    """The value of a literal operand; a number as units of 10^-scale."""
    assert isinstance(node, Literal)  # noqa: S101 - the rules made sure of it
    return numbers.units_of(node.value, scale) if isinstance(node.value, Decimal) else node.value


COMPARED: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "eq": pl.Expr.eq, "ne": pl.Expr.ne, "lt": pl.Expr.lt, "le": pl.Expr.le, "gt": pl.Expr.gt, "ge": pl.Expr.ge,
}  # fmt: skip
MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


def compared(op: str, a: pl.Expr, b: pl.Expr, nodes: tuple[Node, Node]) -> pl.Expr:
    """One comparison, a side that reads fields to the left.

    polars 2.1.0 compares a literal on the left with a column that holds one value throughout (such as a CASE whose
    condition is the same in every row) in a single row, which then fits no frame. Methods keep the sides where they
    are put; Python's operators ask a `pl.when(…).then(…)` on the right first, because it is a subclass.
    """
    if _is_constant(nodes[0]) and not _is_constant(nodes[1]):
        return COMPARED[MIRRORED[op]](b, a)
    return COMPARED[op](a, b)


def _is_constant(node: Node) -> bool:
    return not any(isinstance(part, Field) for part in nodes_of(node))


def _comparing(op: str) -> Callable[[_Compiler, Call], pl.Expr]:
    def comparison(compiler: _Compiler, node: Call) -> pl.Expr:
        a, b = compiler.aligned(node.args)
        return compared(op, a, b, (node.args[0], node.args[1]))

    return comparison


def _between(compiler: _Compiler, node: Call) -> pl.Expr:
    value, low, high = compiler.aligned(node.args)
    asked, least, most = node.args
    return compared("ge", value, low, (asked, least)) & compared("le", value, high, (asked, most))


def _in(compiler: _Compiler, node: Call) -> pl.Expr:
    value, *items = compiler.aligned(node.args)
    widest = max((argument.kind for argument in node.args), key=lambda kind: kind.scale)
    listed, asked = [], []
    for argument, item in zip(node.args[1:], items, strict=True):
        if isinstance(argument, Literal) and argument.value is not None:
            listed.append(_scaled(argument, widest))
        else:
            asked.append(compared("eq", value, item, (node.args[0], argument)))
    if listed:
        asked.append(_is_in(value, listed, widest))
    return reduce(lambda a, b: a | b, asked)


def _scaled(node: Literal, kind: Kind) -> Any:
    return value_of(node, kind.scale) if kind.is_number else node.value


def _is_in(value: pl.Expr, items: list[Any], kind: Kind) -> pl.Expr:
    if len(items) == 1:
        return value == literal(numbers.decimal_of(items[0], kind.scale) if kind.is_number else items[0], kind)
    if kind.is_number:
        return value.to_physical().is_in(pl.lit(items, pl.List(pl.Int128)))
    return value.is_in(items) if kind != MOMENT else value.is_in(pl.lit(items, pl.List(INSTANT)))


def _case(compiler: _Compiler, node: Call) -> pl.Expr:
    chosen = compiler.at(node.args[-1], node.kind)
    for index in range(len(node.args) - 3, -1, -2):
        chosen = (
            pl.when(compiler.of(node.args[index])).then(compiler.at(node.args[index + 1], node.kind)).otherwise(chosen)
        )
    return chosen


def _nullif(compiler: _Compiler, node: Call) -> pl.Expr:
    a, b = compiler.aligned(node.args)
    same = compared("eq", a, b, (node.args[0], node.args[1]))
    return pl.when(same.fill_null(False)).then(None).otherwise(compiler.of(node.args[0]))


def _each(combine: Callable[..., pl.Expr]) -> Callable[[_Compiler, Call], pl.Expr]:
    return lambda compiler, node: combine(*(compiler.at(argument, node.kind) for argument in node.args))


def _mul(compiler: _Compiler, node: Call) -> pl.Expr:
    """By units: polars' own product rounds to the wider scale unless both sides are widened, at twice the time."""
    return numbers.from_units(compiler.units(node.args[0]) * compiler.units(node.args[1]), node.kind.scale)


def _mod(compiler: _Compiler, node: Call) -> pl.Expr:
    a, b = (numbers.rescaled(compiler.units(part), node.kind.scale - part.kind.scale) for part in node.args)
    return numbers.from_units(numbers.remainder(a, b), node.kind.scale)


def _quotient(compiler: _Compiler, node: Call) -> pl.Expr:
    a, b, places = node.args
    up, down = numbers.quotient_steps(a.kind, b.kind, value_of(places))
    top, bottom = numbers.rescaled(compiler.units(a), up), numbers.rescaled(compiler.units(b), down)
    return numbers.from_units(numbers.divided_half_away(top, bottom), node.kind.scale)


def _round(compiler: _Compiler, node: Call) -> pl.Expr:
    return numbers.rounded(compiler.of(node.args[0]), node.args[0].kind.scale, node.kind.scale)


def _floor(compiler: _Compiler, node: Call) -> pl.Expr:
    return numbers.floored(compiler.units(node.args[0]), node.args[0].kind.scale)


def _ceil(compiler: _Compiler, node: Call) -> pl.Expr:
    return -numbers.floored(0 - compiler.units(node.args[0]), node.args[0].kind.scale)


def _counted(combine: Callable[..., pl.Expr]) -> Callable[[_Compiler, Call], pl.Expr]:
    """Text and whole numbers, these as Int64 that no count of characters can reach."""

    def combined(compiler: _Compiler, node: Call) -> pl.Expr:
        counts = (compiler.of(argument).clip(-(10**9), 10**9).cast(pl.Int64) for argument in node.args[1:])
        return combine(compiler.of(node.args[0]), *counts)

    return combined


def _with_values(combine: Callable[..., pl.Expr]) -> Callable[[_Compiler, Call], pl.Expr]:
    """The first operand is a column, the others are literals and come as plain values."""
    return lambda compiler, node: combine(compiler.of(node.args[0]), *(value_of(other) for other in node.args[1:]))


def _shift(compiler: _Compiler, node: Call) -> pl.Expr:
    moment, amount, unit = node.args
    return moments.shifted(compiler.of(moment), compiler.units(amount), amount.kind.scale, value_of(unit))


def _cast(compiler: _Compiler, node: Call) -> pl.Expr:
    column, source, target = compiler.of(node.args[0]), node.args[0].kind, node.kind
    match source.name, target.name:
        case "number", "number":
            return numbers.recast(column, source, target)
        case "text", "number":
            return numbers.read_numbers(column, target)
        case "text", "boolean":
            return texts.read_booleans(column)
        case "text", "moment":
            return moments.read_moments(column)
        case "number", "text":
            return column.cast(pl.String)
        case "boolean", "text":
            return pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false"))
        case "moment", "text":
            return moments.write_moments(column)
    return column


ON_COLUMNS: dict[str, Callable[..., pl.Expr]] = {
    "and": lambda *sides: reduce(lambda a, b: a & b, sides), "or": lambda *sides: reduce(lambda a, b: a | b, sides),
    "not": lambda side: ~side, "is_null": lambda column: column.is_null(),
    "is_true": lambda column: column.fill_null(False), "is_false": lambda column: ~column.fill_null(True),
    "neg": lambda column: -column, "abs": lambda column: column.abs(),
    "upper": lambda column: column.str.to_uppercase(), "lower": lambda column: column.str.to_lowercase(),
    "length": lambda column: column.str.len_chars().cast(decimal(0)),
    "concat": lambda *parts: pl.concat_str([part.fill_null("") for part in parts]),
    "join": lambda *parts: pl.concat_str(parts, ignore_nulls=False),
    "starts_with": lambda column, prefix: column.str.starts_with(prefix),
    "seconds_between": moments.seconds_between,
}  # fmt: skip
WITH_OPERANDS: dict[str, Callable[[_Compiler, Call], pl.Expr]] = {
    **{op: _comparing(op) for op in COMPARED},
    "between": _between, "in": _in, "case": _case, "nullif": _nullif,
    "coalesce": _each(pl.coalesce), "greatest": _each(pl.max_horizontal), "least": _each(pl.min_horizontal),
    "add": _each(lambda a, b: a + b), "sub": _each(lambda a, b: a - b), "mul": _mul, "mod": _mod,
    "quotient": _quotient, "round": _round, "floor": _floor, "ceil": _ceil,
    "substr": _counted(texts.part), "left": _counted(lambda text, count: text.str.head(count)),
    "right": _counted(lambda text, count: text.str.tail(count)),
    "trim": _with_values(texts.trimmed), "ltrim": _with_values(texts.trimmed_start),
    "rtrim": _with_values(texts.trimmed_end), "lpad": _with_values(texts.padded),
    "replace": _with_values(texts.replaced), "split_part": _with_values(texts.split_part),
    "strpos": _with_values(texts.position), "like": _with_values(texts.like),
    "regexp_like": _with_values(texts.regexp_like), "regexp_extract": _with_values(texts.regexp_extract),
    "regexp_replace": _with_values(texts.regexp_replaced), "shift": _shift,
    "extract": _with_values(moments.extracted), "truncate": _with_values(moments.truncated), "cast": _cast,
}  # fmt: skip
