"""How a charge comes to its amount: steps whose amounts add up to what was charged, to the last digit."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal

from rating.core.costs import Counter, Draw, NoCount, NoPrice, Record, Step, advance, count, steps
from rating.core.costs.costs import base_of
from rating.core.costs.prices import parts, plain
from rating.core.costs.quantities import ZERO, decimal_place, exactly
from rating.core.plans.spec import Rate

# What closes the steps of a calculation; it is told anew from what was really charged.
CLOSING = ("rounding", "credit", "charge")


@dataclass(frozen=True)
class Charged:
    """What a charge says. topped_up: what filling or drawing money buckets cost, which is charged beside the price."""

    quantity: Decimal
    rated_quantity: Decimal
    free_quantity: Decimal
    bucket_quantity: Decimal
    tier_position: Decimal | None
    credit: Decimal
    amount: Decimal
    draws: tuple[Draw, ...] = ()
    topped_up: Decimal = ZERO


@dataclass(frozen=True)
class Reckoning:
    """The steps of a charge; their amounts add up to it. before, after: the counter as the record met and left it.

    is_whole: the calculation comes to the charge. Else its counter has changed since, and the steps are told from what
    the charge itself says.
    """

    steps: tuple[Step, ...]
    before: Counter
    after: Counter
    is_whole: bool

    @property
    def amount(self) -> Decimal:
        """What the steps add up to."""
        return _sum(self.steps)


@exactly
def reckon(
    rate: Rate,
    counter: Counter,
    record: Record,
    charged: Charged,
    *,
    places: int,
    matrix_price: Decimal | None = None,
    tier_total: Decimal | None = None,
) -> Reckoning | None:
    """The calculation of a charge from the counter that it met; None where it does not come to what was charged.

    places: the decimals to which the rate's group rounds amounts.
    """
    try:
        counted = count(rate, counter, record)
        told = steps(
            rate, counter, record, draws=charged.draws, matrix_price=matrix_price, tier_total=tier_total, places=places
        )
        used = base_of(rate, record, counted.remaining - charged.bucket_quantity)
    except (NoPrice, NoCount):
        return None
    is_met = charged.tier_position is None or counter.position == charged.tier_position
    is_counted = (counted.rated_quantity, counted.free_quantity) == (charged.rated_quantity, charged.free_quantity)
    if not (is_met and is_counted):
        return None
    closed = _closed(told, charged, places)
    if closed is None:
        return None
    after = deepcopy(counter)
    advance(after, record, counted, used, charged.credit)
    return Reckoning(closed, counter, after, is_whole=True)


def _closed(told: Sequence[Step], charged: Charged, places: int) -> tuple[Step, ...] | None:
    """The steps with what money buckets paid and cost; None where they come to another amount than was charged."""
    rest = charged.amount + charged.credit - _sum(told)
    if abs(rest - charged.topped_up) > decimal_place(places):
        return None
    kept = [step for step in told if step.name not in CLOSING]
    rounded = _sum(step for step in told if step.name == "rounding") + (ZERO if charged.topped_up else rest)
    if rounded:
        # What bucket tiers cost is kept to 11 decimals; where that moved a tie, the charge is what was rounded.
        said = [step for step in told if step.name == "rounding" and step.amount == rounded]
        text = f"{plain(_sum(kept))} rounded to {places} decimals: {plain(_sum(kept) + rounded)}."
        kept += said or [Step("rounding", text, amount=rounded)]
    if charged.topped_up:
        kept.append(Step("bucket", f"What was filled into buckets of money costs {plain(rest)}.", amount=rest))
    return (*kept, *_end(charged))


def _end(charged: Charged) -> Iterator[Step]:
    if charged.credit:
        words = "paid from buckets of money" if charged.credit > 0 else "given back to buckets of money"
        yield Step("credit", f"{plain(abs(charged.credit))} {words}.", amount=charged.credit.copy_negate())
    yield Step("charge", f"Charged: {plain(charged.amount)}.")


@exactly
def recall(
    rate: Rate | None,
    record: Record,
    charged: Charged,
    *,
    matrix_price: Decimal | None = None,
    tier_total: Decimal | None = None,
) -> Reckoning:
    """What a charge says of itself, where its counter cannot be told again: as far as it goes, then the rest.

    The rest is connection fee, factor, least and most charge, rounding, and what usage that has gone since made of it.
    rate: None where it is not known any more.
    """
    position = charged.tier_position or ZERO
    counter = Counter(position=position, records=1 if position else 0)
    left = charged.rated_quantity - charged.free_quantity
    told = [
        Step("measured", f"Measured: {plain(charged.quantity)}.", charged.quantity),
        Step("counted", f"Counted by the rate, as it was charged: {plain(charged.rated_quantity)}.", left),
    ]
    if charged.free_quantity:
        told.append(Step("free", f"{plain(charged.free_quantity)} of it free units.", left))
    for draw in charged.draws:
        left -= draw.quantity
        told.append(Step("drawn", f"{plain(draw.quantity)} drawn from “{draw.bucket}”.", left))
    told.append(Step("billable", f"{plain(left)} to be priced.", left))
    try:
        priced = parts(rate, counter, record, left, matrix_price, tier_total) if rate else []
    except NoPrice:
        priced = []
    told += [Step(part.name, part.text, part.quantity, part.amount) for part in priced]
    rest = charged.amount + charged.credit - _sum(told)
    if rest:
        text = f"What rounding, fees and the rest of the counter as it was then made of it: {plain(rest)}."
        told.append(Step("rest", text, amount=rest))
    after = replace(counter, position=position + left)
    return Reckoning((*told, *_end(charged)), counter, after, is_whole=False)


def taken_back(reckoning: Reckoning) -> Reckoning:
    """The steps of a reversal: those of its charge, each amount turned round."""
    turned = tuple(
        replace(step, amount=None if step.amount is None else step.amount.copy_negate())
        for step in reckoning.steps
        if step.name != "charge"
    )
    end = Step("charge", f"Taken back: {plain(_sum(turned))}.")
    return replace(reckoning, steps=(*turned, end))


@exactly
def _sum(told: Iterable[Step]) -> Decimal:
    return sum((step.amount for step in told if step.amount is not None), ZERO)
