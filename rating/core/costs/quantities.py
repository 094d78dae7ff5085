"""From a measured quantity to a rated one, and from an exact amount to a charge: every rounding of a record."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal

from rating.core.plans.spec import Transform

ZERO = Decimal(0)

# Sums and products of quantities (27 digits at most) and prices (17) are exact in it. Quotients are not: they are
# settled at SETTLED places before they are rounded. A quotient by a number of 21 digits that is not a tie at 11
# decimals lies further than 10^-33 from one, so that neither the quotient nor a difference of two is taken for one.
EXACT = Context(prec=120)
SETTLED = Decimal(1).scaleb(-60)

_QUANTITY = Decimal(1).scaleb(-6)


def transformed(quantity: Decimal, transform: Transform) -> Decimal:
    """quantity x multiply_by / divide_by, rounded as the transform says; without a rounding to 6 decimals."""
    raise NotImplementedError


def rounded(quantity: Decimal, minimum: Decimal, increment: Decimal | None) -> Decimal:
    """q <= minimum: minimum; else minimum + ceil((q - minimum) / increment) x increment. No increment: q itself."""
    raise NotImplementedError


def multiple(quantity: Decimal, increment: Decimal | None) -> Decimal:
    """The quantity rounded up to a multiple of the increment; None: as it is."""
    raise NotImplementedError


def round_away(exact: Decimal, places: int) -> Decimal:
    """An exact amount rounded once, half away from zero, to so many decimals."""
    raise NotImplementedError


def settled(exact: Decimal) -> Decimal:
    """The amount without the noise of inexact quotients: at most 60 decimals."""
    raise NotImplementedError
