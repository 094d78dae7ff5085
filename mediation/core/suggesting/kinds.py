"""What a column of a sample holds: dates and in which format, numbers and by which signs, identifiers, few texts."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl

from mediation.core.mapping import FALSE_TEXTS, TRUE_TEXTS, map_texts, type_fields
from mediation.core.reading import source_column
from mediation.core.spec import Delimited, FieldMapping, ProfileSpec
from mediation.core.suggesting.layouts import Layout

NULL_TEXTS = ("NULL", "null", "\\N", "N/A", "n/a", "-", "None", "NaN", "(null)")
FEW = 50  # distinct values of a column that names kinds rather than things
MAX_VALUES = 500  # distinct values that date formats are tried on

DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%m.%d.%Y", "%Y.%m.%d")
SHORT_DAYS = ("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%b %d %Y", "%d/%b/%Y")
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p", "%I:%M:%S%p")
TIMES = ("", *(f" {clock}" for clock in CLOCKS), "T%H:%M:%S", ":%H:%M:%S")
OFFSETS = (" %z", "%z")
# How the parts of a format look, so that only formats of the first value's shape are tried in earnest.
SHAPES = {"%Y": r"\d{4}", "%b": "[A-Za-z]{3}", "%p": "[AaPp][Mm]", "%.f": r"\.\d+", "%z": r"[+-]\d{2}:?\d{2}"}
DIRECTIVE = re.compile(r"%\.?[A-Za-z]")
WHOLE = ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S")
NAMES_A_DAY = re.compile(
    r"(?i)date|day|time|stamp|start|end|period|epoch|created|(^|_)ts$|at$|datum|zeit|beginn|fecha|heure|hora"
)
LIKE_DAY = re.compile(r"^[\[]?\d{1,4}[-/. ](\d{1,2}|[A-Za-z]{3})[-/. ]\d{2,4}|^[A-Z][a-z]{2} +\d{1,2},? \d{4}")
SIGNS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))


@dataclass(frozen=True)
class Column:
    """A source field of the sample.

    kind: date, number, boolean, identifier, names (few distinct texts), object (JSON), text or empty. options: what a
    mapping of it needs beside its source. readings: where the values can be read in several ways, (options, words).
    """

    name: str
    kind: str
    total: int
    filled: int
    distinct: int
    examples: tuple[str, ...]
    reason: str
    options: dict[str, Any] = field(default_factory=dict)
    readings: tuple[tuple[dict[str, Any], str], ...] = ()
    values: frozenset[str] = frozenset()  # of a column that names kinds
    decimals: int = 0  # digits after the decimal sign, trailing zeros left out
    has_negatives: bool = False

    @property
    def is_unique(self) -> bool:
        """Whether each record has a value of its own."""
        return self.total > 1 and self.distinct == self.total


def look_at(layout: Layout) -> tuple[tuple[str, ...], list[Column]]:
    """The texts that stand for no value, and the columns of a layout by what they hold."""
    found = {text for column in layout.columns.values() for text in set(column) if text and text.strip() in NULL_TEXTS}
    null_texts = tuple(text for text in NULL_TEXTS if text in {one.strip() for one in found})
    return null_texts, [_column(name, values, null_texts) for name, values in layout.columns.items()]


def _column(name: str, values: Sequence[str | None], null_texts: Iterable[str]) -> Column:
    nulls = {"", *null_texts}
    filled = [text.strip() for text in values if text is not None and text.strip() not in nulls]
    distinct = dict.fromkeys(filled)
    shown = tuple(text if len(text) <= 60 else text[:60] + "…" for text in list(distinct)[:3])
    base: dict[str, Any] = {
        "name": name,
        "total": len(values),
        "filled": len(filled),
        "distinct": len(distinct),
        "examples": shown,
    }
    if not distinct:
        return Column(kind="empty", reason="no record of the sample has a value here", **base)
    for found in (_as_flag, _as_date, _as_object, _as_identifier, _as_number):
        if said := found(name, list(distinct)):
            return Column(**base, **said)
    several = "one text" if len(distinct) == 1 else f"{len(distinct)} different texts"
    if len(distinct) <= FEW and (len(distinct) * 2 <= len(filled) or len(filled) < 20):
        return Column(kind="names", reason=several, values=frozenset(distinct), **base)
    return Column(kind="text", reason=several, **base)


Said = dict[str, Any] | None


def _as_flag(name: str, distinct: list[str]) -> Said:
    lower = {text.lower() for text in distinct}
    if not lower <= {*TRUE_TEXTS, *FALSE_TEXTS} or lower <= {"0", "1"}:
        return None
    return {"kind": "boolean", "reason": f"only {' and '.join(sorted(distinct))}"}


# Dates


def _as_date(name: str, distinct: list[str]) -> Said:
    tried = distinct[:MAX_VALUES]
    fitting = [format_ for format_ in _formats_for(tried, name) if _fits(tried, format_)]
    if not fitting:
        return None
    different = _by_reading(tried, fitting)
    if len(different) == 1:
        words = "ISO 8601" if fitting[0] == "iso" else fitting[0]
        return {"kind": "date", "reason": f"every value is a date in {words}", "options": _date_options(fitting[0])}
    first = tried[0]
    readings = tuple((_date_options(one), f"{one}: “{first}” is {_shown(first, one)}") for one in different)
    reason = f"every value is a date in {' and in '.join(different)}: the sample does not tell which"
    return {"kind": "date", "reason": reason, "options": readings[0][0], "readings": readings}


def _date_options(format_: str) -> dict[str, Any]:
    return {} if format_ == "iso" else {"date_format": format_}


def _formats_for(texts: list[str], name: str) -> Iterator[str]:
    """Formats worth a try: digits alone are dates only where the column's name says so."""
    first = texts[0]
    if first.replace(".", "", 1).isdigit():
        if not NAMES_A_DAY.search(name):
            return
        if len(first.split(".")[0]) == 10 and 900_000_000 < float(first) < 4_100_000_000:
            yield "epoch"
        if first.isdigit():
            yield from (one for one in WHOLE if len(first) == len(one.replace("%Y", "yyyy").replace("%", "y")))
        return
    yield "iso"
    if not LIKE_DAY.match(first):
        return
    for day in (*DAYS, *SHORT_DAYS):
        for time in TIMES:
            formats = (day + time, *(day + time + offset for offset in OFFSETS if time))
            yield from (format_ for format_ in formats if _is_shaped(first, format_))


