"""What customers promised to spend, or will not spend more than: the lines that a period's usage makes of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

from rating.core.costs import EXACT, round_away
from rating.core.money import minor_unit_decimals, round_to_minor_unit
from rating.core.plans.spec import Commitment
from rating.core.tariffs import PriceList, Version

from .bills import ZERO, Bill, Categories, Kind, Line, Subscription
from .spending import Spent

Place = tuple[str, str]  # jurisdiction and tax category: where and as what spending is taxed
INSTANT = timedelta(microseconds=1)


@dataclass
class Portion:
    """Usage that one promise is held against: of an account or a service, in the period or one window of it.

    used: before credit, since what was prepaid was spent too; owed: after it.
    """

    service_id: int | None = None
    used: Decimal = ZERO
    owed: Decimal = ZERO
    places: dict[Place, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, place: Place, used: Decimal, owed: Decimal) -> None:
        self.used += used
        self.owed += owed
        self.places[place] += used


def commitment_lines(
    bill: Bill, lines: Sequence[Line], spent: Sequence[Spent], *, prices: PriceList, categories: Categories
) -> list[Line]:
    """True-up, maximum and overage lines of a bill, in the order of their statement.

    lines: the bill's lines of usage; spent: its spending by service and hour. Every plan that was used or subscribed
    to is asked, in the version of the last moment at which it was had. What adjusts a closed statement counts for
    nothing. A plan or a service whose subscriptions all lie outside the period lacks nothing, whatever late usage it
    has: what is over is still taken off or charged.

    - An account's commitment is held against the rounded amounts of its lines (before credit), so that statement and
      promise agree to the cent; a service's against its usage rounded to the minor unit; an hour's or a day's against
      the exact usage of each window that has any: a window without records owes nothing.
    - minimum: amount - used, where positive. maximum: the same below zero, at most what is owed after credit.
      commitment: (overage_factor - 1) x what is over; amount - used where `true_up`.
    - The amount (of the period, not of a window) is prorated by days of the account's zone, then rounded to the minor
      unit.
    - What is over is taken or charged where and as what the usage is taxed, in its proportions; what is lacking is
      taxed at its account or service, as the usage that counts, if that is of one category.
    """
    made: list[Line] = []
    used_plans = {line.plan_id for line in lines if line.kind == "usage" and line.plan_id is not None}
    with localcontext(EXACT):
        for plan_id in sorted(used_plans | {each.plan_id for each in bill.subscriptions}):
            subscriptions, outside = _within_period(bill, plan_id)
            version = _version(prices, plan_id, subscriptions)
            for commitment in version.plan.commitments if version else ():
                keys = _keys(commitment, plan_id, prices)
                asked = _Asked(bill, commitment, plan_id, subscriptions, outside, categories, keys)
                if commitment.within is None and commitment.per == "account":
                    portions = [_of_lines(lines, asked)]
                else:
                    portions = _of_spending(spent, asked)
                made.extend(_lines(asked, portions, _covered(commitment, version, prices, categories)))
    return sorted((line for line in made if line.line_amount or line.amount), key=lambda line: line.order)


@dataclass(frozen=True)
class _Asked:
    bill: Bill
    commitment: Commitment
    plan_id: int
    subscriptions: tuple[Subscription, ...]  # of the plan, cut to the period
    outside: frozenset[int | None]  # services that had the plan before or after the period only; None: all of them
    categories: Categories
    rate_keys: frozenset[int] | None  # of the rates whose usage counts; None: all of the plan


def _within_period(bill: Bill, plan_id: int) -> tuple[tuple[Subscription, ...], frozenset[int | None]]:
    """The subscriptions of a plan, cut to the period, and whose lie outside.

    The whole period stands in where there is none: usage shows up in it all the same.
    """
    cut = [
        Subscription(
            plan_id,
            each.service_id,
            max(each.since, bill.starts_at),
            min(each.until or bill.ends_at, bill.ends_at),
            each.jurisdiction,
        )
        for each in bill.subscriptions
        if each.plan_id == plan_id
    ]
    held = tuple(each for each in cut if each.until and each.since < each.until)
    outside = {each.service_id for each in cut} - {None, *(each.service_id for each in held)}
    if cut and not held:
        outside.add(None)
    return held or (Subscription(plan_id, None, bill.starts_at, bill.ends_at),), frozenset(outside)


def _version(prices: PriceList, plan_id: int, subscriptions: Iterable[Subscription]) -> Version | None:
    last = max(each.until for each in subscriptions if each.until) - INSTANT
    for version in prices.versions:
        begun = version.starts_at is None or version.starts_at <= last
        if version.plan_id == plan_id and begun and (version.ends_at is None or last < version.ends_at):
            return version
    return None


def _keys(commitment: Commitment, plan_id: int, prices: PriceList) -> frozenset[int] | None:
    """The keys of the plan's rates, of all its versions, whose usage counts; None where all of it does."""
    if not commitment.usage_classes and not commitment.rates:
        return None
    return frozenset(
        priced.key
        for priced in prices.rates
        if priced.version.plan_id == plan_id
        and _covers(commitment, priced.group.name, priced.rate.name, priced.rate.usage_class)
    )


def _covers(commitment: Commitment, group: str, rate: str, usage_class: str) -> bool:
    if not commitment.usage_classes and not commitment.rates:
        return True
    return usage_class in commitment.usage_classes or f"{group} / {rate}" in commitment.rates


def _covered(
    commitment: Commitment, version: Version | None, prices: PriceList, categories: Categories
) -> tuple[str, ...]:
    """The tax categories of the usage that counts, sorted; "" among them where a class has none."""
    covered = {
        categories.get(prices.class_ids.get(rate.usage_class, 0), "")
        for group in (version.plan.groups if version else ())
        for rate in group.rates
        if _covers(commitment, group.name, rate.name, rate.usage_class)
    }
    return tuple(sorted(covered))


