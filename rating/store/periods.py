"""Billing periods, made on demand and locked: one worker at a time counts in a period, none while it closes."""

from collections.abc import Iterable, Sequence

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.store import copy_in, copy_out, in_array
from rating.core.frames import BOUNDS, MOMENT, Schema
from rating.core.periods import periods_for

CLOSED: Schema = {"account_id": pl.Int64, "closed_until": MOMENT}
LOCKED: Schema = {"account_id": pl.Int64, "starts_at": MOMENT, "period_id": pl.Int64, "is_closed": pl.Boolean}
KNOWN: Schema = {
    "period_id": pl.Int64,
    "account_id": pl.Int64,
    "starts_at": MOMENT,
    "ends_at": MOMENT,
    "time_zone": pl.String,
    "is_closed": pl.Boolean,
}

INSERT_MISSING = """
    INSERT INTO rating_billingperiod (account_id, starts_at, ends_at, status, is_unsettled)
    SELECT account_id, starts_at, ends_at, 'open', false FROM wanted_period w
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

# Whatever is below the topmost account above the accounts of some periods.
FAMILIES_QUERY = """
    WITH RECURSIVE above (at_id, parent_id, depth) AS (
        SELECT a.id, a.parent_id, 0 FROM rating_account a
        WHERE a.id IN (SELECT account_id FROM rating_billingperiod WHERE id = ANY({periods}::bigint[]))
        UNION
        SELECT a.id, a.parent_id, depth + 1 FROM above JOIN rating_account a ON a.id = above.parent_id WHERE depth < 100
    ), below (family_id, account_id, depth) AS (
        SELECT at_id, at_id, 0 FROM above WHERE parent_id IS NULL
        UNION
        SELECT family_id, a.id, below.depth + 1
        FROM below JOIN rating_account a ON a.parent_id = below.account_id WHERE below.depth < 100
    )
    SELECT p.id, p.account_id, p.starts_at, p.ends_at, a.time_zone, p.status = 'closed', below.family_id
    FROM below
    JOIN rating_account a ON a.id = below.account_id
    JOIN rating_billingperiod p ON p.account_id = a.id
    ORDER BY p.id
"""
OWN_QUERY = """
    SELECT p.id, p.account_id, p.starts_at, p.ends_at, a.time_zone, p.status = 'closed', p.account_id
    FROM rating_billingperiod p JOIN rating_account a ON a.id = p.account_id
    WHERE p.account_id IN (SELECT account_id FROM rating_billingperiod WHERE id = ANY({periods}::bigint[]))
    ORDER BY p.id
"""

NOT_MET_QUERY = """
    WITH RECURSIVE below (family_id, account_id, depth) AS (
        SELECT id, id, 0 FROM rating_account WHERE id = ANY({families}::bigint[])
        UNION
        SELECT family_id, a.id, below.depth + 1
        FROM below JOIN rating_account a ON a.parent_id = below.account_id WHERE below.depth < 100
    )
    SELECT below.family_id, f.id, p.id
    FROM below
    JOIN rating_billingperiod f ON f.account_id = below.family_id AND f.id = ANY({periods}::bigint[])
    JOIN rating_billingperiod p ON p.account_id = below.account_id AND p.id <> ALL({periods}::bigint[])
        AND date_trunc('month', p.starts_at + interval '14 days', 'UTC')
          = date_trunc('month', f.starts_at + interval '14 days', 'UTC')
