"""JSON records: one object, an array of them, `{"data": [...]}`, or objects one after the other. No float anywhere."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import polars as pl

from mediation.core.codes import Code
from mediation.core.reading.frames import (
    BLOCK_BYTES,
    MAX_CHUNK_RECORDS,
    MAX_RECORD_BYTES,
    RAW,
    Span,
    UnreadableError,
    source_column,
)

ARRAY_START = re.compile(r'\s*(?P<wrapper>\{\s*"data"\s*:\s*)?\[')
SEPARATORS = re.compile(r"[\s,]*")
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000|\x00")
HEAD_CHARS = 1 << 16  # looked at for a byte order mark and the kind of file, however small the blocks come
MAX_DEPTH = 100  # of objects and lists in each other
MAX_NUMBER = 1_000  # characters; PostgreSQL keeps 131,072 digits, which 1e131073 would be
MAX_EXPONENT = 4  # characters of an exponent, its sign included


class Number(str):
    """A JSON number, kept as the digits that were sent."""

    __slots__ = ()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _number(digits: str) -> Number:
    exponent = digits.lower().partition("e")[2]
    if len(digits) > MAX_NUMBER or len(exponent) > MAX_EXPONENT:
        raise ValueError(f"the number {digits[:40]} is too long")
    return Number(digits)


DECODER = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_refuse_constant)
_encode = json.JSONEncoder(ensure_ascii=False).encode  # made once: json.dumps would make one for every text


def decode(text: str, at: int = 0) -> tuple[Any, int]:
    """The JSON value that starts at `at`, and where it ends. Raises ValueError, also for what is nested too deeply."""
    try:
        value, end = DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos - at + 1}") from None
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    if text.count("[", at, end) + text.count("{", at, end) > MAX_DEPTH and is_deep(value):
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return value, end


def is_deep(value: Any, most: int = MAX_DEPTH) -> bool:
    """Whether a value is nested so deeply that it cannot be walked safely."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(is_deep(item, most - 1) for item in inner)


def cut(blocks: Iterable[bytes]) -> Iterator[Span]:
    """Spans of whole records, each a run of objects between white space and commas. Raises UnreadableError."""
    window = Window(iter(blocks))
    if not window.skip_separators():
        raise UnreadableError("The file is empty. Send it again once its source has written it.")
    array = ARRAY_START.match(window.text, window.at)
    if array and _is_one_record(window.text, window.at):
        array = None
    if array is None and window.text[window.at] != "{":
        raise UnreadableError("The file holds no JSON records: it starts neither with { nor with [.")
    if array:
        window.at = array.end()
    start, first, number = window.offset(), 1, 1
    while window.skip_separators() and not (array and window.text[window.at] == "]"):
        window.step_over_record(may_be_bad=array is None)
        number += 1
        if window.offset() - start >= BLOCK_BYTES or number - first >= MAX_CHUNK_RECORDS:
            yield Span(start, window.offset(), first)
            start, first = window.offset(), number
    if number > first:
        yield Span(start, window.offset(), first)
    if array:
        window.check_tail("]}" if array["wrapper"] else "]", number)
    if number == 1:
        raise UnreadableError("The file holds no records.")


def _is_one_record(text: str, at: int) -> bool:
    """Whether the object that starts here is a record that happens to begin with a list named data."""
    try:
        value, _ = decode(text, at)
    except ValueError:
        return False
    return isinstance(value, dict) and not is_wrapper(value)


def is_wrapper(value: dict[str, Any]) -> bool:
    """Whether an object is no record but `{"data": [...]}` around records."""
    return value.keys() == {"data"} and isinstance(value["data"], list)


