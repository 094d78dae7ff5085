"""Lines of usage: the charges of periods summed by class, rate and tier, so that the lines add up to them exactly."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from mediation.core.numbers import AMOUNT_SCALE, sum_exact
from rating.core.costs import EXACT, round_away
from rating.core.costs.tiers import graduated
from rating.core.frames import MONEY, TOTAL
from rating.core.money import round_to_minor_unit
from rating.core.plans.spec import Rate
from rating.core.tariffs import PricedRate, PriceList

from .bills import ZERO, Categories, Line
from .frames import NUMBERS

KEYS = ("period_id", "adjusts", "jurisdiction", "usage_class_id", "plan_id", "rate_key")
SUMS = ("record_count", *NUMBERS)

Key = tuple[Any, ...]  # the values of KEYS
Sums = dict[str, Any]
Priced = dict[int, tuple[Decimal, Decimal]]  # by tier: quantity, exact amount


def usage_lines(
    charges: pl.DataFrame, *, prices: PriceList, currencies: Mapping[int, str], categories: Categories
) -> dict[int, list[Line]]:
    """The lines of each period that has charges, by period_id, in the order of their statement.

    charges: SETTLED, with the first rate_key of rates that price alike (see `first_alike`). currencies: by period_id.
    A graduated rate has a line for each tier, whose amount is that tier's part of the price (of the counters that the
    charges made up: the price of where they ended less that of where they began), x the rate's factor; credit pays the
    lowest tiers first; the last line takes what connect fees, clamps, buckets and roundings made of it. Volume and
    stairstep usage has a line for each tier that counters reached. Raises OverflowError where 38 digits are too few.
    """
    for name in NUMBERS:
        sum_exact(charges[name])
    sums: dict[Key, dict[int, Sums]] = defaultdict(dict)
    priced: dict[Key, Priced] = {}
    for (rate_key,), part in charges.partition_by("rate_key", as_dict=True).items():
        found = None if rate_key is None else prices.rates[rate_key].rate
        part = _with_tier(_with_counters(part), found)
        for row in _summed(part):
            sums[tuple(row[name] for name in KEYS)][row["tier"]] = row
        if found is not None and _climbs(found):
            priced.update(_by_tier(part, found))
    lines: dict[int, list[Line]] = defaultdict(list)
    with localcontext(EXACT):
        for key, tiers in sums.items():
            place = prices.rates[key[5]] if key[5] is not None else None
            shares = _with_prices(tiers, priced[key]) if key in priced else tiers
            lines[key[0]].extend(_lines(key, shares, place, currencies[key[0]], categories))
    return {period_id: sorted(found, key=lambda line: line.order) for period_id, found in lines.items()}


def first_alike(charges: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """Charges by versions of one rate that price alike get one rate_key, the first, and so come to one line."""
    firsts: dict[tuple[int, int, str], list[PricedRate]] = defaultdict(list)
    alike: dict[int, int] = {}
    for priced in prices.rates:
        earlier = firsts[priced.version.plan_id, priced.rate_id, priced.group.name]
        first = next((each for each in earlier if each.rate == priced.rate), None)
        if first is None:
            earlier.append(priced)
        else:
            alike[priced.key] = first.key
    return charges.with_columns(pl.col("rate_key").replace(alike)) if alike else charges


def _climbs(rate: Rate) -> bool:
    """Whether its tiers are filled one after the other by units; charges do not tell amounts that fill tiers."""
    return rate.model == "graduated" or (rate.model == "graduated_percentage" and rate.of == "quantity")


def _with_counters(charges: pl.DataFrame) -> pl.DataFrame:
    """Adds sign, and the units of the counter before and after each charge (of a reversal: of the charge it undoes)."""
    billable = pl.col("rated_quantity") - pl.col("free_quantity") - pl.col("bucket_quantity")
    return charges.with_columns(
        sign=pl.when(pl.col("kind") == "reversal").then(-1).otherwise(1).cast(pl.Int64),
        before=pl.col("tier_position").fill_null(0).cast(TOTAL),
        billable=pl.when(pl.col("kind") == "reversal").then(-billable).otherwise(billable).cast(TOTAL),
    ).with_columns(after=pl.col("before") + pl.col("billable"))


def _with_tier(charges: pl.DataFrame, rate: Rate | None) -> pl.DataFrame:
    """Adds the tier that a charge's records and quantity are shown in; 0 for none. charges: of one rate."""
    if rate is not None and _climbs(rate):
        # What begins exactly at a bound lies above it, unless it prices nothing.
        tier = (
            pl.when(pl.col("billable") > 0)
            .then(_tier_of(pl.col("before"), rate, is_start=True))
            .otherwise(_tier_of(pl.col("before"), rate))
        )
    elif rate is not None and rate.model in ("volume", "stairstep") and not rate.tier_by:
        charges = _with_tier_reached(charges, rate)
        # What came to zero units reached a tier only if zero units cost its flat fee.
        tier = pl.col("reached").fill_null(1 if rate.flat_at_zero else 0)
    else:
        tier = pl.lit(0, dtype=pl.Int64)
    return charges.with_columns(tier=pl.when(pl.col("adjusts").is_null()).then(tier).otherwise(0))


def _tier_of(position: pl.Expr, rate: Rate, *, is_start: bool = False) -> pl.Expr:
    bounds = [tier.up_to for tier in rate.tiers[:-1] if tier.up_to is not None]
    passed = [(position >= bound if is_start else position > bound).cast(pl.Int64) for bound in bounds]
    return pl.sum_horizontal(pl.lit(1, dtype=pl.Int64), *passed)


