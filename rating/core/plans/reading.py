"""How the members of a plan document are read: each kind of value with its bounds and the words of its faults."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from mediation.core.expressions import Expression, ExpressionError, fields_of, parse
from mediation.core.numbers import NUMBER_PATTERN
from mediation.core.spec.document import MAX_NAME, Document
from rating.core.plans.fields import CONDITION_FIELDS

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOMENT_TEXT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
TIME_TEXT = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
DAY_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Digits:
    """How large a number may be: below 10^whole, with at most so many decimals."""

    whole: int
    places: int

    def __str__(self) -> str:
        return f"below {10**self.whole:,} with at most {self.places} decimals"


QUANTITY = Digits(15, 6)  # numeric(21,6)
PRICE = Digits(6, 11)  # numeric(17,11)
AMOUNT = Digits(21, 11)  # numeric(32,11)
FACTOR = Digits(15, 11)  # what a quantity is multiplied or divided by: bytes in a tebibyte, seconds in an hour


class Reader(Document):
    """Reads the parts of a plan document; a faulty value is told, and a harmless one goes on in its place."""

    def members(
        self, value: Any, pointer: str, keys: "Mapping[str, Key]", needed: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What an object says, by `keys`; null says nothing. needed: keys that must be there, with what stands in."""
        if not isinstance(value, dict):
            self.fault(pointer, "must be an object")
            return dict(needed or {})
        for name in sorted(str(name) for name in value.keys() - keys.keys()):
            self.fault(f"{pointer}/{escaped(name)}", f"is not known here; known are {', '.join(sorted(keys))}")
        came = {name: value[name] for name in keys if value.get(name) is not None}
        for name in needed or {}:
            if name not in came:
                self.fault(f"{pointer}/{name}", "is missing")
        return {**(needed or {}), **{name: keys[name](self, one, f"{pointer}/{name}") for name, one in came.items()}}

    def has_told(self, pointer: str) -> bool:
        """Whether a fault of this very place was told, so that what is there only stands in."""
        return any(fault.pointer == pointer for fault in self.faults)


Key = Callable[[Reader, Any, str], Any]


