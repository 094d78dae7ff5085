"""Fixed-width text: fields by their place in the line, counted in characters; lines, or records of one length.

A record whose length is wrong is that record's fault: what stands after the gap would be read as something else.
"""

import codecs
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mediation.core.codes import Code
from mediation.core.reading import delimited
from mediation.core.reading.frames import (
    BLOCK_BYTES,
    FAULT_COLUMNS,
    MAX_CHUNK_RECORDS,
    MAX_RECORD_BYTES,
    RAW,
    Span,
    UnreadableError,
    source_column,
)
from mediation.core.spec import ENCODINGS, Delimited

LINE_ENDINGS = ("lf", "cr", "none")
SHORT_LINES = ("fault", "pad")
MAX_COLUMNS = 10_000
MAX_LENGTH = 1 << 18  # characters of a record, four bytes each at most
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

FaultSink = Callable[[str, str], None]


@dataclass(frozen=True)
class FixedColumn:
    """A field: its name, the character it starts at (the first is 1), and how many characters it has."""

    name: str
    start: int
    width: int


@dataclass(frozen=True)
class FixedWidth:
    """Text whose fields stand at fixed places."""

    columns: tuple[FixedColumn, ...]
    encoding: str = "utf-8"
    line_ending: str = "lf"  # "lf" reads LF and CR LF; "cr" reads CR alone; "none": no line ends, `record_length` long
    record_length: int | None = None  # characters; None: to the end of the last column
    header_rows: int = 0
    short_lines: str = "fault"  # or "pad": the source leaves out the blanks at the end of a line

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def length(self) -> int:
        return self.record_length or max(column.start + column.width - 1 for column in self.columns)


def parse_format(value: dict[str, Any], pointer: str, fault: FaultSink) -> FixedWidth | None:
    """The format that a profile states under `format`; None where it has a fault, each of which is reported."""
    faults = _Faults(fault)
    known = {"kind", "columns", "encoding", "line_ending", "record_length", "header_rows", "short_lines"}
    for name in value.keys() - known:
        faults(f"{pointer}/{name}", f"is not known here; known are {', '.join(sorted(known))}")
    columns = parse_columns(value.get("columns"), f"{pointer}/columns", faults)
    for name, choices in (("encoding", ENCODINGS), ("line_ending", LINE_ENDINGS), ("short_lines", SHORT_LINES)):
        if value.get(name, choices[0]) not in choices:
            faults(f"{pointer}/{name}", f"must be one of {', '.join(choices)}")
    header_rows, length = value.get("header_rows", 0), value.get("record_length")
    if not _is_whole(header_rows, 0, 100):
        faults(f"{pointer}/header_rows", "must be a whole number from 0 to 100")
    if length is not None and not _is_whole(length, 1, MAX_LENGTH):
        faults(f"{pointer}/record_length", f"must be a whole number of characters from 1 to {MAX_LENGTH:,}")
    elif columns and length is not None:
        for place, column in enumerate(columns):
            if column.start + column.width - 1 > length:
                faults(f"{pointer}/columns/{place}", f"{column.name} reaches beyond the record_length of {length}")
    if value.get("line_ending") == "none" and (length is None or header_rows):
        faults(f"{pointer}/record_length", "must be given where line_ending is none, and header_rows be 0")
    if faults.found or columns is None:
        return None
    return FixedWidth(columns=columns, **{name: value[name] for name in known - {"kind", "columns"} if name in value})


