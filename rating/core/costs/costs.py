"""What the billable part of a record costs, exactly: the models, connection fee, factor, least and most charge."""

from decimal import Decimal
from typing import NamedTuple

from rating.core.plans.spec import RETROACTIVE, Rate

from .counting import Counted, Counter, Record
from .quantities import EXACT, ZERO, exactly, whole
from .tiers import Stretch, chosen, graduated, last_bound

# Models that take a share of something that the record brings; their position is the sum of it.
SHARES: frozenset[str] = frozenset({"percentage", "graduated_percentage", "basis_points", "pass_through"})
# Models that price each record by itself, whatever was counted before.
ALONE: frozenset[str] = frozenset({"fixed", "percentage", "basis_points", "pass_through"})
# Models whose price depends on the tier that is reached.
TIERED: frozenset[str] = frozenset({"graduated", "graduated_percentage", "volume", "stairstep"})

_MISSING = {
    "amount": "The rate is taken of the record's amount, and the record brings none.",
    "cost": "The rate is taken of what the record costs us, and no cost group prices it.",
}


class NoPrice(Exception):
    """The rate says no price for the record: cause no_rate. The message says in a sentence what is missing."""


class NoTier(NoPrice):
    """The quantity lies above the last tier's bound."""

    def __init__(self, bound: Decimal, total: Decimal):
        super().__init__(f"The last tier ends at {bound.normalize():f}, and the usage comes to {total.normalize():f}.")
        self.bound = bound
        self.total = total


class NoBase(NoPrice):
    """A share is to be taken of something that the record does not bring, or that is below zero."""


class Cost(NamedTuple):
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
        return EXACT.subtract(self.after, self.before)


@exactly
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

    amount = (F(position + billable) - F(position) + connect_fee) x factor, at least minimum_charge and at most
    maximum_charge where it costs anything at all; a record that a percentage leaves free costs nothing.
    """
    used = base_of(rate, record, billable)
    if rate.model == "percentage" and is_waived(rate, counter, used):
        return Cost(ZERO, ZERO, used)
    before, after = _prices(rate, counter, used, billable, matrix_price, tier_total)
    if rate.connect_fee and connects(counted, record):
        after += rate.connect_fee
    if rate.factor != 1 and rate.model != "pass_through":
        before, after = before * rate.factor, after * rate.factor
    amount = after - before
    if billable > 0 or amount:
        held = clamped(rate, amount)
        if held != amount:
            return Cost(ZERO, held, used)
    adds_up = rate.model in RETROACTIVE or rate.aggregation.function != "each"
    return Cost(before, after, used) if adds_up else Cost(ZERO, amount, used)


def base_of(rate: Rate, record: Record, billable: Decimal) -> Decimal:
    """Of what the rate takes its share, or the billable units. Raises NoBase."""
    if rate.model not in SHARES or rate.of == "quantity":
        return billable
    base = record.amount if rate.of == "amount" else record.cost
    if base is None:
        raise NoBase(_MISSING[rate.of])
    if base < 0 and rate.model != "pass_through":
        raise NoBase(f"The rate is taken of {base.normalize():f}, and only passed-through amounts may be below zero.")
    return base


def is_waived(rate: Rate, counter: Counter, base: Decimal) -> bool:
    """Whether a percentage leaves the record wholly free: all limits that are set still last after it."""
    if not rate.free_records and not rate.free_amount:
        return False
    if rate.free_records and counter.records >= rate.free_records:
        return False
    return not rate.free_amount or EXACT.add(counter.position, base) < rate.free_amount


@exactly
def free_base(rate: Rate, counter: Counter, base: Decimal) -> Decimal:
    """What a percentage leaves free of a record's base: what it adds to the free part of the running total.

    That part is min(running total after the free_records-th record, free_amount), of the limits that are set.
    """
    if not rate.free_records and not rate.free_amount:
        return ZERO
    if rate.free_records and counter.records >= rate.free_records:
        return ZERO
    if not rate.free_amount:
        return base
    total = counter.position + base
    return min(total, rate.free_amount) - min(counter.position, rate.free_amount)


def connects(counted: Counted, record: Record) -> bool:
    """Whether the record pays the connection fee: some units, and only its first part."""
    return record.part == 0 and counted.rated_quantity > 0


def clamped(rate: Rate, amount: Decimal) -> Decimal:
    """The amount within the least and the most that a record costs; what is paid back stays what it is."""
    if rate.minimum_charge is not None and ZERO <= amount < rate.minimum_charge:
        amount = rate.minimum_charge
    if rate.maximum_charge is not None and amount > rate.maximum_charge:
        amount = rate.maximum_charge
    return amount


def stretches(rate: Rate, total: Decimal, tier_total: Decimal | None) -> list[Stretch]:
    """The tiers that a total reaches, with what it costs in each. Raises NoTier."""
    chooser = total if rate.tier_by is None else tier_total or ZERO
    bound = last_bound(rate.tiers)
    if bound is not None and chooser > bound:
        raise NoTier(bound, chooser)
    return chosen(rate, total, chooser) if rate.model in ("volume", "stairstep") else graduated(rate, total)


def unit_price(rate: Rate, matrix_price: Decimal | None) -> Decimal:
    """The price of `per` units, of a record or of a package. Raises NoPrice."""
    price = matrix_price if rate.model == "matrix" else rate.price
    if price is None:
        raise NoPrice(f"The rate {rate.name} has no price for the record.")
    return price


def packages(rate: Rate, total: Decimal) -> Decimal:
    """How many packages a total of units makes; nothing makes none."""
    return whole(max(total, ZERO), rate.size, rate.rounding) if rate.size else ZERO


def _prices(
    rate: Rate,
    counter: Counter,
    used: Decimal,
    billable: Decimal,
    matrix_price: Decimal | None,
    tier_total: Decimal | None,
) -> tuple[Decimal, Decimal]:
    """What the counter's units cost before the record and with it; 0 and the record's own price where that will do."""
    if rate.model in ALONE:
        return ZERO, _alone(rate, counter, used, billable)
    total = counter.position + used
    if rate.model in TIERED:
        begun = counter.records > 0 or counter.position > 0
        before = stretches(rate, counter.position, tier_total) if begun else []
        return _sum(before), _sum(stretches(rate, total, tier_total))
    price = unit_price(rate, matrix_price)
    if rate.model == "package":
        return packages(rate, counter.position) * price, packages(rate, total) * price
    if rate.aggregation.function == "each":
        return ZERO, units_cost(used, price, rate.per)
    return units_cost(counter.position, price, rate.per), units_cost(total, price, rate.per)


def _alone(rate: Rate, counter: Counter, base: Decimal, billable: Decimal) -> Decimal:
    match rate.model:
        case "percentage":
            return (base - free_base(rate, counter, base)) * rate.percent / 100 + rate.fixed
        case "basis_points":
            return base * rate.points / 10000
        case "pass_through":
            units = ZERO if rate.price is None else units_cost(billable, rate.price, rate.per)
            return base * rate.factor + rate.fixed + units
    return unit_price(rate, None)


@exactly
def units_cost(quantity: Decimal, price: Decimal, per: Decimal) -> Decimal:
    """quantity x price / per."""
    cost = quantity * price
    return cost if per == 1 else cost / per


def _sum(reached: list[Stretch]) -> Decimal:
    return sum((each.cost + each.flat for each in reached), ZERO)
