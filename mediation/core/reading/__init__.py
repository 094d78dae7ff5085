"""From bytes to records: cutting files between records, and reading each record's source fields as text.

One interface for every format: `cut` finds where a file can be cut, `read_part` reads one such part, `read_rows` reads
rows that came one by one. What comes out is a RECORDS frame: RAW, and one text column `source:<name>` for each source
field that the profile reads. A record that cannot be read keeps its text and a fault. A format whose files cannot be
read from their middle is written out once, by `write_out`, as what `cut` and `read_part` take.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

import polars as pl

from mediation.core.reading import (
    cloudevents,
    delimited,
    fixed_width,
    json_path,
    json_records,
    nem,
    xlsx,
    xml_records,
)
from mediation.core.reading.frames import FAULT_COLUMNS, RAW, Span, UnreadableError, source_column
from mediation.core.spec import CloudEvents, Delimited, FixedWidth, Json, Nem, ProfileSpec, Xlsx, Xml
from mediation.core.structure.controls import Claims
from mediation.core.structure.rows import StructuredFormat, read_structured, scan_structured
from mediation.core.structure.telling import file_fields_frame

__all__ = [
    "FAULT_COLUMNS",
    "RAW",
    "Claims",
    "FileFields",
    "Span",
    "UnreadableError",
    "cut",
    "raw_part",
    "read_part",
    "read_rows",
    "records_of",
    "scan",
    "scan_rows",
    "source_column",
    "write_out",
]

# The header and trailer fields of each import, by its id: `header.<column>` -> text.
FileFields = Mapping[int, Mapping[str, str | None]]
Cut = tuple[list[str] | None, Iterator[Span]]
ROW = ["import_id", "record_number", "raw"]


def write_out(stream: BinaryIO, spool: BinaryIO, spec: ProfileSpec) -> bool:
    """Write a file of a format that cannot be cut into `spool`, as one that can; False, and nothing, where it can.

    stream: seekable. Raises UnreadableError.
    """
    if not isinstance(spec.format, Xlsx):
        return False
    xlsx.rewrite(stream, spool, spec.format, spec.row_sources)
    return True


def cut(blocks: Iterable[bytes], spec: ProfileSpec) -> Cut:
    """What later parts need from above them (column names, or for meter data the meters), and the spans of the file.

    blocks: the file's bytes in order, in blocks of any size. What is needed is complete once the spans are all taken.
    Raises UnreadableError, also while the spans are taken, where the file as a whole cannot be read.
    """
    match spec.format:
        case Delimited():
            return delimited.cut(blocks, spec.format, spec.row_sources)
        case FixedWidth():
            return fixed_width.cut(blocks, spec.format, spec.row_sources)
        case Xml():
            return xml_records.cut(blocks, spec.format)
        case Xlsx():
            return xlsx.cut(blocks, spec.row_sources)
        case CloudEvents():
            return cloudevents.cut(blocks)
        case Nem():
            return nem.cut(blocks)
        case Json(records_path=path) if path:
            return None, json_path.cut(blocks, path)
        case Json():
            return None, json_records.cut(blocks)


def read_part(
    content: bytes,
    spec: ProfileSpec,
    *,
    import_id: int,
    first_number: int,
    header: Sequence[str] | None,
    file_fields: FileFields | None = None,
) -> pl.DataFrame:
    """The RECORDS of a span of a file that `cut` found.

    header: what `cut` said that later parts need; file_fields: what `scan` found.
    """
    rows = raw_part(content, spec, import_id=import_id, first_number=first_number, header=header)
    return records_of(rows, spec, header, file_fields)


def raw_part(
    content: bytes, spec: ProfileSpec, *, import_id: int, first_number: int, header: Sequence[str] | None
) -> pl.DataFrame:
    """The rows of a span: RAW where a row is text of which the columns are read later, RECORDS in other formats."""
    sources, at = _sources_at_once(spec), {"import_id": import_id, "first_number": first_number}
    match spec.format:
        case Delimited():
            return delimited.raw_lines(content, spec.format, header, **at)
        case FixedWidth():
            return fixed_width.raw_records(content, spec.format, **at)
        case Xml():
            return xml_records.read(content, spec.format, sources, **at)
        case Xlsx():
            return xlsx.read(content, sources, **at)
        case CloudEvents():
            return cloudevents.read(content, sources, **at)
        case Nem():
            return nem.read(content, sources, **at, above=header)
        case Json():
            return json_records.read(content, sources, **at)


def read_rows(
    rows: pl.DataFrame,
    spec: ProfileSpec,
    header: Sequence[str] | None = None,
    file_fields: FileFields | None = None,
) -> pl.DataFrame:
    """The RECORDS of rows that came one by one.

    rows: columns import_id, record_number, raw; rows of text may have fault and fault_message already.
    """
    return records_of(_raw_rows(rows, spec, _sources_at_once(spec)), spec, header, file_fields)


def _raw_rows(rows: pl.DataFrame, spec: ProfileSpec, sources: Sequence[str]) -> pl.DataFrame:
    """Rows that came one by one, as `raw_part` gives those of a file."""
    match spec.format:
        case Delimited() | FixedWidth():
            return rows.select(list(RAW)) if "fault" in rows.columns else rows.select(ROW).with_columns(FAULT_COLUMNS)
        case Xml():
            return xml_records.read_rows(rows, spec.format, sources)
        case Xlsx():
            return xlsx.read_rows(rows, sources)
        case CloudEvents():
            return cloudevents.read_rows(rows, sources)
        case Nem():
            return nem.read_rows(rows, sources)
        case Json():
            return json_records.read_rows(rows, sources)


def scan(parts: Iterable[pl.DataFrame], spec: ProfileSpec, header: Sequence[str] | None = None) -> Claims | None:
    """What a file says of itself in its header and trailer; None where it has neither, and no part was taken.

    parts: what `raw_part` gives, in order, for the whole file. Raises UnreadableError where its totals disagree.
    """
    if spec.structure is None or not spec.structure.has_claims:
        return None
    return scan_structured(parts, spec.structure, _structured_format(spec, header))


def scan_rows(rows: pl.DataFrame, spec: ProfileSpec, header: Sequence[str] | None = None) -> Claims | None:
    """The same for the rows of a whole request. rows: as for `read_rows`."""
    return scan([_raw_rows(rows, spec, _sources_at_once(spec))], spec, header)


def records_of(
    rows: pl.DataFrame, spec: ProfileSpec, header: Sequence[str] | None, file_fields: FileFields | None
) -> pl.DataFrame:
    """The RECORDS of rows as `raw_part` gives them. header, file_fields: as for `read_part`."""
    format_ = _structured_format(spec, header)
    if spec.structure is None:
        return format_.read(rows, spec.sources)
    fields = file_fields_frame(file_fields or {}, spec.file_fields) if spec.file_fields else None
    return read_structured(rows, spec.structure, format_, spec.row_sources, fields)


def _sources_at_once(spec: ProfileSpec) -> list[str]:
    """What is read of a record in formats that read it in one step: also what control totals add up."""
    controls = spec.structure.controls if spec.structure else ()
    return list(dict.fromkeys([*spec.row_sources, *(control.of for control in controls if control.of)]))


def _structured_format(spec: ProfileSpec, header: Sequence[str] | None) -> StructuredFormat:
    """How the columns of rows are read."""
    stated = spec.format
    match stated:
        case Delimited():
            return StructuredFormat(
                read=lambda rows, sources: delimited.read(rows, stated, header, sources),
                read_outer=lambda rows, names: delimited.read(rows, stated, names, names),
                delimiter=stated.delimiter,
                quote=stated.quote,
            )
        case FixedWidth():
            # Its headers are read by the places of their columns.
            return StructuredFormat(
                read=lambda rows, sources: fixed_width.read(rows, stated, sources), read_outer=lambda rows, _: rows
            )
        case _:
            return StructuredFormat(
                read=lambda rows, _: rows, read_outer=lambda rows, names: _raw_rows(rows, spec, names)
            )
