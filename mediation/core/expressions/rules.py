"""What each operation asks of its operands and what it yields: kinds, scales and bounds, decided before any record."""

from collections.abc import Callable
from decimal import Decimal

from mediation.core.expressions.faults import ExpressionError
from mediation.core.expressions.kinds import (
    BOOLEAN,
    INTEGER,
    MAX_SCALE,
    MAX_UNITS,
    MOMENT,
    TEXT,
    Kind,
    decimal_kind,
    units_of,
)
from mediation.core.expressions.patterns import check_like, check_regex, check_replacement
from mediation.core.expressions.tree import Call, Literal, Node, Span

COUNT = decimal_kind(9)  # what LENGTH and STRPOS yield
MICROSECONDS = {"second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
EPOCH_SECONDS = 253_402_300_800  # the end of year 9999, further from 1970 than the start of year 1
EXTRACTS = {
    "year": Kind("number", 0, 9999),
    "month": Kind("number", 0, 12),
    "day": Kind("number", 0, 31),
    "hour": Kind("number", 0, 23),
    "minute": Kind("number", 0, 59),
    "second": Kind("number", 6, 59_999_999),
    "dow": Kind("number", 0, 6),
    "epoch": Kind("number", 6, EPOCH_SECONDS * 10**6),
}
TRUNCATIONS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
MAX_PAD = 1_000
Operands = tuple[Node, ...]
Check = Callable[[Operands, Span], Kind]


def call(op: str, args: Operands, span: Span) -> Call:
    """A call of `op`, its operands checked; raises ExpressionError."""
    args = _typed_nulls(args, op) if op in NULL_FOLLOWS else args
    for argument in args:
        if argument.kind.name == "null":
            raise ExpressionError("NULL has no kind here: write CAST(NULL AS …), or IS NULL to ask for it", *span)
    return Call(op, args, RULES[op](args, span), span)


def name_of(node: Node) -> str:
    """What a message calls `node`."""
    if isinstance(node, Literal):
        return repr(node.value) if isinstance(node.value, str) else str(node.value)
    return node.name if not isinstance(node, Call) else "the result of " + node.op.replace("_", " ").upper()


def fitting(scale: int, limit: int, span: Span) -> Kind:
    """A number kind; raises where it might not fit 38 digits and 17 decimals."""
    if scale > MAX_SCALE:
        raise ExpressionError(f"would have {scale} decimals, more than {MAX_SCALE}: ROUND a part of it first", *span)
    if limit > MAX_UNITS:
        raise ExpressionError(
            "could have more than 38 digits: ROUND a part of it, or CAST it AS DECIMAL(p, s) to say how large it gets",
            *span,
        )
    return Kind("number", scale, limit)


def unified(nodes: Operands, span: Span, verb: str = "be compared") -> Kind:
    """The one kind that holds all of `nodes`."""
    first = nodes[0]
    for other in nodes[1:]:
        if other.kind.name != first.kind.name:
            sides = f"{name_of(first)} is {first.kind}, {name_of(other)} is {other.kind}"
            hint = "; a moment is written TIMESTAMP '…'" if "moment" in (first.kind.name, other.kind.name) else ""
            raise ExpressionError(f"{sides}: they cannot {verb}{hint}", *span)
    if not first.kind.is_number:
        return first.kind
    scale = max(node.kind.scale for node in nodes)
    return fitting(scale, max(node.kind.units_at(scale) for node in nodes), span)


def _typed_nulls(args: Operands, op: str) -> Operands:
    """NULL takes the kind of the values that it stands among; the conditions of a CASE are not among them."""
    conditions = set(range(0, len(args) - 1, 2)) if op == "case" else set()
    known = [argument.kind for at, argument in enumerate(args) if at not in conditions and argument.kind.name != "null"]
    if not known:
        return args
    kind = Kind("number") if known[0].is_number else known[0]
    return tuple(
        Literal(None, kind, argument.span) if argument.kind.name == "null" and at not in conditions else argument
        for at, argument in enumerate(args)
    )


def _fault(message: str, node: Node) -> ExpressionError:
    return ExpressionError(message, *node.span)


def _want(node: Node, name: str) -> None:
    if node.kind.name != name:
        wanted = str(Kind(name))
        raise _fault(f"{name_of(node)} is {node.kind}, where {wanted} is needed", node)


def _count(args: Operands, span: Span, least: int, most: int) -> None:
    if not least <= len(args) <= most:
        raise ExpressionError(f"takes {least} to {most} values, not {len(args)}", *span)


def _takes(kinds: str, yields: Kind | None) -> Check:
    """A rule of fixed kinds: letters t, n, i, m, b for text, number, whole, moment, boolean; ? before optional ones."""
    required = len(kinds.split("?")[0])
    letters = kinds.replace("?", "")

    def check(args: Operands, span: Span) -> Kind:
        _count(args, span, required, len(letters))
        for argument, letter in zip(args, letters, strict=False):
            _want(argument, {"t": "text", "n": "number", "i": "number", "m": "moment", "b": "boolean"}[letter])
            if letter == "i" and argument.kind.scale:
                raise _fault(f"{name_of(argument)} has decimals, where a whole number is needed", argument)
        return yields or args[0].kind

    return check


def _all(name: str) -> Check:
    def check(args: Operands, span: Span) -> Kind:
        for argument in args:
            _want(argument, name)
        return Kind(name)

    return check


def written(node: Node, what: str) -> object:
    """The value of a literal; raises where the operand is computed."""
    if not isinstance(node, Literal) or node.value is None:
        raise _fault(f"{what} must be written out, not computed", node)
    return node.value


def _text(node: Node, what: str) -> str:
    value = written(node, what)
    if not isinstance(value, str):
        raise _fault(f"{what} must be text in single quotes", node)
    return value


def _whole(node: Node, what: str, least: int, most: int) -> int:
    value = written(node, what)
    if not isinstance(value, Decimal) or node.kind.scale or not least <= value <= most:
        raise _fault(f"{what} must be a whole number from {least} to {most}", node)
    return int(value)


def _compare(args: Operands, span: Span) -> Kind:
    unified(args, span)
    return BOOLEAN


def _order(args: Operands, span: Span) -> Kind:
    kind = unified(args, span)
    if kind == BOOLEAN:
        raise ExpressionError("true and false have no order: compare them with = or <>", *span)
    return kind


def _ordered(args: Operands, span: Span) -> Kind:
    _order(args, span)
    return BOOLEAN


def _same(args: Operands, span: Span) -> Kind:
    return unified(args, span, "stand for each other")


def _nullif(args: Operands, span: Span) -> Kind:
    _count(args, span, 2, 2)
    unified(args, span)
    return args[0].kind


def _case(args: Operands, span: Span) -> Kind:
    for condition in args[:-1:2]:
        _want(condition, "boolean")
    return _same((*args[1::2], args[-1]), span)


def _numbers(args: Operands, span: Span) -> tuple[Kind, Kind]:
    _count(args, span, 2, 2)
    for argument in args:
        _want(argument, "number")
    return args[0].kind, args[1].kind


def _sum(args: Operands, span: Span) -> Kind:
    a, b = _numbers(args, span)
    scale = max(a.scale, b.scale)
    return fitting(scale, a.units_at(scale) + b.units_at(scale), span)


def _product(args: Operands, span: Span) -> Kind:
    a, b = _numbers(args, span)
    return fitting(a.scale + b.scale, a.limit * b.limit, span)


def _remainder(args: Operands, span: Span) -> Kind:
    a, b = _numbers(args, span)
    scale = max(a.scale, b.scale)
    fitting(scale, max(a.units_at(scale), b.units_at(scale)), span)
    return fitting(scale, min(a.units_at(scale), max(b.units_at(scale) - 1, 0)), span)


def _round(args: Operands, span: Span) -> Kind:
    _count(args, span, 1, 2)
    _want(args[0], "number")
    scale = _whole(args[1], "the number of decimals", 0, MAX_SCALE) if len(args) == 2 else 0
    return rounded(args[0].kind, scale, span)


def rounded(kind: Kind, scale: int, span: Span) -> Kind:
    """The kind of a number rounded to at most `scale` decimals, which must fit before its zeros are cut."""
    if scale >= kind.scale:
        return kind
    step = 10 ** (kind.scale - scale)
    limit = (kind.limit + step // 2) // step
    fitting(kind.scale, limit * step, span)
    return fitting(scale, limit, span)


def _whole_part(args: Operands, span: Span) -> Kind:
    _count(args, span, 1, 1)
    _want(args[0], "number")
    return Kind("number", 0, -(-args[0].kind.limit // 10 ** args[0].kind.scale))


def quotient_steps(a: Kind, b: Kind, scale: int) -> tuple[int, int]:
    """The powers of ten that make the units of a and b divide to a quotient in units of 10^-scale."""
    shift = scale + b.scale - a.scale
    return (shift, 0) if shift >= 0 else (0, -shift)


def _quotient(args: Operands, span: Span) -> Kind:
    _count(args, span, 3, 3)
    a, b = _numbers(args[:2], span)
    scale = _whole(args[2], "the number of decimals", 0, MAX_SCALE)
    up, down = quotient_steps(a, b, scale)
    fitting(0, max(a.limit * 10**up, b.limit * 10**down), span)
    divisor = args[1].value if isinstance(args[1], Literal) else None
    least = abs(units_of(divisor, b.scale)) if isinstance(divisor, Decimal) else 1
    return fitting(scale, a.limit * 10**up // (max(least, 1) * 10**down) + 1, span)


def _text_then(*kinds: str, yields: Kind = TEXT) -> Check:
    """Text, then written texts (t) or anything that later checks look at (-)."""

    def check(args: Operands, span: Span) -> Kind:
        _count(args, span, 1 + sum(kind.islower() for kind in kinds), 1 + len(kinds))
        _want(args[0], "text")
        for argument in args[1:]:
            _text(argument, "this operand")
        return yields

    return check


def _split_part(args: Operands, span: Span) -> Kind:
    _count(args, span, 3, 3)
    _want(args[0], "text")
    if not _text(args[1], "the separator"):
        raise _fault("the separator must not be empty", args[1])
    _whole(args[2], "which part", 1, 1_000)
    return TEXT


def _pad(args: Operands, span: Span) -> Kind:
    _count(args, span, 2, 3)
    _want(args[0], "text")
    _whole(args[1], "the length", 0, MAX_PAD)
    if len(args) == 3 and len(_text(args[2], "the filling")) != 1:
        raise _fault("the filling must be one character", args[2])
    return TEXT


def _like(args: Operands, span: Span) -> Kind:
    _count(args, span, 2, 3)
    _want(args[0], "text")
    check_like(_text(args[1], "the pattern"), _text(args[2], "the escape") if len(args) == 3 else "\\", args[1].span)
    return BOOLEAN


def _regex_like(args: Operands, span: Span) -> Kind:
    _count(args, span, 2, 2)
    _want(args[0], "text")
    check_regex(_text(args[1], "the pattern"), args[1].span)
    return BOOLEAN


def _regex_extract(args: Operands, span: Span) -> Kind:
    _count(args, span, 3, 3)
    _want(args[0], "text")
    groups = check_regex(_text(args[1], "the pattern"), args[1].span)
    _whole(args[2], "the group", 0, groups)
    return TEXT


def _regex_replace(args: Operands, span: Span) -> Kind:
    _count(args, span, 3, 4)
    _want(args[0], "text")
    groups = check_regex(_text(args[1], "the pattern"), args[1].span)
    check_replacement(_text(args[2], "the replacement"), groups, args[2].span)
    if len(args) == 4 and _text(args[3], "the flag") != "g":
        raise _fault("the only flag is 'g', for every match", args[3])
    return TEXT


def _shift(args: Operands, span: Span) -> Kind:
    _want(args[0], "moment")
    _want(args[1], "number")
    unit = MICROSECONDS[_text(args[2], "the unit")]
    if args[1].kind.scale > 6:
        raise _fault(f"{name_of(args[1])} has more than 6 decimals: ROUND it to microseconds", args[1])
    fitting(0, args[1].kind.limit * unit, args[1].span)
    return MOMENT


def _extract(args: Operands, span: Span) -> Kind:
    _want(args[0], "moment")
    part = _text(args[1], "the part")
    if part not in EXTRACTS:
        raise ExpressionError(f"{part.upper()} is no part of a moment: {', '.join(EXTRACTS).upper()}", *span)
    return EXTRACTS[part]


def _truncate(args: Operands, span: Span) -> Kind:
    _want(args[0], "moment")
    if _text(args[1], "the unit") not in TRUNCATIONS:
        raise ExpressionError(f"a moment is cut to {', '.join(TRUNCATIONS)}", *span)
    return MOMENT


def cast(node: Node, target: Kind, span: Span) -> Node:
    """`node` cast to `target`: NULL takes that kind, the rest is a call that is null where the value does not fit."""
    if node.kind.name == "null":
        return Literal(None, target, span)
    pair = (node.kind.name, target.name)
    if pair[0] != pair[1] and "text" not in pair:
        raise ExpressionError(f"{name_of(node)} is {node.kind} and cannot be cast to {target}: use CASE", *span)
    if pair == ("text", "number") and target.digits > 37:
        raise ExpressionError("text is cast to at most 37 digits", *span)
    if pair == ("number", "number"):
        rounded(node.kind, target.scale, span)
    return Call("cast", (node,), target, span)


# Where NULL takes the kind of its neighbours.
NULL_FOLLOWS = {"case", "coalesce", "nullif", "greatest", "least"}
RULES: dict[str, Check] = {
    "and": _all("boolean"), "or": _all("boolean"), "not": _takes("b", BOOLEAN),
    "eq": _compare, "ne": _compare, "lt": _ordered, "le": _ordered, "gt": _ordered, "ge": _ordered,
    "between": _ordered, "in": _compare,
    "is_null": lambda args, span: BOOLEAN, "is_true": _takes("b", BOOLEAN), "is_false": _takes("b", BOOLEAN),
    "case": _case, "coalesce": _same, "nullif": _nullif, "greatest": _order, "least": _order,
    "add": _sum, "sub": _sum, "mul": _product, "mod": _remainder, "neg": _takes("n", None), "abs": _takes("n", None),
    "round": _round, "floor": _whole_part, "ceil": _whole_part, "quotient": _quotient,
    "upper": _takes("t", TEXT), "lower": _takes("t", TEXT), "length": _takes("t", COUNT),
    "trim": _text_then("T"), "ltrim": _text_then("T"), "rtrim": _text_then("T"),
    "substr": _takes("ti?i", TEXT), "left": _takes("ti", TEXT), "right": _takes("ti", TEXT),
    "concat": _all("text"), "join": _all("text"), "replace": _text_then("t", "t"), "lpad": _pad,
    "split_part": _split_part, "strpos": _text_then("t", yields=COUNT), "starts_with": _takes("tt", BOOLEAN),
    "like": _like, "regexp_like": _regex_like, "regexp_extract": _regex_extract, "regexp_replace": _regex_replace,
    "shift": _shift, "extract": _extract, "truncate": _truncate,
    "seconds_between": _takes("mm", Kind("number", 6, 2 * EPOCH_SECONDS * 10**6)),
}  # fmt: skip
assert INTEGER.digits == 18  # noqa: S101 - what INTEGER means in `describe`
