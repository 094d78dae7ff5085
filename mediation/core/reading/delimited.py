"""Delimited text: RFC 4180 rows, in columns at a time; a record that breaks the rules spoils only itself."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from mediation.core.codes import Code
from mediation.core.reading.frames import (
    FAULT_COLUMNS,
    MAX_CHUNK_RECORDS,
    MAX_RECORD_BYTES,
    RAW,
    Span,
    UnreadableError,
    named,
    source_column,
    twice_in,
)
from mediation.core.spec import Delimited

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x19]")  # what text does not hold
MAX_HEADER_BYTES = 1 << 20
MAX_COLUMNS = 10_000  # that a header may name
HEAD_BYTES = 1 << 16  # looked at for a byte order mark and line ends, however small the blocks come


def cut(blocks: Iterable[bytes], format_: Delimited, sources: Sequence[str]) -> tuple[list[str] | None, Iterator[Span]]:
    """The header's names where the format takes them from the file, and the spans of the rows below the header."""
    ends = b"\n" if format_.line_ending == "lf" else b"\r"
    source = iter(blocks)
    start, head, lines = _take_header(source, format_, ends)
    header = _header_names(lines[-1], format_, sources) if format_.columns_by == "name" else None
    columns = len(header or format_.columns)
    is_record = _record_test(format_, columns)
    return header, _spans(source, head, start, format_.header_rows + 1, ends, format_, is_record)


def _line_ending_words(head: bytes, words: str, line_ending: str) -> str:
    """What is wrong with a file's line ends; of bytes that are no text they say nothing."""
    if CONTROLS.search(head):
        return "This file is no text. Is it packed, or of another format than the profile's?"
    return f"{words}. Set the profile's line_ending to {line_ending}."


def _take_header(source: Iterator[bytes], format_: Delimited, ends: bytes) -> tuple[int, bytes, list[bytes]]:
    """Where the first row starts, what was read from there on, and the header's lines."""
    head = b""
    while len(head) < HEAD_BYTES and (block := next(source, b"")):
        head += block
    if not head.removeprefix(BYTE_ORDER_MARK):
        raise UnreadableError("The file is empty. Send it again once its source has written it.")
    # Not the last byte: the line feed that belongs to it may be in the next block.
    if ends == b"\n" and b"\n" not in head and b"\r" in head[:-1]:
        raise UnreadableError(_line_ending_words(head, "The lines of this file end in CR alone", "cr"))
    if ends == b"\r" and b"\n" in head:
        raise UnreadableError(_line_ending_words(head, "The lines of this file do not end in CR alone", "lf"))
    start = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    head = head[start:]
    lines: list[bytes] = []
    for _ in range(format_.header_rows):
        while ends not in head:
            block = next(source, b"")
            if not block:
                head += ends if head else b""
                break
            head += block
            _require_short(head)
        line, found, head = head.partition(ends)
        _require_short(line)
        if not found:
            raise UnreadableError(f"The file ends before its {format_.header_rows} header rows do.")
        lines.append(line)
        start += len(line) + len(ends)
    if not head and lines and not (head := next(source, b"")):
        raise UnreadableError("The file holds a header and no records.")
    return start, head, lines


def _require_short(header: bytes) -> None:
    if len(header) > MAX_HEADER_BYTES:
        raise UnreadableError(f"The header is longer than {MAX_HEADER_BYTES:,} bytes. Is this a text file?")


def _header_names(line: bytes, format_: Delimited, sources: Sequence[str]) -> list[str]:
    try:
        text = line.decode(format_.encoding).rstrip("\r")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"The header is not {format_.encoding}: {error.reason} at byte {error.start}.") from None
    if "\0" in text:
        raise UnreadableError("The header holds a NUL character. Is this a text file?")
    fields = _fields_of(text, format_)
    if fields is None:
        raise UnreadableError("The header has a quote that does not close.")
    names = [name.strip() for name in fields]
    if len(names) > MAX_COLUMNS:
        raise UnreadableError(f"The header names {len(names):,} columns; at most {MAX_COLUMNS:,} are read.")
    if twice := twice_in(names):
        raise UnreadableError(f"The header names a column twice: {named(twice)}.")
    known = set(names)
    if missing := [source for source in sources if source not in known]:
        raise UnreadableError(
            f"The header lacks the columns that the profile reads: {named(missing)}. It has: {named(names)}."
        )
    return names


