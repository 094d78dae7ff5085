"""XLSX sheets: the rows of one sheet written out once as JSON lines, which are then cut and read like any text.

A sheet cannot be read from its middle, so the whole workbook is gone through once. Line 17 of what is written is row 17
of the sheet; header rows and empty rows are blank lines. What a cell holds is taken from the file's own text: a number
keeps its digits and never passes through a float. A cell with an error spoils its record where the profile reads it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import polars as pl

from mediation.core.codes import Code
from mediation.core.reading import delimited, json_records
from mediation.core.reading.frames import Span, UnreadableError, named, source_column, twice_in
from mediation.core.reading.workbook import ERROR, Cell, Workbook, column_letters
from mediation.core.reading.zips import ZipRefusedError, refusing_what_is_broken
from mediation.core.spec import Delimited, Xlsx

OLD_EXCEL = b"\xd0\xcf\x11\xe0"
WRITE_LINES = 10_000
LINES = Delimited(quote="", columns=("row",))


# Writing out


def rewrite(stream: BinaryIO, spool: BinaryIO, format_: Xlsx, sources: Sequence[str]) -> None:
    """Write the rows of the profile's sheet into `spool`, as the lines that `cut` and `read` take.

    stream: the workbook, seekable. sources: what the profile reads. Raises UnreadableError; what `spool` holds is then
    to be thrown away.
    """
    stream.seek(0)
    head = stream.read(len(OLD_EXCEL))
    if head == OLD_EXCEL:
        raise UnreadableError("This is an old .xls workbook, or one with a password. Save it as .xlsx without.")
    if head != b"PK\x03\x04":
        raise UnreadableError("This is no .xlsx workbook." if head else "The file is empty. Send it again.")
    try:
        with refusing_what_is_broken():
            _write_rows(Workbook(stream), spool, format_, sources)
    except ZipRefusedError as error:
        raise UnreadableError(f"The workbook cannot be opened: {error}") from None
    spool.seek(0)


def _write_rows(workbook: Workbook, spool: BinaryIO, format_: Xlsx, sources: Sequence[str]) -> None:
    names = _Names(format_, sources)
    line, count, lines = 1, 0, []
    for number, cells in workbook.rows(format_.sheet):
        if number <= format_.header_rows:
            if number == format_.header_rows and format_.columns_by == "name":
                names.take_header(cells)
            continue
        record = names.record(cells)
        if not record:
            continue
        lines.append("\n" * (number - line) + json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
        line, count = number + 1, count + 1
        if len(lines) >= WRITE_LINES:
            spool.write("".join(lines).encode())
            lines.clear()
    names.check()
    if not count:
        raise UnreadableError(
            "The sheet holds a header and no records." if format_.header_rows else "The sheet is empty."
        )
    spool.write("".join(lines).encode())


class _Names:
    """The names of a sheet's columns; one without a name goes by its letters."""

    def __init__(self, format_: Xlsx, sources: Sequence[str]) -> None:
        self.format, self.sources = format_, sources
        self.by_place: dict[int, str] = dict(enumerate(format_.columns))
        self.taken = set(format_.columns)
        self.has_header = format_.columns_by == "position"

    def take_header(self, cells: Sequence[Cell]) -> None:
        texts = {place: str(value).strip() for place, value in cells if isinstance(value, str)}
        names = [name for name in texts.values() if name]
        if twice := twice_in(names):
            raise UnreadableError(f"The header names a column twice: {named(twice)}.")
        self.by_place, self.has_header = {place: name for place, name in texts.items() if name}, True
        self.taken = set(names)
        if missing := [source for source in self.sources if source not in names]:
            raise UnreadableError(
                f"The header lacks the columns that the profile reads: {named(missing)}. It has: {named(names)}."
            )

    def check(self) -> None:
        if not self.has_header:
            raise UnreadableError(
                f"The sheet has nothing in row {self.format.header_rows}, where its header should be."
            )

    def record(self, cells: Sequence[Cell]) -> dict[str, Any]:
        self.check()
        return {self.name(place): value for place, value in cells if value != ""}

    def name(self, place: int) -> str:
        if place not in self.by_place:
            letters = column_letters(place)
            self.by_place[place] = letters if letters not in self.taken else f"column {letters}"
            self.taken.add(self.by_place[place])
        return self.by_place[place]


# Reading what was written


def cut(blocks: Iterable[bytes], sources: Sequence[str]) -> tuple[None, Iterator[Span]]:
    """The spans of the lines that `rewrite` wrote."""
    return None, delimited.cut(blocks, LINES, sources)[1]


def read(content: bytes, sources: Sequence[str], *, import_id: int, first_number: int) -> pl.DataFrame:
    """RECORDS of a span that `cut` found; a record's number is its row in the sheet."""
    raw = delimited.raw_lines(content, LINES, None, import_id=import_id, first_number=first_number)
    return read_rows(raw, sources)


def read_rows(rows: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS of rows that came one by one, as JSON objects of their cells. rows: import_id, record_number, raw."""
    records = json_records.read_rows(rows, sources)
    messages = [_error_in(source) for source in sources]
    message = pl.when(pl.col("fault").is_null()).then(pl.coalesce(pl.lit(None, pl.String), *messages))
    return records.with_columns(
        fault=pl.coalesce("fault", pl.when(message.is_not_null()).then(pl.lit(str(Code.MALFORMED)))),
        fault_message=pl.coalesce("fault_message", message),
    )


def _error_in(source: str) -> pl.Expr:
    """What is wrong with a cell; a text that merely looks so has its quotes escaped in the record."""
    text, start = pl.col(source_column(source)), f'{{"{ERROR}":'
    is_error = text.str.starts_with(start) & pl.col("raw").str.contains(f"{json.dumps(source)}:{start}", literal=True)
    told = text.str.strip_prefix(start).str.strip_suffix("}").str.strip_chars('"')
    return pl.when(is_error).then(pl.format("the cell {} holds {}", pl.lit(source), told))
