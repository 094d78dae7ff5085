"""What matching needs to know beside the usage: classes, who pays, plans, and the price list; and its own frames."""

from dataclasses import dataclass

import polars as pl

from rating.core.frames import MOMENT, USAGE, Schema
from rating.core.tariffs import PriceList

CLASSES: Schema = {
    "usage_class_id": pl.Int64,
    "usage_class": pl.String,
    "paid_by": pl.String,  # usage, originating, terminating, direction
}

PAYERS: Schema = {  # one row for each time that a service owned an identifier
    "identifier": pl.String,
    "service_identifier_id": pl.Int64,
    "starts_at": MOMENT,
    "ends_at": MOMENT,
    "service_id": pl.Int64,
    "service_starts_at": MOMENT,
    "service_ends_at": MOMENT,
    "service_plan_id": pl.Int64,
    "package_plan_id": pl.Int64,  # of the package that the service came with
    "account_id": pl.Int64,
    "account_number": pl.String,
    "account_currency": pl.String,
    "time_zone": pl.String,
    "is_final_billed": pl.Boolean,
    "account_plan_id": pl.Int64,
    "parent_plan_id": pl.Int64,  # of the nearest account above that has one
    "family_id": pl.Int64,  # the topmost account above the account, or itself
}

PLANS: Schema = {"plan_id": pl.Int64, "plan": pl.String, "currency": pl.String, "is_default": pl.Boolean}

CHOSEN: Schema = {  # usage with the identifier that pays
    **USAGE,
    "usage_class": pl.String,
    "paid_by": pl.String,  # usage, originating, terminating
    "identifier": pl.String,
}

PAID: Schema = {  # usage with who pays, and by which plan
    **CHOSEN,
    "service_identifier_id": pl.Int64,
    "service_id": pl.Int64,
    "account_id": pl.Int64,
    "family_id": pl.Int64,
    "since": MOMENT,  # when the service started
    "account_number": pl.String,
    "account_currency": pl.String,
    "time_zone": pl.String,
    "plan_id": pl.Int64,
    "plan": pl.String,
}

# What `describe_matched` reads, for usage whose payer and rate are known already. `cost` is optional.
KNOWN: Schema = {
    **USAGE,
    "service_identifier_id": pl.Int64,
    "service_id": pl.Int64,
    "account_id": pl.Int64,
    "family_id": pl.Int64,
    "since": MOMENT,
    "account_currency": pl.String,
    "time_zone": pl.String,
    "month": pl.Date,
    "plan_id": pl.Int64,
    "rate_key": pl.Int64,
}


@dataclass(frozen=True)
class Book:
    """Classes, payers, plans and prices, as of now."""

    classes: pl.DataFrame  # CLASSES
    payers: pl.DataFrame  # PAYERS
    plans: pl.DataFrame  # PLANS
    prices: PriceList