def _of_lines(lines: Iterable[Line], asked: _Asked) -> Portion:
    whole = Portion()
    for line in lines:
        counts = asked.rate_keys is None or line.rate_key in asked.rate_keys
        if line.kind == "usage" and line.plan_id == asked.plan_id and counts:
            used = round_to_minor_unit(line.amount + line.credit, asked.bill.currency)
            whole.add((line.jurisdiction, line.tax_category or ""), used, line.line_amount)
    return whole


def _of_spending(spending: Iterable[Spent], asked: _Asked) -> list[Portion]:
    """The portions of each service or window; services without usage have theirs too, windows have not."""
    commitment = asked.commitment
    portions: dict[tuple[int | None, str], Portion] = {}
    if commitment.within is None:
        portions = {(each.service_id, ""): Portion(each.service_id) for each in asked.subscriptions if each.service_id}
    for spent in spending:
        if spent.plan_id == asked.plan_id and (asked.rate_keys is None or spent.rate_key in asked.rate_keys):
            owner = spent.service_id if commitment.per == "service" else None
            portion = portions.setdefault((owner, spent.window(commitment.within)), Portion(owner))
            place = (spent.jurisdiction, asked.categories.get(spent.usage_class_id, ""))
            portion.add(place, spent.used, spent.owed)
    if commitment.within is None:
        for portion in portions.values():
            portion.used = round_to_minor_unit(portion.used, asked.bill.currency)
            portion.owed = round_to_minor_unit(portion.owed, asked.bill.currency)
    return list(portions.values())


def _lines(asked: _Asked, portions: Iterable[Portion], covered: tuple[str, ...]) -> Iterable[Line]:
    """The lines of a commitment: by service where it is one of services, windows together."""
    commitment = asked.commitment
    lacking: dict[int | None, Decimal] = defaultdict(Decimal)
    over: dict[tuple[Kind, int | None], dict[Place, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for portion in portions:
        rest = _amount(asked, portion.service_id) - portion.used
        if rest > 0 and _makes_up(commitment) and portion.service_id not in asked.outside:
            lacking[portion.service_id] += rest
        elif rest < 0 and commitment.kind == "maximum":
            _share(over["maximum", portion.service_id], -min(-rest, max(portion.owed, ZERO)), portion)
        elif rest < 0 and commitment.kind == "commitment":
            _share(over["overage", portion.service_id], -rest * (commitment.overage_factor - 1), portion)
    for service_id, amount in lacking.items():
        category = covered[0] if len(covered) == 1 else None
        line = _line(asked, "true_up", service_id, (_jurisdiction(asked, service_id), category), amount)
        yield line if category is not None else replace(line, mixed_categories=covered)
    for (kind, service_id), places in over.items():
        for place, amount in apportioned(places, asked.bill.currency).items():
            yield _line(asked, kind, service_id, place, amount)


def _makes_up(commitment: Commitment) -> bool:
    return commitment.kind == "minimum" or (commitment.kind == "commitment" and commitment.true_up)


def _share(places: dict[Place, Decimal], amount: Decimal, portion: Portion) -> None:
    whole = sum(portion.places.values(), ZERO)
    for place, used in portion.places.items():
        # Multiplied first: of one place only, the quotient is exact.
        places[place] += amount * used / whole


def apportioned(places: Mapping[Place, Decimal], currency: str) -> dict[Place, Decimal]:
    """Amounts of several places rounded to the minor unit so that they add up to their rounded sum.

    Each gets the rounded running total less the one before it, in the order of the places; one alone stays exact (to
    11 decimals).
    """
    if len(places) == 1:
        return {place: round_away(amount, 11) for place, amount in places.items()}
    shares: dict[Place, Decimal] = {}
    running = given = ZERO
    for place in sorted(places):
        running += places[place]
        shares[place] = round_away(running, minor_unit_decimals(currency)) - given
        given += shares[place]
    return shares


def _amount(asked: _Asked, service_id: int | None) -> Decimal:
    """What was promised: prorated by days where the commitment says so, rounded to the minor unit."""
    amount = asked.commitment.amount
    if asked.commitment.prorate and asked.commitment.within is None:
        zone = ZoneInfo(asked.bill.time_zone)
        whole = _days(asked.bill.starts_at, asked.bill.ends_at, zone)
        held: set[date] = set()
        own = [each for each in asked.subscriptions if service_id is None or each.service_id == service_id]
        for each in own or asked.subscriptions:
            held |= _days(each.since, each.until or asked.bill.ends_at, zone)
        # Days are few, so that the quotient lies on a tie of the minor unit or far from it.
        amount = amount * len(held) / len(whole)
    return round_to_minor_unit(round_away(amount, 60), asked.bill.currency)


def _days(since: datetime, until: datetime, zone: ZoneInfo) -> set[date]:
    first, last = since.astimezone(zone).date(), (until - INSTANT).astimezone(zone).date()
    return {first + timedelta(days=count) for count in range((last - first).days + 1)}


def _jurisdiction(asked: _Asked, service_id: int | None) -> str:
    own = [each.jurisdiction for each in asked.subscriptions if service_id and each.service_id == service_id]
    return next((each for each in own if each is not None), asked.bill.jurisdiction)


def _line(asked: _Asked, kind: Kind, service_id: int | None, place: tuple[str, str | None], amount: Decimal) -> Line:
    return Line(
        kind=kind,
        plan_id=asked.plan_id,
        commitment=asked.commitment.name,
        service_id=service_id,
        jurisdiction=place[0],
        tax_category=place[1],
        amount=amount,
        line_amount=round_to_minor_unit(amount, asked.bill.currency),
    )
