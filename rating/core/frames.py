"""The shapes of rating's frames: what comes in, what a tariff holds, what goes out, and in which units."""

from dataclasses import dataclass

import polars as pl

from mediation.core.numbers import AMOUNT, PRICE, QUANTITY

Schema = dict[str, pl.DataType | type[pl.DataType]]

MOMENT = pl.Datetime("us", "UTC")

# A charge's id is its UDR's id and its place among the UDR's charges in one number, so that the primary key is the
# index by UDR and by batch, and a UDR cannot be charged twice: 0 the first charge, 1 its reversal, 2 the next charge.
ENTRY_BITS = 12

# Running totals need more digits than one quantity: 10^15 units of 10^6 records still fit.
TOTAL = pl.Decimal(38, 6)

UDRS: Schema = {
    "udr_id": pl.Int64,
    "date": MOMENT,
    "feed_id": pl.Int64,
    "import_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "originating_identifier": pl.String,
    "terminating_identifier": pl.String,
    "udr_usage_identifier": pl.String,
    "value": QUANTITY,  # in the unit of its class, never negative
    "amount": AMOUNT,  # in units of `currency`; null unless the record brought one
    "currency": pl.String,
}

CLASSES: Schema = {"usage_class_id": pl.Int64, "usage_class": pl.String, "paid_by": pl.String}

PAYERS: Schema = {  # one row for each time that a service owned an identifier
    "identifier": pl.String,
    "service_identifier_id": pl.Int64,
    "starts_at": MOMENT,
    "ends_at": MOMENT,
    "service_id": pl.Int64,
    "service_starts_at": MOMENT,
    "service_ends_at": MOMENT,
    "service_plan_id": pl.Int64,
    "account_id": pl.Int64,
    "account_number": pl.String,
    "account_currency": pl.String,
    "time_zone": pl.String,
    "is_final_billed": pl.Boolean,
    "account_plan_id": pl.Int64,
    "parent_plan_id": pl.Int64,  # of the nearest account above that has one
}

PLANS: Schema = {"plan_id": pl.Int64, "plan": pl.String, "is_default": pl.Boolean}

GROUPS: Schema = {
    "plan_id": pl.Int64,
    "rate_group_id": pl.Int64,
    "position": pl.Int64,
    "account_currency": pl.String,
    "starts_at": MOMENT,
    "ends_at": MOMENT,
    "amount_precision": pl.Int64,  # decimals of a charge's amount
}

RATES: Schema = {
    "rate_group_id": pl.Int64,
    "rate_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "model": pl.String,
    "price": PRICE,
    "minimum": QUANTITY,
    "increment": QUANTITY,
}

TIERS: Schema = {"rate_id": pl.Int64, "up_to": QUANTITY, "tier_price": PRICE}

BUCKETS: Schema = {"plan_id": pl.Int64, "usage_class_id": pl.Int64, "bucket_id": pl.Int64, "size": QUANTITY}

PERIODS: Schema = {  # the period that charges a month of usage, by the first day of the month in the account's zone
    "account_id": pl.Int64,
    "month": pl.Date,
    "period_id": pl.Int64,
}

BALANCES: Schema = {"period_id": pl.Int64, "service_id": pl.Int64, "bucket_id": pl.Int64, "used": QUANTITY}

POSITIONS: Schema = {"period_id": pl.Int64, "service_id": pl.Int64, "rate_id": pl.Int64, "quantity": QUANTITY}

CHARGES: Schema = {  # the columns of the table, by name
    "id": pl.Int64,
    "udr_id": pl.Int64,
    "date": MOMENT,
    "rated_at": MOMENT,
    "import_id": pl.Int64,
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "service_identifier_id": pl.Int64,
    "period_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "plan_id": pl.Int64,
    "rate_group_id": pl.Int64,
    "rate_id": pl.Int64,
    "bucket_id": pl.Int64,
    "quantity": QUANTITY,
    "rated_quantity": QUANTITY,
    "bucket_quantity": QUANTITY,
    "tier_position": QUANTITY,
    "amount": AMOUNT,
    "currency": pl.String,
    "kind": pl.String,
}

REFUSED: Schema = {
    "udr_id": pl.Int64,
    "udr_date": MOMENT,
    "feed_id": pl.Int64,
    "import_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "cause": pl.String,
    "message": pl.String,
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "value": QUANTITY,
    "identifier": pl.String,
}


@dataclass(frozen=True)
class Tariff:
    """All that rating needs to know beside the UDRs; periods and balances are known once the payers are."""

    classes: pl.DataFrame  # CLASSES
    payers: pl.DataFrame  # PAYERS
    plans: pl.DataFrame  # PLANS
    groups: pl.DataFrame  # GROUPS
    rates: pl.DataFrame  # RATES
    tiers: pl.DataFrame  # TIERS
    buckets: pl.DataFrame  # BUCKETS
    periods: pl.DataFrame  # PERIODS
    balances: pl.DataFrame  # BALANCES
    positions: pl.DataFrame  # POSITIONS


@dataclass(frozen=True)
class Rated:
    """What a pass makes of UDRs: those that go on, and those that cannot, schema REFUSED."""

    rated: pl.DataFrame
    refused: pl.DataFrame


def empty(schema: Schema) -> pl.DataFrame:
    """A frame of `schema` without rows."""
    return pl.DataFrame(schema=schema)


def refuse(udrs: pl.DataFrame, cause: str, message: pl.Expr) -> pl.DataFrame:
    """The rows as REFUSED for `cause`; who pays stays null where it was not found yet."""
    if udrs.is_empty():
        return empty(REFUSED)
    told = udrs.with_columns(udr_date="date", cause=pl.lit(cause), message=message)
    unknown = [pl.lit(None, dtype=REFUSED[name]).alias(name) for name in REFUSED if name not in told.columns]
    return told.with_columns(unknown).select(*REFUSED)
