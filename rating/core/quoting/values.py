"""Single values of quote documents and usage: exact numbers and moments, from texts or JSON, never through a float."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from mediation.core.numbers import NUMBER_PATTERN

NUMBER = re.compile(NUMBER_PATTERN)
YEARS = range(1900, 3000)  # so that every month around a moment is one that calendars hold, in every zone


class UnreadableError(ValueError):
    """A value that is not what it should be; the message says what it should be."""


def number(value: Any, *, integer_digits: int, decimals: int) -> Decimal:
    """An exact number of at most so many digits: a text of the house's grammar, or a JSON number read as Decimal."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and NUMBER.fullmatch(value)):
        raise UnreadableError("must be a number like 12 or 0.05")
    read = Decimal(value)
    if not read.is_finite() or abs(read) >= Decimal(10) ** integer_digits:
        raise UnreadableError(f"has more than {integer_digits} digits before the point")
    if _decimals(read) > decimals:
        raise UnreadableError(f"has more than {decimals} decimals")
    return read


def _decimals(finite: Decimal) -> int:
    """Decimals that count; `normalize` would round to its context's digits."""
    digits = "".join(map(str, finite.as_tuple().digits))
    if not finite:
        return 0
    return max(0, -int(finite.as_tuple().exponent) - (len(digits) - len(digits.rstrip("0"))))


def moment(value: Any) -> datetime:
    """A moment of RFC 3339; a day alone is its midnight, and what has no offset is in UTC."""
    if not isinstance(value, str):
        raise UnreadableError("must be a moment like 2026-01-31T12:00:00Z")
    try:
        read = datetime.fromisoformat(value)
        read = read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as unreadable:
        raise UnreadableError("must be a moment like 2026-01-31T12:00:00Z") from unreadable
    if read.year not in YEARS:
        raise UnreadableError(f"must lie in the years {YEARS.start} to {YEARS.stop - 1}")
    return read


TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def truth(value: Any) -> bool:
    """true or false, as JSON or as a text."""
    read = value if isinstance(value, bool) else TRUTHS.get(str(value).lower())
    if read is None:
        raise UnreadableError("must be true or false")
    return read


def text_of(number_or_none: Decimal | None) -> str | None:
    """A number as it is written: all its digits, no exponent, no trailing zeros."""
    if number_or_none is None:
        return None
    text = format(number_or_none, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def moment_text(value: datetime | None) -> str | None:
    """A moment in UTC, as RFC 3339."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None