def _with_tier_reached(charges: pl.DataFrame, rate: Rate) -> pl.DataFrame:
    """Adds the tier that the owner's counters ended in; 0 where they ended in several, or others fill them too."""
    if rate.counting.restarts == "record":
        return charges.with_columns(reached=pl.when(pl.col("after") > 0).then(_tier_of(pl.col("after"), rate)))
    if rate.counting.per == "family":
        return charges.with_columns(reached=pl.lit(0, dtype=pl.Int64))
    owner = pl.col("service_id") if rate.counting.per == "service" else pl.lit(0, dtype=pl.Int64)
    owned = charges.with_columns(owner=owner)
    ends = _turns(owned.filter(pl.col("adjusts").is_null()), ["period_id", "owner"]).filter(pl.col("turns") > 0)
    reached = (
        ends.with_columns(tier=_tier_of(pl.col("at"), rate))
        .group_by("period_id", "owner")
        .agg(reached=pl.when(pl.col("tier").n_unique() == 1).then(pl.col("tier").first()).otherwise(0))
    )
    return owned.join(reached, on=["period_id", "owner"], how="left", nulls_equal=True)


def _turns(charges: pl.DataFrame, by: Iterable[str]) -> pl.DataFrame:
    """Where counters began (turns < 0) and ended (turns > 0), how often.

    What one charge ends with, the next begins with, and a reversal undoes its charge: all that falls out. So the price
    of a counter is found without knowing which charges are its own.
    """
    begun = charges.select(*by, at="before", turns=-pl.col("sign"))
    ended = charges.select(*by, at="after", turns="sign")
    turns = pl.concat([begun, ended]).group_by(*by, "at").agg(pl.col("turns").sum())
    return turns.filter(pl.col("turns") != 0)


def _by_tier(charges: pl.DataFrame, rate: Rate) -> dict[Key, Priced]:
    """What lies in each tier of a graduated rate: quantity and exact amount."""
    priced: dict[Key, Priced] = defaultdict(dict)
    turns = _turns(charges.filter(pl.col("adjusts").is_null()), KEYS).filter(pl.col("at") != 0)
    with localcontext(EXACT):
        for *key, at, count in turns.iter_rows():
            tiers = priced[tuple(key)]
            if at < 0:  # a level that fell below zero costs nothing
                quantity, amount = tiers.get(1, (ZERO, ZERO))
                tiers[1] = (quantity + count * at, amount)
                continue
            lower = ZERO
            for stretch in graduated(rate, at):
                within = at - lower if stretch.tier.up_to is None else min(at, stretch.tier.up_to) - lower
                quantity, amount = tiers.get(stretch.place, (ZERO, ZERO))
                cost = (stretch.cost + stretch.flat) * rate.factor
                tiers[stretch.place] = (quantity + count * within, amount + count * cost)
                lower = stretch.tier.up_to or lower
    return priced


def _summed(charges: pl.DataFrame) -> list[dict[str, Any]]:
    """Sums by KEYS and tier; what came to nothing (a charge and its reversal) is left out."""
    wide = {name: MONEY if name in ("amount", "credit", "cost") else TOTAL for name in NUMBERS}
    sums = charges.group_by(*KEYS, "tier").agg(
        pl.col("sign").sum().alias("record_count"),
        *(pl.col(name).cast(kind).sum() for name, kind in wide.items()),
    )
    return sums.filter(pl.any_horizontal(pl.col(name) != 0 for name in SUMS)).to_dicts()


def _with_prices(tiers: dict[int, Sums], priced: Priced) -> dict[int, Sums]:
    """Rated quantity, credit and amount of each tier; the last takes what is left of the sums."""
    shown = sorted({*tiers, *(tier for tier, (quantity, amount) in priced.items() if quantity or amount)})
    credit = sum((each["credit"] for each in tiers.values()), ZERO)
    gross = sum((each["amount"] for each in tiers.values()), ZERO) + credit
    shares: dict[int, Sums] = {}
    for tier in shown:
        quantity, exact = priced.get(tier, (ZERO, ZERO))
        share = dict(tiers.get(tier, dict.fromkeys(SUMS, ZERO)))
        own = gross if tier == shown[-1] else round_away(exact, AMOUNT_SCALE)
        paid = credit if tier == shown[-1] else min(max(own, ZERO), credit)
        share["rated_quantity"] = quantity + share["free_quantity"] + share["bucket_quantity"]
        share["credit"], share["amount"] = paid, own - paid
        shares[tier] = share
        gross, credit = gross - own, credit - paid
    return shares


def _lines(
    key: Key, tiers: dict[int, Sums], place: PricedRate | None, currency: str, categories: Categories
) -> Iterable[Line]:
    _, adjusts, jurisdiction, usage_class_id, plan_id, rate_key = key
    for tier, sums in tiers.items():
        if not any(sums[name] for name in SUMS):
            continue
        bounds = place.rate.tiers if place and tier else ()
        yield Line(
            kind="usage" if adjusts is None else "adjustment",
            plan_id=plan_id,
            usage_class_id=usage_class_id,
            rate_key=rate_key,
            group=place.group.name if place else "",
            rate=place.rate.name if place else "",
            tier=tier or None,
            tier_above=(bounds[tier - 2].up_to if tier > 1 else ZERO) if bounds else None,
            tier_up_to=bounds[tier - 1].up_to if bounds else None,
            adjusts=adjusts,
            jurisdiction=jurisdiction,
            tax_category=categories.get(usage_class_id, ""),
            line_amount=round_to_minor_unit(sums["amount"], currency),
            **{name: sums[name] for name in SUMS if name != "record_count"},
            record_count=int(sums["record_count"]),
        )
