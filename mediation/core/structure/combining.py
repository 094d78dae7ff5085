"""Rows of one key into one record: what is complete is a record, what is not waits, and every row has one outcome."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from mediation.core.codes import Code
from mediation.core.structure.aggregating import combined_fields
from mediation.core.structure.document import Combine, Structure, derived_from
from mediation.core.structure.grouping import group_parts
from mediation.core.structure.marking import MARKS
from mediation.core.structure.telling import ASIDE

WAITS = "waits for its other parts"
PART_OF = "part of record "
# A row as a part: where it stands, and its text.
PARTS: dict[str, type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "part_key": pl.String,
    "part_role": pl.String,
    "raw": pl.String,
}
# A part of a record that another row carries.
JOINED: dict[str, type[pl.DataType]] = {
    **PARTS,
    "of_import_id": pl.Int64,
    "of_record_number": pl.Int64,
    "is_stored": pl.Boolean,
}


@dataclass(frozen=True)
class Combination:
    """What became of a chunk's rows.

    records: RECORDS, each row of the chunk once: with the combined fields and its `content` where it carries a record,
    with ASIDE where another row does, where it waits or repeats a part, with a fault where it contradicts one.
    waiting: PARTS of the chunk that wait. joined: JOINED, of the chunk and (is_stored) of the stored parts.
    """

    records: pl.DataFrame
    waiting: pl.DataFrame
    joined: pl.DataFrame


def combine(
    rows: pl.DataFrame, stored: pl.DataFrame, structure: Structure, *, names: Iterable[str], labels: pl.DataFrame
) -> Combination:
    """Combine the rows of a chunk with each other and with parts that were stored before.

    rows, stored: RECORDS with MARKS; stored parts in the order in which they came. names: the source fields that
    mappings and filters read, such as `start.Time`. labels: import_id and label, what a message calls an import.
    """
    how = structure.combine
    assert how is not None  # noqa: S101 - called for profiles that combine
    role_fields = _role_fields(names, structure)
    is_part = pl.col("part_key").is_not_null()
    ours = rows.filter(is_part).sort("import_id", "record_number").with_columns(is_stored=pl.lit(False))
    theirs = stored.filter(is_part).with_columns(is_stored=pl.lit(True))
    grouped = group_parts(pl.concat([theirs, ours], how="diagonal_relaxed"), how)
    grouped = _with_labels(_with_carriers(grouped, how), labels)
    others = rows.filter(~is_part)
    done = grouped.filter(pl.col("of_import_id").is_not_null())
    records = pl.concat(
        [
            others,
            _carriers(done, how, role_fields),
            _set_aside(grouped.filter(~pl.col("is_stored") & ~pl.col("is_carrier"))),
        ],
        how="diagonal_relaxed",
    )
    left = [*MARKS, "is_stored", "is_carrier", "place", "group", "repeats", "conflict", "of_label", "repeated"]
    records = records.drop(*left, "of_import_id", "of_record_number", strict=False)
    waits = pl.col("group").is_null() & pl.col("repeats").is_null() & pl.col("conflict").is_null()
    return Combination(
        _with_role_columns(records, role_fields).sort("import_id", "record_number"),
        waiting=grouped.filter(~pl.col("is_stored") & waits).select(list(PARTS)),
        joined=done.filter(~pl.col("is_carrier")).select(list(JOINED)),
    )


def _role_fields(names: Iterable[str], structure: Structure) -> list[tuple[str, str]]:
    found = [(name.partition(".")[0], derived_from(name, structure)) for name in names]
    return list(dict.fromkeys((role, of) for role, of in found if of))


def _with_role_columns(records: pl.DataFrame, role_fields: list[tuple[str, str]]) -> pl.DataFrame:
    """Records without any combined one among them have the columns too, empty."""
    names = [f"source:{role}.{of}" for role, of in role_fields]
    missing = [name for name in [*names, "content", *ASIDE] if name not in records.columns]
    return records.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)


def _with_carriers(grouped: pl.DataFrame, how: Combine) -> pl.DataFrame:
    """Add is_carrier, of_import_id and of_record_number: the row that each complete record has its outcome in.

    It is the primary row, or where that was stored before, the last that came. A record all of whose parts were stored
    is none of this chunk's.
    """
    ours = grouped.filter(pl.col("group").is_not_null() & ~pl.col("is_stored"))
    roles = {name: place for place, name in enumerate(how.role_names)}
    main = ~pl.col("is_primary") if how.primary else pl.col("part_role").ne_missing(next(iter(roles), None))
    carriers = ours.sort("group", main, -pl.col("place")).unique("group", keep="first", maintain_order=True)
    named = carriers.select("group", of_import_id="import_id", of_record_number="record_number", _carrier="place")
    joined = grouped.join(named, on="group", how="left", maintain_order="left")
    return joined.with_columns(
        is_carrier=(pl.col("place") == pl.col("_carrier")).fill_null(False),
        group=pl.when(pl.col("of_import_id").is_not_null()).then("group"),
    ).drop("_carrier")


def _carriers(done: pl.DataFrame, how: Combine, role_fields: list[tuple[str, str]]) -> pl.DataFrame:
    """RECORDS of the rows that carry a record, each with the fields of the whole."""
    fields = combined_fields(done, how, role_fields)
    carriers = done.filter("is_carrier").select("group", "import_id", "record_number", "raw")
    return carriers.join(fields, on="group", how="left", maintain_order="left").drop("group")


def _set_aside(rows: pl.DataFrame) -> pl.DataFrame:
    """RECORDS of the rows that carry no record, with what became of them."""
    is_conflict = pl.col("conflict").is_not_null()
    part_of = pl.format(PART_OF + "{} of {}", "of_record_number", "of_label")
    reason = pl.coalesce("repeated", pl.when(pl.col("group").is_not_null()).then(part_of), pl.lit(WAITS))
    outcome = pl.when(pl.col("repeated").is_not_null()).then(pl.lit("duplicate")).otherwise(pl.lit("skipped"))
    return rows.with_columns(
        fault=pl.when(is_conflict).then(pl.lit(str(Code.CONFLICTING_PART))),
        fault_message=pl.col("conflict"),
        aside=pl.when(~is_conflict).then(outcome),
        aside_reason=pl.when(~is_conflict).then(reason),
    )


def _with_labels(grouped: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Add of_label, the import of the record that a row is a part of, and `repeated`, the row that it repeats."""
    carriers = labels.rename({"import_id": "of_import_id", "label": "of_label"})
    named = grouped.join(carriers, on="of_import_id", how="left", maintain_order="left")
    first = grouped.join(labels, on="import_id", how="left", maintain_order="left").select(
        repeats="place", repeated=pl.format("repeats record {} of {}", "record_number", "label")
    )
    return named.join(first, on="repeats", how="left", maintain_order="left")
