"""From bytes to records: cutting files between records, and reading each record's source fields as text.

One interface for every format: `cut` finds where a file can be cut, `read_part` reads one such part, `read_rows` reads
rows that came one by one. What comes out is a RECORDS frame: RAW, and one text column `source:<name>` for each source
field that the profile reads. A record that cannot be read keeps its text and a fault. A format whose files cannot be
read from their middle is written out once, by `write_out`, as what `cut` and `read_part` take.
"""

from collections.abc import Iterable, Iterator, Sequence
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

__all__ = [
    "FAULT_COLUMNS",
    "RAW",
    "Span",
    "UnreadableError",
    "cut",
    "read_part",
    "read_rows",
    "source_column",
    "write_out",
]

Cut = tuple[list[str] | None, Iterator[Span]]


def write_out(stream: BinaryIO, spool: BinaryIO, spec: ProfileSpec) -> bool:
    """Write a file of a format that cannot be cut into `spool`, as one that can; False, and nothing, where it can.

    stream: seekable. Raises UnreadableError.
    """
    if not isinstance(spec.format, Xlsx):
        return False
    xlsx.rewrite(stream, spool, spec.format, spec.sources)
    return True


def cut(blocks: Iterable[bytes], spec: ProfileSpec) -> Cut:
    """What later parts need from above them (column names, or for meter data the meters), and the spans of the file.

    blocks: the file's bytes in order, in blocks of any size. What is needed is complete once the spans are all taken.
    Raises UnreadableError, also while the spans are taken, where the file as a whole cannot be read.
    """
    match spec.format:
        case Delimited():
            return delimited.cut(blocks, spec.format, spec.sources)
        case FixedWidth():
            return fixed_width.cut(blocks, spec.format, spec.sources)
        case Xml():
            return xml_records.cut(blocks, spec.format)
        case Xlsx():
            return xlsx.cut(blocks, spec.sources)
        case CloudEvents():
            return cloudevents.cut(blocks)
        case Nem():
            return nem.cut(blocks)
        case Json(records_path=path) if path:
            return None, json_path.cut(blocks, path)
        case Json():
            return None, json_records.cut(blocks)


def read_part(
    content: bytes, spec: ProfileSpec, *, import_id: int, first_number: int, header: Sequence[str] | None
) -> pl.DataFrame:
    """The RECORDS of a span of a file that `cut` found. header: what `cut` said that later parts need."""
    sources = spec.sources
    match spec.format:
        case Delimited():
            raw = delimited.raw_lines(content, spec.format, header, import_id=import_id, first_number=first_number)
            return delimited.read(raw, spec.format, header, sources)
        case FixedWidth():
            raw = fixed_width.raw_records(content, spec.format, import_id=import_id, first_number=first_number)
            return fixed_width.read(raw, spec.format, sources)
        case Xml():
            return xml_records.read(content, spec.format, sources, import_id=import_id, first_number=first_number)
        case Xlsx():
            return xlsx.read(content, sources, import_id=import_id, first_number=first_number)
        case CloudEvents():
            return cloudevents.read(content, sources, import_id=import_id, first_number=first_number)
        case Nem():
            return nem.read(content, sources, import_id=import_id, first_number=first_number, above=header)
        case Json():
            return json_records.read(content, sources, import_id=import_id, first_number=first_number)


def read_rows(rows: pl.DataFrame, spec: ProfileSpec, header: Sequence[str] | None = None) -> pl.DataFrame:
    """The RECORDS of rows that came one by one. rows: columns import_id, record_number, raw."""
    match spec.format:
        case Delimited():
            faulted = rows.select("import_id", "record_number", "raw").with_columns(FAULT_COLUMNS)
            return delimited.read(faulted, spec.format, header, spec.sources)
        case FixedWidth():
            return fixed_width.read_rows(rows, spec.format, spec.sources)
        case Xml():
            return xml_records.read_rows(rows, spec.format, spec.sources)
        case Xlsx():
            return xlsx.read_rows(rows, spec.sources)
        case CloudEvents():
            return cloudevents.read_rows(rows, spec.sources)
        case Nem():
            return nem.read_rows(rows, spec.sources)
        case Json():
            return json_records.read_rows(rows, spec.sources)
