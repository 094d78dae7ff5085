"""Validation rules of a profile: what a record must keep beside the built-in rules, and what is repaired instead.

Rules see a record mapped and typed. Repairs come first, in the order of their rules, each seeing the ones before;
then every rule judges what is there, also the one that repaired it. As in a database's CHECK, only what is definitely
wrong breaks a rule: a field without a value breaks `required` alone.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

from mediation.core.expressions import BOOLEAN, MOMENT, TEXT, Expression, Kind, decimal_kind, to_polars
from mediation.core.expressions.moments import read_moment
from mediation.core.frames import MOMENT as MOMENTS
from mediation.core.numbers import AMOUNT, NUMBER_PATTERN, QUANTITY
from mediation.core.transforms import Scope
from mediation.core.transforms.options import Options
from mediation.core.wording import quoted

MAX_RULES = 100
CODE_PATTERN = re.compile(r"^[a-z][a-z0-9_]{2,39}$")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
CHECKS = ("required", "allowed", "range", "expression")
# What a UDR field is in expressions. Every other field is a text.
NUMBER_KINDS = {"Value": decimal_kind(21, 6), "Amount": decimal_kind(32, 11), "PrimaryDataRow": decimal_kind(9)}
MOMENT_FIELDS = ("Date", "UsageBillDate")
BOOLEAN_FIELDS = ("Inbound", "ReverseRating")
COLUMN_KINDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "Value": QUANTITY,
    "Amount": AMOUNT,
    "PrimaryDataRow": pl.Int32,
    **dict.fromkeys(MOMENT_FIELDS, MOMENTS),
    **dict.fromkeys(BOOLEAN_FIELDS, pl.Boolean),
}
NO_SIGNS: Mapping[str, str] = {}
Literal = str | Decimal | datetime | bool


@dataclass(frozen=True)
class Rule:
    """What breaks a record, the code and UDR field it is reported under, and the message a person reads."""

    code: str | pl.Expr
    field: str
    broken: pl.Expr
    message: pl.Expr


@dataclass(frozen=True)
class Repair:
    """What a field is set to where a rule is broken: a value, or the result of an expression over UDR fields."""

    value: Literal | None = None
    formula: Expression | None = None


@dataclass(frozen=True)
class Validation:
    """One rule of a profile. broken: over the mapped and typed columns; message: a text with {field} and {value}."""

    name: str
    code: str
    field: str
    broken: pl.Expr
    message: str
    repair: Repair | None = None


def kind_of(field: str) -> Kind:
    """What a UDR field is in an expression."""
    if field in MOMENT_FIELDS:
        return MOMENT
    return BOOLEAN if field in BOOLEAN_FIELDS else NUMBER_KINDS.get(field, TEXT)


def column_of(field: str) -> pl.Expr:
    """The column that holds a UDR field's value."""
    return pl.col(f"text:{field}" if kind_of(field) == TEXT else f"typed:{field}")


# Running


def validate(
    frame: pl.DataFrame, rules: Iterable[Validation], decimal_signs: Mapping[str, str] = NO_SIGNS
) -> tuple[pl.DataFrame, list[Rule]]:
    """The frame with repairs made, and the rules that its records must keep.

    frame: mapped and typed (`text:`, `typed:` and, of dates, `parsed:`, `in_gap:` and `zone:` columns). A column
    `repairs` is added: the codes of the rules that repaired a record, in their order and parted by spaces, or null.
    decimal_signs: of fields that are not read with a point; a repair writes as the field is read.
    """
    rules = list(rules)
    repairing = [rule for rule in rules if rule.repair]
    for place, rule in enumerate(repairing):
        marked = frame.with_columns(rule.broken.fill_null(False).alias(f"repaired:{place}"))
        frame = _repair(marked, rule, place, decimal_signs.get(rule.field, "."))
    marks = [pl.when(f"repaired:{place}").then(pl.lit(rule.code)) for place, rule in enumerate(repairing)]
    joined = pl.concat_str(marks, separator=" ", ignore_nulls=True) if marks else pl.lit(None, pl.String)
    frame = frame.with_columns(repairs=pl.when(joined != "").then(joined) if marks else joined)
    frame = frame.drop(f"repaired:{place}" for place in range(len(repairing)))
    return frame, [Rule(rule.code, rule.field, rule.broken, _message(rule)) for rule in rules]


