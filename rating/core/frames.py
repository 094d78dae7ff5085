"""The shapes of rating's frames: what comes in, what a tariff holds, what goes out, and in which units."""

from dataclasses import dataclass

import polars as pl

from mediation.core.numbers import AMOUNT, PRICE, QUANTITY

Schema = dict[str, pl.DataType | type[pl.DataType]]

MOMENT = pl.Datetime("us", "UTC")

# A charge's id is its UDR's id and its place among the UDR's charges in one number, so that the primary key is the
# index by UDR and by batch, and a UDR cannot be charged twice: 0 the first charge, 1 its reversal, 2 the next charge.
ENTRY_BITS = 12

MONEY = pl.Decimal(38, 11)  # sums of amounts
LEVEL = pl.Decimal(38, 12)  # a counted quantity, or quantity x seconds for weighted sums

# Running totals need more digits than one quantity: 10^15 units of 10^6 records still fit.
TOTAL = pl.Decimal(38, 6)

CHARGES: Schema = {  # the columns of the table, by name
    "id": pl.Int64,
    "udr_id": pl.Int64,
    "date": MOMENT,
    "rated_at": MOMENT,
    "import_id": pl.Int64,
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "service_identifier_id": pl.Int64,
    "period_id": pl.Int64,  # in which it is billed
    "counting_period_id": pl.Int64,  # whose counters and grants it moves
    "usage_class_id": pl.Int64,
    "plan_id": pl.Int64,
    "version_id": pl.Int64,
    "rate_id": pl.Int64,
    "part": pl.Int64,
    "quantity": QUANTITY,
    "rated_quantity": QUANTITY,
    "free_quantity": QUANTITY,
    "bucket_quantity": QUANTITY,
    "tier_position": LEVEL,
    "credit": AMOUNT,
    "cost": AMOUNT,
    "amount": AMOUNT,
    "currency": pl.String,
    "kind": pl.String,
}