def parse_columns(value: Any, pointer: str, fault: FaultSink) -> tuple[FixedColumn, ...] | None:
    """Columns of a record, as `[{"name": …, "start": …, "width": …}]`."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_COLUMNS:
        fault(pointer, f"must be a list of 1 to {MAX_COLUMNS:,} columns, each with name, start and width")
        return None
    columns = [_parse_column(item, f"{pointer}/{place}", fault) for place, item in enumerate(value)]
    found = [column for column in columns if column is not None]
    twice = sorted(name for name, count in Counter(column.name for column in found).items() if count > 1)
    if twice:
        fault(pointer, f"names a column twice: {', '.join(twice)}")
    return tuple(found) if len(found) == len(value) and not twice else None


def _parse_column(item: Any, pointer: str, fault: FaultSink) -> FixedColumn | None:
    if not isinstance(item, dict) or item.keys() != {"name", "start", "width"}:
        fault(pointer, "must be an object of name, start and width")
        return None
    name, start, width = item["name"], item["start"], item["width"]
    if not isinstance(name, str) or not name:
        fault(f"{pointer}/name", "must be a text")
    elif not _is_whole(start, 1, MAX_LENGTH):
        fault(f"{pointer}/start", f"must be a whole number from 1 (the first character) to {MAX_LENGTH:,}")
    elif not _is_whole(width, 1, MAX_LENGTH) or start + width - 1 > MAX_LENGTH:
        fault(f"{pointer}/width", f"must be a whole number of characters, and end by character {MAX_LENGTH:,}")
    else:
        return FixedColumn(name, start, width)
    return None


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


class _Faults:
    """Passes faults on and remembers that there were some."""

    def __init__(self, fault: FaultSink) -> None:
        self.fault = fault
        self.found = False

    def __call__(self, pointer: str, message: str) -> None:
        self.found = True
        self.fault(pointer, message)


def cut(blocks: Iterable[bytes], format_: FixedWidth, sources: Sequence[str]) -> tuple[None, Iterator[Span]]:
    """The spans that the file can be read in. Raises UnreadableError, also while they are taken."""
    if format_.line_ending == "none":
        return None, _spans_of_length(iter(blocks), format_)
    return None, delimited.cut(blocks, _as_lines(format_), sources)[1]


def _as_lines(format_: FixedWidth) -> Delimited:
    """The same file as delimited text of which only the lines matter."""
    return Delimited(
        quote="",
        encoding=format_.encoding,
        line_ending=format_.line_ending,
        header_rows=format_.header_rows,
        columns=("line",),
    )


def _spans_of_length(blocks: Iterator[bytes], format_: FixedWidth) -> Iterator[Span]:
    """Spans of whole records of one length; what is left at the end is a record too, and a short one."""
    decoder = codecs.getincrementaldecoder(format_.encoding)("surrogateescape")
    most = min(MAX_CHUNK_RECORDS, max(1, BLOCK_BYTES // format_.length)) * format_.length
    carry, start, number, is_first = "", 0, 1, True
    for block in blocks:
        if is_first and block:
            start = len(BYTE_ORDER_MARK) if block.startswith(BYTE_ORDER_MARK) else 0
            block, is_first = block[start:], False
        carry += decoder.decode(block)
        while len(carry) >= most:
            end = start + _byte_length(carry[:most], format_.encoding)
            yield Span(start, end, number)
            carry, start, number = carry[most:], end, number + most // format_.length
    carry += decoder.decode(b"", final=True)
    if carry.rstrip("\r\n\x1a"):
        yield Span(start, start + _byte_length(carry, format_.encoding), number)
    elif number == 1:
        raise UnreadableError("The file is empty. Send it again once its source has written it.")


def _byte_length(text: str, encoding: str) -> int:
    return len(text) if encoding != "utf-8" or text.isascii() else len(text.encode(encoding, "surrogateescape"))


def raw_records(content: bytes, format_: FixedWidth, *, import_id: int, first_number: int) -> pl.DataFrame:
    """RAW records of a span that `cut` found. Blank lines are none."""
    if format_.line_ending != "none":
        return delimited.raw_lines(content, _as_lines(format_), None, import_id=import_id, first_number=first_number)
    text, length = content.decode(format_.encoding, "surrogateescape"), format_.length
    texts = [text[place : place + length] for place in range(0, len(text), length)]
    if len(texts) > 1 and not texts[-1].rstrip("\r\n\x1a"):
        texts.pop()  # the line end, or end-of-file sign, that some systems put behind the last record
    rows = [
        (import_id, number, *_decoded(one, format_.encoding)) for number, one in enumerate(texts, start=first_number)
    ]
    return pl.DataFrame(rows, schema=RAW, orient="row")


def _decoded(text: str, encoding: str) -> tuple[str, str | None, str | None]:
    """A text that can be kept, and the fault where it holds bytes that are none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return shown, str(Code.UNDECODABLE), f"character {error.start + 1} of the record is not {encoding}"
    return text, None, None


def read(raw: pl.DataFrame, format_: FixedWidth, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS from RAW rows: each judged for its length, then split into its source fields."""
    judged = _judge(raw, format_)
    places = {column.name: column for column in format_.columns}
    return judged.with_columns(
        pl.when(pl.col("fault").is_null()).then(field_of(places[source])).alias(source_column(source))
        if source in places
        else pl.lit(None, pl.String).alias(source_column(source))
        for source in sources
    )


def field_of(column: FixedColumn, text: str = "raw") -> pl.Expr:
    """The characters of a column; null where the text ends before it starts."""
    start, line = column.start - 1, pl.col(text)
    is_there = line.str.len_chars() > start if start else pl.lit(True)
    return pl.when(is_there).then(line.str.slice(start, column.width))


def _judge(raw: pl.DataFrame, format_: FixedWidth) -> pl.DataFrame:
    """Name the first rule that a record breaks: length in bytes, control characters, length in characters."""
    text, length = pl.col("raw"), format_.length
    has = text.str.len_chars()
    expected = pl.format("{} characters where {} are expected", has, pl.lit(length))
    rules = [
        (Code.RECORD_TOO_LONG, text.str.len_bytes() > MAX_RECORD_BYTES, pl.lit("the record is longer than 1 MiB")),
        (Code.CONTROL_CHARACTER, text.str.contains("\0", literal=True), pl.lit("the record holds a NUL character")),
        (Code.MALFORMED, _holds_line_end(format_), pl.lit("the record holds a line end")),
        (Code.TOO_MANY_COLUMNS, has > length, expected),
    ]
    if format_.short_lines == "fault":
        rules.append((Code.TOO_FEW_COLUMNS, has < length, expected))
    return raw.with_columns(
        fault=pl.coalesce("fault", *(pl.when(broken).then(pl.lit(str(code))) for code, broken, _ in rules)),
        fault_message=pl.coalesce("fault_message", *(pl.when(broken).then(message) for _, broken, message in rules)),
    )


def _holds_line_end(format_: FixedWidth) -> pl.Expr:
    if format_.line_ending == "none":
        return pl.lit(False)
    return pl.col("raw").str.contains(r"[\r\n]")


def read_rows(rows: pl.DataFrame, format_: FixedWidth, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS of rows that came one by one. rows: columns import_id, record_number, raw."""
    return read(rows.select("import_id", "record_number", "raw").with_columns(FAULT_COLUMNS), format_, sources)