def _is_shaped(text: str, format_: str) -> bool:
    literals = DIRECTIVE.split(format_)
    parts = [SHAPES.get(directive, r"\d{1,2}") for directive in DIRECTIVE.findall(format_)]
    woven = "".join(re.escape(literal) + part for literal, part in zip(literals, [*parts, ""], strict=True))
    return re.fullmatch(woven, text) is not None


def _fits(texts: list[str], format_: str) -> bool:
    # Most formats fail on the first value; the rest are read exactly as a profile would read them.
    if any(_moments(part, format_).has_nulls() for part in (texts[:1], texts)):
        return False
    years = _moments(texts, format_).dt.year()
    return bool(years.is_between(1970, 2100).all())


def _moments(texts: list[str], format_: str) -> pl.Series:
    mapping = FieldMapping("Date", source="x", date_formats=(format_,))
    spec = ProfileSpec(format=Delimited(columns=("x",)), fields=(mapping,))
    records = pl.DataFrame({source_column("x"): texts}, schema={source_column("x"): pl.String})
    return type_fields(map_texts(records, spec), spec)["typed:Date"]


def _by_reading(texts: list[str], formats: list[str]) -> list[str]:
    """Of formats that all fit, one for each different reading of the values."""
    readings: dict[tuple[Any, ...], str] = {}
    for format_ in formats:
        readings.setdefault(tuple(_moments(texts, format_)), format_)
    return list(readings.values())


def _shown(text: str, format_: str) -> str:
    return f"{_moments([text], format_)[0]:%-d %B %Y}"


# Objects, identifiers, numbers


def _as_object(name: str, distinct: list[str]) -> Said:
    if not all(text.startswith("{") and text.endswith("}") for text in distinct):
        return None
    try:
        if all(isinstance(json.loads(text), dict) for text in distinct[:MAX_VALUES]):
            return {"kind": "object", "reason": "every value is a JSON object"}
    except ValueError:
        pass
    return None


def _as_identifier(name: str, distinct: list[str]) -> Said:
    """Digits that name something: with leading zeros, a plus in front, or too long for a quantity."""
    if not all(re.fullmatch(r"\+?[0-9]+", text) for text in distinct):
        return None
    is_long = all(len(text) >= 7 for text in distinct) and len(distinct) > 1
    has_zeros = any(len(text) > 1 and text.startswith(("0", "+")) for text in distinct)
    if not has_zeros and not (is_long and len({len(text) for text in distinct}) <= 3):
        return None
    return {"kind": "identifier", "reason": "digits that name something: long, or with zeros or a plus in front"}


def _as_number(name: str, distinct: list[str]) -> Said:
    fitting = [signs for signs in SIGNS if all(_number_pattern(*signs).fullmatch(text) for text in distinct)]
    if not fitting:
        return None
    readings: dict[tuple[Decimal, ...], tuple[str, str]] = {}
    for signs in fitting:
        readings.setdefault(tuple(_number(text, *signs) for text in distinct), signs)
    options = [_number_options(*signs) for signs in readings.values()]
    numbers = next(iter(readings))
    said = {
        "kind": "number",
        "options": options[0],
        "decimals": max(_decimals(number) for number in numbers),
        "has_negatives": any(number < 0 for number in numbers),
    }
    if len(options) == 1:
        return said | {"reason": "every value is a number" + _signs_words(*fitting[0])}
    telling = next(text for text in distinct if len({_number(text, *signs) for signs in readings.values()}) > 1)
    words = [f"“{telling}” is {_number(telling, *signs):f}" for signs in readings.values()]
    reason = "every value is a number, but the sample does not tell which sign parts the decimals"
    return said | {"reason": reason, "readings": tuple(zip(options, words, strict=True))}


def _number_pattern(decimal: str, group: str) -> re.Pattern[str]:
    grouped = f"|[0-9]{{1,3}}(?:{re.escape(group)}[0-9]{{3}})+" if group else ""
    return re.compile(f"[+-]?(?:[0-9]+{grouped})(?:{re.escape(decimal)}[0-9]+)?")


def _number(text: str, decimal: str, group: str) -> Decimal:
    return Decimal((text.replace(group, "") if group else text).replace(decimal, "."))


def _decimals(number: Decimal) -> int:
    return max(0, -int(number.normalize().as_tuple().exponent))


def _number_options(decimal: str, group: str) -> dict[str, Any]:
    return ({"decimal_sign": decimal} if decimal != "." else {}) | ({"group_sign": group} if group else {})


def _signs_words(decimal: str, group: str) -> str:
    return (" with a decimal comma" if decimal == "," else "") + (f", grouped by “{group}”" if group else "")
