"""What backfills mean for charges: what stands in a window, and what is on a statement already."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from mediation.models import UDR_ID_BITS
from rating.core.frames import ENTRY_BITS

# The parts of a record that lasts are dated by themselves, and lie behind its own date.
LONGEST_RECORD = timedelta(days=40)

STANDING = f"""
SELECT c.currency, sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END) AS charges, sum(c.amount) AS amount
FROM mediation_udr u
JOIN mediation_udrbatch b ON b.id = u.id >> {UDR_ID_BITS} AND b.status = 'rated'
    AND b.backfill_id IS DISTINCT FROM %(backfill)s
JOIN rating_charge c ON c.id >= u.id << {ENTRY_BITS} AND c.id < (u.id + 1) << {ENTRY_BITS}
    AND c.date >= %(starts_at)s AND c.date < %(latest)s
WHERE u.feed_id = %(feed)s AND u.date >= %(starts_at)s AND u.date < %(ends_at)s
  AND NOT EXISTS (SELECT FROM mediation_voidedudr v WHERE v.udr_id = u.id)
GROUP BY 1 HAVING sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END) <> 0 ORDER BY 1
"""  # noqa: S608 - our own table names
BILLED = f"""
SELECT EXISTS (
    SELECT FROM rating_charge c JOIN rating_billingperiod p ON p.id = c.period_id
    WHERE p.status = 'closed' AND p.closed_at >= %(since)s
      AND (EXISTS (SELECT FROM mediation_udrbatch b
                   WHERE b.id = c.id >> {ENTRY_BITS + UDR_ID_BITS} AND b.backfill_id = %(backfill)s)
           OR (c.kind = 'reversal' AND EXISTS (SELECT FROM mediation_voidedudr v
               WHERE v.udr_id = c.id >> {ENTRY_BITS} AND v.backfill_id = %(backfill)s))))
"""  # noqa: S608 - our own table names


def standing_in_window(
    *, feed_id: int, starts_at: datetime, ends_at: datetime, backfill_id: int
) -> Sequence[tuple[str, int, Decimal]]:
    """(currency, charges, amount) that stand for usage of a feed in a window, besides what came by a backfill."""
    told: dict[str, Any] = {"feed": feed_id, "starts_at": starts_at, "ends_at": ends_at, "backfill": backfill_id}
    with connection.cursor() as cursor:
        cursor.execute(STANDING, told | {"latest": ends_at + LONGEST_RECORD})
        return cursor.fetchall()


def is_billed(*, backfill_id: int, since: datetime) -> bool:
    """Whether a period that was closed since bills something of a backfill, or what was taken back because of it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM rating_billingperiod WHERE status = 'closed' AND closed_at >= %s)", [since]
        )
        if not cursor.fetchone()[0]:
            return False
        cursor.execute(BILLED, {"backfill": backfill_id, "since": since})
        return bool(cursor.fetchone()[0])