class Window:
    """A moving piece of the file's text, with the byte offset that its start has in the file.

    A byte that is not UTF-8 becomes half of a surrogate pair, so that it spoils its own record and no other.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text = ""
        self.at = 0
        self.counted = (0, 0)  # a place in the text, and the byte that it is of the file
        self.is_whole = False
        while len(self.text) < HEAD_CHARS and self.more():
            pass
        self.at = 1 if self.text.startswith("\ufeff") else 0

    def offset(self) -> int:
        """The byte at which `at` stands in the file."""
        place, byte = self.counted
        read = self.text[place : self.at]
        byte += len(read) if read.isascii() else len(read.encode("utf-8", "surrogateescape"))
        self.counted = (self.at, byte)
        return byte

    def more(self) -> bool:
        """Drop what was read and take another block; False at the end of the file."""
        if self.is_whole:
            return False
        byte = self.offset()
        block = next(self.blocks, b"")
        self.is_whole = not block
        self.text = self.text[self.at :] + self.decoder.decode(block, final=not block)
        self.at, self.counted = 0, (0, byte)
        return True

    def skip_separators(self) -> bool:
        """Move to the next thing that is said; False where nothing more is."""
        while True:
            self.at = SEPARATORS.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return True
            if not self.more():
                return False

    def check_tail(self, ends: str, number: int) -> None:
        """Raise UnreadableError where an array and its wrapper are not closed, or anything follows them."""
        tail = ""
        while len(tail) <= len(ends) and self.skip_separators():
            tail += self.text[self.at]
            self.at += 1
        if tail != ends and ends.startswith(tail):
            raise UnreadableError(
                f"The JSON array is not closed: the file ends in the middle, after {number - 1:,} records."
                " Nothing was imported."
            )
        if tail != ends:
            raise UnreadableError(
                "Something follows the end of the JSON array; it would be lost. Nothing was imported."
            )

    def step_over_record(self, *, may_be_bad: bool) -> None:
        while True:
            try:
                _, end = decode(self.text, self.at)
                # A number or word at the very end may go on in the next block.
                if end == len(self.text) and self.more():
                    continue
                self.at = end
            except ValueError as error:
                if len(self.text) - self.at <= MAX_RECORD_BYTES and self.more():
                    continue
                if not may_be_bad:
                    raise UnreadableError(
                        f"The JSON array cannot be read at byte {self.offset():,}: {error}. Nothing was imported."
                    ) from None
                self.at = _end_of_line(self.text, self.at)
            return


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


Found = tuple[str, Any, Code | None, str | None]  # raw text, value, code and message of what is wrong


def records(text: str) -> Iterator[Found]:
    """The records of a text; a bad one reaches to the end of its line."""
    at = SEPARATORS.match(text).end()  # type: ignore[union-attr]
    while at < len(text):
        found, at = _record(text, at)
        yield found
        at = SEPARATORS.match(text, at).end()  # type: ignore[union-attr]


def _record(text: str, at: int) -> tuple[Found, int]:
    try:
        value, end = decode(text, at)
    except ValueError as error:
        end = _end_of_line(text, at)
        return (text[at:end], None, Code.MALFORMED, f"the record is not JSON: {error}"), end
    raw = text[at:end]
    if not isinstance(value, dict):
        return (raw, None, Code.MALFORMED, "the record is no JSON object"), end
    if not _is_encodable(raw):
        return (raw, None, Code.UNDECODABLE, "the record is not UTF-8"), end
    if "\\ud" in raw.lower() and not _is_encodable(dump(value)):
        return (raw, None, Code.MALFORMED, "the record holds half of a surrogate pair"), end
    return (raw, value, None, None), end


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read(content: bytes, sources: Sequence[str], *, import_id: int, first_number: int) -> pl.DataFrame:
    """RECORDS of a span that `cut` found."""
    found = list(records(content.decode("utf-8", "surrogateescape")))
    numbers = range(first_number, first_number + len(found))
    return _frame([import_id] * len(found), list(numbers), found, sources)


def read_rows(rows: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS of rows that came one by one. rows: columns import_id, record_number, raw."""
    found = [_only_record(raw) for raw in rows["raw"].to_list()]
    return _frame(rows["import_id"].to_list(), rows["record_number"].to_list(), found, sources)


def _only_record(text: str) -> Found:
    """The record that a row is; whatever else stands in the row makes it a bad one."""
    found = list(islice(records(text), 2))
    if len(found) == 1 and found[0][0] == text.strip():
        return found[0]
    return text, None, Code.MALFORMED, "the record is not one JSON object and nothing else"


def _frame(import_ids: list[int], numbers: list[int], found: list[Found], sources: Sequence[str]) -> pl.DataFrame:
    values = [value for _, value, _, _ in found]
    columns: dict[str, list[Any]] = {
        "import_id": import_ids,
        "record_number": numbers,
        "raw": [_shown(raw) for raw, _, _, _ in found],
        "fault": [code and str(code) for _, _, code, _ in found],
        "fault_message": [message and _shown(message) for _, _, _, message in found],
    }
    for source in sources:
        columns[source_column(source)] = _source_texts(values, source)
    frame = pl.DataFrame(columns, schema={**RAW, **{source_column(source): pl.String for source in sources}})
    return _judge(frame)


def _shown(text: str) -> str:
    """A text that can be kept: bytes that are not UTF-8 are written out."""
    if _is_encodable(text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _has_nul(raw: str) -> bool:
    return ("u0000" in raw or "\0" in raw) and NUL.search(raw) is not None


def _judge(frame: pl.DataFrame) -> pl.DataFrame:
    has_nul = pl.Series(map(_has_nul, frame["raw"].to_list()), dtype=pl.Boolean)
    is_long = pl.col("raw").str.len_bytes() > MAX_RECORD_BYTES
    return frame.with_columns(
        fault=pl.coalesce(
            "fault",
            pl.when(is_long).then(pl.lit(str(Code.RECORD_TOO_LONG))),
            pl.when(has_nul).then(pl.lit(str(Code.CONTROL_CHARACTER))),
        ),
        fault_message=pl.coalesce(
            "fault_message",
            pl.when(is_long).then(pl.lit("the record is longer than 1 MiB")),
            pl.when(has_nul).then(pl.lit("the record holds a NUL character")),
        ),
    )


def _source_texts(values: list[Any], source: str) -> list[str | None]:
    """Each record's text at a path such as `usage.amount`; a name that holds a point is found first as it stands."""
    steps = source.split(".")
    if len(steps) == 1:
        return [None if value is None else _text(value.get(source)) for value in values]
    return [None if value is None else _text(_at_path(value, source, steps)) for value in values]


def _at_path(value: dict[str, Any], whole: str, steps: Sequence[str]) -> Any:
    if whole in value:
        return value[whole]
    found: Any = value
    for step in steps:
        if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict):
            found = found.get(step)
        else:
            return None
    return found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return dump(value)


def dump(value: Any) -> str:
    """JSON text of a decoded value, with every number in the digits that were sent and keys in their order."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_encode(key)}:{dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return _encode(value)


def is_object(text: str) -> bool:
    """Whether a text is a JSON object that PostgreSQL can keep."""
    found = _only_record(text)
    return found[2] is None and not _has_nul(text)


def canonical(raw: str) -> str:
    """One text for all spellings of the same record: keys sorted, no white space."""
    return dump(_sorted(decode(raw.strip())[0]))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
