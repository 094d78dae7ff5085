"""Where the text of a source field stands in a record as received, so that a person finds it."""

import json
import re
from collections.abc import Iterator, Sequence

from mediation.core.spec import CloudEvents, Delimited, FixedWidth, Json, Nem, ProfileSpec, Xlsx
from mediation.core.spec.formats import names_of

Place = tuple[int, int]  # characters [start, end) of the text
MAX_SEARCHED = 200_000  # characters of a text that is looked through


def span_of(
    raw: str, *, spec: ProfileSpec, source: str, text: str | None, header: Sequence[str] | None = None
) -> Place | None:
    """Where source field `source`, read as `text`, stands in `raw`; None where that cannot be told.

    header: the column names of a file that names its columns.
    """
    if len(raw) > MAX_SEARCHED:
        return None
    match spec.format:
        case Delimited() as format_:
            names = list(header or format_.columns)
            return _of_column(raw, format_, names.index(source)) if source in names else _first(raw, text)
        case FixedWidth() as format_:
            column = next((column for column in format_.columns if column.name == source), None)
            if column is None or column.start > len(raw):
                return _first(raw, text)
            return column.start - 1, min(column.start - 1 + column.width, len(raw))
        case Json() | CloudEvents() | Nem() | Xlsx():
            return _of_member(raw, source, text) or _first(raw, text)
        case _:
            return _first(raw, text)


def in_order(sources: Sequence[str], *, raw: str, spec: ProfileSpec, header: Sequence[str] | None) -> list[str]:
    """Source fields in the order in which they stand in a record; those that it does not hold last, as they came."""
    names = list(header or names_of(spec.format))
    if names:
        places = {name: place for place, name in enumerate(names)}
    else:
        searched = raw[:MAX_SEARCHED]
        found = {name: searched.find(name.replace("/", ".").rpartition(".")[2]) for name in sources}
        places = {name: place for name, place in found.items() if place >= 0}
    return sorted(sources, key=lambda name: places.get(name, len(raw) + len(names)))


def _of_column(raw: str, format_: Delimited, place: int) -> Place | None:
    found = (span for number, span in enumerate(_columns(raw, format_.delimiter, format_.quote)) if number == place)
    return next(found, None)


def _columns(raw: str, delimiter: str, quote: str) -> Iterator[Place]:
    """The columns of a row from left to right, quotes and all; a delimiter inside quotes parts nothing."""
    start, is_quoted = 0, False
    for place, sign in enumerate(raw):
        if quote and sign == quote:
            is_quoted = not is_quoted
        elif sign == delimiter and not is_quoted:
            yield start, place
            start = place + 1
    yield start, len(raw)


def _of_member(raw: str, source: str, text: str | None) -> Place | None:
    """The value after the member's name; of a dotted path, after its last name."""
    name = re.escape(json.dumps(source.rpartition(".")[2], ensure_ascii=False))
    value = r'("(?:[^"\\]|\\.)*"|[^\s,\]}]+)'
    spans = [match.span(1) for match in re.finditer(name + r"\s*:\s*" + value, raw)]
    told = (span for span in spans if text is None or _says(raw[slice(*span)], text))
    return next(told, None)


def _says(value: str, text: str) -> bool:
    """Whether a JSON value is read as this text."""
    if not value.startswith('"'):
        return value == text or (value == "null" and not text)
    try:
        return bool(json.loads(value) == text)
    except ValueError:
        return value[1:-1] == text


def _first(raw: str, text: str | None) -> Place | None:
    start = raw.find(text) if text else -1
    return (start, start + len(text)) if text and start >= 0 else None
