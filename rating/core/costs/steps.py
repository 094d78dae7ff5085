"""How a charge came about, step by step, in plain words and with numbers that add up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from rating.core.plans.spec import Rate, Transform

from .costs import Cost, base_of, clamped, connects, cost_of, is_waived
from .counting import Counted, Counter, Record, count
from .prices import Part, parts, plain
from .quantities import EXACT, ZERO, decimal_place, exactly, round_away, transformed

# Exact amounts have at most 45 decimals; only quotients have more, and what is cut of them goes into the rounding step.
_FINEST = decimal_place(45)

_AGGREGATES = {
    "sum": "The sum of {of}",
    "count": "The number of records",
    "max": "The highest {of}",
    "latest": "The latest {of}",
    "unique_count": "The number of different values of {of}",
    "weighted_sum": "The mean of {of} over the time, each level by how long it was held",
}
_JOINED = {"sum": "added up", "max": "the highest of them", "latest": "the latest of them"}
_ROUNDINGS = {"up": "rounded up", "down": "rounded down", "nearest": "rounded", "none": "rounded"}


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


@exactly
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
    counted = count(rate, counter, record)
    billable = counted.remaining - sum((draw.quantity for draw in draws), ZERO)
    cost = cost_of(rate, counter, counted, record, billable=billable, matrix_price=matrix_price, tier_total=tier_total)
    told = [*_counting(rate, counter, record, counted), *_allowances(rate, counted, draws)]
    priced = parts(rate, counter, record, billable, matrix_price, tier_total)
    told += _pricing(rate, counter, record, counted, billable, priced)
    told += [
        Step("bucket", f"What was drawn from “{draw.bucket}” costs {plain(draw.cost)}.", amount=draw.cost)
        for draw in draws
        if draw.cost
    ]
    return (*told, *_closing(told, cost, sum((draw.cost for draw in draws), ZERO), places, credit))


def _counting(rate: Rate, counter: Counter, record: Record, counted: Counted) -> Iterator[Step]:
    """From what was measured to the rated quantity."""
    aggregation = rate.aggregation
    if aggregation.function == "each":
        yield Step("measured", f"Measured: {plain(counted.quantity)} ({aggregation.of}).", counted.quantity)
    else:
        if record.counted is not None and aggregation.function not in ("count", "unique_count"):
            yield Step("measured", f"This record: {plain(record.counted)} ({aggregation.of}).", record.counted)
        words = _AGGREGATES[aggregation.function].format(of=aggregation.of)
        if aggregation.within and aggregation.then:
            words += f" of each {aggregation.within}, {_JOINED[aggregation.then]}"
        yield Step("counted", f"{words}, with this record: {plain(counted.quantity)}.", counted.quantity)
    quantity = transformed(counted.quantity, rate.transform)
    if rate.transform != Transform() or quantity != counted.quantity:
        yield Step("transformed", _transformed(rate.transform, counted.quantity, quantity), quantity)
    if counted.total != quantity or rate.increment is not None:
        yield Step("rounded", _rounded(rate, counted.total), counted.total)
    if aggregation.function != "each":
        before = counted.total - counted.rated_quantity
        text = f"{plain(counted.total)}, less {plain(before)} before this record: {plain(counted.rated_quantity)}."
        yield Step("risen", text, counted.rated_quantity)


def _transformed(transform: Transform, quantity: Decimal, answer: Decimal) -> str:
    text = plain(quantity)
    if transform.multiply_by != 1:
        text += f" x {plain(transform.multiply_by)}"
    if transform.divide_by != 1:
        text += f" / {plain(transform.divide_by)}"
    decimals = 6 if transform.rounding == "none" else transform.decimals
    return f"{text}, {_ROUNDINGS[transform.rounding]} to {decimals} decimals: {plain(answer)}."


def _rounded(rate: Rate, total: Decimal) -> str:
    if rate.increment is None:
        return f"Raised to {plain(total)} (at least {plain(rate.minimum)})."
    rule = f"steps of {plain(rate.increment)}"
    if rate.minimum:
        rule = f"at least {plain(rate.minimum)}, then {rule}"
    return f"Rounded up to {plain(total)} ({rule})."


def _allowances(rate: Rate, counted: Counted, draws: Sequence[Draw]) -> Iterator[Step]:
    """Free units and draws come off; what remains is billable."""
    left = counted.rated_quantity
    if rate.free_units:
        left = counted.remaining
        text = f"{plain(counted.free_quantity)} of the counter's {plain(rate.free_units)} free units."
        yield Step("free", text, left)
    for draw in draws:
        left -= draw.quantity
        yield Step("drawn", f"{plain(draw.quantity)} drawn from “{draw.bucket}”.", left)
    yield Step("billable", f"{plain(left)} to be priced.", left)


def _pricing(
    rate: Rate, counter: Counter, record: Record, counted: Counted, billable: Decimal, priced: list[Part]
) -> Iterator[Step]:
    """The price by the model, then connection fee, factor, least and most charge."""
    for part in priced:
        yield Step(part.name, part.text, part.quantity, _cut(part.amount))
    if rate.model == "percentage" and is_waived(rate, counter, base_of(rate, record, billable)):
        return
    amount = sum((part.amount for part in priced), ZERO)
    if rate.connect_fee and connects(counted, record):
        amount += rate.connect_fee
        yield Step("connection", f"Connection fee: {plain(rate.connect_fee)}.", amount=rate.connect_fee)
    if rate.factor != 1 and rate.model != "pass_through":
        change = amount * (rate.factor - 1)
        text = f"{plain(amount)} x {plain(rate.factor)} = {plain(amount + change)}."
        amount += change
        yield Step("factor", text, amount=_cut(change))
    if billable > 0 or amount:
        held = clamped(rate, amount)
        if held != amount:
            name, word = ("minimum", "least") if held > amount else ("maximum", "most")
            text = f"The {word} that a record costs is {plain(held)}, not {plain(amount)}."
            yield Step(name, text, amount=_cut(held - amount))


def _closing(told: list[Step], cost: Cost, drawn: Decimal, places: int, credit: Decimal) -> Iterator[Step]:
    """Rounding, credit, and what is charged."""
    exact = sum((step.amount for step in told if step.amount is not None), ZERO)
    charge = round_away(cost.after + drawn, places) - round_away(cost.before, places)
    if charge != exact:
        if cost.before:
            text = f"The counter's price rounded to {places} decimals, less what was charged of it: {plain(charge)}."
        else:
            text = f"{plain(exact)} rounded to {places} decimals: {plain(charge)}."
        yield Step("rounding", text, amount=charge - exact)
    if credit:
        words = "paid from buckets of money" if credit > 0 else "given back to buckets of money"
        yield Step("credit", f"{plain(abs(credit))} {words}.", amount=-credit)
    yield Step("charge", f"Charged: {plain(charge - credit)}.")


def _cut(amount: Decimal) -> Decimal:
    """An amount as a step says it: exact, but for quotients without end."""
    return amount.quantize(_FINEST, ROUND_HALF_EVEN, EXACT).normalize(EXACT) + ZERO
