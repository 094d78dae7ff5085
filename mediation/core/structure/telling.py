"""Telling header, trailer and detail records apart, before anything is asked of a row's columns."""

import re
from collections.abc import Mapping

import polars as pl

from mediation.core.codes import Code
from mediation.core.frames import source_column
from mediation.core.structure.document import KINDS, RecordTypes

# Columns of RECORDS for those that are left out before mediation sees them: as what (skipped or duplicate), and why.
ASIDE: dict[str, type[pl.DataType]] = {"aside": pl.String, "aside_reason": pl.String}
REASONS = {"header": "header record", "trailer": "trailer record"}


def kinds_of(rows: pl.DataFrame, types: RecordTypes, *, delimiter: str = ",", quote: str = "") -> pl.Series:
    """What each row is: header, trailer or detail; null where the types are all stated and it is none of them.

    rows: RAW, or RECORDS where the types are told by expressions over source fields.
    """
    if types.when:
        tests = {kind: condition.holds for kind, condition in types.when}
        told = rows.with_columns(pl.col("raw").alias(source_column("raw")))
    else:
        told = rows.select(_mark(rows, types, delimiter, quote).str.strip_chars().alias("mark"))
        stated = {kind: [text.strip() for text in getattr(types, kind)] for kind in KINDS}
        tests = {kind: pl.col("mark").is_in(texts) for kind, texts in stated.items() if texts}
    others = pl.lit(None if "detail" in tests else "detail", pl.String)
    kind = pl.coalesce(*(pl.when(test).then(pl.lit(kind)) for kind, test in tests.items()), others)
    return told.select(kind=kind).to_series()


def _mark(rows: pl.DataFrame, types: RecordTypes, delimiter: str, quote: str) -> pl.Expr:
    """The text that tells a row's type."""
    raw = pl.col("raw")
    if types.column is None:
        return raw.str.slice((types.position or 1) - 1, types.width)
    plain = raw.str.splitn(delimiter, types.column + 1).struct.field(f"field_{types.column - 1}")
    if not quote or not rows["raw"].str.contains(quote, literal=True).any():
        return plain
    # Rows of wrong quotes have no such match; their plain text says what they were meant to be.
    sign, between = re.escape(quote), re.escape(delimiter)
    field = f"(?:{sign}[^{sign}]*(?:{sign}{sign}[^{sign}]*)*{sign}|[^{sign}{between}]*)"
    found = raw.str.extract(f"^(?:{field}{between}){{{types.column - 1}}}({field})(?:{between}|$)")
    bare = found.str.strip_prefix(quote).str.strip_suffix(quote).str.replace_all(quote * 2, quote, literal=True)
    return pl.coalesce(bare, plain)


def set_aside(rows: pl.DataFrame, kinds: pl.Series, types: RecordTypes) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that are records of usage, and those that are not: left out with ASIDE, or at fault as of no known type."""
    told = rows.with_columns(_kind=kinds)
    details = told.filter(pl.col("_kind") == "detail").drop("_kind")
    others = told.filter(pl.col("_kind").ne_missing("detail"))
    reason = pl.col("_kind").replace_strict(REASONS, default=None, return_dtype=pl.String)
    fault, message = (
        pl.lit(str(Code.UNKNOWN_RECORD_TYPE)),
        pl.lit(f"the record is of no type that the profile knows: {_known(types)}"),
    )
    is_strange = pl.col("_kind").is_null()
    return details, others.with_columns(
        fault=pl.when(is_strange).then(pl.coalesce("fault", fault)),
        fault_message=pl.when(is_strange).then(pl.coalesce("fault_message", message)),
        aside=pl.when(~is_strange).then(pl.lit("skipped")),
        aside_reason=reason,
    ).drop("_kind")


def _known(types: RecordTypes) -> str:
    texts = [text for kind in KINDS for text in getattr(types, kind)]
    return ", ".join(texts or [f"{kind} ({condition.text})" for kind, condition in types.when])


def add_file_fields(records: pl.DataFrame, fields: pl.DataFrame) -> pl.DataFrame:
    """Give each record its file's own fields. fields: import_id, and a column a field (`header.date`)."""
    named = fields.rename({name: source_column(name) for name in fields.columns if name != "import_id"})
    return records.join(named, on="import_id", how="left", maintain_order="left")


def file_fields_frame(fields: Mapping[int, Mapping[str, str | None]], names: list[str]) -> pl.DataFrame:
    """The header and trailer fields of imports as a frame for `add_file_fields`. fields: by import id."""
    rows = [(import_id, *(found.get(name) for name in names)) for import_id, found in fields.items()]
    return pl.DataFrame(rows, schema={"import_id": pl.Int64, **dict.fromkeys(names, pl.String)}, orient="row")
