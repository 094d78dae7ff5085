"""From bytes to records: cutting files between records, and reading each record's source fields as text.

One interface for every format: `cut` finds where a file can be cut, `read_part` reads one such part (or a whole request
body), `read_rows` reads rows that came one by one. What comes out is a RECORDS frame: RAW, and one text column
`source:<name>` for each source field that the profile reads. A record that cannot be read keeps its text and a fault.
"""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from mediation.core.reading import delimited, json_records
from mediation.core.reading.frames import FAULT_COLUMNS, RAW, Span, UnreadableError, source_column
from mediation.core.spec import Delimited, ProfileSpec

__all__ = ["FAULT_COLUMNS", "RAW", "Span", "UnreadableError", "cut", "read_part", "read_rows", "source_column"]


def cut(blocks: Iterable[bytes], spec: ProfileSpec) -> tuple[list[str] | None, Iterator[Span]]:
    """The header's column names (where the file names them) and the spans that the file can be read in.

    blocks: the file's bytes in order, in blocks of any size. Raises UnreadableError, also while the spans are taken,
    where the file as a whole cannot be read.
    """
    if isinstance(spec.format, Delimited):
        return delimited.cut(blocks, spec.format, spec.sources)
    return None, json_records.cut(blocks)


def read_part(
    content: bytes, spec: ProfileSpec, *, import_id: int, first_number: int, header: Sequence[str] | None
) -> pl.DataFrame:
    """The RECORDS of a span of a file that `cut` found. header: as `cut` gave it."""
    if isinstance(spec.format, Delimited):
        raw = delimited.raw_lines(content, spec.format, header, import_id=import_id, first_number=first_number)
        return delimited.read(raw, spec.format, header, spec.sources)
    return json_records.read(content, spec.sources, import_id=import_id, first_number=first_number)


def read_rows(rows: pl.DataFrame, spec: ProfileSpec, header: Sequence[str] | None = None) -> pl.DataFrame:
    """The RECORDS of rows that came one by one. rows: columns import_id, record_number, raw."""
    if isinstance(spec.format, Delimited):
        faulted = rows.select("import_id", "record_number", "raw").with_columns(FAULT_COLUMNS)
        return delimited.read(faulted, spec.format, header, spec.sources)
    return json_records.read_rows(rows, spec.sources)
