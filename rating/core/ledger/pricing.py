"""What matched usage costs: in columns where that can be, through the ledger where order and buckets ask for it."""

from decimal import localcontext

import polars as pl

from rating.core.costs import EXACT
from rating.core.frames import MEMBERS, REFUSED, Priced, Standing, empty, refuse
from rating.core.tariffs import PriceList

from .columns import price_columns
from .counters import Counters
from .grants import Grants
from .ledger import Ledger
from .routing import Work, columnar_keys, works
from .totals import Totals, by_owner, totals_with
from .usage import in_order, owners_of, with_periods


def price_usage(
    matched: pl.DataFrame, *, prices: PriceList, periods: pl.DataFrame, standing: Standing, only_ledger: bool = False
) -> Priced:
    """Count, round, draw, price and pay usage in order of date and content; all of it exact, each charge rounded once.

    matched: MATCHED. periods: BOUNDS of the months of the accounts (and of the topmost accounts, where families share
    counters or buckets; else those of the account stand in). standing: the counters, members, grants and totals of
    those periods, as far as there are any; also the grants before, of buckets that roll over, and the counters and
    members before, of rates that carry over. What goes out as standing are the rows that changed, complete, with their
    new values. only_ledger: price nothing in columns; the answer is the same.

    A record that cannot be charged is refused, its parts together, and uses up nothing.
    """
    keys = frozenset() if only_ledger else columnar_keys(prices)
    known = works(prices)
    matched, lacking = _with_a_period(matched, periods)
    refused = [lacking]
    while True:
        usage = with_periods(matched, periods)
        totals = totals_with(usage, standing.totals, prices.followed_class_ids)
        priced = _price_once(usage, prices, known, keys, standing, totals)
        followed = priced.refused.filter(pl.col("usage_class_id").is_in(sorted(prices.followed_class_ids)))
        if followed.is_empty():
            break
        # What was refused was not used: what follows it is priced again without it.
        refused.append(followed)
        matched = matched.join(followed, on="udr_id", how="anti", maintain_order="left")
    return Priced(priced.rated, pl.concat([*refused, priced.refused]), priced.draws, priced.standing)


def _with_a_period(matched: pl.DataFrame, periods: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(usage that some billing period charges, REFUSED)."""
    lacking = matched.join(periods, on=["account_id", "month"], how="anti", maintain_order="left")
    if lacking.is_empty():
        return matched, empty(REFUSED)
    month = pl.col("month").cast(pl.String)
    message = "No billing period of the account charges usage of the month " + month + ". Add it, then rerate."
    once = lacking.sort("part").unique("udr_id", keep="first", maintain_order=True)
    return matched.join(lacking, on="udr_id", how="anti", maintain_order="left"), refuse(once, "system_error", message)


def _price_once(
    usage: pl.DataFrame,
    prices: PriceList,
    known: list[Work],
    keys: frozenset[int],
    standing: Standing,
    totals: pl.DataFrame,
) -> Priced:
    is_columnar = usage["rate_key"].is_in(sorted(keys)) & ~_lacks_amount(usage, known)
    columnar, others = usage.filter(is_columnar), usage.filter(~is_columnar)
    parts = [price_columns(columnar, prices, standing)] if not columnar.is_empty() or others.is_empty() else []
    if not others.is_empty():
        used = by_owner(totals, standing.totals, usage, prices.followed_class_ids)
        parts.append(_through_ledger(others, prices, known, standing, used))
    left = Standing(
        counters=pl.concat([part.standing.counters for part in parts]),
        seen=pl.concat([part.standing.seen for part in parts]),
        grants=pl.concat([part.standing.grants for part in parts]),
        totals=totals,
        members=standing.members.clear(),
    )
    rated, refused, draws = (
        pl.concat([getattr(part, name) for part in parts]) for name in ("rated", "refused", "draws")
    )
    return Priced(rated, refused, draws, left)


def _lacks_amount(usage: pl.DataFrame, known: list[Work]) -> pl.Series:
    """Which usage brings no amount that its rate passes through: the ledger refuses it, in its words."""
    keys = [work.priced.key for work in known if work.rate.model == "pass_through"]
    return usage["amount"].is_null() & usage["rate_key"].is_in(keys)


def _through_ledger(
    usage: pl.DataFrame, prices: PriceList, known: list[Work], standing: Standing, used: Totals
) -> Priced:
    since = {priced.bucket.shared for priced in prices.buckets if priced.bucket.prorate or priced.bucket.rollover}
    owners = owners_of(usage, shared=since)
    met = [known[key] for key in usage["rate_key"].unique().to_list()]
    rate_ids = sorted({work.rate_id for work in met})
    bucket_ids = sorted({priced.bucket_id for work in met for priced in (*work.units, *work.money)})
    is_met = pl.col("rate_id").is_in(rate_ids)
    counters = Counters(standing.counters.filter(is_met), standing.seen.filter(is_met), owners)
    members = {row[:3]: row[3] for row in standing.members.select(*MEMBERS).iter_rows()}
    stored = standing.grants.filter(pl.col("bucket_id").is_in(bucket_ids))
    grants = Grants(stored, prices=prices, owners=owners, totals=used, members=members)
    ledger = Ledger(known, prices.class_ids, owners, counters, grants, used)
    with localcontext(EXACT):
        ordered = in_order(usage)
        rated, refused = ledger.price(ordered)
        moved, seen = counters.frames()
    left = Standing(moved, seen, grants.moved(), standing.totals.clear(), standing.members.clear())
    return Priced(rated, refused, grants.draws(ordered), left)
