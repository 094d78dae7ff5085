"""What prices usage and who pays for it, as frames: few queries, each by COPY, whatever the size of the batch."""

from datetime import datetime

import polars as pl
from psycopg import sql

from mediation.store import copy_out, in_array
from rating.core.frames import (
    BALANCES,
    BUCKETS,
    CLASSES,
    GROUPS,
    PAYERS,
    PERIODS,
    PLANS,
    POSITIONS,
    RATES,
    TIERS,
    Tariff,
    empty,
)

# The nearest plan above is looked up for the accounts met only; the depth bounds a circle, which the admin refuses.
PAYERS_QUERY = """
    WITH RECURSIVE met AS MATERIALIZED (
        SELECT i.identifier, i.id AS identifier_id, i.starts_at, i.ends_at, s.id AS service_id,
            s.starts_at AS service_starts_at, s.ends_at AS service_ends_at, s.rate_plan_id AS service_plan_id,
            a.id AS account_id, a.number, a.currency, a.time_zone, a.parent_id, a.rate_plan_id,
            coalesce(a.closed_at <= {now}, false) AS is_final_billed
        FROM rating_serviceidentifier i
        JOIN rating_service s ON s.id = i.service_id
        JOIN rating_account a ON a.id = s.account_id
        WHERE {identifiers}
    ), above (account_id, parent_id, plan_id, depth) AS (
        SELECT DISTINCT account_id, parent_id, rate_plan_id, 0 FROM met
        WHERE rate_plan_id IS NULL AND parent_id IS NOT NULL
        UNION ALL
        SELECT above.account_id, a.parent_id, a.rate_plan_id, depth + 1
        FROM above JOIN rating_account a ON a.id = above.parent_id
        WHERE above.plan_id IS NULL AND depth < 100
    )
    SELECT identifier, identifier_id, starts_at, ends_at, service_id, service_starts_at, service_ends_at,
        service_plan_id, met.account_id, number, currency, time_zone, is_final_billed, met.rate_plan_id, above.plan_id
    FROM met LEFT JOIN above ON above.account_id = met.account_id AND above.plan_id IS NOT NULL
"""

PRICE_LIST_QUERIES = {
    "classes": ("SELECT id, name, paid_by FROM mediation_usageclass", CLASSES),
    "plans": ("SELECT id, name, is_default FROM rating_rateplan", PLANS),
    "groups": (
        "SELECT plan_id, id, position, currency, starts_at, ends_at, amount_precision FROM rating_rategroup",
        GROUPS,
    ),
    "rates": ("SELECT group_id, id, usage_class_id, model, price, minimum, increment FROM rating_rate", RATES),
    "tiers": ("SELECT rate_id, up_to, price FROM rating_tier", TIERS),
    # Should a class be in two buckets of a plan in spite of the admin, the older one serves it: never two.
    "buckets": (
        "SELECT DISTINCT ON (b.plan_id, c.usageclass_id) b.plan_id, c.usageclass_id, b.id, b.size"
        " FROM rating_bucket b JOIN rating_bucket_usage_classes c ON c.bucket_id = b.id"
        " ORDER BY b.plan_id, c.usageclass_id, b.id",
        BUCKETS,
    ),
}


def price_list() -> Tariff:
    """Classes, plans and their rates; who pays, periods and balances are still empty."""
    frames = {name: copy_out(sql.SQL(query), schema) for name, (query, schema) in PRICE_LIST_QUERIES.items()}
    return Tariff(
        **frames,
        payers=empty(PAYERS),
        periods=empty(PERIODS),
        balances=empty(BALANCES),
        positions=empty(POSITIONS),
    )


def payers_of(identifiers: pl.Series, now: datetime) -> pl.DataFrame:
    """Who owned these identifiers and when, with what decides the plan, schema PAYERS."""
    met = in_array("identifier", identifiers.drop_nulls().unique().to_list(), "text")
    return copy_out(sql.SQL(PAYERS_QUERY).format(now=sql.Literal(now), identifiers=met), PAYERS)


def balances_of(period_ids: pl.Series) -> pl.DataFrame:
    """The bucket balances of periods, schema BALANCES."""
    met = in_array("period_id", period_ids.unique().to_list(), "bigint")
    query = sql.SQL("SELECT period_id, service_id, bucket_id, used FROM rating_bucketbalance WHERE {}").format(met)
    return copy_out(query, BALANCES)


def positions_of(period_ids: pl.Series) -> pl.DataFrame:
    """The tier positions of periods, schema POSITIONS."""
    met = in_array("period_id", period_ids.unique().to_list(), "bigint")
    query = sql.SQL("SELECT period_id, service_id, rate_id, quantity FROM rating_tierposition WHERE {}").format(met)
    return copy_out(query, POSITIONS)
