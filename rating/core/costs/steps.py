"""How a charge came about, step by step, in plain words and with numbers that add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.core.plans.spec import Rate

from .counting import Counter, Record
from .quantities import ZERO


@dataclass(frozen=True)
class Step:
    """One step. name: which (measured, rounded, drawn, …). quantity: what is left after it. amount: what it adds."""

    name: str
    text: str
    quantity: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True)
class Draw:
    """What the record drew from a bucket of units. cost: of the draw and its refills."""

    bucket: str
    quantity: Decimal
    cost: Decimal = ZERO


def steps(
    rate: Rate,
    counter: Counter,
    record: Record,
    *,
    draws: Sequence[Draw] = (),
    matrix_price: Decimal | None = None,
    tier_total: Decimal | None = None,
    places: int = 11,
    credit: Decimal = ZERO,
) -> tuple[Step, ...]:
    """The calculation of `count` and `cost_of` told from the counter as it stood before the record.

    The amounts of the steps add up to the charge: exact parts, then what rounding to `places` adds, then credit.
    Raises what `count` and `cost_of` raise.
    """
    raise NotImplementedError
