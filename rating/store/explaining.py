"""What explaining a charge reads: the charges that shared its counter when it was rated."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.store import copy_out, in_array
from rating.core.frames import CHARGES, ENTRY_BITS

# Accounts below the topmost one of a family, itself among them; the depth bounds a circle, which the admin refuses.
FAMILY_PERIODS = """
    WITH RECURSIVE family (account_id, depth) AS (
        SELECT %(family)s::bigint, 0
        UNION ALL
        SELECT a.id, depth + 1 FROM family JOIN rating_account a ON a.parent_id = family.account_id WHERE depth < 100
    )
    SELECT DISTINCT p.id FROM rating_billingperiod p JOIN family USING (account_id)
"""


STANDING = """
    SELECT {columns} FROM rating_charge c WHERE {which} AND kind = 'charge' AND rated_at <= {at}
    AND NOT EXISTS (SELECT FROM rating_charge r WHERE r.id = c.id + 1 AND r.date = c.date AND r.rated_at <= {at})
"""


def charges_sharing(
    period_ids: Sequence[int], *, rate_id: int | None, service_id: int | None, rated_at: datetime
) -> pl.DataFrame:
    """The charges that counted in periods and stood at the moment `rated_at`, schema CHARGES.

    rate_id, service_id: of one rate, of one service; None: of all.
    """
    counted = sql.SQL("(({} AND counting_period_id = period_id) OR ({} AND counting_period_id <> period_id))").format(
        in_array("period_id", period_ids, "bigint"), in_array("counting_period_id", period_ids, "bigint")
    )
    for column, number in (("rate_id", rate_id), ("service_id", service_id)):
        if number is not None:
            counted = sql.SQL("{} = {} AND {}").format(sql.Identifier(column), sql.Literal(number), counted)
    return _standing(counted, rated_at)


def charges_of_udr(udr_id: int, *, rated_at: datetime) -> pl.DataFrame:
    """The charges of a UDR's parts that stood at the moment `rated_at`, schema CHARGES."""
    first = udr_id << ENTRY_BITS
    own = sql.SQL("id >= {} AND id < {}").format(sql.Literal(first), sql.Literal(first + (1 << ENTRY_BITS)))
    return _standing(own, rated_at)


def _standing(which: sql.Composable, rated_at: datetime) -> pl.DataFrame:
    columns = sql.SQL(", ").join(map(sql.Identifier, CHARGES))
    return copy_out(sql.SQL(STANDING).format(columns=columns, which=which, at=sql.Literal(rated_at)), CHARGES)


def periods_of_family(family_id: int) -> list[int]:
    """The billing periods of an account and of all accounts below it."""
    with connection.cursor() as cursor:
        cursor.execute(FAMILY_PERIODS, {"family": family_id})
        return [number for (number,) in cursor.fetchall()]


def charge_frame(charge_id: int, date: datetime) -> pl.DataFrame:
    """One charge, schema CHARGES."""
    columns = sql.SQL(", ").join(map(sql.Identifier, CHARGES))
    query = sql.SQL("SELECT {} FROM rating_charge WHERE id = {} AND date = {}")
    return copy_out(query.format(columns, sql.Literal(charge_id), sql.Literal(date)), CHARGES)
