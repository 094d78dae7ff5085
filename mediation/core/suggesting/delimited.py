"""Rows of text: their delimiter, quotes and header, records that begin and end a file, and columns of a fixed width."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from mediation.core.suggesting.proposals import Reason, UnableToSuggestError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LOOKED_AT = 200  # rows that decide on the delimiter
MAX_CELLS = 200_000  # of those rows, so that a line of a million commas is not looked through for long
MAX_HEADER_ROWS = 20
DECIMAL_SIGNS = (".", ",")  # that controls read; numbers in groups they do not
LIKE_VALUE = re.compile(r"[+-]?[\d.,:/ -]*\d[\d.,:/ TZ+-]*")
csv.field_size_limit(1 << 21)


@dataclass(frozen=True)
class Rows:
    """Records of texts, each as wide as `names`, and the format that reads them."""

    format: dict[str, Any]
    names: list[str]
    rows: list[list[str]]
    reasons: list[Reason]
    structure: dict[str, Any] | None = None


def read_rows(lines: Sequence[str], most: int) -> Rows | None:
    """Delimited rows; None where no delimiter parts every row alike."""
    quote, quote_reason = _find_quote(lines)
    delimiter = _find_delimiter(lines, quote)
    if delimiter is None:
        return None
    table = [row for row in _parse(lines, delimiter, quote) if row]
    width = Counter(map(len, table)).most_common(1)[0][0]
    structure, reasons, body = _find_structure(table)
    above = 0
    if structure is None:
        while above < min(len(table), MAX_HEADER_ROWS) and len(table[above]) != width:
            above += 1
        body = table[above:]
    width = Counter(map(len, body)).most_common(1)[0][0]
    has_header = structure is None and is_header(body)
    names, by_name = _names(body[0] if has_header else None, width)
    rows = [row for row in body[has_header:] if len(row) == width]
    format_: dict[str, Any] = {"kind": "delimited", "delimiter": delimiter, "quote": quote}
    if above or has_header:
        format_["header_rows"] = above + has_header
    if by_name:
        format_["columns_by"] = "name"
    format_["columns"] = names
    share = Counter(map(len, body))[width] / len(body)
    said = [
        Reason("/format/kind", "delimited", "likely", f"{share:.0%} of the rows have {width} columns"),
        Reason("/format/delimiter", delimiter, "sure" if share == 1 else "likely", f"{DELIMITERS[delimiter]}"),
        quote_reason,
        _header_reason(above, has_header),
        *reasons,
    ]
    return Rows(format_, names, rows[:most], said, structure)


def _find_quote(lines: Sequence[str]) -> tuple[str, Reason]:
    text = "\n".join(lines[:LOOKED_AT])
    edges = {quote: len(re.findall(rf"(?:^|[,;\t|]){quote}|{quote}(?:[,;\t|]|$)", text, re.M)) for quote in "\"'"}
    if edges['"'] or not edges["'"]:
        words = "fields are quoted by it" if edges['"'] else "no field is quoted; this is what sources use"
        return '"', Reason("/format/quote", '"', "sure" if edges['"'] else "likely", words)
    return "'", Reason("/format/quote", "'", "likely", "fields are quoted by it")


def _parse(lines: Sequence[str], delimiter: str, quote: str) -> list[list[str]]:
    text = (line + "\n" for line in lines)
    return list(csv.reader(text, delimiter=delimiter, quotechar=quote, doublequote=True))


def _find_delimiter(lines: Sequence[str], quote: str) -> str | None:
    """The delimiter that parts the rows most evenly; then the one that leaves no other inside the cells."""
    scores: dict[str, tuple[float, float, int]] = {}
    for delimiter in DELIMITERS:
        table = [row for row in _parse(lines[:LOOKED_AT], delimiter, quote) if row]
        if not table:
            continue
        if sum(map(len, table)) > MAX_CELLS:
            told = f"The sample's first {LOOKED_AT} rows have more than {MAX_CELLS:,} columns together. Is this text?"
            raise UnableToSuggestError(told)
        width, count = Counter(map(len, table)).most_common(1)[0]
        if width > 1:
            others = [other for other in DELIMITERS if other != delimiter]
            cells = [cell for row in table for cell in row]
            left = sum(any(other in cell for other in others) for cell in cells) / len(cells)
            scores[delimiter] = (round(count / len(table), 1), -round(left, 2), width)
    best = max(scores, key=lambda delimiter: scores[delimiter], default=None)
    # A comma in a few sentences is no delimiter.
    return best if best is not None and scores[best][0] >= 0.5 else None


def is_header(table: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: words that differ, above values."""
    first, below = [cell.strip() for cell in table[0]], table[1:]
    if not all(first) or len(set(first)) != len(first) or any(LIKE_VALUE.fullmatch(cell) for cell in first):
        return False
    if not below:
        return True
    has_values = any(
        LIKE_VALUE.fullmatch(row[place].strip()) for row in below for place in range(min(len(row), len(first)))
    )
    return has_values and all(cell not in {row[0].strip() for row in below} for cell in first[:1])


def _names(header: Sequence[str] | None, width: int) -> tuple[list[str], bool]:
    """The columns' names, and whether the file's header gives them."""
    if header is not None:
        return [name.strip() for name in header], True
    return [f"column_{place}" for place in range(1, width + 1)], False


