"""What a spreadsheet's cell says, as text: dates by their number format, numbers in full, never through a float."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

MAX_NUMBER = 400  # characters, and digits of an exponent's power
ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# What the built-in number formats show; a workbook names only its own.
DATE, TIME, MOMENT, ELAPSED = "date", "time", "moment", "elapsed"
BUILT_IN = {
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 34, 35, 36, *range(50, 59)), DATE),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 45, 47), TIME),
    22: MOMENT,
    46: ELAPSED,
}
SILENT = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!(?:h+|m+|s+)\])[^\]]*\]', re.IGNORECASE)


def kind_of_format(code: str) -> str | None:
    """What a number format shows: DATE, TIME, MOMENT, ELAPSED, or None for a number."""
    letters = SILENT.sub("", code).partition(";")[0].lower()
    if re.search(r"\[(?:h+|m+|s+)\]", letters):
        return ELAPSED
    has_time = bool(re.search(r"[hs]|am/pm|a/p", letters))
    has_date = bool(re.search(r"[yd]", letters.replace("am/pm", ""))) or ("m" in letters and not has_time)
    if letters == "general":
        return None
    return (MOMENT if has_time else DATE) if has_date else TIME if has_time else None


def text_of_serial(text: str, kind: str, *, is_1904: bool) -> str:
    """The ISO text of a day counted from the workbook's first. Raises ValueError where there is no such day."""
    serial = _decimal(text)
    if not 0 <= serial < 2_958_466:
        raise ValueError(f"the date {text[:40]}, which is out of range")
    milliseconds = int((serial * 86_400_000).to_integral_value())
    days, rest = divmod(milliseconds, 86_400_000)
    clock = (datetime(1, 1, 1, tzinfo=UTC) + timedelta(milliseconds=rest)).time()
    told = clock.isoformat("milliseconds" if clock.microsecond else "seconds")
    if kind == ELAPSED:
        return f"{milliseconds // 3_600_000:02}{told[2:]}"
    if kind == TIME and not days:
        return told
    if not is_1904 and days in (0, 60):  # the sixtieth day is 29 February 1900, which never was
        raise ValueError(f"the date {text[:40]}, which is no day of the calendar")
    first = date(1904, 1, 1) if is_1904 else date(1899, 12, 31) if days < 60 else date(1899, 12, 30)
    day = (first + timedelta(days=days)).isoformat()
    return day if kind == DATE and not rest else f"{day}T{told}"


def text_of_number(text: str) -> str:
    """A number's digits without an exponent, exactly. Raises ValueError."""
    if "e" not in text and "E" not in text:
        return text
    return format(_decimal(text), "f")


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text) if len(text) <= MAX_NUMBER else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or abs(number.adjusted()) > MAX_NUMBER:
        raise ValueError(f"{text[:40]!r}, which is no number")
    return number


def unescaped(text: str) -> str:
    """A string cell's text, with the characters that XML cannot hold, which are written as `_x000D_`."""
    if "_x" not in text:
        return text
    return ESCAPED.sub(lambda found: _character(found[0], int(found[1], 16)), text)


def _character(escaped: str, number: int) -> str:
    """The character of a number; half of a surrogate pair stays as it was written."""
    return escaped if 0xD800 <= number <= 0xDFFF else chr(number)
