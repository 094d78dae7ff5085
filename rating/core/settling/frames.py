"""The shape of the charges that a period is settled from."""

import polars as pl

from mediation.core.numbers import AMOUNT, QUANTITY
from rating.core.frames import LEVEL, MOMENT, Schema

SETTLED: Schema = {  # one row for each charge, and for each reversal, which carries the numbers of its charge negated
    "period_id": pl.Int64,  # the period that bills it
    "date": MOMENT,  # when the usage happened
    "kind": pl.String,  # charge, reversal
    "service_id": pl.Int64,
    "jurisdiction": pl.String,  # where its service, or else its account is taxed; "" (never null): nowhere
    "usage_class_id": pl.Int64,
    "plan_id": pl.Int64,
    "rate_key": pl.Int64,  # place in PriceList.rates; null for charges of before plans had versions
    "quantity": QUANTITY,
    "rated_quantity": QUANTITY,
    "free_quantity": QUANTITY,
    "bucket_quantity": QUANTITY,
    "tier_position": LEVEL,  # units priced before in its counter, of a reversal that of its charge; null: no counter
    "amount": AMOUNT,  # after credit
    "credit": AMOUNT,
    "cost": AMOUNT,  # null: not known
    "adjusts": pl.String,  # the number of the closed statement that the row corrects, or null
}

NUMBERS = ("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "amount", "credit", "cost")
