"""Billing periods, made on demand and locked: one worker at a time moves a period's balances, none while it closes."""

from collections.abc import Iterable

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.store import copy_in, copy_out, in_array
from rating.core.frames import MOMENT, PERIODS, Schema
from rating.core.periods import periods_for

CLOSED: Schema = {"account_id": pl.Int64, "closed_until": MOMENT}
LOCKED: Schema = {"account_id": pl.Int64, "starts_at": MOMENT, "period_id": pl.Int64, "is_closed": pl.Boolean}

INSERT_MISSING = """
    INSERT INTO rating_billingperiod (account_id, starts_at, ends_at, status)
    SELECT account_id, starts_at, ends_at, 'open' FROM wanted_period w
    WHERE NOT EXISTS (
        SELECT FROM rating_billingperiod p WHERE p.account_id = w.account_id AND p.starts_at = w.starts_at
    )
    ORDER BY account_id, starts_at
    ON CONFLICT (account_id, starts_at) DO NOTHING
"""

# In order of id, so that two workers wait for each other instead of running into a deadlock.
LOCK_WANTED = """
    SELECT p.account_id, p.starts_at, p.id, p.status = 'closed'
    FROM rating_billingperiod p JOIN wanted_period w ON w.account_id = p.account_id AND w.starts_at = p.starts_at
    ORDER BY p.id FOR NO KEY UPDATE OF p
"""


def lock_open_periods(months: pl.DataFrame) -> pl.DataFrame:
    """Lock the open periods that charge months of usage until the transaction ends; make those that are missing.

    months: account_id, time_zone, month. Returns PERIODS. A period that was closed while we waited for its lock makes
    us look again.
    """
    while True:
        wanted = periods_for(months, _closed_until(months["account_id"]))
        locked = _lock(wanted.select("account_id", "starts_at", "ends_at").unique())
        if not locked["is_closed"].any():
            found = wanted.join(locked, on=["account_id", "starts_at"], how="left", maintain_order="left")
            return found.select(*PERIODS)


def _closed_until(account_ids: pl.Series) -> pl.DataFrame:
    query = sql.SQL(
        "SELECT account_id, max(ends_at) FROM rating_billingperiod WHERE status = 'closed' AND {} GROUP BY account_id"
    ).format(in_array("account_id", account_ids.unique().to_list(), "bigint"))
    return copy_out(query, CLOSED)


def _lock(wanted: pl.DataFrame) -> pl.DataFrame:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS wanted_period"
            " (account_id bigint, starts_at timestamptz, ends_at timestamptz) ON COMMIT DELETE ROWS"
        )
        cursor.execute("TRUNCATE wanted_period")
        copy_in(wanted, "wanted_period")
        cursor.execute("ANALYZE wanted_period")
        cursor.execute(INSERT_MISSING)
    return copy_out(sql.SQL(LOCK_WANTED), LOCKED)


def lock_periods(period_ids: Iterable[int]) -> pl.DataFrame:
    """Lock periods that exist, schema LOCKED."""
    query = sql.SQL(
        "SELECT account_id, starts_at, id, status = 'closed' FROM rating_billingperiod WHERE {}"
        " ORDER BY id FOR NO KEY UPDATE"
    ).format(in_array("id", list(period_ids), "bigint"))
    return copy_out(query, LOCKED)


def zones_of(account_ids: pl.Series) -> pl.DataFrame:
    """The time zones of accounts: account_id, time_zone."""
    met = in_array("id", account_ids.unique().to_list(), "bigint")
    query = sql.SQL("SELECT id, time_zone FROM rating_account WHERE {}").format(met)
    return copy_out(query, {"account_id": pl.Int64, "time_zone": pl.String})
