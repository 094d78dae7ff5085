"""The plain interpreter: one record at a time in Python values, by the words of the rules; the columns' oracle."""

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from mediation.core.expressions.kinds import Kind, decimal_of, units_of
from mediation.core.expressions.moments import read_moment, write_moment
from mediation.core.expressions.patterns import engine_replacement, like_parts, whole
from mediation.core.expressions.rules import MICROSECONDS
from mediation.core.expressions.texts import FALSE_TEXTS, NUMBER, TRUE_TEXTS, WHITE_SPACE
from mediation.core.expressions.tree import Call, Expression, Field, Literal, Node

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def evaluate(expression: Expression, record: Mapping[str, Any]) -> Any:
    """What the expression yields for one record of str, Decimal, aware datetime, bool and None; numbers as Decimal."""
    value = _value(expression.root, record)
    return decimal_of(value, expression.kind.scale) if expression.kind.is_number and value is not None else value


def _value(node: Node, record: Mapping[str, Any]) -> Any:
    """The value of a node; a number is a whole count of units of its kind's scale, so that nothing rounds."""
    if not isinstance(node, Call):
        return _leaf(node.value if isinstance(node, Literal) else record.get(node.name), node)
    if node.op in LAZY:
        return LAZY[node.op](node, record)
    values = [_value(argument, record) for argument in node.args]
    if any(value is None for value in values):
        return None
    try:
        return STRICT[node.op](node, *values)
    except OverflowError:  # a moment before year 1 or after 9999
        return None


def _leaf(value: Any, node: Field | Literal) -> Any:
    if value is None or not node.kind.is_number:
        return value.astimezone(UTC) if isinstance(value, datetime) else value
    units = units_of(Decimal(value), node.kind.scale)
    return units if abs(units) <= node.kind.limit or isinstance(node, Literal) else None


def _at(value: Any, node: Node, kind: Kind) -> Any:
    """A value of `node` counted in the units of `kind`."""
    return value * 10 ** (kind.scale - node.kind.scale) if node.kind.is_number and value is not None else value


def _aligned(nodes: tuple[Node, ...], record: Mapping[str, Any]) -> list[Any]:
    """The values of nodes of one kind of value, numbers in the finest of their units."""
    widest = max((node.kind for node in nodes), key=lambda kind: kind.scale)
    return [_at(_value(node, record), node, widest) for node in nodes]


def _away(units: int, step: int) -> int:
    """`units` divided by `step`, half away from zero."""
    size, left = divmod(abs(units), step)
    size += 2 * left >= step
    return -size if units < 0 else size


def _and(node: Call, record: Mapping[str, Any]) -> bool | None:
    values = [_value(argument, record) for argument in node.args]
    return False if False in values else None if None in values else True


def _or(node: Call, record: Mapping[str, Any]) -> bool | None:
    values = [_value(argument, record) for argument in node.args]
    return True if True in values else None if None in values else False


def _comparing(compare: Callable[[Any, Any], bool]) -> Callable[..., bool | None]:
    def compared(node: Call, record: Mapping[str, Any]) -> bool | None:
        a, b = _aligned(node.args, record)
        return None if a is None or b is None else compare(a, b)

    return compared


def _between(node: Call, record: Mapping[str, Any]) -> bool | None:
    value, low, high = _aligned(node.args, record)
    sides = [
        None if value is None or low is None else value >= low,
        None if value is None or high is None else value <= high,
    ]
    return False if False in sides else None if None in sides else True


def _in(node: Call, record: Mapping[str, Any]) -> bool | None:
    value, *items = _aligned(node.args, record)
    if value is None:
        return None
    return True if value in [item for item in items if item is not None] else None if None in items else False


def _case(node: Call, record: Mapping[str, Any]) -> Any:
    branches = zip(node.args[:-1:2], node.args[1::2], strict=True)
    chosen = next((then for when, then in branches if _value(when, record) is True), node.args[-1])
    return _at(_value(chosen, record), chosen, node.kind)


def _coalesce(node: Call, record: Mapping[str, Any]) -> Any:
    values = (_at(_value(argument, record), argument, node.kind) for argument in node.args)
    return next((value for value in values if value is not None), None)


def _nullif(node: Call, record: Mapping[str, Any]) -> Any:
    a, b = _aligned(node.args, record)
    return None if a is not None and a == b else _value(node.args[0], record)


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(node: Call, record: Mapping[str, Any]) -> Any:
        values = [_at(_value(argument, record), argument, node.kind) for argument in node.args]
        return choose((value for value in values if value is not None), default=None)

    return chosen


def _sum(sign: int) -> Callable[..., int]:
    def total(node: Call, a: int, b: int) -> int:
        return int(_at(a, node.args[0], node.kind) + sign * _at(b, node.args[1], node.kind))

    return total


def _mod(node: Call, a: int, b: int) -> int | None:
    a, b = _at(a, node.args[0], node.kind), _at(b, node.args[1], node.kind)
    return None if b == 0 else (-1 if a < 0 else 1) * (abs(a) % abs(b))


def _quotient(node: Call, a: int, b: int, places: int) -> int | None:
    if b == 0:
        return None
    top = a * 10 ** (node.args[1].kind.scale + places)
    bottom = b * 10 ** node.args[0].kind.scale
    return _away(top if bottom > 0 else -top, abs(bottom))


def _round(node: Call, value: int, *places: int) -> int:
    return _away(value, 10 ** (node.args[0].kind.scale - node.kind.scale))


def _substr(node: Call, text: str, start: int, count: int | None = None) -> str | None:
    if count is not None and count < 0:
        return None
    end = len(text) if count is None else start - 1 + count
    return text[max(start - 1, 0) : max(end, 0)]


