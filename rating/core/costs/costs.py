"""What the billable part of a record costs, exactly: the models, connection fee, factor, least and most charge."""

from dataclasses import dataclass
from decimal import Decimal

from rating.core.plans.spec import Rate

from .counting import Counted, Counter, Record


class NoPrice(Exception):
    """The rate says no price for the record: cause no_rate. The message says in a sentence what is missing."""


class NoTier(NoPrice):
    """The quantity lies above the last tier's bound."""

    def __init__(self, bound: Decimal, total: Decimal):
        super().__init__(f"The last tier ends at {bound:f}, and the usage comes to {total:f}.")
        self.bound = bound
        self.total = total


class NoBase(NoPrice):
    """A share is to be taken of something that the record does not bring, or that is below zero."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a record costs, unrounded, before what its draws cost: `after` - `before`.

    A charge is round(after + cost of draws) - round(before). before is 0 but for counters whose charges must add up to
    their price rounded once. used: by how much the counter's position moves.
    """

    before: Decimal
    after: Decimal
    used: Decimal

    @property
    def amount(self) -> Decimal:
        """The exact amount."""
        raise NotImplementedError


def cost_of(
    rate: Rate,
    counter: Counter,
    counted: Counted,
    record: Record,
    *,
    billable: Decimal,
    matrix_price: Decimal | None = None,
    tier_total: Decimal | None = None,
) -> Cost:
    """What the billable units of a record cost after those at the counter's position. Raises NoTier, NoBase, NoPrice.

    billable: `counted.remaining` less what was drawn from buckets. matrix_price: of the model matrix. tier_total: the
    quantity of the class that chooses the tier, where the rate has `tier_by`.
    """
    raise NotImplementedError
