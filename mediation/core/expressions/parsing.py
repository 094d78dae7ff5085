"""From text to a checked tree: sqlglot reads the syntax, and only nodes listed here become part of an expression."""

import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from difflib import get_close_matches

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token

from mediation.core.expressions.faults import ExpressionError, ExpressionErrors
from mediation.core.expressions.kinds import BOOLEAN, INTEGER, MOMENT, TEXT, Kind, decimal_kind, units_of
from mediation.core.expressions.limits import check_size
from mediation.core.expressions.moments import read_moment
from mediation.core.expressions.rules import MICROSECONDS, call, cast, fitting
from mediation.core.expressions.screening import MAX_DEPTH, screen
from mediation.core.expressions.tree import Expression, Field, Literal, Node, Span

# sqlglot node -> operation and the arguments that become its operands, in order.
SHAPES: dict[type[exp.Expr], tuple[str, tuple[str, ...]]] = {
    exp.Not: ("not", ("this",)),
    exp.EQ: ("eq", ("this", "expression")),
    exp.NEQ: ("ne", ("this", "expression")),
    exp.LT: ("lt", ("this", "expression")),
    exp.LTE: ("le", ("this", "expression")),
    exp.GT: ("gt", ("this", "expression")),
    exp.GTE: ("ge", ("this", "expression")),
    exp.Between: ("between", ("this", "low", "high")),
    exp.Coalesce: ("coalesce", ("this", "expressions")),
    exp.Nullif: ("nullif", ("this", "expression")),
    exp.Greatest: ("greatest", ("this", "expressions")),
    exp.Least: ("least", ("this", "expressions")),
    exp.Mul: ("mul", ("this", "expression")),
    exp.Mod: ("mod", ("this", "expression")),
    exp.Abs: ("abs", ("this",)),
    exp.Floor: ("floor", ("this",)),
    exp.Ceil: ("ceil", ("this",)),
    exp.Upper: ("upper", ("this",)),
    exp.Lower: ("lower", ("this",)),
    exp.Length: ("length", ("this",)),
    exp.Substring: ("substr", ("this", "start", "length")),
    exp.Left: ("left", ("this", "expression")),
    exp.Right: ("right", ("this", "expression")),
    exp.Concat: ("concat", ("expressions",)),
    exp.Replace: ("replace", ("this", "expression", "replacement")),
    exp.Pad: ("lpad", ("this", "expression", "fill_pattern")),
    exp.SplitPart: ("split_part", ("this", "delimiter", "part_index")),
    exp.StrPosition: ("strpos", ("this", "substr")),
    exp.StartsWith: ("starts_with", ("this", "expression")),
    exp.RegexpLike: ("regexp_like", ("this", "expression")),
    exp.RegexpReplace: ("regexp_replace", ("this", "expression", "replacement", "modifiers")),
}
CHAINS = {exp.And: "and", exp.Or: "or", exp.DPipe: "join"}
# Marks that sqlglot sets for its own use and that say nothing about the value.
MARKS: dict[type[exp.Expr], set[str]] = {
    exp.Concat: {"safe", "coalesce"}, exp.DPipe: {"safe"}, exp.Div: {"typed", "safe"}, exp.Like: {"negate"},
    exp.Greatest: {"ignore_nulls"}, exp.Least: {"ignore_nulls"}, exp.RegexpReplace: {"single_replace"},
    exp.Pad: {"is_left"}, exp.Is: {"negate"}, exp.Cast: {"_type"}, exp.Trim: {"position"}, exp.Round: set(),
}  # fmt: skip
NUMBER_TYPES = (exp.DataType.Type.DECIMAL,)
PLAIN_TYPES = {
    exp.DataType.Type.TEXT: TEXT,
    exp.DataType.Type.INT: INTEGER,
    exp.DataType.Type.BOOLEAN: BOOLEAN,
    exp.DataType.Type.TIMESTAMP: MOMENT,
}
TRIMS = {"": "trim", "BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}


def parse(text: str, fields: Mapping[str, Kind]) -> Expression:
    """The expression that `text` says, over `fields` (full name to kind); raises ExpressionErrors with every fault."""
    try:
        tokens = screen(text, fields.keys())
        root = _Reader(text, fields).read(_syntax_of(text, tokens), 0)
        if root.kind.name == "null":
            raise ExpressionError("is always NULL", 0, len(text))
        check_size(root)
    except ExpressionError as fault:
        raise ExpressionErrors(list(fault.faults)) from None
    return Expression(text, root)


def _syntax_of(text: str, tokens: list[Token]) -> exp.Expr:
    """What sqlglot reads; where this stack is too short it gets its own, so that depth does not hang on who asks."""
    came: list[exp.Expr | None] = []
    faults: list[Exception] = []

    def run() -> None:
        try:
            came.extend(sqlglot.parse(text, read="postgres"))
        except (SqlglotError, RecursionError) as fault:
            faults.append(fault)

    run()
    if faults and isinstance(faults[0], RecursionError):
        faults.clear()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    if faults:
        raise _syntax_fault(faults[0], tokens, len(text))
    if len(came) != 1 or came[0] is None:
        raise ExpressionError("must be one expression", 0, len(text))
    return came[0]


def _syntax_fault(fault: Exception, tokens: list[Token], length: int) -> ExpressionError:
    if isinstance(fault, RecursionError):
        return ExpressionError("is nested too deep", 0, length)
    details = (getattr(fault, "errors", None) or [{}])[0]
    place = (details.get("line"), details.get("col"))
    token = next((token for token in tokens if (token.line, token.col) == place), tokens[-1])
    return ExpressionError(f"the syntax is wrong at {token.text!r}", token.start, token.end + 1)


def span_of(node: exp.Expr) -> Span | None:
    """The characters that the words of `node` and of what is below it take; signs and keywords carry no place."""
    places = [part.meta for part in node.walk() if "start" in part.meta]
    if not places:
        return None
    return min(place["start"] for place in places), max(place["end"] for place in places) + 1


class _Reader:
    """Walks the syntax and builds the tree; a fault in one operand does not hide those of its neighbours."""

    def __init__(self, text: str, fields: Mapping[str, Kind]) -> None:
        self.text, self.fields = text, fields
        self.special: dict[type[exp.Expr], Callable[..., Node]] = {
            exp.Paren: self.paren, exp.Column: self.column, exp.Dot: self.column, exp.Literal: self.literal,
            exp.Boolean: self.boolean, exp.Null: self.null, exp.Neg: self.negative, exp.Case: self.case,
            exp.Cast: self.cast, exp.Is: self.is_what, exp.In: self.is_in, exp.Round: self.round, exp.Div: self.divide,
            exp.Add: self.add, exp.Sub: self.add, exp.Extract: self.extract, exp.TimestampTrunc: self.truncate,
            exp.Trim: self.trim, exp.Like: self.like, exp.Escape: self.like, exp.Anonymous: self.anonymous,
            exp.RegexpSubstr: self.regexp_extract, exp.RegexpExtract: self.regexp_extract,
            exp.Interval: self.interval_alone,
        }  # fmt: skip

    def read(self, node: exp.Expr, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"is nested more than {MAX_DEPTH} deep here", *self.place(node))
        kind = type(node)
        if kind in CHAINS:
            return self.build(CHAINS[kind], self.chain(node, kind), node, depth)
        if kind in SHAPES:
            op, keys = SHAPES[kind]
            return self.build(op, self.operands(node, keys), node, depth)
        if kind in self.special:
            return self.special[kind](node, depth)
        raise ExpressionError(f"{self.words(node)} is no part of this language", *self.place(node))

    def place(self, node: exp.Expr) -> Span:
        above: exp.Expr | None = node
        while above is not None:
            if (span := span_of(above)) is not None:
                return span
            above = above.parent
        return 0, len(self.text)

    def words(self, node: exp.Expr) -> str:
        span = span_of(node)
        words = self.text[slice(*span)] if span else str(node.key).replace("_", " ").upper()
        return words if len(words) <= 40 else words[:39] + "…"

    def build(self, op: str, syntax: list[exp.Expr], node: exp.Expr, depth: int) -> Node:
        return call(op, self.all(syntax, depth), self.place(node))

    def all(self, syntax: list[exp.Expr], depth: int) -> tuple[Node, ...]:
        nodes: list[Node] = []
        faults: list[ExpressionError] = []
        for part in syntax:
            try:
                nodes.append(self.read(part, depth + 1))
            except ExpressionError as fault:
                faults += fault.faults
        if faults:
            raise ExpressionErrors(faults)
        return tuple(nodes)

    def operands(self, node: exp.Expr, keys: tuple[str, ...]) -> list[exp.Expr]:
        """The arguments named by `keys`; whatever else the node carries is refused, or it would be passed over."""
        known = {*keys, *MARKS.get(type(node), set())}
        extra = [key for key, value in node.args.items() if value and key not in known]
        if extra:
            raise ExpressionError(f"{self.words(node)} has a part that is not known here", *self.place(node))
        came: list[exp.Expr] = []
        for key in keys:
            value = node.args.get(key)
            came += value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else []
        return came

    def chain(self, node: exp.Expr, kind: type[exp.Expr]) -> list[exp.Expr]:
        """a AND b AND c is one node with three operands, so that long chains are not deep."""
        right: list[exp.Expr] = []
        at = node
        while type(at) is kind:
            first, second = self.operands(at, ("this", "expression"))
            right.append(second)
            at = first
        return [at, *reversed(right)]

    def paren(self, node: exp.Expr, depth: int) -> Node:
        return self.read(self.operands(node, ("this",))[0], depth)  # screening has bounded the parentheses

    def column(self, node: exp.Expr, depth: int) -> Node:
        """a, a.b and a.b.c come as Column with table, db and catalog, deeper ones as Dot: all are one dotted name."""
        parts = list(node.find_all(exp.Identifier))
        if any(type(part) not in (exp.Identifier, exp.Column, exp.Dot) for part in node.walk()):
            raise ExpressionError(f"{self.words(node)} is no field", *self.place(node))
        parts.sort(key=lambda part: part.meta.get("start", 0))
        span = self.place(node)
        name = ".".join(part.name for part in parts)
        quoted = any(part.args.get("quoted") for part in parts)
        return Field(*self.field(name, quoted, span), span)

    def field(self, name: str, quoted: bool, span: Span) -> tuple[str, Kind]:
        if name in self.fields:
            return name, self.fields[name]
        folded = [known for known in self.fields if known.lower() == name.lower()]
        if len(folded) == 1 and not quoted:
            return folded[0], self.fields[folded[0]]
        lowered = {known.lower(): known for known in self.fields}
        similar = [lowered[near] for near in get_close_matches(name.lower(), lowered, n=3)]
        hint = f"; similar: {', '.join(similar)}" if similar else ""
        raise ExpressionError(f"there is no field {name}{hint}", *span)

    def literal(self, node: exp.Expr, depth: int) -> Node:
        span = self.place(node)
        if node.args.get("is_string"):
            return Literal(str(node.this), TEXT, span)
        value = Decimal(str(node.this))
        scale = -int(value.as_tuple().exponent)
        return Literal(value, fitting(scale, units_of(value, scale), span), span)

    def boolean(self, node: exp.Expr, depth: int) -> Node:
        return Literal(bool(node.this), BOOLEAN, self.place(node))

    def null(self, node: exp.Expr, depth: int) -> Node:
        return Literal(None, Kind("null"), self.place(node))

    def negative(self, node: exp.Expr, depth: int) -> Node:
        (operand,) = self.all(self.operands(node, ("this",)), depth)
        return self.negated(operand, self.place(node))

    def negated(self, operand: Node, span: Span) -> Node:
        if isinstance(operand, Literal) and isinstance(operand.value, Decimal):
            return Literal(operand.value.copy_negate() if operand.value else operand.value, operand.kind, span)
        return call("neg", (operand,), span)

    def case(self, node: exp.Expr, depth: int) -> Node:
        self.operands(node, ("this", "ifs", "default"))
        subject, default = node.args.get("this"), node.args.get("default")
        syntax = [part for branch in node.args["ifs"] for part in self.operands(branch, ("this", "true"))]
        nodes = list(self.all(syntax + [part for part in (subject, default) if part], depth))
        otherwise = nodes.pop() if default else Literal(None, Kind("null"), self.place(node))
        if subject:
            came = nodes.pop()
            nodes[::2] = [call("eq", (came, value), value.span) for value in nodes[::2]]
        return call("case", (*nodes, otherwise), self.place(node))

    def cast(self, node: exp.Expr, depth: int) -> Node:
        (operand,) = self.all(self.operands(node, ("this", "to"))[:1], depth)
        target, span = self.target(node.args["to"], self.place(node)), self.place(node)
        if target == MOMENT and isinstance(operand, Literal) and isinstance(operand.value, str):
            moment = read_moment(operand.value)
            if moment is None:
                raise ExpressionError(f"{operand.value!r} is no moment such as '2026-05-01 12:30:00Z'", *operand.span)
            return Literal(moment, MOMENT, span)
        return cast(operand, target, span)

    def target(self, kind: exp.Expr, span: Span) -> Kind:
        sizes = [int(size.name) if size.name.isdecimal() else -1 for size in kind.expressions]
        if kind.this in PLAIN_TYPES and not sizes and not kind.args.get("nested"):
            return PLAIN_TYPES[kind.this]
        if kind.this in NUMBER_TYPES and 1 <= len(sizes) <= 2:
            try:
                return decimal_kind(*sizes)
            except ValueError as fault:
                raise ExpressionError(str(fault), *span) from None
        if kind.this in NUMBER_TYPES:
            raise ExpressionError("say how many digits and decimals: DECIMAL(21, 6)", *span)
        raise ExpressionError("a value is cast to TEXT, INTEGER, DECIMAL(p, s), BOOLEAN or TIMESTAMP", *span)

    def is_what(self, node: exp.Expr, depth: int) -> Node:
        subject, what = self.operands(node, ("this", "expression"))
        ops: dict[type[exp.Expr], str] = {exp.Null: "is_null", exp.Boolean: "is_true" if what.this else "is_false"}
        if type(what) not in ops:
            raise ExpressionError("IS is followed by NULL, TRUE or FALSE", *self.place(node))
        asked = self.build(ops[type(what)], [subject], node, depth)
        return call("not", (asked,), asked.span) if node.args.get("negate") else asked

    def is_in(self, node: exp.Expr, depth: int) -> Node:
        nodes = self.all(self.operands(node, ("this", "expressions")), depth)
        if len(nodes) < 2:
            raise ExpressionError("IN needs a list of values in parentheses", *self.place(node))
        return call("in", nodes, self.place(node))

    def round(self, node: exp.Expr, depth: int) -> Node:
        syntax = self.operands(node, ("this", "decimals"))
        divided = syntax[0]
        while isinstance(divided, exp.Paren):
            divided = divided.this
        if not isinstance(divided, exp.Div):
            return self.build("round", syntax, node, depth)
        sides = self.all([*self.operands(divided, ("this", "expression")), *syntax[1:]], depth)
        decimals = sides[2:] or (Literal(Decimal(0), Kind("number"), self.place(node)),)
        return call("quotient", sides[:2] + decimals, self.place(node))

    def divide(self, node: exp.Expr, depth: int) -> Node:
        self.all(self.operands(node, ("this", "expression")), depth)
        raise ExpressionError("a division says how it is rounded: ROUND(a / b, decimals)", *self.place(node))

    def add(self, node: exp.Expr, depth: int) -> Node:
        first, second = self.operands(node, ("this", "expression"))
        sign = 1 if isinstance(node, exp.Add) else -1
        if (interval := self.interval_of(second)) is None:
            nodes = self.all([first, second], depth)
            if nodes[0].kind == MOMENT:
                raise ExpressionError(
                    "a moment is moved by an INTERVAL; the seconds between two are SECONDS_BETWEEN(start, end)",
                    *self.place(node),
                )
            return call("add" if sign == 1 else "sub", nodes, self.place(node))
        amount, unit = self.interval(*interval, depth)
        amount = amount if sign == 1 else self.negated(amount, amount.span)
        (moment,) = self.all([first], depth)
        return call("shift", (moment, amount, Literal(unit, TEXT)), self.place(node))

    def interval_of(self, node: exp.Expr) -> tuple[exp.Interval, exp.Expr | None] | None:
        """INTERVAL 'n' UNIT alone or times a number, and that number."""
        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.Interval):
            return node, None
        if isinstance(node, exp.Mul):
            sides = node.this, node.expression
            for interval, factor in (sides, sides[::-1]):
                if isinstance(interval, exp.Interval):
                    return interval, factor
        return None

    def interval(self, node: exp.Interval, factor: exp.Expr | None, depth: int) -> tuple[Node, str]:
        self.operands(node, ("this", "unit"))
        unit = str(node.args["unit"].name).lower().removesuffix("s") if node.args.get("unit") else ""
        count = node.name.removeprefix("-")
        if unit not in MICROSECONDS or not (count.isascii() and count.isdigit()) or len(count) > 12:
            raise ExpressionError("an interval is INTERVAL 'n' SECOND, MINUTE, HOUR or DAY", *self.place(node))
        number = Decimal(node.name)
        times = Literal(number, Kind("number", 0, abs(int(number))), self.place(node))
        if factor is None:
            return times, unit
        (amount,) = self.all([factor], depth)
        return (amount, unit) if number == 1 else (call("mul", (amount, times), times.span), unit)

    def interval_alone(self, node: exp.Expr, depth: int) -> Node:
        raise ExpressionError("an interval is added to or taken from a moment", *self.place(node))

    def extract(self, node: exp.Expr, depth: int) -> Node:
        part, subject = self.operands(node, ("this", "expression"))
        while isinstance(subject, exp.Paren):
            subject = subject.this
        if part.name.lower() == "epoch" and isinstance(subject, exp.Sub) and not self.interval_of(subject.expression):
            return self.build("seconds_between", [subject.expression, subject.this], node, depth)
        (moment,) = self.all([subject], depth)
        return call("extract", (moment, Literal(part.name.lower(), TEXT)), self.place(node))

    def truncate(self, node: exp.Expr, depth: int) -> Node:
        moment, unit = self.operands(node, ("this", "unit"))
        return call("truncate", (*self.all([moment], depth), Literal(unit.name.lower(), TEXT)), self.place(node))

    def trim(self, node: exp.Expr, depth: int) -> Node:
        syntax = self.operands(node, ("this", "expression"))
        return self.build(TRIMS[str(node.args.get("position") or "").upper()], syntax, node, depth)

    def like(self, node: exp.Expr, depth: int) -> Node:
        inner, escape = (node.this, [node.expression]) if isinstance(node, exp.Escape) else (node, [])
        if not isinstance(inner, exp.Like):
            raise ExpressionError("ESCAPE belongs to LIKE", *self.place(node))
        asked = self.build("like", self.operands(inner, ("this", "expression")) + escape, node, depth)
        return call("not", (asked,), asked.span) if inner.args.get("negate") else asked

    def regexp_extract(self, node: exp.Expr, depth: int) -> Node:
        nodes = self.all(self.operands(node, ("this", "expression", "position")), depth)
        first = (Literal(Decimal(0), Kind("number"), self.place(node)),)
        return call("regexp_extract", nodes if len(nodes) == 3 else nodes + first, self.place(node))

    def anonymous(self, node: exp.Expr, depth: int) -> Node:
        if node.name.upper() != "SECONDS_BETWEEN":
            raise ExpressionError(f"{name_of_function(node)} is no function of this language", *self.place(node))
        return self.build("seconds_between", self.operands(node, ("this", "expressions")), node, depth)


def name_of_function(node: exp.Expr) -> str:
    """The name under which an unknown function was called."""
    return node.name or "this"
