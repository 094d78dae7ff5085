"""What transforms work on and hand over: texts in a series, the records around them, and faults by their place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import polars as pl

from mediation.core.expressions import Expression, fields_of, to_polars
from mediation.core.lookups import LookupTable

THIS = "this"  # what an expression calls the text that came so far

# A text that a transform could not take. place: of the record in its frame.
FAULTS: dict[str, type[pl.DataType]] = {"place": pl.UInt32, "code": pl.String, "message": pl.String}


@dataclass(frozen=True)
class Unit:
    """A usage unit: how many of its kind's base unit (one, seconds, bytes) it is."""

    name: str
    kind: str
    multiplier: Decimal


@dataclass(frozen=True)
class Tables:
    """What transforms look things up in: lookup tables and usage units by name."""

    lookups: Mapping[str, LookupTable] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)


@dataclass(frozen=True)
class Around:
    """The records that texts belong to (`source:<name>`, and `typed:<field>` of dates), and the tables."""

    records: pl.DataFrame
    tables: Tables


@dataclass(frozen=True)
class Ran:
    """Texts after a transform, and FAULTS of those that it could not take; these are null."""

    text: pl.Series
    faults: pl.DataFrame


class Transform(Protocol):
    """One step of a chain. sources: the source fields that it reads beside the text."""

    @property
    def sources(self) -> frozenset[str]: ...

    def run(self, text: pl.Series, around: Around) -> Ran: ...


@dataclass(frozen=True)
class Otherwise:
    """What becomes of a text that a transform has no answer for: a fault, null, the text as it was, or another."""

    kind: str = "fault"
    text: str | None = None

    def settle(
        self, before: pl.Series, after: pl.Series, around: Around, *, code: pl.Expr | str, message: pl.Expr
    ) -> Ran:
        """`after`, where null and `before` is not: settled. code, message: over `text` and the records' columns."""
        if self.kind == "null":
            return Ran(after, no_faults())
        is_open = before.is_not_null() & after.is_null()
        if not is_open.any():
            return Ran(after, no_faults())
        if self.kind == "keep":
            return Ran(after.zip_with(~is_open, before), no_faults())
        if self.kind == "text":
            return Ran(after.zip_with(~is_open, pl.Series([self.text], dtype=pl.String)), no_faults())
        places = is_open.arg_true().cast(pl.UInt32)
        failing = around.records[places].with_columns(text=before.gather(places), place=places)
        code = pl.lit(code) if isinstance(code, str) else code
        return Ran(after, failing.select("place", code=code, message=message).cast(FAULTS))  # type: ignore[arg-type]


def source_column(name: str) -> str:
    """The column that holds source field `name`, as readers give it."""
    return f"source:{name}"


def no_faults() -> pl.DataFrame:
    return pl.DataFrame(schema=FAULTS)


def of(text: pl.Series, expression: pl.Expr) -> pl.Series:
    """The series that `expression` over column `text` gives."""
    return pl.DataFrame({"text": text}).select(expression.alias("text")).to_series()


def computed(text: pl.Series, around: Around, expression: Expression) -> pl.Series:
    """What `expression` over source fields, and over the text as `this`, gives for each record."""

    def column(name: str) -> pl.Expr:
        return pl.col("text") if name == THIS else pl.col(source_column(name))

    return around.records.select(
        text=text, **{source_column(name): pl.col(source_column(name)) for name in fields_of(expression) - {THIS}}
    ).with_columns(made=to_polars(expression, column))["made"]


def sources_of(*found: Expression | None) -> frozenset[str]:
    """The source fields that expressions read."""
    return frozenset(name for expression in found if expression for name in fields_of(expression)) - {THIS}


def written(values: pl.Series) -> pl.Series:
    """Values of any kind as text: numbers plain, moments in ISO 8601 and UTC, booleans as true and false."""
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return values.cast(pl.String)
