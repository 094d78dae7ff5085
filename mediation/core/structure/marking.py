"""What each row is to the record that it is a part of: the key, its role, its number, whether it is the primary one."""

from functools import reduce
from operator import and_

import polars as pl
import polars_hash  # noqa: F401 - registers the hash expressions

from mediation.core.codes import Code
from mediation.core.frames import source_column
from mediation.core.structure.document import Combine

MAX_KEY_CHARS = 200
WHOLE = r"^[0-9]{1,9}$"


# What `mark_parts` adds to RECORDS. A null key: the row is no part, since it is at fault or left out.
MARKS: dict[str, type[pl.DataType]] = {
    "part_key": pl.String,
    "part_role": pl.String,
    "part_number": pl.Int64,
    "is_primary": pl.Boolean,
    "is_last": pl.Boolean,
    "part_order": pl.String,
}


def mark_parts(records: pl.DataFrame, combine: Combine, *, is_skipped: pl.Expr | None = None) -> pl.DataFrame:
    """RECORDS with MARKS; a row that cannot be a part of a record gets the fault that says why.

    is_skipped: holds for rows that a filter skips: those are no parts.
    """
    key, role, number = _key(combine), _role(combine), _number(combine)
    is_open = pl.col("fault").is_null() & pl.col("aside").is_null()
    if is_skipped is not None:
        is_open &= ~is_skipped.fill_null(False)
    ready = records if "aside" in records.columns else records.with_columns(aside=pl.lit(None, pl.String))
    marked = ready.with_columns(part_key=key, part_role=role, part_number=number, _open=is_open)
    rules = [
        (Code.MISSING_PART_KEY, pl.col("part_key").is_null(), f"{', '.join(combine.key)} is empty: its parts share it"),
    ]
    if combine.every_row_has_a_role:
        roles = ", ".join(combine.role_names)
        rules.append((Code.UNKNOWN_PART, pl.col("part_role").is_null(), f"the record is none of {roles}"))
    if combine.sequence:
        message = f"{combine.sequence} is no whole number from 1"
        rules.append((Code.BAD_PART_NUMBER, pl.col("part_number").fill_null(0) < 1, message))
    broken = [(code, pl.col("_open") & test, message) for code, test, message in rules]
    faulted = marked.with_columns(
        fault=pl.coalesce("fault", *(pl.when(test).then(pl.lit(str(code))) for code, test, _ in broken)),
        fault_message=pl.coalesce("fault_message", *(pl.when(test).then(pl.lit(told)) for _, test, told in broken)),
    )
    return faulted.with_columns(
        part_key=pl.when(pl.col("_open") & pl.col("fault").is_null()).then("part_key"),
        is_primary=_holds(combine.primary.holds if combine.primary else None),
        is_last=_holds(combine.last.holds if combine.last else None),
        part_order=pl.col(source_column(combine.order_by)) if combine.order_by else pl.lit(None, pl.String),
    ).drop("_open")


def _holds(condition: pl.Expr | None) -> pl.Expr:
    return pl.lit(False) if condition is None else condition.fill_null(False)


def _key(combine: Combine) -> pl.Expr:
    """One text for the key's fields; null where all of them are empty."""
    texts = [pl.col(source_column(name)).str.strip_chars().fill_null("") for name in combine.key]
    is_empty = reduce(and_, (text == "" for text in texts))
    # A field's length in front keeps a|bc apart from ab|c.
    counted = [text.str.len_chars().cast(pl.String) + ":" + text + ";" for text in texts]
    whole = texts[0] if len(texts) == 1 else pl.concat_str(counted)
    hashed = whole.str.slice(0, 64) + "#" + whole.chash.sha2_256()  # type: ignore[attr-defined]
    return pl.when(~is_empty).then(pl.when(whole.str.len_chars() > MAX_KEY_CHARS).then(hashed).otherwise(whole))


def _role(combine: Combine) -> pl.Expr:
    """The first role whose condition holds."""
    tests = [pl.when(condition.holds.fill_null(False)).then(pl.lit(name)) for name, condition in combine.roles]
    return pl.coalesce(*tests, pl.lit(None, pl.String))


def _number(combine: Combine) -> pl.Expr:
    if combine.sequence is None:
        return pl.lit(None, pl.Int64)
    text = pl.col(source_column(combine.sequence)).str.strip_chars()
    return pl.when(text.str.contains(WHOLE)).then(text).cast(pl.Int64, strict=False)
