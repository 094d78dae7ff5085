"""What previewed usage would cost: mediation's preview and rating's quote, put together where both are seen."""

from datetime import datetime

import polars as pl

from mediation.admin.previews import Price
from mediation.store.reading_only import reading_only
from rating import store
from rating.core.frames import USAGE
from rating.models import Account, RatePlan
from rating.services.pricing import quote_usage


def price_udrs(udrs: pl.DataFrame, now: datetime) -> dict[int, Price]:
    """By record number what each UDR would cost under the current plans, or why it would not be charged.

    udrs: mediation's UDRS of one preview. Nothing is written.
    """
    numbered = udrs.with_columns(udr_id="record_number", part=pl.lit(0, pl.Int64), feed_id=pl.lit(0, pl.Int64))
    named = numbered.select(*USAGE)
    # A class that is only assumed for the preview has no rate, and rating would not know its name.
    is_known = pl.col("usage_class_id") > 0
    with reading_only():
        quoted = quote_usage(usage=named.filter(is_known), book=store.book(), now=now)
    accounts = Account.objects.in_bulk(quoted.charged["account_id"].unique().to_list())
    plans = RatePlan.objects.in_bulk(quoted.charged["plan_id"].unique().to_list())
    prices = {
        row["udr_id"]: Price(row["amount"], row["currency"], f"{accounts[row['account_id']]}, {plans[row['plan_id']]}")
        for row in quoted.charged.iter_rows(named=True)
    }
    for udr_id, message in quoted.refused.select("udr_id", "message").iter_rows():
        prices[udr_id] = Price(None, "", message)
    for number in named.filter(~is_known)["udr_id"]:
        prices[number] = Price(None, "", "its usage class is still to be added, and has no rate")
    return prices
