"""From a measured quantity to a rated one, and from an exact amount to a charge: every rounding of a record."""

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    getcontext,
    localcontext,
)
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from rating.core.plans.spec import Transform

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

ZERO = Decimal(0)

# Sums and products of quantities (27 digits at most) and prices (17) are exact in it. Quotients are not: they carry 200
# digits and are settled at 100 decimals before they are rounded. What is no tie at 11 decimals lies further than 10^-44
# from one after a division by 21 digits, and further than 10^-86 where quotients by three such numbers are added.
EXACT = Context(prec=200)
SETTLED = Decimal(1).scaleb(-100)

# How fine a quantity is: 6 decimals.
FINEST = Decimal(1).scaleb(-6)

_DIRECTIONS: dict[str, str] = {
    "none": ROUND_HALF_UP,
    "up": ROUND_CEILING,
    "down": ROUND_FLOOR,
    "nearest": ROUND_HALF_UP,
}


def exactly(function: Callable[Asked, Answer]) -> Callable[Asked, Answer]:
    """The function with every sum and product in it exact: Python's own context keeps 28 digits only.

    Within one another, or in a loop that runs in `localcontext(EXACT)`, the context is entered once.
    """

    @wraps(function)
    def inner(*args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        if getcontext().prec == EXACT.prec:
            return function(*args, **kwargs)
        with localcontext(EXACT):
            return function(*args, **kwargs)

    return inner


def transformed(quantity: Decimal, transform: Transform) -> Decimal:
    """quantity x multiply_by / divide_by, rounded as the transform says; without a rounding to 6 decimals.

    nearest and none round half away from zero.
    """
    if transform.multiply_by != 1:
        quantity = EXACT.multiply(quantity, transform.multiply_by)
    if transform.divide_by != 1:
        quantity = EXACT.divide(quantity, transform.divide_by)
    finest = FINEST if transform.rounding == "none" else decimal_place(transform.decimals)
    return quantity.quantize(finest, _DIRECTIONS[transform.rounding], EXACT)


def rounded(quantity: Decimal, minimum: Decimal, increment: Decimal | None) -> Decimal:
    """q <= minimum: minimum; else minimum + ceil((q - minimum) / increment) x increment. No increment: q itself."""
    if quantity <= minimum:
        return minimum
    if increment is None:
        return quantity
    return EXACT.add(minimum, multiple(EXACT.subtract(quantity, minimum), increment))


def multiple(quantity: Decimal, increment: Decimal | None) -> Decimal:
    """The quantity rounded up to a multiple of the increment; None: as it is."""
    if increment is None:
        return quantity
    return EXACT.multiply(whole(quantity, increment, "up"), increment)


def whole(quantity: Decimal, size: Decimal, rounding: str) -> Decimal:
    """How many times `size` a quantity of zero or more is: a started one counts (up), or not (down), or from half on.

    By whole quotient and rest, both exact: no quotient is rounded here.
    """
    times, rest = EXACT.divmod(quantity, size)
    if rounding == "up" and rest > 0:
        return EXACT.add(times, 1)
    if rounding == "nearest" and EXACT.multiply(rest, 2) >= size:
        return EXACT.add(times, 1)
    return times


def round_away(exact: Decimal, places: int) -> Decimal:
    """An exact amount rounded once, half away from zero, to so many decimals."""
    return settled(exact).quantize(decimal_place(places), ROUND_HALF_UP, EXACT)


def settled(exact: Decimal) -> Decimal:
    """The amount without the noise of inexact quotients: to 100 decimals."""
    return exact.quantize(SETTLED, ROUND_HALF_EVEN, EXACT)


@cache
def decimal_place(places: int) -> Decimal:
    """One unit of the last of so many decimals."""
    return Decimal(1).scaleb(-places)
