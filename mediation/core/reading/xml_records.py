"""XML records: the document streamed past once and cut between records, each record then parsed by itself.

A document type, an entity or anything outside the document is refused; names count without their prefix.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

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
from mediation.core.spec import Xml
from mediation.core.spec.formats.xml import NAME, SOURCE, local

FEED_BYTES = 1 << 16
MAX_TOKEN_BYTES = 1 << 20  # of a tag or comment; expat looks at an unfinished one again with every block
MAX_RECORD_SPAN = 8 * MAX_RECORD_BYTES
MAX_DEPTH = 100
MAX_SHOWN = 10
STEP = re.compile(rf"(?P<name>{NAME})(?:\[(?P<index>\d+)\])?")
# Everything in a well-formed document that is not character data. `name` is that of a tag.
MARKUP = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    # A look ahead and what it found again is never tried in parts; possessive signs say so too, but Python 3.11 before
    # 3.11.5 gets them wrong.
    r"|<(?P<close>/?)(?=(?P<name>[^\s/>!?]+))(?P=name)"
    r"(?=(?P<rest>(?:[^>\"'/]+|\"[^\"]*\"|'[^']*'|/(?!>))*))(?P=rest)(?P<empty>/?)>",
    re.DOTALL,
)


class _RefusedError(ValueError):
    """Something in a document that is not read here, however well formed."""


def cut(blocks: Iterable[bytes], format_: Xml) -> tuple[None, Iterator[Span]]:
    """The spans that the document can be read in; all of it was well formed only once they are all taken."""
    return None, _Cutter(format_).spans(iter(blocks))


class _Cutter:
    """Walks a document and notes which bytes hold whole records.

    A span may hold what stands between two of its records, parents that close and open included. Its reader knows
    the parents of the first record as far as the path names them; where that does not tell, the span ends.
    """

    def __init__(self, format_: Xml) -> None:
        self.format, self.path = format_, format_.path
        self.parser = expat.ParserCreate(format_.encoding)
        self.parser.StartElementHandler = self._open
        self.parser.EndElementHandler = self._close
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.XmlDeclHandler = self._declare
        self.names: list[str] = []  # of the open elements
        self.seen: dict[str, None] = {}
        self.record_depth = 0  # 0: outside of a record
        self.record_start, self.is_empty = 0, False
        self.window, self.window_start = b"", 0
        self.low = self.first_depth = 0
        self.start = self.end = 0
        self.first = self.number = 1
        self.ready: list[Span] = []

    def spans(self, blocks: Iterator[bytes]) -> Iterator[Span]:
        fed = 0
        try:
            for block in blocks:
                for place in range(0, len(block), FEED_BYTES):
                    piece = block[place : place + FEED_BYTES]
                    fed += len(piece)
                    self._feed(piece, fed)
                    yield from self.ready
                    self.ready.clear()
            if not fed:
                raise UnreadableError("The file is empty. Send it again once its source has written it.")
            self.parser.Parse(b"", True)
        except _RefusedError as error:
            raise UnreadableError(f"{error} (line {self.parser.CurrentLineNumber:,}). Nothing was imported.") from None
        except expat.ExpatError as error:
            raise UnreadableError(
                f"The XML is broken at line {error.lineno:,}, column {error.offset + 1:,}:"
                f" {expat.ErrorString(error.code)}. Nothing was imported."
            ) from None
        self._end_span()
        yield from self.ready
        if self.number == 1:
            seen = ", ".join(list(self.seen)[:MAX_SHOWN])
            raise UnreadableError(f"The file holds no <{self.format.record}> elements. It has: {seen}.")

    def _feed(self, piece: bytes, fed: int) -> None:
        kept = min(fed - len(piece), max(self.parser.CurrentByteIndex, 0))
        self.window = self.window[kept - self.window_start :] + piece
        self.window_start = kept
        self.parser.Parse(piece, False)
        if fed - self.parser.CurrentByteIndex > MAX_TOKEN_BYTES:
            raise _RefusedError(f"A tag or comment is longer than {MAX_TOKEN_BYTES:,} bytes")
        if self.record_depth and fed - self.record_start > MAX_RECORD_SPAN:
            raise _RefusedError(f"A <{self.format.record}> element is longer than {MAX_RECORD_SPAN:,} bytes")

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() != self.format.encoding:
            raise _RefusedError(
                f"The document says that it is {encoding}, the profile reads {self.format.encoding}."
                " Set the profile's encoding to what the document is"
            )

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        self.names.append(name := local(name))
        depth = len(self.names)
        if depth > MAX_DEPTH:
            raise _RefusedError(f"Elements are nested more than {MAX_DEPTH} deep")
        if self.record_depth:
            return
        if len(self.seen) < MAX_SHOWN:
            self.seen[name] = None
        if name == self.path[-1] and tuple(self.names[-len(self.path) :]) == self.path:
            self.record_depth, self.record_start = depth, self.parser.CurrentByteIndex
            tag = MARKUP_BYTES.match(self.window, self.record_start - self.window_start)
            self.is_empty = tag is not None and bool(tag["empty"])
            if self.end and not self._is_told(depth):
                self._end_span()

    def _is_told(self, depth: int) -> bool:
        """Whether a reader of the span knows the parents that make this element a record."""
        needed = depth - len(self.path) + 1
        return needed > self.low or needed >= self.first_depth - len(self.path) + 1

    def _close(self, name: str) -> None:
        depth = len(self.names)
        self.names.pop()
        if not self.record_depth:
            self.low = min(self.low, depth - 1)
        elif depth == self.record_depth:
            self._end_record(depth)

    def _end_record(self, depth: int) -> None:
        self.record_depth = 0
        index = self.parser.CurrentByteIndex
        # Of an empty element expat tells the end, of any other the start of its closing tag.
        if not self.is_empty:
            index = self.window.index(b">", index - self.window_start) + self.window_start + 1
        if not self.end:
            self.start, self.first, self.first_depth, self.low = self.record_start, self.number, depth, depth - 1
        self.end, self.number = index, self.number + 1
        if self.end - self.start >= BLOCK_BYTES or self.number - self.first >= MAX_CHUNK_RECORDS:
            self._end_span()

    def _end_span(self) -> None:
        if self.end:
            self.ready.append(Span(self.start, self.end, self.first))
        self.end = 0


MARKUP_BYTES = re.compile(MARKUP.pattern.encode(), re.DOTALL)


def _refuse_doctype(*_: Any) -> None:
    raise _RefusedError(
        "The document has a document type (<!DOCTYPE>); its entities could grow without end or name other files,"
        " so it is not read. Send it without"
    )


# Reading


@dataclass
class _Wanted:
    """A node of the tree of source paths: which places in the list of values its text and attributes fill."""

    children: dict[str, dict[int, "_Wanted"]] = field(default_factory=dict)
    attributes: dict[str, list[int]] = field(default_factory=dict)
    texts: list[int] = field(default_factory=list)


def _wanted(sources: Sequence[str]) -> _Wanted:
    root = _Wanted()
    for place, source in enumerate(sources):
        found, node = SOURCE.fullmatch(source), root
        if not source or found is None:
            continue
        for step in (found["steps"] or ".").split("/"):
            if parts := None if step == "." else STEP.fullmatch(step):
                node = node.children.setdefault(local(parts["name"]), {}).setdefault(
                    int(parts["index"] or 1), _Wanted()
                )
        if found["attribute"]:
            node.attributes.setdefault(local(found["attribute"]), []).append(place)
        else:
            node.texts.append(place)
    return root


class _Record:
    """The values of one record, filled while its element is parsed."""

    def __init__(self, format_: Xml, wanted: _Wanted, count: int) -> None:
        self.name, self.wanted = format_.path[-1], wanted
        self.values: list[str | None] = [None] * count
        self.stack: list[_Wanted | None] = []
        self.counts: list[dict[str, int]] = []
        self.texts: list[list[str]] = []

    def parse(self, text: str) -> list[str | None]:
        """The values. Raises ValueError where the text is not one record's element."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._open
        parser.EndElementHandler = self._close
        parser.CharacterDataHandler = self._take
        parser.StartDoctypeDeclHandler = _refuse_doctype
        try:
            parser.Parse(text, True)
        except expat.ExpatError as error:
            place = f"line {error.lineno}, column {error.offset + 1}"
            raise ValueError(f"the record is no XML at {place}: {expat.ErrorString(error.code)}") from None
        return self.values

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        node = self._node(local(name))
        self.stack.append(node)
        self.counts.append({})
        self.texts.append([])
        if len(self.stack) > MAX_DEPTH:
            raise ValueError(f"the record is nested more than {MAX_DEPTH} deep")
        if node is not None and node.attributes:
            for key, value in attributes.items():
                for place in node.attributes.get(local(key), ()) if not key.startswith("xmlns") else ():
                    self.values[place] = value

    def _node(self, name: str) -> _Wanted | None:
        if not self.stack:
            if name != self.name:
                raise ValueError(f"the record is a <{name}> element where <{self.name}> is expected")
            return self.wanted
        parent = self.stack[-1]
        if parent is None or name not in parent.children:
            return None
        count = self.counts[-1][name] = self.counts[-1].get(name, 0) + 1
        return parent.children[name].get(count)

    def _take(self, text: str) -> None:
        node = self.stack[-1]
        if node is not None and node.texts:
            self.texts[-1].append(text)

    def _close(self, name: str) -> None:
        node, texts = self.stack.pop(), self.texts.pop()
        self.counts.pop()
        for place in node.texts if node is not None else ():
            self.values[place] = "".join(texts)


