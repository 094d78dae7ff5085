"""What statements are made of, out of PostgreSQL: the charges that a period bills, and what accounts subscribe to."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.store import copy_out, in_array
from rating.core.frames import MOMENT, Schema
from rating.core.repricing import with_rate_keys
from rating.core.settling import SETTLED, Subscription
from rating.core.tariffs import PriceList

# A row corrects the closed period that holds the usage's date, unless that is the period which bills it. What is dated
# after the period that counts it, as a part of a record that was split over its end, is of that one's last moment.
# No foreign key holds what a charge names: a charge is billed though its service should be gone.
BILLED_QUERY = """
    SELECT {columns} FROM (
        SELECT c.*, j.name AS own_jurisdiction, a.jurisdiction_id AS account_jurisdiction, s.number AS corrected
        FROM rating_charge c
        LEFT JOIN rating_service v ON v.id = c.service_id
        JOIN rating_account a ON a.id = c.account_id
        JOIN rating_billingperiod b ON b.id = c.period_id
        LEFT JOIN rating_jurisdiction j ON j.id = coalesce(v.jurisdiction_id, a.jurisdiction_id)
        LEFT JOIN rating_billingperiod k ON k.id = c.counting_period_id
        CROSS JOIN LATERAL (SELECT least(c.date, k.ends_at - interval '1 microsecond') AS date) used
        LEFT JOIN rating_billingperiod p
            ON p.account_id = c.account_id AND p.starts_at <= used.date AND p.ends_at > used.date
            AND p.id <> c.period_id AND used.date < b.starts_at
        LEFT JOIN rating_statement s ON s.period_id = p.id
        WHERE c.period_id = ANY({periods}::bigint[])
    ) billed
"""
COLUMNS = {
    "jurisdiction": sql.SQL("coalesce(own_jurisdiction, '')"),
    "adjusts": sql.SQL("lpad(corrected::text, greatest(8, length(corrected::text)), '0')"),
}
WITH_RATE = {"version_id": pl.Int64, "rate_id": pl.Int64}

# The plan of every service by the precedence of plans, and of accounts without services their own.
SUBSCRIPTIONS_QUERY = """
    WITH RECURSIVE above (account_id, at_id, parent_id, plan_id, depth) AS (
        SELECT id, id, parent_id, rate_plan_id, 0 FROM rating_account WHERE {accounts}
        UNION ALL
        SELECT above.account_id, a.id, a.parent_id, a.rate_plan_id, depth + 1
        FROM above JOIN rating_account a ON a.id = above.parent_id WHERE depth < 100
    ), planned AS (
        SELECT account_id, (array_agg(plan_id ORDER BY depth) FILTER (WHERE plan_id IS NOT NULL))[1] AS plan_id
        FROM above GROUP BY account_id
    )
    SELECT s.account_id, coalesce(s.rate_plan_id, k.rate_plan_id, p.plan_id, d.id), s.id, s.starts_at, s.ends_at, j.name
    FROM rating_service s
    JOIN planned p ON p.account_id = s.account_id
    JOIN rating_account a ON a.id = s.account_id
    LEFT JOIN rating_package k ON k.id = s.package_id
    LEFT JOIN rating_rateplan d ON d.is_default AND d.currency = a.currency
    LEFT JOIN rating_jurisdiction j ON j.id = s.jurisdiction_id
    ORDER BY s.account_id, s.id
"""


def billed_charges(period_ids: Sequence[int], prices: PriceList) -> pl.DataFrame:
    """The charges and reversals that periods bill, schema SETTLED."""
    schema = {name: kind for name, kind in SETTLED.items() if name != "rate_key"} | WITH_RATE
    columns = sql.SQL(", ").join(COLUMNS.get(name, sql.Identifier(name)) for name in schema)
    query = sql.SQL(BILLED_QUERY).format(columns=columns, periods=sql.Literal(list(period_ids)))
    return with_rate_keys(copy_out(query, schema), prices).select(*SETTLED)


def subscriptions_of(account_ids: Sequence[int]) -> list[tuple[int, Subscription]]:
    """What accounts' services subscribe to, by account."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(SUBSCRIPTIONS_QUERY).format(accounts=in_array("id", list(account_ids), "bigint")))
        rows: list[tuple[int, int | None, int, datetime, datetime | None, str | None]] = cursor.fetchall()
    return [
        (account_id, Subscription(plan_id, service_id, since, until, jurisdiction))
        for account_id, plan_id, service_id, since, until, jurisdiction in rows
        if plan_id is not None
    ]


DUE: Schema = {
    "account_id": pl.Int64,
    "time_zone": pl.String,
    "since": MOMENT,  # when the first subscription starts, or the last closed period ends, whichever is later
    "until": MOMENT,  # before which the last subscription ends; null: it does not
}

DUE_QUERY = """
    SELECT a.id, a.time_zone, greatest(min(s.starts_at), max(p.ends_at)),
        CASE WHEN bool_or(s.ends_at IS NULL) THEN NULL ELSE max(s.ends_at) END
    FROM ({subscriptions}) s (account_id, plan_id, service_id, starts_at, ends_at, jurisdiction)
    JOIN rating_account a ON a.id = s.account_id AND (a.closed_at IS NULL OR a.closed_at > {now})
    LEFT JOIN (
        SELECT account_id, max(ends_at) AS ends_at FROM rating_billingperiod WHERE status = 'closed' GROUP BY 1
    ) p USING (account_id)
    WHERE {plans} AND s.starts_at <= {now}
    GROUP BY a.id, a.time_zone
"""


def accounts_due(plan_ids: Sequence[int], now: datetime) -> pl.DataFrame:
    """The accounts that have plans, and from when to when they may lack billing periods, schema DUE.

    Usage makes periods out of turn, so that months before an open period may be missing; none is before a closed one.
    """
    query = sql.SQL(DUE_QUERY).format(
        subscriptions=sql.SQL(SUBSCRIPTIONS_QUERY).format(accounts=sql.SQL("true")),
        plans=in_array("plan_id", list(plan_ids), "bigint"),
        now=sql.Literal(now),
    )
    return copy_out(query, DUE)
