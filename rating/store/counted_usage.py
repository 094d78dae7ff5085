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
COUNT_LINES = f"""
    INSERT INTO rating_countedusage (period_id, by_line, day, feed_id, {", ".join(SHARED)}, {", ".join(LINE)},
        record_count, {", ".join(SUMS)})
    SELECT c.period_id, true, (c.date AT TIME ZONE %(zone)s)::date, b.feed_id,
        {", ".join(f"c.{name}" for name in (*SHARED, *LINE))}, {RECORD_COUNT},
        {", ".join(f"sum(c.{name})" for name in SUMS)}
    FROM rating_charge c JOIN mediation_udrbatch b ON b.id = c.udr_id >> {UDR_ID_BITS}
    WHERE c.period_id = %(period)s AND c.date < %(before)s
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""  # noqa: S608 - our own names
COUNT_DAYS = f"""
    INSERT INTO rating_countedusage (period_id, by_line, day, feed_id, {", ".join(SHARED)}, record_count,
        {", ".join(SUMS)})
    SELECT period_id, false, day, feed_id, {", ".join(SHARED)}, sum(record_count),
        {", ".join(f"sum({name})" for name in SUMS)}
    FROM rating_countedusage WHERE period_id = %(period)s AND by_line
    GROUP BY period_id, day, feed_id, {", ".join(SHARED)}
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


def count_period(period_id: int, *, time_zone: str, before: datetime, now: datetime) -> int:
    """Count a period that is under lock anew; returns of how many days, classes and so on.

    By service and identifier only where that is worth it: where many lines used a little each, it would be as many
    rows as there are charges.
    """
    asked: dict[str, Any] = {"period": period_id, "zone": time_zone, "before": before, "now": now}
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rating_countedusage WHERE period_id = %(period)s", asked)
        cursor.execute(COUNT_LINES, asked)
        lines = int(cursor.rowcount)
        cursor.execute("SELECT count(*) FROM rating_charge WHERE period_id = %(period)s AND date < %(before)s", asked)
        (charges,) = cursor.fetchone()
        cursor.execute(COUNT_DAYS, asked)
        days = int(cursor.rowcount)
        asked["has_lines"] = has_lines = lines <= charges // 2
        if not has_lines:
            cursor.execute("DELETE FROM rating_countedusage WHERE period_id = %(period)s AND by_line", asked)
        cursor.execute(
            "UPDATE rating_countedperiod SET before = %(before)s, has_lines = %(has_lines)s, counted_at = %(now)s"
            " WHERE period_id = %(period)s",
            asked,
        )
    return days + (lines if has_lines else 0)


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
