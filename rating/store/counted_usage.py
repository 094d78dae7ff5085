"""Charges of busy periods added up by day beforehand, which never disagree with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.models import UDR_ID_BITS
from mediation.store import copy_out
from rating.core.frames import MOMENT

BUSY = 1_000  # charges of a period, from which on it is counted
NO_END = datetime(9999, 1, 1, tzinfo=UTC)
SUMS = ("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "credit", "amount")
SHARED = ("usage_class_id", "plan_id", "rate_id", "currency")
LINE = ("service_id", "service_identifier_id")
RECORD_COUNT = "sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END)"

# An index alone answers this. What is counted stays counted: a period that was busy stays so.
FIND_BUSY = """
    INSERT INTO rating_countedperiod (period_id, has_lines)
    SELECT period_id, false FROM rating_charge GROUP BY period_id HAVING count(*) >= %s
    ON CONFLICT (period_id) DO NOTHING
"""
# The day of usage, in the account's zone; and which charges are counted.
DAY = "(c.date AT TIME ZONE %(zone)s)::date"
IS_COUNTED = "c.period_id = %(period)s AND c.date < %(before)s"
CHARGES = f"rating_charge c JOIN mediation_udrbatch b ON b.id = c.udr_id >> {UDR_ID_BITS}"
# It is known to be too many as soon as it is more than half.
HAS_FEW_LINES = f"""
    WITH half AS (SELECT count(*) / 2 AS charges FROM rating_charge c WHERE {IS_COUNTED})
    SELECT count(*) <= (SELECT charges FROM half) FROM (
        SELECT DISTINCT {DAY}, b.feed_id, {", ".join(f"c.{name}" for name in (*SHARED, *LINE))}
        FROM {CHARGES} WHERE {IS_COUNTED} LIMIT (SELECT charges + 1 FROM half)
    ) line
"""  # noqa: S608 - our own names
ADD_UP_LINES = f"""
    INSERT INTO rating_countedusage (period_id, by_line, day, feed_id, {", ".join(SHARED)}, record_count,
        {", ".join(SUMS)})
    SELECT period_id, false, day, feed_id, {", ".join(SHARED)}, sum(record_count),
        {", ".join(f"sum({name})" for name in SUMS)}
    FROM rating_countedusage WHERE period_id = %(period)s AND by_line
    GROUP BY period_id, day, feed_id, {", ".join(SHARED)}
"""  # noqa: S608 - our own names


def _counting(*, by_line: bool) -> str:
    """The query that counts a period from its charges."""
    keys = (*SHARED, *LINE) if by_line else SHARED
    return f"""
        INSERT INTO rating_countedusage (period_id, by_line, day, feed_id, {", ".join(keys)}, record_count,
            {", ".join(SUMS)})
        SELECT c.period_id, {by_line}, {DAY}, b.feed_id, {", ".join(f"c.{name}" for name in keys)}, {RECORD_COUNT},
            {", ".join(f"sum(c.{name})" for name in SUMS)}
        FROM {CHARGES} WHERE {IS_COUNTED}
        GROUP BY {", ".join(str(place + 1) for place in range(4 + len(keys)))}
    """  # noqa: S608 - our own names


@dataclass(frozen=True)
class Counted:
    """How far a period is counted. before: charges of usage before then are; has_lines: by service and identifier."""

    period_id: int
    before: datetime
    has_lines: bool


def counted_of(period_ids: Sequence[int]) -> list[Counted]:
    """Those of the periods that are counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT period_id, before, has_lines FROM rating_countedperiod"
            " WHERE period_id = ANY(%s) AND before IS NOT NULL",
            [list(period_ids)],
        )
        return [Counted(*row) for row in cursor.fetchall()]


def find_busy_periods() -> int:
    """List the periods that have enough charges to be counted; returns how many were new."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_BUSY, [BUSY])
        return int(cursor.rowcount)


def has_few_lines(period_id: int, *, time_zone: str, before: datetime) -> bool:
    """Whether counting a period by service and identifier is worth it: at most half as many rows as charges.

    Where many lines used a little each there would be as many. It reads only, and needs no lock: it tells how a period
    is best counted, and what is counted is exact either way.
    """
    with connection.cursor() as cursor:
        cursor.execute(HAS_FEW_LINES, {"period": period_id, "zone": time_zone, "before": before})
        return bool(cursor.fetchone()[0])


def count_period(period_id: int, *, time_zone: str, before: datetime, has_lines: bool, now: datetime) -> int:
    """Count a period that is under lock anew; returns of how many days, classes and so on.

    has_lines: by service and identifier too.
    """
    asked: dict[str, Any] = {"period": period_id, "zone": time_zone, "before": before, "has_lines": has_lines}
    counting = (_counting(by_line=True), ADD_UP_LINES) if has_lines else (_counting(by_line=False),)
    counted = 0
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rating_countedusage WHERE period_id = %(period)s", asked)
        for query in counting:
            cursor.execute(query, asked)
            counted += int(cursor.rowcount)
        cursor.execute(
            "UPDATE rating_countedperiod SET before = %(before)s, has_lines = %(has_lines)s, counted_at = %(now)s"
            " WHERE period_id = %(period)s",
            asked | {"now": now},
        )
    return counted


def disturb_counted(charges: pl.DataFrame) -> None:
    """Let periods be counted anew that get charges, of usage which is counted. charges: period_id, date and more.

    Their periods are under lock, so nobody counts them meanwhile. Few are counted at all: they are asked for first.
    """
    if charges.is_empty():
        return
    # As one text, which is quicker to say than 50,000 numbers.
    numbers = sql.Literal("{" + ",".join(map(str, charges["period_id"].unique())) + "}")
    query = sql.SQL(
        "SELECT period_id, before FROM rating_countedperiod WHERE before IS NOT NULL AND period_id = ANY({}::bigint[])"
    )
    counted = copy_out(query.format(numbers), {"period_id": pl.Int64, "before": MOMENT})
    if counted.is_empty():
        return
    met = charges.join(counted, on="period_id").filter(pl.col("date") < pl.col("before"))["period_id"].unique()
    if met.is_empty():
        return
    with connection.cursor() as cursor:
        cursor.execute("UPDATE rating_countedperiod SET before = NULL WHERE period_id = ANY(%s)", [met.to_list()])
