"""Rules that mend many records at once: read from a document with all their faults, applied to columns.

A rule gives one text a record: of a source field, or (a substitution only) of the record as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from mediation.core.expressions import Expression, ExpressionError, Kind, fields_of, to_polars
from mediation.core.expressions.patterns import check_replacement, engine_replacement, whole
from mediation.core.frames import source_column
from mediation.core.transforms import Scope
from mediation.core.transforms.frames import written
from mediation.core.transforms.options import Options

MAX_TEXT = 10_000  # characters of a source field that a rule makes
MAX_RAW = 1_000_000  # characters of a record
KINDS = ("set", "map", "substitute", "expression")

# What a rule makes of records, a row each in their order. text: as it would be; fault: why it stays as it is.
APPLIED: dict[str, type[pl.DataType]] = {"text": pl.String, "is_changed": pl.Boolean, "fault": pl.String}


@dataclass(frozen=True)
class RuleFault:
    """One thing that is wrong with a rule: a JSON pointer and a sentence."""

    pointer: str
    message: str


class FaultyRuleError(ValueError):
    """A document that says no rule; carries every fault."""

    def __init__(self, faults: list[RuleFault]) -> None:
        super().__init__("; ".join(f"{fault.pointer or 'the rule'} {fault.message}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True)
class SetField:
    """Give a field one text in every record; None leaves it without a value."""

    field: str
    text: str | None

    @property
    def words(self) -> str:
        return f"set {self.field} to “{self.text}”" if self.text is not None else f"empty {self.field}"

    def made(self, records: pl.DataFrame) -> pl.Series:
        return pl.Series([self.text], dtype=pl.String).new_from_index(0, records.height)


@dataclass(frozen=True)
class MapValue:
    """Put other texts in the place of some; a text that is not named stays. An empty one stands for no text too."""

    field: str
    values: Mapping[str, str | None]

    @property
    def words(self) -> str:
        named = [f"“{was}” by {'nothing' if now is None else f'“{now}”'}" for was, now in self.values.items()]
        more = f" and {len(named) - 5} more" if len(named) > 5 else ""
        return f"replace in {self.field} {', '.join(named[:5])}{more}"

    def made(self, records: pl.DataFrame) -> pl.Series:
        texts = records[source_column(self.field)]
        found = texts.fill_null("") if "" in self.values else texts
        return found.replace_strict(
            list(self.values), list(self.values.values()), default=texts, return_dtype=pl.String
        )


@dataclass(frozen=True)
class Substitute:
    """Put a replacement wherever a pattern matches: in a field, or in the record as received (field None)."""

    field: str | None
    pattern: str
    replacement: str

    @property
    def words(self) -> str:
        where = "the record as received" if self.field is None else self.field
        return f"replace what matches “{self.pattern}” in {where} by “{self.replacement}”"

    def made(self, records: pl.DataFrame) -> pl.Series:
        texts = records["raw" if self.field is None else source_column(self.field)]
        return texts.str.replace_all(whole(self.pattern), engine_replacement(self.replacement))


@dataclass(frozen=True)
class Compute:
    """Give a field the result of an expression over the source fields."""

    field: str
    text: str
    expression: Expression

    @property
    def words(self) -> str:
        return f"set {self.field} to the result of {self.text}"

    def made(self, records: pl.DataFrame) -> pl.Series:
        columns = [source_column(name) for name in fields_of(self.expression)]
        found = records.select("record_number", *columns)
        return written(found.with_columns(made=to_polars(self.expression, _column))["made"])


Rule = SetField | MapValue | Substitute | Compute


def _column(name: str) -> pl.Expr:
    return pl.col(source_column(name))


def apply_rule(records: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """APPLIED: what `rule` makes of each of RECORDS.

    An expression without a result, and a text that cannot be kept, are faults: the record stays as it is.
    """
    before = records["raw" if rule.field is None else source_column(rule.field)]
    most = MAX_RAW if rule.field is None else MAX_TEXT
    text, was = pl.col("text"), pl.col("before")
    fault = (
        pl.when(text.str.contains("\0", literal=True))
        .then(pl.lit("the result holds a NUL character"))
        .when(text.str.len_chars() > most)
        .then(pl.lit(f"the result is longer than {most:,} characters"))
    )
    if isinstance(rule, Compute):
        fault = fault.when(text.is_null()).then(pl.lit("the expression has no result for it"))
    if rule.field is None:
        fault = fault.when(text.str.strip_chars() == "").then(pl.lit("nothing is left of the record"))
    made = pl.DataFrame({"text": rule.made(records), "before": before})
    told = made.with_columns(fault=fault.otherwise(pl.lit(None, pl.String)))
    is_kept = pl.col("fault").is_null()
    return told.select(
        text=pl.when(is_kept).then(text).otherwise(was),
        is_changed=is_kept & text.ne_missing(was),
        fault="fault",
    )


# Reading


def parse_rule(document: Any, *, sources: Mapping[str, Kind]) -> Rule:
    """The rule that a document states. Raises FaultyRuleError with all faults at once.

    {"kind": "set", "field": …, "text": … or null} · {"kind": "map", "field": …, "values": {…: … or null}} ·
    {"kind": "substitute", "field": … (or "raw": true), "pattern": …, "replacement": …} ·
    {"kind": "expression", "field": …, "expression": …}. sources: the source fields that the profile reads.
    """
    faults: list[RuleFault] = []
    scope = Scope(lambda pointer, message: faults.append(RuleFault(pointer, message)), sources)
    options = Options(document, "", scope)
    kind = options.text("kind")
    if not faults and kind not in READERS:
        options.fault("kind", f"must be one of {', '.join(KINDS)}")
    if faults:
        raise FaultyRuleError(faults)
    rule = READERS[kind](options)
    options.done()
    if faults or rule is None:
        raise FaultyRuleError(faults)
    return rule


def _field(options: Options) -> str:
    field = options.text("field", most=200)
    sources = options.scope.fields
    if field and field not in sources:
        known = ", ".join(sorted(sources)[:30])
        options.fault("field", f"is no source field that the profile reads{f'; those are {known}' if known else ''}")
    return field


def _text(options: Options, name: str, value: Any, *, may_be_null: bool = False) -> str | None:
    if value is None and may_be_null:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        options.fault(name, f"must be a text of at most {MAX_TEXT:,} characters{', or null' if may_be_null else ''}")
        return None
    if "\0" in value:
        options.fault(name, "holds a NUL character")
    return value


def _set(options: Options) -> Rule:
    field = _field(options)
    if not options.has("text"):
        options.fault("text", "is missing: the text to set, or null")
        return SetField(field, None)
    return SetField(field, _text(options, "text", options.given["text"], may_be_null=True))


def _map(options: Options) -> Rule:
    field = _field(options)
    options.known.add("values")
    values = options.given.get("values")
    if not isinstance(values, dict) or not 1 <= len(values) <= 10_000:
        options.fault("values", "must be an object that names 1 to 10,000 texts and what stands in their place")
        return MapValue(field, {})
    texts = {was: _text(options, f"values/{was}", now, may_be_null=True) for was, now in values.items()}
    return MapValue(field, texts)


def _substitute(options: Options) -> Rule | None:
    is_raw = options.flag("raw", False)
    field = None if is_raw else _field(options)
    if is_raw and options.has("field"):
        options.fault("field", "stands beside raw: leave one of the two out")
    pattern, groups = options.pattern("pattern")
    replacement = options.text("replacement", may_be_empty=True)
    if "\0" in replacement:
        options.fault("replacement", "holds a NUL character")
    try:
        check_replacement(replacement, groups, (0, len(replacement)))
    except ExpressionError as error:
        options.fault("replacement", error.message)
    return Substitute(field, pattern, replacement)


def _compute(options: Options) -> Rule | None:
    field, expression = _field(options), options.expression("expression")
    return Compute(field, options.given["expression"], expression) if expression else None


READERS = {"set": _set, "map": _map, "substitute": _substitute, "expression": _compute}