def _fields_of(text: str, format_: Delimited) -> list[str] | None:
    """The fields of one row, or None where its quotes are wrong."""
    if not _record_test(format_, None)(text.encode()):
        return None
    if not format_.quote or format_.quote not in text:
        return text.split(format_.delimiter)
    parts = re.findall(_field_pattern(format_) + f"(?:{re.escape(format_.delimiter)}|$)", text)
    quote = format_.quote
    fields = [part[1:-1].replace(quote * 2, quote) if part.startswith(quote) else part for part in parts]
    return fields[: text_field_count(text, format_)]


def text_field_count(text: str, format_: Delimited) -> int:
    """How many fields a row of right quotes has."""
    bare = re.sub(f"{re.escape(format_.quote)}[^{re.escape(format_.quote)}]*{re.escape(format_.quote)}", "", text)
    return bare.count(format_.delimiter) + 1


def _field_pattern(format_: Delimited) -> str:
    quote, delimiter = re.escape(format_.quote), re.escape(format_.delimiter)
    return f"({quote}[^{quote}]*(?:{quote}{quote}[^{quote}]*)*{quote}|[^{quote}{delimiter}\r\n]*)"


def _record_pattern(format_: Delimited) -> str:
    """A row whose every quote opens a field, closes one, or is doubled inside one (RFC 4180); linear to match."""
    one = "(?:" + _field_pattern(format_).removeprefix("(")
    return f"^{one}(?:{re.escape(format_.delimiter)}{one})*$"


def _record_test(format_: Delimited, columns: int | None) -> Callable[[bytes], bool]:
    if not format_.quote:
        return lambda text: True
    pattern = re.compile(_record_pattern(format_).encode().replace(b"$", rb"\Z"))
    quoted = re.compile(f"{re.escape(format_.quote)}[^{re.escape(format_.quote)}]*{re.escape(format_.quote)}".encode())
    delimiter = format_.delimiter.encode()

    def test(text: bytes) -> bool:
        if not pattern.match(text):
            return False
        return columns is None or quoted.sub(b"", text).count(delimiter) + 1 == columns

    return test


def _spans(
    source: Iterator[bytes],
    carry: bytes,
    start: int,
    number: int,
    ends: bytes,
    format_: Delimited,
    is_record: Callable[[bytes], bool],
) -> Iterator[Span]:
    """Spans of whole records; a record over several lines is never cut."""
    at_end = False
    while not at_end or carry:
        block = b"" if at_end else next(source, b"")
        at_end = not block
        data = carry + block
        last = len(data) if at_end else data.rfind(ends) + 1
        if not last and len(data) > 64 * MAX_RECORD_BYTES:
            raise UnreadableError(f"Line {number:,} is longer than {64 * MAX_RECORD_BYTES:,} bytes. Is this text?")
        if not last:
            carry = data
            continue
        lines = data[:last].split(ends)
        if not lines[-1]:
            lines.pop()
        joined, open_at = join_lines(lines, format_.quote.encode(), is_record, ends)
        if open_at is not None and not at_end and sum(map(len, lines[open_at:])) <= MAX_RECORD_BYTES:
            last = sum(map(len, lines[:open_at])) + open_at * len(ends)
            lines = lines[:open_at]
        carry = data[last:]
        for first, following in _pieces(len(lines), joined):
            length = min(sum(map(len, lines[first:following])) + (following - first) * len(ends), last)
            yield Span(start, start + length, number)
            start, number, last = start + length, number + following - first, last - length


