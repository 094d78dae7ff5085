"""The price of so many units in tiers: graduated, by volume, by stairs; bounds are inclusive, on the real line."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from rating.core.plans.spec import Rate, Tier

from .quantities import ZERO, exactly, multiple


class Stretch(NamedTuple):
    """What lies in one tier. place: 1 the first. quantity: as it is priced. cost, flat: amounts, exact."""

    place: int
    tier: Tier
    quantity: Decimal
    cost: Decimal
    flat: Decimal


@exactly
def graduated(rate: Rate, total: Decimal) -> list[Stretch]:
    """The stretches of a total quantity (graduated) or base (graduated_percentage) in the tiers that it reaches.

    A tier is reached above its lower bound, the first also by nothing at all if the rate has its flat fee at zero.
    cost = stretch x price / per, or stretch x percent / 100. What lies above a bounded last tier is not in the answer.
    """
    reached = []
    lower = ZERO
    for place, tier in enumerate(rate.tiers, start=1):
        if total <= lower and not (place == 1 and rate.flat_at_zero):
            break
        top = total if tier.up_to is None else min(total, tier.up_to)
        quantity = multiple(max(top - lower, ZERO), tier.increment)
        reached.append(Stretch(place, tier, quantity, _cost(rate, tier, quantity), tier.flat))
        if tier.up_to is None:
            break
        lower = tier.up_to
    return reached


@exactly
def chosen(rate: Rate, total: Decimal, chooser: Decimal) -> list[Stretch]:
    """All of a total in the tier that `chooser` reaches (volume, stairstep); above the last tier: nothing.

    A total of zero costs nothing, or the first tier's flat fee if the rate has it at zero.
    """
    if total <= 0:
        return [Stretch(1, rate.tiers[0], ZERO, ZERO, rate.tiers[0].flat)] if rate.flat_at_zero else []
    for place, tier in enumerate(rate.tiers, start=1):
        if tier.up_to is None or chooser <= tier.up_to:
            quantity = multiple(total, tier.increment)
            cost = _cost(rate, tier, quantity) if rate.model == "volume" else ZERO
            return [Stretch(place, tier, quantity, cost, tier.flat)]
    return []


def last_bound(tiers: Sequence[Tier]) -> Decimal | None:
    """Up to where the tiers price anything at all; None: without end."""
    return tiers[-1].up_to


def _cost(rate: Rate, tier: Tier, quantity: Decimal) -> Decimal:
    if rate.model == "graduated_percentage":
        cost = quantity * tier.percent / 100
    else:
        cost = quantity * tier.price
        if tier.per != 1:
            cost /= tier.per
    return cost if tier.maximum is None else min(cost, tier.maximum)