DRAW_ROWS: Schema = {  # the columns of the table of draws, by name
    "charge_id": pl.Int64,
    "place": pl.Int64,
    "date": MOMENT,
    "kind": pl.String,
    "bucket_id": pl.Int64,
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "starts_at": MOMENT,
    "quantity": MONEY,
    "amount": AMOUNT,
    "left": MONEY,
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


# What the engine of plan versions works on: usage in, who pays and by which rate, what it costs, what it used up.

USAGE: Schema = {
    "udr_id": pl.Int64,
    "part": pl.Int64,  # 0, or the place of a piece of a record that was split at the boundary of a time period
    "date": MOMENT,
    "feed_id": pl.Int64,
    "import_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "originating_identifier": pl.String,
    "terminating_identifier": pl.String,
    "udr_usage_identifier": pl.String,
    "inbound": pl.Boolean,
    "reverse_rating": pl.Boolean,
    "value": QUANTITY,  # in the unit of its class, never negative
    "amount": AMOUNT,  # in units of `currency`; null unless the record brought one
    "currency": pl.String,
    "extensions": pl.String,  # a JSON object of texts, or null; null throughout where no plan asks for any
}

# What matching adds to USAGE, and pricing reads.
MATCHED: Schema = {
    "udr_id": pl.Int64,
    "part": pl.Int64,
    "date": MOMENT,
    "feed_id": pl.Int64,
    "import_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "value": QUANTITY,
    "amount": AMOUNT,
    "currency": pl.String,
    "service_identifier_id": pl.Int64,
    "service_id": pl.Int64,
    "account_id": pl.Int64,
    "family_id": pl.Int64,  # the topmost account above the account, or itself
    "since": MOMENT,  # when the service started
    "account_currency": pl.String,
    "time_zone": pl.String,
    "month": pl.Date,  # first day, in time_zone
    "plan_id": pl.Int64,
    "rate_key": pl.Int64,  # the place of its rate in Tariff.rates
    "zone": pl.String,
    "matrix_price": PRICE,  # what its values cost in the rate's matrix
    "counted": LEVEL,  # what the rate's aggregation counts of it
    "member": pl.String,  # the value that unique_count counts
    "counter_key": pl.String,  # the values of the fields that the rate counts by, a JSON list; "" where there are none
    "barred": pl.List(pl.Int64),  # keys of the buckets whose condition does not hold; null: none
    "cost": AMOUNT,  # what it costs us, by the cost groups; null where there are none
}

# What pricing adds to MATCHED.
PRICED: Schema = {
    **MATCHED,
    "period_id": pl.Int64,
    "rated_quantity": QUANTITY,  # by how much the counted, transformed and rounded quantity rose
    "free_quantity": QUANTITY,  # of it, free units of the rate
    "bucket_quantity": QUANTITY,  # of it, drawn from buckets of units
    "tier_position": LEVEL,  # position of the counter before; null where the rate keeps no counter
    "credit": AMOUNT,  # paid from buckets of money
    "charged_amount": AMOUNT,  # what is owed, after credit
}

COUNTERS: Schema = {  # how far each counter has come. per account or family: service_id is 0
    "period_id": pl.Int64,  # 0 for counters that never restart
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "rate_id": pl.Int64,
    "key": pl.String,  # of the rate's `by` fields and its window; `key@window` is the part of a counter in a window
    "level": LEVEL,  # what the aggregation has come to; of `each`: the rated quantity
    "held": LEVEL,  # of weighted sums: the level held now, which the next period goes on with
    "position": LEVEL,  # units priced; where a share of amounts is priced: the amounts
    "records": pl.Int64,
    "at": MOMENT,  # the date of the latest record
    "credit": MONEY,  # paid from buckets of money
}

SEEN: Schema = {  # members of unique counts
    "period_id": pl.Int64,
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "rate_id": pl.Int64,
    "key": pl.String,
    "member": pl.String,
}

GRANTS: Schema = {  # what a bucket gave for a time, and what is used of it: units, or money
    "bucket_id": pl.Int64,
    "account_id": pl.Int64,
    "service_id": pl.Int64,  # 0 where an account or a family shares it
    "starts_at": MOMENT,
    "ends_at": MOMENT,  # null: no end
    "granted": MONEY,  # with what was carried over and refilled
    "carried": MONEY,  # of it, from the grant before
    "refills": pl.Int64,
    "used": MONEY,
}

DRAWS: Schema = {  # every movement of a bucket, in the order in which it happened
    "udr_id": pl.Int64,
    "part": pl.Int64,
    "date": MOMENT,
    "bucket_id": pl.Int64,
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "starts_at": MOMENT,
    "kind": pl.String,  # draw, give_back, refill
    "quantity": MONEY,
    "amount": AMOUNT,  # what the draw or the refill itself cost: tier prices and flat fees of the bucket
    "left": MONEY,
}

# How much of a class was used that others follow: measured values, before any rounding, of every service; a row of
# service 0 is what the accounts of a family used that are not met.
TOTALS: Schema = {
    "period_id": pl.Int64,
    "account_id": pl.Int64,
    "service_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "quantity": TOTAL,
}

MEMBERS: Schema = {  # how many services share a plan's growing buckets: of an account, or of a family (by family_id)
    "account_id": pl.Int64,
    "plan_id": pl.Int64,
    "shared": pl.String,  # account, family
    "members": pl.Int64,
}

BOUNDS: Schema = {  # billing periods by what they charge, with their bounds
    "account_id": pl.Int64,
    "month": pl.Date,
    "period_id": pl.Int64,
    "starts_at": MOMENT,
    "ends_at": MOMENT,
}


@dataclass(frozen=True)
class Standing:
    """What was used up before, or (as an answer) the rows that changed, with their new values."""

    counters: pl.DataFrame  # COUNTERS
    seen: pl.DataFrame  # SEEN
    grants: pl.DataFrame  # GRANTS
    totals: pl.DataFrame  # TOTALS
    members: pl.DataFrame  # MEMBERS


@dataclass(frozen=True)
class Priced:
    """What pricing makes of matched usage. rated: PRICED; refused: REFUSED; draws: DRAWS."""

    rated: pl.DataFrame
    refused: pl.DataFrame
    draws: pl.DataFrame
    standing: Standing


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
