"""Fixed-width text: fields by their place in the line, counted in characters; lines, or records of one length.

A record whose length is wrong is that record's fault: what stands after the gap would be read as something else.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence

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
from mediation.core.spec import Delimited, FixedColumn, FixedWidth

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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
