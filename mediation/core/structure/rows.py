"""Reading rows by their structure: what is no record of usage is set apart before its columns are judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from mediation.core.frames import source_column
from mediation.core.reading.frames import RAW
from mediation.core.structure.controls import Claims, Scan
from mediation.core.structure.document import PlacedColumn, Structure
from mediation.core.structure.telling import ASIDE, add_file_fields, kinds_of, set_aside

ReadFields = Callable[[pl.DataFrame, Sequence[str]], pl.DataFrame]


@dataclass(frozen=True)
class StructuredFormat:
    """What structure needs of a format.

    read: RAW rows into RECORDS with these source fields; rows that have them already are left as they are. read_outer:
    the same for a header or trailer, whose columns are those asked for. delimiter, quote: of delimited rows.
    """

    read: ReadFields
    read_outer: ReadFields
    delimiter: str = ","
    quote: str = ""


def read_structured(
    rows: pl.DataFrame,
    structure: Structure,
    format_: StructuredFormat,
    sources: Sequence[str],
    file_fields: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """RECORDS with ASIDE, in the order of `rows`; each row once.

    rows: RAW, or RECORDS of formats that tell types by source fields. sources: of `row_sources`. file_fields: import_id
    and a column a header or trailer field, as the file's `Claims` had them.
    """
    types = structure.record_types
    if types is None:
        records = format_.read(rows, sources)
        records = records.with_columns(pl.lit(None, kind).alias(name) for name, kind in ASIDE.items())
    else:
        kinds = kinds_of(rows, types, delimiter=format_.delimiter, quote=format_.quote)
        details, others = set_aside(rows, kinds, types)
        records = pl.concat([format_.read(details, sources), others], how="diagonal_relaxed")
        records = records.sort("import_id", "record_number")
    return records if file_fields is None else add_file_fields(records, file_fields)


def scan_structured(parts: Iterable[pl.DataFrame], structure: Structure, format_: StructuredFormat) -> Claims:
    """What a file (or a request's rows) says of itself. Raises UnreadableError where its records do not agree.

    parts: RAW (or RECORDS) of the whole, in order.
    """
    types = structure.record_types
    assert types is not None  # noqa: S101 - asked of structures with claims alone
    scan = Scan(structure, lambda row, columns: _outer_fields(row, columns, format_))
    summed = list(dict.fromkeys(control.of for control in structure.controls if control.of))
    for rows in parts:
        kinds = kinds_of(rows, types, delimiter=format_.delimiter, quote=format_.quote)
        if not summed:
            scan.take(rows, kinds)
            continue
        told = rows.with_columns(_kind=kinds, _place=pl.int_range(pl.len()))
        details = format_.read(told.filter(pl.col("_kind") == "detail"), summed)
        wanted = ["record_number", *map(source_column, summed)]
        whole = told.select(*RAW, "_kind").join(
            details.select(wanted), on="record_number", how="left", maintain_order="left"
        )
        scan.take(whole.drop("_kind"), whole["_kind"])
    return scan.finish()


def _outer_fields(row: pl.DataFrame, columns: Sequence[PlacedColumn], format_: StructuredFormat) -> pl.DataFrame:
    """A header or trailer record with its source columns."""
    if columns[0].start is None:
        return format_.read_outer(row, [column.name for column in columns])
    return row.with_columns(
        pl.col("raw").str.slice((column.start or 1) - 1, column.width).alias(source_column(column.name))
        for column in columns
    )