def _right(node: Call, text: str, count: int) -> str:
    return text[max(len(text) - count, 0) :] if count >= 0 else text[-count:]


def _pad(node: Call, text: str, length: int, filling: str = " ") -> str:
    return text.rjust(length, filling)[:length]


def _split_part(node: Call, text: str, separator: str, index: int) -> str:
    parts = text.split(separator)
    return parts[index - 1] if index <= len(parts) else ""


def _like(node: Call, text: str, pattern: str, escape: str = "\\") -> bool:
    reached = {0}  # every place in the text that the pattern read so far may end at
    for part in like_parts(pattern, escape):
        if part == "%":
            reached = set(range(min(reached), len(text) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(text) and part in ("_", "=" + text[at])}
    return len(text) in reached


def _series(text: str) -> "pl.series.string.StringNameSpace":
    """Regular expressions have one engine: a column of one row."""
    return pl.Series([text], dtype=pl.String).str


def _regexp_replace(node: Call, text: str, pattern: str, replacement: str, flag: str = "") -> str:
    texts, to = _series(text), engine_replacement(replacement)
    return str((texts.replace_all(whole(pattern), to) if flag else texts.replace(whole(pattern), to))[0])


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _shift(node: Call, moment: datetime, amount: int, unit: str) -> datetime:
    step = MICROSECONDS[unit] // 10 ** node.args[1].kind.scale
    return moment + timedelta(microseconds=amount * step)


def _extract(node: Call, moment: datetime, part: str) -> int:
    if part == "epoch":
        return _microseconds(moment)
    if part == "second":
        return moment.second * 1_000_000 + moment.microsecond
    return int(moment.isoweekday() % 7 if part == "dow" else getattr(moment, part))


def _truncate(node: Call, moment: datetime, unit: str) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match unit:
        case "year":
            return day.replace(month=1, day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "month":
            return day.replace(day=1)
        case "week":
            return day - timedelta(days=day.weekday())
        case "day":
            return day
    step = timedelta(microseconds=MICROSECONDS[unit])
    return day + (moment - day) // step * step


def _cast(node: Call, value: Any) -> Any:
    source, target = node.args[0].kind, node.kind
    if source.is_number and target.is_number:
        return _number(value, source.scale, target)
    match source.name, target.name:
        case "text", "number":
            if NUMBER.fullmatch(value) is None:
                return None
            places = len(value.partition(".")[2])
            return _number(int(value.replace(".", "")), places, target)
        case "text", "boolean":
            return True if value.lower() in TRUE_TEXTS else False if value.lower() in FALSE_TEXTS else None
        case "text", "moment":
            return read_moment(value)
        case "number", "text":
            return f"{decimal_of(value, source.scale):f}"
        case "boolean", "text":
            return "true" if value else "false"
        case "moment", "text":
            return write_moment(value)
    return value


def _number(units: int, scale: int, target: Kind) -> int | None:
    shift = target.scale - scale
    units = units * 10**shift if shift >= 0 else _away(units, 10**-shift)
    return units if abs(units) <= target.limit else None


LAZY: dict[str, Callable[..., Any]] = {
    "and": _and, "or": _or, "between": _between, "in": _in, "case": _case, "coalesce": _coalesce, "nullif": _nullif,
    "eq": _comparing(operator.eq), "ne": _comparing(operator.ne), "lt": _comparing(operator.lt),
    "le": _comparing(operator.le), "gt": _comparing(operator.gt), "ge": _comparing(operator.ge),
    "greatest": _extreme(max), "least": _extreme(min),
    "is_null": lambda node, record: _value(node.args[0], record) is None,
    "is_true": lambda node, record: _value(node.args[0], record) is True,
    "is_false": lambda node, record: _value(node.args[0], record) is False,
    "concat": lambda node, record: "".join(_value(argument, record) or "" for argument in node.args),
}  # fmt: skip
STRICT: dict[str, Callable[..., Any]] = {
    "not": lambda node, value: not value, "neg": lambda node, value: -value, "abs": lambda node, value: abs(value),
    "add": _sum(1), "sub": _sum(-1), "mul": lambda node, a, b: a * b, "mod": _mod, "quotient": _quotient,
    "round": _round,
    "floor": lambda node, value: value // 10 ** node.args[0].kind.scale,
    "ceil": lambda node, value: -(-value // 10 ** node.args[0].kind.scale),
    "upper": lambda node, text: text.upper(), "lower": lambda node, text: text.lower(),
    "length": lambda node, text: len(text), "join": lambda node, *texts: "".join(texts),
    "trim": lambda node, text, characters=WHITE_SPACE: text.strip(characters) if characters else text,
    "ltrim": lambda node, text, characters=WHITE_SPACE: text.lstrip(characters) if characters else text,
    "rtrim": lambda node, text, characters=WHITE_SPACE: text.rstrip(characters) if characters else text,
    "substr": _substr, "left": lambda node, text, count: text[:count], "right": _right, "lpad": _pad,
    "replace": lambda node, text, old, new: text.replace(old, new) if old else text,
    "split_part": _split_part, "strpos": lambda node, text, part: text.find(part) + 1,
    "starts_with": lambda node, text, prefix: text.startswith(prefix), "like": _like,
    "regexp_like": lambda node, text, pattern: _series(text).contains(pattern)[0],
    "regexp_extract": lambda node, text, pattern, group: _series(text).extract(pattern, group)[0],
    "regexp_replace": _regexp_replace, "shift": _shift, "extract": _extract, "truncate": _truncate,
    "seconds_between": lambda node, start, end: _microseconds(end) - _microseconds(start), "cast": _cast,
}  # fmt: skip