def _repair(frame: pl.DataFrame, rule: Validation, place: int, decimal_sign: str) -> pl.DataFrame:
    """Set the field where the rule is broken; where a formula has no result the record stays as it was."""
    field, mark = rule.field, f"repaired:{place}"
    if not frame[mark].any():
        return frame
    frame = frame.with_columns(made=_made(rule)).with_columns(pl.col(mark) & pl.col("made").is_not_null())
    columns = {f"text:{field}": _written(frame["made"].dtype, decimal_sign)}
    if kind_of(field) != TEXT:
        columns[f"typed:{field}"] = pl.col("made")
    if field in MOMENT_FIELDS:
        columns |= {f"parsed:{field}": pl.lit(True), f"in_gap:{field}": pl.lit(False), f"zone:{field}": pl.lit("UTC")}
    changed = [
        pl.when(mark).then(value.cast(frame.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in columns.items()
    ]
    return frame.with_columns(changed).drop("made")


def _written(kind: pl.DataType, decimal_sign: str) -> pl.Expr:
    """What a repair made, as the field's text."""
    made = pl.col("made")
    if isinstance(kind, pl.Datetime):
        return made.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if not isinstance(kind, pl.Decimal):
        return made.cast(pl.String)
    return made.cast(pl.String).str.replace(r"\.?0+$", "").str.replace(".", decimal_sign, literal=True)


def _made(rule: Validation) -> pl.Expr:
    assert rule.repair is not None  # noqa: S101 - asked for repairs alone
    kind = COLUMN_KINDS.get(rule.field, pl.String)
    if rule.repair.formula is not None:
        return to_polars(rule.repair.formula, column_of).cast(kind, strict=False)
    value = rule.repair.value
    return pl.lit(str(value) if kind == pl.String else value).cast(kind)


def _message(rule: Validation) -> pl.Expr:
    """The message with the record's own value in it."""
    value = quoted(pl.col(f"text:{rule.field}"))
    pieces = PLACEHOLDER.split(rule.message)
    parts = [
        (value if piece == "value" else pl.lit(rule.field)) if place % 2 else pl.lit(piece)
        for place, piece in enumerate(pieces)
    ]
    return pl.concat_str(parts)


# Parsing


def parse_validations(
    value: Any,
    pointer: str,
    fault: Callable[[str, str], None],
    *,
    fields: Collection[str],
    taken_codes: Collection[str],
) -> tuple[Validation, ...]:
    """The rules that a profile states. fields: the UDR fields it maps; taken_codes: those of the built-in rules."""
    if not isinstance(value, list) or len(value) > MAX_RULES:
        fault(pointer, f"must be a list of at most {MAX_RULES} rules")
        return ()
    kinds = {field: kind_of(field) for field in fields}
    parsed = [_validation(body, f"{pointer}/{place}", Scope(fault, kinds)) for place, body in enumerate(value)]
    rules = [rule for rule in parsed if rule is not None]
    _check_codes(rules, pointer, fault, taken_codes)
    return tuple(rules)


def _check_codes(
    rules: list[Validation], pointer: str, fault: Callable[[str, str], None], taken: Collection[str]
) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.code in taken:
            fault(pointer, f"{rule.name!r}: the code {rule.code} belongs to a built-in rule; choose another")
        elif rule.code in seen:
            fault(pointer, f"{rule.name!r}: the code {rule.code} is used by two rules")
        seen.add(rule.code)


def _validation(body: Any, pointer: str, scope: Scope) -> Validation | None:
    options = Options(body, pointer, scope)
    code = options.text("code", most=40)
    if not CODE_PATTERN.match(code):
        options.fault("code", "must be 3 to 40 small letters, digits and _, beginning with a letter")
    name = options.text("name", code or "rule", most=200)
    field = _field(options, scope.fields)
    options.known.add("rule")
    if field is None:
        return None
    check = _check(options.given.get("rule"), f"{pointer}/rule", field, scope)
    message = _message_text(options, check[1] if check else "")
    repair = _read_repair(options.given["repair"], f"{pointer}/repair", field, scope) if options.has("repair") else None
    options.done()
    return Validation(name, code, field, check[0], message, repair) if check else None


def _field(options: Options, kinds: Mapping[str, Kind]) -> str | None:
    field = options.text("field")
    field = "Date" if field == "DateTime" else field
    if field and field not in kinds:
        options.fault("field", f"{field} is not mapped, so no record has it; mapped are {', '.join(kinds)}")
        return None
    return field or None


def _message_text(options: Options, default: str) -> str:
    message = options.text("message", default or "{field}", most=500)
    for name in PLACEHOLDER.findall(message):
        if name not in ("field", "value"):
            options.fault("message", f"{{{name}}} is not known; known are {{field}} and {{value}}")
    return message


def _check(value: Any, pointer: str, field: str, scope: Scope) -> tuple[pl.Expr, str] | None:
    """What breaks the rule, and the message that it has where the profile states none."""
    if isinstance(value, str):
        value = {value: True}
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in CHECKS:
        scope.fault(pointer, f"must be one check, {', '.join(CHECKS)}")
        return None
    name, options = next(iter(value.items()))
    if name == "required":
        if options is not True:
            scope.fault(f"{pointer}/required", "must be true")
        return pl.col(f"text:{field}").is_null(), "{field} is empty"
    if name == "allowed":
        return _allowed(options, f"{pointer}/allowed", field, scope)
    if name == "range":
        return _range(Options(options, f"{pointer}/range", scope), field)
    expression = Options(value, pointer, scope).expression("expression", kinds=("boolean",))
    if expression is None:
        return None
    return ~to_polars(expression, column_of), f"does not keep the rule {_escaped(expression.text)}"


def _escaped(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")


def _allowed(value: Any, pointer: str, field: str, scope: Scope) -> tuple[pl.Expr, str] | None:
    if not isinstance(value, list) or not 1 <= len(value) <= 10_000:
        scope.fault(pointer, "must be a list of 1 to 10,000 values")
        return None
    literals = [read_literal(item, f"{pointer}/{place}", field, scope.fault) for place, item in enumerate(value)]
    known = pl.Series([item for item in literals if item is not None]).cast(COLUMN_KINDS.get(field, pl.String))
    shown = ", ".join(_escaped(str(item)) for item in value[:10]) + (", …" if len(value) > 10 else "")
    return ~column_of(field).is_in(known.implode()), f"{{field}} {{value}} is none of {shown}"


def _range(options: Options, field: str) -> tuple[pl.Expr, str] | None:
    """Both ends belong to the range."""
    if kind_of(field) in (TEXT, BOOLEAN):
        options.fault("", f"{field} is no number or date; write an expression, with CAST({field} AS DECIMAL(p, s))")
        return None
    kind, broken, words = COLUMN_KINDS[field], pl.lit(False), []
    for name in ("least", "most"):
        if options.has(name):
            bound = read_literal(options.given[name], f"{options.pointer}/{name}", field, options.scope.fault)
            limit = pl.lit(bound).cast(kind)
            broken = broken | (column_of(field) < limit if name == "least" else column_of(field) > limit)
            words.append(f"{'less' if name == 'least' else 'more'} than {bound}")
    if not words:
        options.fault("", "needs least or most")
    options.done()
    return broken, f"{{field}} {{value}} is {' or '.join(words)}"


def read_literal(value: Any, pointer: str, field: str, fault: Callable[[str, str], None]) -> Literal | None:
    """A value of a field as a profile writes it: texts, numbers as texts or whole numbers, dates in ISO 8601."""
    kind = kind_of(field)
    if kind == BOOLEAN and isinstance(value, bool):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if kind == TEXT and isinstance(value, str) and value:
        return value
    if kind.is_number and isinstance(value, str) and (number := _number(value, kind)) is not None:
        return number
    if kind == MOMENT and isinstance(value, str) and (moment := read_moment(value)) is not None:
        return moment
    hints = {"text": "a text", "boolean": "true or false", "moment": "a date such as 2026-05-01T12:00:00Z"}
    number_hint = f"a number as text, with at most {kind.digits - kind.scale} digits and {kind.scale} decimals"
    fault(pointer, f"must be {hints.get(kind.name, number_hint)}, as {field} is")
    return None


def _number(text: str, kind: Kind) -> Decimal | None:
    if not re.match(NUMBER_PATTERN, text, re.ASCII):
        return None
    try:
        number = Decimal(text)
        is_fitting = abs(number) < Decimal(10) ** (kind.digits - kind.scale) and number == round(number, kind.scale)
    except InvalidOperation:
        return None
    return number if is_fitting else None


def _read_repair(value: Any, pointer: str, field: str, scope: Scope) -> Repair | None:
    options = Options(value, pointer, scope)
    has_value, has_formula = options.has("set"), options.has("formula")
    if has_value == has_formula:
        options.fault("", "needs either set, a value, or formula, an expression over UDR fields")
        return None
    if has_value:
        literal = read_literal(options.given["set"], f"{pointer}/set", field, scope.fault)
        options.done()
        return None if literal is None else Repair(value=literal)
    kind = kind_of(field)
    formula = options.expression("formula", kinds=(kind.name,))
    options.done()
    if formula is not None and formula.kind.is_number and formula.kind.scale > kind.scale:
        options.fault("formula", f"has {formula.kind.scale} decimals; {field} holds {kind.scale}: ROUND it")
        return None
    return Repair(formula=formula) if formula else None
