"""The periods that usage would be charged in, looked up without making or locking any."""

import polars as pl
from psycopg import sql

from mediation.store import copy_out, in_array
from rating.core.frames import MOMENT, PERIODS, Schema
from rating.core.periods import periods_for

CLOSED: Schema = {"account_id": pl.Int64, "closed_until": MOMENT}
OPEN: Schema = {"account_id": pl.Int64, "starts_at": MOMENT, "period_id": pl.Int64}


def periods_as_they_stand(months: pl.DataFrame) -> pl.DataFrame:
    """The periods that would charge months of usage, schema PERIODS; one that is not made yet has a number below zero.

    months: account_id, time_zone, month.
    """
    accounts = in_array("account_id", months["account_id"].unique().to_list(), "bigint")
    closed = sql.SQL(
        "SELECT account_id, max(ends_at) FROM rating_billingperiod WHERE status = 'closed' AND {} GROUP BY account_id"
    )
    known = sql.SQL("SELECT account_id, starts_at, id FROM rating_billingperiod WHERE status = 'open' AND {}")
    wanted = periods_for(months, copy_out(closed.format(accounts), CLOSED))
    found = wanted.join(copy_out(known.format(accounts), OPEN), on=["account_id", "starts_at"], how="left")
    # Months that one period charges share its number, also where that period is still to be made.
    unmade = -pl.struct("account_id", "starts_at").rank("dense").cast(pl.Int64)
    return found.with_columns(pl.coalesce("period_id", unmade).alias("period_id")).select(*PERIODS)