def _header_reason(above: int, has_header: bool) -> Reason:
    rows = above + has_header
    if has_header:
        lines = f"; {above} lines of other width stand above it" if above else ""
        return Reason("/format/header_rows", rows, "likely", f"row {rows} holds words above values{lines}")
    words = "the first row holds values, so nothing names the columns"
    return Reason("/format/header_rows", rows, "likely", words + (f" ({above} lines stand above)" if above else ""))


# Header and trailer records


def _find_structure(table: list[list[str]]) -> tuple[dict[str, Any] | None, list[Reason], list[list[str]]]:
    """The record types of a file whose first column tells its first and last row from those between."""
    marks = [row[0].strip() for row in table]
    inner = set(marks[1:-1])
    is_told_apart = (
        len(table) >= 3
        and len(inner) == 1
        and marks[0] not in inner
        and marks[-1] not in inner
        and all(re.fullmatch(r"[A-Za-z0-9]{1,10}", mark) for mark in (marks[0], marks[-1], *inner))
        and len(table[-1]) != len(table[1])
    )
    if not is_told_apart:
        return None, [], table
    body = table[1:-1]
    controls, unchecked = _find_controls(table[-1], body)
    structure: dict[str, Any] = {
        "record_types": {"column": 1, "header": [marks[0]], "trailer": [marks[-1]], "detail": list(inner)},
        "header_columns": [f"header_{place}" for place in range(1, len(table[0]) + 1)],
        "trailer_columns": [f"trailer_{place}" for place in range(1, len(table[-1]) + 1)],
    }
    words = f"the first column is {marks[0]} in the first row, {marks[-1]} in the last and {next(iter(inner))} between"
    reasons = [Reason("/structure/record_types", structure["record_types"], "likely", words)]
    if controls:
        structure["controls"] = controls
        words = "what the trailer says agrees with the rows above it"
        reasons.append(Reason("/structure/controls", controls, "likely", words))
    if unchecked:
        reasons.append(_unchecked_reason(unchecked))
    return structure, reasons, body


def _find_controls(
    trailer: Sequence[str], body: Sequence[Sequence[str]]
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Cells of the trailer that agree with the number of rows, or with the sum of one of their columns.

    Also the other cells that hold a number, {their name: its text}: nothing will check those.
    """
    width = Counter(map(len, body)).most_common(1)[0][0]
    columns = {place: [row[place] for row in body if len(row) == width] for place in range(1, width)}
    sums = [(place, sign, _sum_of(texts, sign)) for sign in DECIMAL_SIGNS for place, texts in columns.items()]
    controls, unchecked = [], {}
    for place, cell in enumerate(trailer[1:], start=2):
        name = f"trailer_{place}"
        if _number(cell, ".") == len(body):
            controls.append({"kind": "count", "field": name})
        elif of := next((one for one in sums if one[2] is not None and one[2] == _number(cell, one[1])), None):
            control = {"kind": "sum", "field": name, "of": f"column_{of[0] + 1}"}
            controls.append(control if of[1] == "." else control | {"decimal_sign": of[1]})
        elif re.fullmatch(r"[+-]?\d[\d.,' ]*", cell.strip()):
            unchecked[name] = cell.strip()
    return controls, unchecked


def _unchecked_reason(unchecked: dict[str, str]) -> Reason:
    said = ", ".join(f"{name} (“{text[:60]}”)" for name, text in unchecked.items())
    words = "no number of rows and no plain sum of a column agrees with"
    return Reason("/structure/controls", list(unchecked), "guess", f"{words} {said}, so nothing checks this")


def _sum_of(texts: Sequence[str], sign: str) -> Decimal | None:
    numbers = [_number(text, sign) for text in texts]
    return None if None in numbers else sum((one for one in numbers if one is not None), Decimal(0))


def _number(text: str, sign: str) -> Decimal | None:
    is_one = re.fullmatch(rf"[+-]?[0-9]+({re.escape(sign)}[0-9]+)?", text.strip())
    try:
        return Decimal(text.strip().replace(sign, ".")) if is_one else None
    except InvalidOperation:
        return None


# Fixed width


def read_fixed_width(lines: Sequence[str], most: int) -> Rows | None:
    """Columns between blanks that stand at the same place in every line; None where there are none.

    Fields that touch each other cannot be told apart by looking, so this is a guess to be mended by hand.
    """
    filled = [line for line in lines if line.strip()]
    length, count = Counter(map(len, filled)).most_common(1)[0]
    if count < 2 or count / len(filled) < 0.8:
        return None
    body = [line for line in filled if len(line) == length]
    is_blank = [all(line[place] == " " for line in body) for place in range(length)]
    starts = [place for place in range(length) if not is_blank[place] and (place == 0 or is_blank[place - 1])]
    if len(starts) < 2:
        return None
    places = list(zip(starts, [*starts[1:], length], strict=True))
    cut = [[line[start:end].strip() for start, end in places] for line in body]
    has_header = is_header(cut)
    names, _ = _names(cut[0] if has_header else None, len(places))
    columns = [
        {"name": name, "start": start + 1, "width": end - start}
        for name, (start, end) in zip(names, places, strict=True)
    ]
    format_: dict[str, Any] = {"kind": "fixed_width", "columns": columns, "record_length": length}
    if has_header:
        format_["header_rows"] = 1
    words = f"{count} of {len(filled)} lines have {length} characters, with blanks at the same places"
    also = "fields that touch each other are one here: look at the columns"
    reasons = [Reason("/format/kind", "fixed_width", "guess", words), Reason("/format/columns", names, "guess", also)]
    return Rows(format_, names, cut[has_header:][:most], reasons)