"""


def lock_open_periods(months: pl.DataFrame) -> pl.DataFrame:
    """Lock the open periods that charge months of usage until the transaction ends; make those that are missing.

    months: account_id, time_zone, month. Returns BOUNDS. A period that was closed while we waited for its lock makes
    us look again.
    """
    while True:
        wanted = periods_for(months, _closed_until(months["account_id"]))
        locked = _lock(wanted.select("account_id", "starts_at", "ends_at").unique())
        if not locked["is_closed"].any():
            found = wanted.join(locked, on=["account_id", "starts_at"], how="left", maintain_order="left")
            return found.select(*BOUNDS)


def periods_as_they_stand(months: pl.DataFrame) -> pl.DataFrame:
    """The periods that would charge months of usage, schema BOUNDS; one that is not made yet has a number below zero.

    Nothing is made and nothing locked. months: account_id, time_zone, month.
    """
    known = sql.SQL("SELECT account_id, starts_at, id, false FROM rating_billingperiod WHERE status = 'open' AND {}")
    accounts = in_array("account_id", months["account_id"].unique().to_list(), "bigint")
    wanted = periods_for(months, _closed_until(months["account_id"]))
    found = wanted.join(copy_out(known.format(accounts), LOCKED), on=["account_id", "starts_at"], how="left")
    # Months that one period charges share its number, also where that period is still to be made.
    unmade = -pl.struct("account_id", "starts_at").rank("dense").cast(pl.Int64)
    return found.with_columns(pl.coalesce("period_id", unmade).alias("period_id")).select(*BOUNDS)


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
    """Lock periods that exist: period_id, account_id, starts_at, ends_at, time_zone (of the account), is_closed."""
    return _known(period_ids, sql.SQL("FOR NO KEY UPDATE OF p"))


def periods_known(period_ids: Iterable[int]) -> pl.DataFrame:
    """The same, without locking."""
    return _known(period_ids, sql.SQL(""))


def _known(period_ids: Iterable[int], lock: sql.SQL) -> pl.DataFrame:
    query = sql.SQL(
        "SELECT p.id, p.account_id, p.starts_at, p.ends_at, a.time_zone, p.status = 'closed'"
        " FROM rating_billingperiod p JOIN rating_account a ON a.id = p.account_id"
        " WHERE p.id = ANY({}::bigint[]) ORDER BY p.id {}"
    ).format(sql.Literal(sorted(set(period_ids))), lock)
    return copy_out(query, KNOWN)


def periods_beside(period_ids: Iterable[int], *, in_families: bool) -> pl.DataFrame:
    """Every period of the accounts that have these, or of all accounts of their families: KNOWN, family_id.

    family_id: the topmost account, or the account itself where families are not asked for.
    """
    query = sql.SQL(FAMILIES_QUERY if in_families else OWN_QUERY)
    asked = query.format(periods=sql.Literal(sorted(set(period_ids))))
    return copy_out(asked, {**KNOWN, "family_id": pl.Int64}).unique("period_id", keep="first", maintain_order=True)


def periods_not_met(family_ids: pl.Series, period_ids: Sequence[int]) -> pl.DataFrame:
    """Periods of the accounts below topmost accounts, of the months of `period_ids` and none of them.

    Returns family_id, family_period_id (the topmost account's of that month, one of `period_ids`), period_id. A month
    is told by its middle, which is in that month in every zone.
    """
    query = sql.SQL(NOT_MET_QUERY).format(
        families=sql.Literal(family_ids.unique().to_list()), periods=sql.Literal(list(period_ids))
    )
    return copy_out(query, {"family_id": pl.Int64, "family_period_id": pl.Int64, "period_id": pl.Int64})


def lock_accounts(account_ids: Iterable[int]) -> None:
    """Lock accounts whose buckets or counters outlast a period or serve others; after the periods, in order of id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM rating_account WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [sorted(set(account_ids))]
        )


def is_alone(work: str) -> bool:
    """Whether nobody else does this work now; nobody will until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [work])
        (is_ours,) = cursor.fetchone()
    return bool(is_ours)


def mark_unsettled(period_ids: Iterable[int]) -> None:
    """Let open periods be put into the order of their dates when there is time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rating_billingperiod SET is_unsettled = true"
            " WHERE id = ANY(%s) AND status = 'open' AND NOT is_unsettled",
            [sorted(set(period_ids))],
        )


def zones_of(account_ids: pl.Series) -> pl.DataFrame:
    """The time zones of accounts: account_id, time_zone."""
    met = in_array("id", account_ids.unique().to_list(), "bigint")
    query = sql.SQL("SELECT id, time_zone FROM rating_account WHERE {}").format(met)
    return copy_out(query, {"account_id": pl.Int64, "time_zone": pl.String})
