"""JSON records that stand inside a document, at a path such as `response.items`, cut without holding the document.

What stands around the records is gone past, whatever its size, but must be well formed as far as its brackets and
strings go, so that a document that breaks off is refused as a whole.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mediation.core.reading.frames import BLOCK_BYTES, MAX_CHUNK_RECORDS, Span, UnreadableError
from mediation.core.reading.json_records import Window

MAX_DEPTH = 100
MAX_KEY = 1 << 16  # characters
MAX_SHOWN = 10
SPACE = re.compile(r"[ \t\r\n]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
PLAIN = re.compile(r'[^"\\]*')
BETWEEN = re.compile(r'(?:[^"{}\[\]]+|"[^"\\]*(?:\\.[^"\\]*)*")*', re.DOTALL)  # whole strings included
SCALAR = re.compile(r'[^\s,:"{}\[\]]*')
CLOSES = {"{": "}", "[": "]"}


def descend(document: Any, path: Sequence[str]) -> Any:
    """What stands at a path in a document that was read whole. Raises KeyError with the name that is not there."""
    for name in path:
        if not isinstance(document, dict) or name not in document:
            raise KeyError(name)
        document = document[name]
    return document


def cut(blocks: Iterable[bytes], path: Sequence[str]) -> Iterator[Span]:
    """Spans of whole records, each a run of objects between white space and commas. Raises UnreadableError."""
    window = Window(iter(blocks))
    if not _skip_space(window):
        raise UnreadableError("The file is empty. Send it again once its source has written it.")
    yield from _walk(window, path, 0)
    if _skip_space(window):
        raise UnreadableError("Something follows the end of the JSON document; it would be lost. Nothing was imported.")


def _walk(window: Window, path: Sequence[str], depth: int) -> Iterator[Span]:
    """Spans of the value that `window` stands at, which is `depth` names down the path; ends behind it."""
    if depth == len(path):
        yield from _records(window, path)
        return
    if _sign(window) != "{":
        where = ".".join(path[:depth]) or "The document"
        raise UnreadableError(f"{where} is no object, so {'.'.join(path)} is not in it. Nothing was imported.")
    seen: list[str] = []
    is_found = False
    for name in _members(window):
        if name != path[depth]:
            seen += [name] if len(seen) < MAX_SHOWN else []
            _skip_value(window)
            continue
        if is_found:
            raise UnreadableError(f"{'.'.join(path[: depth + 1])} stands in the document twice. Nothing was imported.")
        is_found = True
        yield from _walk(window, path, depth + 1)
    if not is_found:
        has = ", ".join(json.dumps(name)[:60] for name in seen) or "nothing"
        raise UnreadableError(f"The document has no {'.'.join(path[: depth + 1])}; there it has {has}.")


def _members(window: Window) -> Iterator[str]:
    """Each name of the object that starts here, with `window` at its value, which the caller goes past."""
    window.at += 1
    if _sign(window) == "}":
        window.at += 1
        return
    while True:
        name = _key(window)
        _take(window, ":")
        _sign(window)
        yield name
        if _take(window, ",}") == "}":
            return


def _records(window: Window, path: Sequence[str]) -> Iterator[Span]:
    is_list = _sign(window) == "["
    if not is_list and _sign(window) != "{":
        raise UnreadableError(f"{'.'.join(path)} is neither a list of records nor a record. Nothing was imported.")
    window.at += is_list
    start, first, number = window.offset(), 1, 1
    while _more_records(window, is_list, number):
        window.step_over_record(may_be_bad=False)
        number += 1
        if window.offset() - start >= BLOCK_BYTES or number - first >= MAX_CHUNK_RECORDS:
            yield Span(start, window.offset(), first)
            start, first = window.offset(), number
    if number > first:
        yield Span(start, window.offset(), first)
    if number == 1:
        raise UnreadableError(f"{'.'.join(path)} holds no records.")
    window.at += is_list


def _more_records(window: Window, is_list: bool, number: int) -> bool:
    if not is_list:
        return number == 1
    if not window.skip_separators():
        raise _broken(window)
    return window.text[window.at] != "]"


def _broken(window: Window) -> UnreadableError:
    if window.at >= len(window.text):
        return UnreadableError("The JSON document is not closed: the file ends in the middle. Nothing was imported.")
    return UnreadableError(f"The JSON document is broken at byte {window.offset():,}. Nothing was imported.")


def _skip_space(window: Window) -> bool:
    """Move to the next sign; False where none is."""
    while True:
        window.at = SPACE.match(window.text, window.at).end()  # type: ignore[union-attr]
        if window.at < len(window.text):
            return True
        if not window.more():
            return False


def _sign(window: Window) -> str:
    """The next sign that is no white space."""
    if not _skip_space(window):
        raise _broken(window)
    return window.text[window.at]


def _take(window: Window, signs: str) -> str:
    sign = _sign(window)
    if sign not in signs:
        raise _broken(window)
    window.at += 1
    return sign


def _key(window: Window) -> str:
    if _sign(window) != '"':
        raise _broken(window)
    while not (found := STRING.match(window.text, window.at)):
        if len(window.text) - window.at > MAX_KEY or not window.more():
            raise _broken(window)
    try:
        name = str(json.loads(found[0]))
    except ValueError:
        raise _broken(window) from None
    window.at = found.end()
    return name


def _skip_value(window: Window) -> None:
    """Go past a value of any size, holding no more of it than a block."""
    closes: list[str] = []
    while True:
        if closes:
            window.at = BETWEEN.match(window.text, window.at).end()  # type: ignore[union-attr]
        sign = _sign(window)
        if sign == '"':
            _skip_string(window)
        elif sign in CLOSES:
            closes.append(CLOSES[sign])
            window.at += 1
        elif closes and sign == closes[-1]:
            closes.pop()
            window.at += 1
        elif closes and sign not in "]}":
            continue  # the block ended in what stands between
        elif not closes and SCALAR.match(window.text, window.at)[0]:  # type: ignore[index]
            _skip_scalar(window)
        else:
            raise _broken(window)
        if len(closes) > MAX_DEPTH:
            raise UnreadableError(f"The JSON document is nested more than {MAX_DEPTH} deep. Nothing was imported.")
        if not closes:
            return


def _skip_scalar(window: Window) -> None:
    while True:
        window.at = SCALAR.match(window.text, window.at).end()  # type: ignore[union-attr]
        if window.at < len(window.text) or not window.more():
            return


def _skip_string(window: Window) -> None:
    window.at += 1
    while True:
        window.at = PLAIN.match(window.text, window.at).end()  # type: ignore[union-attr]
        while window.at + 2 > len(window.text) and window.more():
            pass
        if window.at >= len(window.text):
            raise _broken(window)
        if window.text[window.at] == '"':
            window.at += 1
            return
        window.at += 1 if window.text[window.at] != "\\" else min(2, len(window.text) - window.at)
