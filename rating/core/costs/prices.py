"""The price of a record by its model, in parts and in words: what each tier, fee and share adds."""

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

from rating.core.plans.spec import Rate

from .costs import SHARES, TIERED, base_of, free_base, is_waived, packages, stretches, unit_price, units_cost
from .counting import Counter, Record
from .quantities import EXACT, ZERO, decimal_place
from .tiers import Stretch

_SHOWN = decimal_place(20)


class Part(NamedTuple):
    """A part of a price. name: tier, price, share, fee, before (taken off again), free. amount: exact."""

    name: str
    text: str
    amount: Decimal
    quantity: Decimal | None = None


def parts(
    rate: Rate,
    counter: Counter,
    record: Record,
    billable: Decimal,
    matrix_price: Decimal | None,
    tier_total: Decimal | None,
) -> list[Part]:
    """What the model asks for the record; the amounts add up to `cost_of` before connection fee, factor and clamps."""
    base = base_of(rate, record, billable)
    if rate.model in TIERED:
        begun = counter.records > 0 or counter.position > 0
        before = stretches(rate, counter.position, tier_total) if begun else []
        after = stretches(rate, counter.position + base, tier_total)
        if rate.model in ("volume", "stairstep"):
            chooser = f", chosen by {plain(tier_total or ZERO)} of “{rate.tier_by}”" if rate.tier_by else ""
            return list(_in_one_tier(rate, before, after, counter.position, chooser))
        return list(_by_tier(rate, before, after))
    if rate.model in SHARES:
        return list(_shares(rate, counter, base, billable))
    price = unit_price(rate, matrix_price)
    if rate.model == "package":
        return list(_packages(rate, counter.position, counter.position + base, price))
    if rate.model == "fixed":
        return [Part("price", f"Price of a record: {plain(price)}.", price)]
    return [_units(base, price, rate.per)]


def plain(number: Decimal) -> str:
    """A number as a person writes it: no exponent, no zeros at its end; a quotient without end is cut."""
    cut = number.quantize(_SHOWN, ROUND_DOWN, EXACT)
    text = f"{cut:f}".rstrip("0").rstrip(".")
    return (text if text != "-0" else "0") + ("…" if cut != number else "")


def _units(quantity: Decimal, price: Decimal, per: Decimal) -> Part:
    amount = units_cost(quantity, price, per)
    return Part("price", f"{_product(quantity, price, per)} = {plain(amount)}.", amount, quantity)


def _product(quantity: Decimal, price: Decimal, per: Decimal) -> str:
    return f"{plain(quantity)} x {plain(price)}" + ("" if per == 1 else f" / {plain(per)}")


def _packages(rate: Rate, start: Decimal, end: Decimal, price: Decimal) -> Iterator[Part]:
    before, after = packages(rate, start), packages(rate, end)
    size = plain(rate.size or ZERO)
    text = f"{plain(end)} are {plain(after)} packages of {size}: x {plain(price)} = {plain(after * price)}."
    yield Part("price", text, after * price, end)
    if before:
        text = f"Less {plain(before)} packages charged before: {plain(before * price)}."
        yield Part("before", text, -before * price)


def _shares(rate: Rate, counter: Counter, base: Decimal, billable: Decimal) -> Iterator[Part]:
    of = rate.of
    if rate.model == "basis_points":
        amount = base * rate.points / 10000
        yield Part("share", f"{plain(rate.points)} basis points of the {of} {plain(base)} = {plain(amount)}.", amount)
        return
    if rate.model == "percentage":
        if is_waived(rate, counter, base):
            yield Part("free", f"Free of charge: {_waived(rate, counter, base)}.", ZERO)
            return
        free = free_base(rate, counter, base)
        amount = (base - free) * rate.percent / 100
        less = f" ({plain(base)}, less {plain(free)} free)" if free else ""
        yield Part(
            "share", f"{plain(rate.percent)} % of the {of} {plain(base - free)}{less} = {plain(amount)}.", amount
        )
    else:
        amount = base * rate.factor
        yield Part("share", f"The {of} {plain(base)} x {plain(rate.factor)} = {plain(amount)}.", amount)
    if rate.fixed:
        yield Part("fee", f"Fixed part of each record: {plain(rate.fixed)}.", rate.fixed)
    if rate.model == "pass_through" and rate.price is not None:
        yield _units(billable, rate.price, rate.per)


