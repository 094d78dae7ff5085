"""How much of earlier grants is still there when the next begins: by age, oldest drawn first, capped, then lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.core.plans.spec import Rollover

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier grant. own: what it gave, with refills. carried: what came from before it; None: unknown."""

    own: Decimal
    carried: Decimal | None
    used: Decimal


def carried(rollover: Rollover, past: Sequence[Past]) -> Decimal:
    """What goes into a grant from those before it, the latest first in `past`.

    What was given lasts for `grants` grants after its own; the oldest is drawn first, so that little is lost. Of more
    than `cap` the oldest is lost.
    """
    kept: list[Decimal] = []  # what is left, youngest first
    for grant in reversed(past):
        if grant.carried is not None and grant.carried != sum(kept):
            kept = [grant.carried] if grant.carried else []
        left = grant.used
        ages = [grant.own, *kept]
        for age in range(len(ages) - 1, -1, -1):
            eaten = min(left, ages[age])
            ages[age] -= eaten
            left -= eaten
        kept = _capped(ages[: rollover.grants], rollover.cap)
    return sum(kept, ZERO)


def _capped(ages: list[Decimal], cap: Decimal | None) -> list[Decimal]:
    if cap is None:
        return ages
    kept, room = [], cap
    for quantity in ages:
        kept.append(min(quantity, room))
        room -= kept[-1]
    return kept
