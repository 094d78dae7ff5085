"""What previewed usage would cost: mediation's preview and rating's quote, put together where both are seen."""

from datetime import datetime

import polars as pl

from mediation.admin.previews import Price
from rating.core.frames import UDRS
from rating.models import Account, RatePlan
from rating.services.quoting import quote_udrs


def price_udrs(udrs: pl.DataFrame, now: datetime) -> dict[int, Price]:
    """By record number what each UDR would cost under the current plans, or why it would not be charged.

    udrs: mediation's UDRS of one preview. Nothing is written.
    """
    named = udrs.with_columns(udr_id="record_number", feed_id=pl.lit(0, pl.Int64)).select(*UDRS)
    # A class that is only assumed for the preview has no rate, and rating would not know its name.
    is_known = pl.col("usage_class_id") > 0
    quoted = quote_udrs(udrs=named.filter(is_known), now=now)
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
