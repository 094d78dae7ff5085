"""JSON records: one object, an array of them, `{"data": [...]}`, or objects one after the other. No float anywhere."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
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

ARRAY_START = re.compile(r'\s*(?:\{\s*"data"\s*:\s*)?\[')
TAIL = re.compile(r"\]\s*\}?\s*")
SEPARATORS = re.compile(r"[\s,]*")


class Number(str):
    """A JSON number, kept as the digits that were sent."""

    __slots__ = ()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse_constant)


def cut(blocks: Iterable[bytes]) -> Iterator[Span]:
    """Spans of whole records, each a run of objects between white space and commas. Raises UnreadableError."""
    window = _Window(iter(blocks))
    if not window.skip_separators():
        raise UnreadableError("The file is empty. Send it again once its source has written it.")
    array = ARRAY_START.match(window.text, window.at)
    if array and not _is_one_record(window.text, window.at):
        window.at = array.end()
    elif window.text[window.at] != "{":
        raise UnreadableError("The file holds no JSON records: it starts neither with { nor with [.")
    is_array = window.text[window.at - 1 : window.at] == "["
    start, first, number = window.offset(), 1, 1
    while window.skip_separators():
        if is_array and window.text[window.at] == "]":
            window.check_tail()
            break
        window.step_over_record(may_be_bad=not is_array)
        number += 1
        if window.offset() - start >= BLOCK_BYTES or number - first >= MAX_CHUNK_RECORDS:
            yield Span(start, window.offset(), first)
            start, first = window.offset(), number
    else:
        if is_array:
            raise UnreadableError(f"The JSON array is not closed: the file ends in the middle, at record {number:,}.")
    if number > first:
        yield Span(start, window.offset(), first)
    if number == 1:
        raise UnreadableError("The file holds no records.")


def _is_one_record(text: str, at: int) -> bool:
    """Whether the object that starts here is a record that happens to begin with a list named data."""
    try:
        value, _ = DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and not is_wrapper(value)


def is_wrapper(value: dict[str, Any]) -> bool:
    """Whether an object is no record but `{"data": [...]}` around records."""
    return value.keys() == {"data"} and isinstance(value["data"], list)


class _Window:
    """A moving piece of the file's text, with the byte offset that its start has in the file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0
        self.dropped_bytes = 0
        self.is_whole = False

    def offset(self) -> int:
        """The byte at which `at` stands in the file."""
        read = self.text[: self.at]
        return self.dropped_bytes + (len(read) if read.isascii() else len(read.encode()))

    def more(self) -> bool:
        """Drop what was read and take another block; False at the end of the file."""
        if self.is_whole:
            return False
        self.dropped_bytes = self.offset()
        block = next(self.blocks, b"")
        is_first = not self.dropped_bytes and not self.text
        self.is_whole = not block
        try:
            fresh = self.decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            place = f"near byte {self.dropped_bytes + error.start:,}"
            raise UnreadableError(f"The file is not UTF-8 {place}: {error.reason}.") from None
        if is_first and block.startswith(codecs.BOM_UTF8):
            self.dropped_bytes = len(codecs.BOM_UTF8)
        self.text, self.at = self.text[self.at :] + fresh, 0
        return True

    def skip_separators(self) -> bool:
        """Move to the next thing that is said; False where nothing more is."""
        while True:
            self.at = SEPARATORS.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return True
            if not self.more():
                return False

    def check_tail(self) -> None:
        """Raise UnreadableError where anything but the wrapper's end follows the array."""
        while len(self.text) - self.at < BLOCK_BYTES and self.more():
            pass
        if not TAIL.fullmatch(self.text, self.at):
            raise UnreadableError(
                "Something follows the end of the JSON array; it would be lost. Nothing was imported."
            )

    def step_over_record(self, *, may_be_bad: bool) -> None:
        while True:
            try:
                _, self.at = DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
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


def records(text: str, at: int = 0) -> Iterator[tuple[str, Any, str | None]]:
    """(raw text, value, what is wrong) of each record from `at` on; a bad one reaches to the end of its line."""
    while True:
        at = SEPARATORS.match(text, at).end()  # type: ignore[union-attr]
        if at >= len(text) or text[at] == "]":
            return
        try:
            value, end = DECODER.raw_decode(text, at)
            fault = None if isinstance(value, dict) else "the record is no JSON object"
            if "\\ud" in text[at:end].lower() and not _is_encodable(value):
                fault = "the record holds half of a surrogate pair"
        except (ValueError, RecursionError) as error:
            value, end, fault = None, _end_of_line(text, at), f"the record is not JSON: {error}"
        yield text[at:end], value, fault
        at = end


def _is_encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read(content: bytes, sources: Sequence[str], *, import_id: int, first_number: int) -> pl.DataFrame:
    """RECORDS of a span that `cut` found."""
    found = list(records(content.decode()))
    numbers = range(first_number, first_number + len(found))
    return _frame([import_id] * len(found), list(numbers), found, sources)


def read_rows(rows: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS of rows that came one by one. rows: columns import_id, record_number, raw."""
    found = [next(records(raw), (raw, None, "the record is empty")) for raw in rows["raw"].to_list()]
    return _frame(rows["import_id"].to_list(), rows["record_number"].to_list(), found, sources)


def _frame(
    import_ids: list[int], numbers: list[int], found: list[tuple[str, Any, str | None]], sources: Sequence[str]
) -> pl.DataFrame:
    values = [value if fault is None else None for _, value, fault in found]
    columns: dict[str, list[Any]] = {
        "import_id": import_ids,
        "record_number": numbers,
        "raw": [raw for raw, _, _ in found],
        "fault": [None if fault is None else str(Code.MALFORMED) for _, _, fault in found],
        "fault_message": [fault for _, _, fault in found],
    }
    for source in sources:
        columns[source_column(source)] = _source_texts(values, source)
    frame = pl.DataFrame(columns, schema={**RAW, **{source_column(source): pl.String for source in sources}})
    return _judge(frame)


def _judge(frame: pl.DataFrame) -> pl.DataFrame:
    has_nul = pl.col("raw").str.contains(r"\x00|\\u0000")
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
        return "{" + ",".join(f"{json.dumps(key)}:{dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


def canonical(raw: str) -> str:
    """One text for all spellings of the same record: keys sorted, no white space; the raw text where it is no JSON."""
    try:
        return dump(_sorted(DECODER.decode(raw)))
    except (ValueError, RecursionError):
        return raw


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