def _waived(rate: Rate, counter: Counter, base: Decimal) -> str:
    words = []
    if rate.free_records:
        words.append(f"record {counter.records + 1} of {rate.free_records} free records")
    if rate.free_amount:
        words.append(f"{plain(counter.position + base)} in all of less than {plain(rate.free_amount)}")
    return ", and ".join(words)


def _by_tier(rate: Rate, before: list[Stretch], after: list[Stretch]) -> Iterator[Part]:
    """What each tier holds more, or less, than before."""
    for old, new in _pairs(before, after):
        stretch = new or old
        if stretch is None:
            continue
        quantity = (new.quantity if new else ZERO) - (old.quantity if old else ZERO)
        cost = (new.cost if new else ZERO) - (old.cost if old else ZERO)
        flat = (new.flat if new else ZERO) - (old.flat if old else ZERO)
        if quantity or cost:
            yield Part("tier", f"{_tier(rate, stretch)}: {_stretch(rate, stretch, quantity, cost)}.", cost, quantity)
        if flat:
            yield Part("fee", f"{_tier(rate, stretch)} is reached: {plain(flat)} once.", flat)


def _pairs(before: list[Stretch], after: list[Stretch]) -> Iterator[tuple[Stretch | None, Stretch | None]]:
    """The stretches of each tier; both begin with the first and leave none out."""
    for place in range(max(len(before), len(after))):
        yield before[place] if place < len(before) else None, after[place] if place < len(after) else None


def _stretch(rate: Rate, stretch: Stretch, quantity: Decimal, cost: Decimal) -> str:
    tier = stretch.tier
    if tier.maximum is not None and stretch.cost == tier.maximum:
        return f"{plain(quantity)}, its most is {plain(tier.maximum)}: {plain(cost)}"
    if rate.model == "graduated_percentage":
        return f"{plain(tier.percent)} % of {plain(quantity)} = {plain(cost)}"
    return f"{_product(quantity, tier.price, tier.per)} = {plain(cost)}"


def _in_one_tier(
    rate: Rate, before: list[Stretch], after: list[Stretch], position: Decimal, chooser: str
) -> Iterator[Part]:
    """All units in the tier that is reached, less what those before cost."""
    for reached in after:
        text = f"All in {_tier(rate, reached).lower()}{chooser}: {_whole(rate, reached)}."
        yield Part("tier", text, *_total(reached))
    for reached in before:
        amount, _ = _total(reached)
        text = (
            f"Less what the {plain(position)} before cost in {_tier(rate, reached).lower()}: {_whole(rate, reached)}."
        )
        if amount:
            yield Part("before", text, -amount)


def _total(reached: Stretch) -> tuple[Decimal, Decimal]:
    return reached.cost + reached.flat, reached.quantity


def _whole(rate: Rate, reached: Stretch) -> str:
    if rate.model == "stairstep":
        return f"{plain(reached.flat)} for all"
    text = _stretch(rate, reached, reached.quantity, reached.cost)
    return f"{text}, and {plain(reached.flat)} once" if reached.flat else text


def _tier(rate: Rate, stretch: Stretch) -> str:
    lower = rate.tiers[stretch.place - 2].up_to if stretch.place > 1 else None
    above = f"above {plain(lower)}" if lower is not None else ""
    end = stretch.tier.up_to
    up_to = f"up to {plain(end)}" if end is not None else ""
    span = " ".join(word for word in (above, up_to) if word) or "all"
    return f"Tier {stretch.place} ({span})"