Found = tuple[str, list[str | None], Code | None, str | None]  # raw text, values, code and message of what is wrong


def _read_one(text: str, format_: Xml, wanted: _Wanted, count: int) -> Found:
    if len(text) > MAX_RECORD_BYTES or len(text.encode("utf-8", "replace")) > MAX_RECORD_BYTES:
        return text, [None] * count, Code.RECORD_TOO_LONG, "the record is longer than 1 MiB"
    if "\0" in text:
        return text, [None] * count, Code.CONTROL_CHARACTER, "the record holds a NUL character"
    try:
        return text, _Record(format_, wanted, count).parse(text), None, None
    except ValueError as error:
        return text, [None] * count, Code.MALFORMED, str(error)


def _texts_of_records(text: str, path: Sequence[str]) -> Iterator[str]:
    """The text of each record of a span, as `_Cutter` told them apart."""
    parents, record_start, depth = list(path[:-1]), 0, 0
    for found in MARKUP.finditer(text):
        if found["name"] is None:
            continue
        name = local(found["name"])
        if depth:
            depth += -1 if found["close"] else not found["empty"]
        elif found["close"]:
            del parents[-1:]
            continue
        elif name == path[-1] and [*parents, name][-len(path) :] == list(path):
            record_start, depth = found.start(), int(not found["empty"])
        else:
            parents += [] if found["empty"] else [name]
            continue
        if not depth:
            yield text[record_start : found.end()]


