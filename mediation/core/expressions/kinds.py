"""The five kinds of value that an expression knows, numbers with their scale and their largest magnitude."""

from dataclasses import dataclass
from decimal import Decimal

MAX_DIGITS = 38  # what a 128-bit decimal holds
MAX_SCALE = 17  # numbers.PRODUCT_SCALE: a quantity times a price
MAX_UNITS = 10**MAX_DIGITS - 1


@dataclass(frozen=True)
class Kind:
    """What a value is; a number lies within ± `limit` units of its last decimal, 10^-`scale`."""

    name: str
    scale: int = 0
    limit: int = 0

    @property
    def is_number(self) -> bool:
        return self.name == "number"

    @property
    def digits(self) -> int:
        return max(len(str(self.limit)), self.scale + 1) if self.limit else 1

    def units_at(self, scale: int) -> int:
        """The largest magnitude in units of 10^-`scale`, for a scale at least its own."""
        return int(self.limit * 10 ** (scale - self.scale))

    def __str__(self) -> str:
        return {"null": "NULL", "text": "text", "number": "a number", "moment": "a moment", "boolean": "true or false"}[
            self.name
        ]


TEXT = Kind("text")
MOMENT = Kind("moment")  # a point in time, UTC, microseconds, years 1 to 9999
BOOLEAN = Kind("boolean")


def decimal_kind(digits: int, scale: int = 0) -> Kind:
    """The kind of a DECIMAL(digits, scale)."""
    if not (1 <= digits <= MAX_DIGITS and 0 <= scale <= min(digits, MAX_SCALE)):
        raise ValueError(f"DECIMAL({digits}, {scale}) has more than {MAX_DIGITS} digits or {MAX_SCALE} decimals")
    return Kind("number", scale, 10**digits - 1)


INTEGER = decimal_kind(18)


def units_of(value: Decimal, scale: int) -> int:
    """`value` counted in units of 10^-`scale`, exactly; further decimals of the value must not be there."""
    sign, digits, exponent = value.as_tuple()
    whole = int("".join(map(str, digits)) or "0")
    shift = scale + int(exponent)
    if shift < 0 and whole % 10**-shift:
        raise ValueError(f"{value} has more than {scale} decimals")
    units = whole * 10**shift if shift >= 0 else whole // 10**-shift
    return -units if sign else units


def decimal_of(units: int, scale: int) -> Decimal:
    """The number that is `units` times 10^-`scale`; the decimal context has no say in it."""
    return Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -scale))
