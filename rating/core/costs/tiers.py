"""The price of so many units in tiers: graduated, by volume, by stairs; bounds are inclusive, on the real line."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.core.plans.spec import Rate, Tier


@dataclass(frozen=True, slots=True)
class Stretch:
    """What lies in one tier. place: 1 the first. quantity: as priced; cost and flat: amounts (flat 0: not reached)."""

    place: int
    tier: Tier
    quantity: Decimal
    cost: Decimal
    flat: Decimal


def graduated(rate: Rate, total: Decimal) -> list[Stretch]:
    """The stretches of a total quantity (graduated) or base (graduated_percentage); above the last tier: to its end."""
    raise NotImplementedError


def chosen(rate: Rate, total: Decimal, chooser: Decimal) -> Stretch:
    """All of a total in the tier that `chooser` reaches (volume, stairstep). Raises IndexError above the last tier."""
    raise NotImplementedError


def last_bound(tiers: Sequence[Tier]) -> Decimal | None:
    """Up to where the tiers price anything at all; None: without end."""
    raise NotImplementedError
