"""A quote: usage is matched, priced in order and settled, by the same passes that rate what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from rating.core.frames import COUNTERS, GRANTS, MEMBERS, SEEN, TOTALS, Priced, Standing, empty, refuse
from rating.core.ledger import price_usage
from rating.core.matching import choose_payers, match_usage
from rating.core.quoting.openings import opening_grants
from rating.core.quoting.settings import Setting
from rating.core.quoting.tables import book_of, in_periods, period_rows, placed, started, usage_frame
from rating.core.quoting.usage import Record
from rating.core.quoting.world import World, build_world
from rating.core.settling import SETTLED, Bill, Statement, Subscription, settle


@dataclass(frozen=True)
class Quote:
    """What usage comes to. records: as they were priced, by udr_id from 1. refused: REFUSED. periods: BOUNDS."""

    world: World
    records: Sequence[Record]
    priced: Priced
    refused: pl.DataFrame
    periods: pl.DataFrame
    bills: Sequence[Bill]
    statements: Sequence[Statement]


def quote(setting: Setting, records: Sequence[Record]) -> Quote:
    """Price usage as a document says. Raises FaultySpecError where usage names what the document does not have.

    Every record comes to charges (one for each of its parts) or to one refusal.
    """
    world, named = build_world(setting, records)
    since = started(period_rows(world, [each.date for each in named if each.date]))
    book = book_of(world, since)
    usage = usage_frame(world, named)
    is_inside = in_periods(usage, world)
    chosen = choose_payers(usage.filter(is_inside), book.classes)
    paid = chosen.rated.with_columns(identifier=pl.coalesce("named", "identifier")).drop("named")
    found = match_usage(paid, book=book)
    dates = [each.date for each in named if each.date]
    periods = period_rows(world, dates)
    matched = placed(found.rated, world, periods)
    standing = _standing(world, periods, since)
    priced = price_usage(matched, prices=world.prices, periods=periods, standing=standing)
    bills = _bills(world, periods, priced.rated, since)
    categories = {world.class_ids[each.name]: each.tax_category for each in world.classes}
    statements = settle(
        _settled(world, priced.rated), bills=bills, prices=world.prices, categories=categories, tax=setting.tax
    )
    outside = _without_period(usage.filter(~is_inside))
    refused = pl.concat([outside, chosen.refused, found.refused, priced.refused])
    return Quote(world, named, priced, refused.sort("udr_id"), periods, bills, statements)


def _without_period(outside: pl.DataFrame) -> pl.DataFrame:
    message = pl.lit("No period of the document holds the date of this usage. Add the period, or leave periods out.")
    return refuse(outside, "no_period", message)


def _standing(world: World, periods: pl.DataFrame, since: datetime) -> Standing:
    """What was used up before the first record: the grants that the document tells of."""
    members: dict[tuple[int, int, str], int] = {}
    for service in world.services:
        plan_id = world.plan_of(service)
        if plan_id is None:
            continue
        for shared, account in (("account", service.account), ("family", world.topmost(service.account))):
            key = (world.account_ids[account.number], plan_id, shared)
            members[key] = members.get(key, 0) + 1
    return Standing(
        counters=empty(COUNTERS),
        seen=empty(SEEN),
        grants=pl.DataFrame(opening_grants(world, periods, since), schema=GRANTS, orient="row"),
        totals=empty(TOTALS),
        members=pl.DataFrame([(*key, count) for key, count in members.items()], schema=MEMBERS, orient="row"),
    )


def _settled(world: World, rated: pl.DataFrame) -> pl.DataFrame:
    """PRICED as the charges of periods, SETTLED."""
    places = {world.account_ids[each.number]: each.jurisdiction for each in world.accounts}
    return rated.with_columns(
        kind=pl.lit("charge"),
        jurisdiction=pl.col("account_id").replace_strict(places, return_dtype=pl.String),
        quantity="value",
        amount="charged_amount",
        adjusts=pl.lit(None, pl.String),
    ).select(*SETTLED)


def _bills(world: World, periods: pl.DataFrame, rated: pl.DataFrame, since: datetime) -> list[Bill]:
    """The periods that are billed: those with charges, and all of them where plans have commitments."""
    has_commitments = any(plan.commitments for plan in world.setting.plans)
    charged = set(rated["period_id"].unique())
    return [
        Bill(
            period_id=period_id,
            currency=world.currency(account),
            time_zone=account.time_zone,
            starts_at=starts_at,
            ends_at=ends_at,
            subscriptions=_subscriptions(world, account_id, since),
            jurisdiction=account.jurisdiction,
            is_tax_exempt=account.tax_exempt,
            exempt_categories=frozenset(account.exempt_categories),
        )
        for account_id, _, period_id, starts_at, ends_at in periods.iter_rows()
        if has_commitments or period_id in charged
        for account in (world.accounts[account_id - 1],)
    ]


def _subscriptions(world: World, account_id: int, since: datetime) -> tuple[Subscription, ...]:
    found = []
    for each in world.services_of(account_id):
        plan_id = world.plan_of(each)
        if plan_id is not None:
            found.append(Subscription(plan_id, each.number, each.service.starts_at or since, each.service.ends_at))
    return tuple(found)