def escaped(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def given(value: Any) -> set[str]:
    """The names of the members that an object states; null states nothing."""
    return {name for name, one in value.items() if one is not None} if isinstance(value, dict) else set()


def entries(read_one: Key, *, least: int = 0) -> Key:
    """A list of at least `least` values."""

    def read(reader: Reader, value: Any, pointer: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            reader.fault(pointer, "must be a list")
            return ()
        if len(value) < least:
            reader.fault(pointer, "must not be empty")
        return tuple(read_one(reader, one, f"{pointer}/{place}") for place, one in enumerate(value))

    return read


def distinct(read_one: Key, *, least: int = 0) -> Key:
    """A list whose values differ."""

    def read(reader: Reader, value: Any, pointer: str) -> tuple[Any, ...]:
        faults = len(reader.faults)
        found = entries(read_one, least=least)(reader, value, pointer)
        told = {fault.pointer for fault in reader.faults[faults:]}  # what stands in for those may be there twice
        seen: set[Any] = set()
        for place, one in enumerate(found):
            if f"{pointer}/{place}" in told:
                continue
            if one in seen:
                reader.fault(f"{pointer}/{place}", f"says {value[place]} twice")
            seen.add(one)
        return found

    return read


def choice(*choices: str) -> Key:
    """One of a few words; the first stands in for a faulty one."""

    def read(reader: Reader, value: Any, pointer: str) -> str:
        if isinstance(value, str) and value in choices:
            return value
        reader.fault(pointer, f"must be one of {', '.join(choices)}")
        return choices[0]

    return read


def number(digits: Digits, *, is_positive: bool = False) -> Key:
    """A number of zero or more (`is_positive`: more than zero), as a text or a JSON number read exactly."""

    def read(reader: Reader, value: Any, pointer: str) -> Decimal:
        found = _decimal(value)
        if found is None:
            reader.fault(pointer, 'must be a number, best written as a text such as "0.10"')
        elif found < 0 or (is_positive and not found):
            reader.fault(pointer, "must be more than zero" if is_positive else "must be zero or more")
        elif (exact := _within(found, digits)) is None:
            reader.fault(pointer, f"must be {digits}")
        else:
            return exact
        return Decimal(1)

    return read


def _decimal(value: Any) -> Decimal | None:
    """The number that a JSON value is; None for floats too, since what was typed is lost in them."""
    if isinstance(value, str):
        return Decimal(value) if re.fullmatch(NUMBER_PATTERN, value) else None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _within(value: Decimal, digits: Digits) -> Decimal | None:
    """The same number without exponent and without zeros beyond its places; None where it is out of range.

    Digit by digit, since arithmetic would round a long number by the context of whoever calls.
    """
    if value >= 10**digits.whole:
        return None
    _, figures, exponent = value.as_tuple()
    beyond = -int(exponent) - digits.places
    if beyond > 0:
        if any(figures[-beyond:]):
            return None
        figures, exponent = figures[:-beyond] or (0,), -digits.places
    exact = Decimal((0, figures, int(exponent)))
    return Decimal(f"{exact:f}")


def whole(least: int, most: int) -> Key:
    """A whole number from `least` to `most`."""

    def read(reader: Reader, value: Any, pointer: str) -> int:
        found = _decimal(value)
        if found is None or found != found.to_integral_value() or not least <= found <= most:
            reader.fault(pointer, f"must be a whole number from {least:,} to {most:,}")
            return least
        return int(found)

    return read


def flag(reader: Reader, value: Any, pointer: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        reader.fault(pointer, "must be true or false")
    return value is True


def text(reader: Reader, value: Any, pointer: str) -> str:
    """Any text."""
    if not isinstance(value, str):
        reader.fault(pointer, "must be a text")
        return ""
    if "\0" in value:
        reader.fault(pointer, "holds a character that cannot be stored")
    return value


def name(reader: Reader, value: Any, pointer: str) -> str:
    """A name or a reference to one: some printable characters, no blanks around them."""
    if not isinstance(value, str) or not value.strip():
        reader.fault(pointer, "must be a text that is not empty")
        return ""
    if value != value.strip() or not value.isprintable():
        reader.fault(pointer, "must be of printable characters, without blanks around them")
        return ""
    if len(value) > MAX_NAME:
        reader.fault(pointer, f"is longer than {MAX_NAME} characters")
    return value


def moment(reader: Reader, value: Any, pointer: str) -> datetime | None:
    """A moment of RFC 3339, in UTC; None for a faulty one."""
    if isinstance(value, str) and MOMENT_TEXT.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    reader.fault(pointer, 'must be a moment with its offset, such as "2026-05-01T00:00:00Z"')
    return None


def day(reader: Reader, value: Any, pointer: str) -> date:
    """A day of the calendar."""
    if isinstance(value, str) and DAY_TEXT.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    reader.fault(pointer, 'must be a day, such as "2026-12-25"')
    return date.min


def time_of_day(reader: Reader, value: Any, pointer: str) -> time:
    """A time of day; 24:00 is the midnight at its end."""
    if isinstance(value, str) and TIME_TEXT.fullmatch(value):
        try:
            return time(0) if value in ("24:00", "24:00:00") else time.fromisoformat(value)
        except ValueError:
            pass
    reader.fault(pointer, 'must be a time of day, such as "08:00"')
    return time(0)


def weekday(reader: Reader, value: Any, pointer: str) -> int:
    """A day of the week, 0 for Monday."""
    return WEEKDAYS.index(choice(*WEEKDAYS)(reader, value, pointer))


def condition(reader: Reader, value: Any, pointer: str) -> Expression | None:
    """An expression over the UDR that is true or false; None for a faulty one."""
    if not isinstance(value, str):
        reader.fault(pointer, "must be an expression, such as Extensions.region = 'EU'")
        return None
    try:
        expression = parse(value, CONDITION_FIELDS)
    except ExpressionError as error:
        for one in error.faults:
            reader.fault(pointer, f"at characters {one.start + 1} to {one.end}: {one.message}")
        return None
    if expression.kind.name != "boolean":
        reader.fault(pointer, f"is {expression.kind}, where true or false is needed, such as Value > 10")
        return None
    if not fields_of(expression):
        reader.fault(pointer, "reads no field, so that it would say the same of every record")
    return expression