def read(content: bytes, format_: Xml, sources: Sequence[str], *, import_id: int, first_number: int) -> pl.DataFrame:
    """RECORDS of a span that `cut` found. Raises UnreadableError where it did not."""
    try:
        text = content.decode(format_.encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"The document is not {format_.encoding}: {error.reason}.") from None
    wanted = _wanted(sources)
    found = [_read_one(one, format_, wanted, len(sources)) for one in _texts_of_records(text, format_.path)]
    return _frame([import_id] * len(found), range(first_number, first_number + len(found)), found, sources)


def read_rows(rows: pl.DataFrame, format_: Xml, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS of rows that came one by one: each the text of one element. rows: import_id, record_number, raw."""
    wanted = _wanted(sources)
    found = [_read_one(raw, format_, wanted, len(sources)) for raw in rows["raw"].to_list()]
    return _frame(rows["import_id"].to_list(), rows["record_number"].to_list(), found, sources)


def _frame(
    import_ids: Sequence[int], numbers: Sequence[int], found: Sequence[Found], sources: Sequence[str]
) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "import_id": import_ids,
        "record_number": list(numbers),
        "raw": [raw for raw, _, _, _ in found],
        "fault": [code and str(code) for _, _, code, _ in found],
        "fault_message": [message for _, _, _, message in found],
    }
    for place, source in enumerate(sources):
        columns[source_column(source)] = [values[place] for _, values, _, _ in found]
    return pl.DataFrame(columns, schema={**RAW, **{source_column(source): pl.String for source in sources}})
