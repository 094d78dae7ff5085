"""How much was used of classes that others follow: sizes of buckets, and tiers chosen by another class's quantity."""

from collections.abc import Iterable
from decimal import Decimal

import polars as pl

from rating.core.frames import TOTAL, TOTALS
from rating.core.tariffs import PriceList

from .usage import Owner

ASKED = {"plan_id": pl.Int64, "usage_class_id": pl.Int64, "shared": pl.String}
KEY = ["period_id", "account_id", "service_id", "usage_class_id"]


def asked(prices: PriceList, plan_ids: Iterable[int]) -> pl.DataFrame:
    """Which classes are followed on which plan, and whose usage of them counts together, schema ASKED."""
    met = set(plan_ids)
    rows = {
        (priced.version.plan_id, priced.followed_class_id, priced.bucket.shared)
        for priced in prices.buckets
        if priced.followed_class_id is not None and priced.version.plan_id in met
    }
    for priced in prices.rates:
        followed = prices.class_ids.get(priced.rate.tier_by) if priced.rate.tier_by else None
        if followed is not None and priced.version.plan_id in met and not priced.is_cost:
            rows.add((priced.version.plan_id, followed, priced.rate.counting.per))
    return pl.DataFrame(sorted(rows), schema=ASKED, orient="row")


def totals_with(usage: pl.DataFrame, before: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """TOTALS of what was used before, with all that the usage counts of the classes wanted; only rows that change.

    usage: MATCHED with its periods (see `usage.with_periods`). wanted: ASKED.
    """
    counted = usage.join(wanted, on=["plan_id", "usage_class_id"], how="inner")
    of_family, of_service = pl.col("shared") == "family", pl.col("shared") == "service"
    owned = counted.select(
        period_id=pl.when(of_family).then("family_period_id").otherwise("period_id"),
        account_id=pl.when(of_family).then("family_id").otherwise("account_id"),
        service_id=pl.when(of_service).then("service_id").otherwise(0),
        usage_class_id="usage_class_id",
        udr_id="udr_id",
        part="part",
        family=of_family,
        quantity=pl.col("counted").cast(TOTAL).fill_null(0),
    )
    # An account that is a family by itself shares one row, which counts each record once.
    distinct = owned.unique([*KEY, "udr_id", "part"]).drop("udr_id", "part", "family")
    now = distinct.group_by(KEY).agg(pl.col("quantity").sum())
    joined = now.join(before.rename({"quantity": "before"}), on=KEY, how="left")
    return joined.select(*KEY, quantity=pl.col("quantity") + pl.col("before").fill_null(0)).cast(TOTALS)  # type: ignore[arg-type]


def by_owner(totals: pl.DataFrame, before: pl.DataFrame) -> dict[tuple[int, Owner, int], Decimal]:
    """Totals by period, owner and class; those before hold where nothing was added."""
    found: dict[tuple[int, Owner, int], Decimal] = {}
    for frame in (before, totals):
        for period_id, account_id, service_id, class_id, quantity in frame.select(*TOTALS).iter_rows():
            found[period_id, (account_id, service_id), class_id] = quantity
    return found