def _pieces(count: int, joined: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """[first, following) line ranges of at most MAX_CHUNK_RECORDS lines, none of which cuts a joined record."""
    inside = {line: record for record in joined for line in range(record[0] + 1, record[1] + 1)}
    first = 0
    while first < count:
        following = min(first + MAX_CHUNK_RECORDS, count)
        if following in inside:
            start, last = inside[following]
            # A record of more lines than a piece has goes whole, or no piece would ever end.
            following = start if start > first else last + 1
        yield first, following
        first = following


def join_lines(
    lines: Sequence[bytes], quote: bytes, is_record: Callable[[bytes], bool], ends: bytes
) -> tuple[list[tuple[int, int]], int | None]:
    """Which lines belong together since a quoted field holds their line ends: [first, last] pairs, and an open end.

    A line with an odd number of quotes opens a field; the next such line must close it and complete a record of the
    right width. If it does not, the opening line alone is the bad record, and reading goes on below it.
    """
    if not quote:
        return [], None
    odd = [place for place, line in enumerate(lines) if line.count(quote) & 1]
    joined: list[tuple[int, int]] = []
    k = 0
    while k < len(odd):
        if k + 1 == len(odd):
            return joined, odd[k]
        first, last = odd[k], odd[k + 1]
        text = ends.join(lines[first : last + 1])
        if len(text) <= MAX_RECORD_BYTES and is_record(text.removesuffix(b"\r")):
            joined.append((first, last))
            k += 2
        else:
            k += 1
    return joined, None


def raw_lines(
    content: bytes, format_: Delimited, header: Sequence[str] | None, *, import_id: int, first_number: int
) -> pl.DataFrame:
    """RAW records of a span: one a line, or one over the lines that a quoted field joins. Blank lines are none."""
    ends = b"\n" if format_.line_ending == "lf" else b"\r"
    quote = format_.quote.encode()
    joined: list[tuple[int, int]] = []
    lines = content.split(ends) if quote and quote in content else []
    if lines:
        columns = len(header or format_.columns) or None
        joined, _ = join_lines(lines, quote, _record_test(format_, columns), ends)
    try:
        frame = _lines_at_once(content.decode(format_.encoding), ends.decode()) if not joined else None
    except UnicodeDecodeError:
        frame = None
    if frame is None:
        frame = _lines_one_by_one(lines or content.split(ends), joined, ends, format_.encoding)
    return (
        frame.with_columns(
            pl.lit(import_id, pl.Int64).alias("import_id"),
            (pl.col("place") + first_number).cast(pl.Int64).alias("record_number"),
            pl.col("raw").str.strip_suffix("\r"),
        )
        .filter(pl.col("raw") != "")
        .select(list(RAW))
    )


def _lines_at_once(text: str, ends: str) -> pl.DataFrame:
    return (
        pl.select(pl.lit(text).str.split(ends).explode().alias("raw"))
        .with_row_index("place")
        .with_columns(FAULT_COLUMNS)
    )


def _lines_one_by_one(
    lines: Sequence[bytes], joined: list[tuple[int, int]], ends: bytes, encoding: str
) -> pl.DataFrame:
    """The slow road, for spans with bytes that do not decode or with records over several lines."""
    last_of = dict(joined)
    rows: list[tuple[int, str, str | None, str | None]] = []
    place = 0
    while place < len(lines):
        last = last_of.get(place, place)
        content = ends.join(lines[place : last + 1])
        try:
            rows.append((place, content.decode(encoding), None, None))
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of the record is not {encoding}: {error.reason}"
            rows.append((place, content.decode(encoding, "backslashreplace"), str(Code.UNDECODABLE), message))
        place = last + 1
    schema = {"place": pl.Int64, "raw": pl.String, "fault": pl.String, "fault_message": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def read(raw: pl.DataFrame, format_: Delimited, header: Sequence[str] | None, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS from RAW rows: each judged for its quotes and width, then split into its source fields."""
    names = list(header or format_.columns)
    if lacking := [source for source in sources if source not in names]:
        return _without_columns(raw, lacking, sources)
    judged = _judge_rows(raw, format_, len(names))
    good = judged.filter(pl.col("fault").is_null())
    bad = judged.filter(pl.col("fault").is_not_null())
    has_quotes = pl.col("raw").str.contains(format_.quote, literal=True) if format_.quote else pl.lit(False)
    plain = _split_plain(good.filter(~has_quotes), format_, names, sources)
    quoted = _split_quoted(good.filter(has_quotes), format_, names, sources)
    return pl.concat([plain, quoted, bad], how="diagonal").sort("import_id", "record_number")


def _without_columns(raw: pl.DataFrame, lacking: Sequence[str], sources: Sequence[str]) -> pl.DataFrame:
    """Rows of a file whose header lacks what the profile reads today: a profile may change after its files came."""
    message = f"the record's file has no column {', '.join(lacking)}, which the profile reads"
    return raw.with_columns(
        fault=pl.coalesce("fault", pl.lit(str(Code.TOO_FEW_COLUMNS))),
        fault_message=pl.coalesce("fault_message", pl.lit(message)),
        **{source_column(source): pl.lit(None, pl.String) for source in sources},
    )


def _judge_rows(raw: pl.DataFrame, format_: Delimited, columns: int) -> pl.DataFrame:
    """Name the first rule that a row breaks: length, control characters, quotes, number of columns."""
    text = pl.col("raw")
    bare = text
    is_malformed = text.str.contains(r"[\r\n]")
    if format_.quote:
        quote = re.escape(format_.quote)
        has_quotes = text.str.contains(format_.quote, literal=True)
        bare = pl.when(has_quotes).then(text.str.replace_all(f"{quote}[^{quote}]*{quote}", "")).otherwise(text)
        is_malformed = (
            pl.when(has_quotes).then(~text.str.contains(f"(?s){_record_pattern(format_)}")).otherwise(is_malformed)
        )
    width = bare.str.count_matches(format_.delimiter, literal=True) + 1
    rules = [
        (Code.RECORD_TOO_LONG, text.str.len_bytes() > MAX_RECORD_BYTES, pl.lit("the record is longer than 1 MiB")),
        (Code.CONTROL_CHARACTER, text.str.contains("\0", literal=True), pl.lit("the record holds a NUL character")),
        (Code.MALFORMED, is_malformed, pl.lit("a quote does not open or close a field, or a line end is not quoted")),
        (Code.TOO_FEW_COLUMNS, width < columns, pl.format("{} columns where {} are expected", width, columns)),
        (Code.TOO_MANY_COLUMNS, width > columns, pl.format("{} columns where {} are expected", width, columns)),
    ]
    return raw.with_columns(
        fault=pl.coalesce("fault", *(pl.when(broken).then(pl.lit(str(code))) for code, broken, _ in rules)),
        fault_message=pl.coalesce("fault_message", *(pl.when(broken).then(message) for _, broken, message in rules)),
    )


def _split_plain(good: pl.DataFrame, format_: Delimited, names: Sequence[str], sources: Sequence[str]) -> pl.DataFrame:
    parts = pl.col("parts")
    return good.with_columns(parts=pl.col("raw").str.split(format_.delimiter)).select(
        *RAW, *(parts.list.get(names.index(source)).alias(source_column(source)) for source in sources)
    )


def _split_quoted(good: pl.DataFrame, format_: Delimited, names: Sequence[str], sources: Sequence[str]) -> pl.DataFrame:
    """Rows of right quotes and width, through polars' CSV reader; `_judge_rows` made sure that it cannot misread."""
    if good.is_empty():
        return good
    # Under a header of our own, so that a byte order mark in the first record stays the text that it is.
    header = format_.delimiter.join(map(str, range(len(names))))
    cells = pl.read_csv(
        io.BytesIO("\n".join([header, *good["raw"].to_list()]).encode()),
        has_header=True,
        infer_schema=False,
        separator=format_.delimiter,
        quote_char=format_.quote,
        empty_string_is_null=False,
    )
    if cells.height != good.height:
        raise RuntimeError(f"the CSV reader saw {cells.height} records where {good.height} stand")
    picked = [cells.to_series(names.index(source)).alias(source_column(source)) for source in sources]
    return good.with_columns(picked)
