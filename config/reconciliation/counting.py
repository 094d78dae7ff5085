"""Counting a month: what was received, and what every later table holds of it."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db import connection

from config.reconciliation.lines import COUNTS, Line
from mediation.models import UDR_ID_BITS
from rating.core.frames import ENTRY_BITS

# What a reader may wait for; more is counted by a worker.
MOST_IMPORTS_AT_ONCE = 2_000
MOST_UDRS_AT_ONCE = 50_000

# The charges of a batch lie together in the key. Of a few batches each is looked up; of a whole month it is quicker
# to read the charges once and ask of each which batch it is of.
OF_FEW_BATCHES = (
    "CROSS JOIN LATERAL (SELECT * FROM rating_charge WHERE id >= b.id << %(bits)s AND id < (b.id + 1) << %(bits)s) c"
)
OF_MANY_BATCHES = """JOIN rating_charge c ON c.id >> %(bits)s = b.id
    AND c.id >= (SELECT min(id) FROM batch) << %(bits)s AND c.id < ((SELECT max(id) FROM batch) + 1) << %(bits)s"""

MONTH = """
WITH import AS MATERIALIZED (
    SELECT id, feed_id, (received_at AT TIME ZONE 'UTC')::date AS day, attempt, record_count, waiting_count,
        attempt = 1 OR status = 'completed' AS is_whole
    FROM ingestion_usageimport i WHERE received_at >= %(start)s AND received_at < %(end)s
        -- What was sent into a backfill that is not closed was never usage.
        AND NOT EXISTS (SELECT FROM ingestion_backfill f
            WHERE f.id = i.backfill_id AND f.status NOT IN ('closed', 'reverting'))
), told AS (
    SELECT b.id, i.feed_id, i.day, i.is_whole, b.status, b.udr_count, b.voided_count,
        -- One that crashed while its charges were reversed had been finished before; it counts no more.
        b.status IN ('mediated', 'rated') OR (b.status = 'errored' AND b.finished_at IS NULL) AS counts
    FROM import i JOIN mediation_udrbatch b ON b.import_id = i.id
), batch AS MATERIALIZED (
    SELECT id, feed_id, day, status, udr_count, voided_count,
        CASE WHEN status = 'staged' OR (counts AND is_whole) THEN 'current' WHEN counts THEN 'earlier'
             ELSE 'replaced' END AS place
    FROM told
), received AS (
    SELECT feed_id, day, count(*) AS imports, sum(record_count) AS received, sum(waiting_count) AS waiting
    FROM import GROUP BY 1, 2
), refused AS (
    SELECT i.feed_id, i.day, count(*) AS exceptions
    FROM import i JOIN ingestion_importexception e ON e.import_id = i.id AND e.attempt = i.attempt
    WHERE e.status NOT IN ('resolved', 'superseded') GROUP BY 1, 2
), left_out AS (
    SELECT i.feed_id, i.day, count(*) FILTER (WHERE l.outcome = 'skipped') AS skipped,
        count(*) FILTER (WHERE l.outcome = 'duplicate') AS duplicates
    FROM import i JOIN ingestion_leftoutrecord l ON l.import_id = i.id AND l.attempt = i.attempt GROUP BY 1, 2
), mediated AS (
    SELECT feed_id, day, sum(udr_count) FILTER (WHERE place = 'current') AS imported,
        sum(udr_count) FILTER (WHERE place = 'earlier') AS earlier,
        sum(udr_count - voided_count) FILTER (WHERE place <> 'replaced' AND status <> 'rated') AS not_rated,
        sum(voided_count) FILTER (WHERE place <> 'replaced') AS voided
    FROM batch GROUP BY 1, 2
), udr AS (
    SELECT b.feed_id, b.day, CASE WHEN v.udr_id IS NULL THEN b.place ELSE 'replaced' END AS place, c.udr_id,
        c.currency, sum(c.amount) AS amount, sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END) > 0 AS stands
    FROM batch b {charges} LEFT JOIN mediation_voidedudr v ON v.udr_id = c.udr_id GROUP BY 1, 2, 3, 4, 5
), money AS (
    SELECT feed_id, day, currency, sum(amount) AS amount,
        count(*) FILTER (WHERE stands AND place <> 'replaced') AS charged,
        count(*) FILTER (WHERE stands AND place = 'replaced') AS taking_back
    FROM udr GROUP BY 1, 2, 3
), charged AS (
    SELECT feed_id, day, sum(charged) AS charged, sum(taking_back) AS taking_back,
        jsonb_object_agg(currency, amount::text) AS amounts
    FROM money GROUP BY 1, 2
), uncharged AS (
    SELECT b.feed_id, b.day, count(*) FILTER (WHERE e.status = 'written_off') AS written_off,
        count(*) FILTER (WHERE e.status NOT IN ('written_off', 'resolved', 'superseded')) AS unrated
    FROM import i JOIN rating_ratingexception e ON e.import_id = i.id
    JOIN batch b ON b.id = e.udr_id >> %(udr_bits)s AND b.place <> 'replaced'
    WHERE NOT EXISTS (SELECT 1 FROM mediation_voidedudr v WHERE v.udr_id = e.udr_id) GROUP BY 1, 2
)
-- In the order of the fields of a Line
SELECT feed_id, day, imports, received, coalesce(imported, 0), coalesce(exceptions, 0), coalesce(skipped, 0),
    coalesce(duplicates, 0), waiting, coalesce(earlier, 0), coalesce(charged, 0), coalesce(unrated, 0),
    coalesce(written_off, 0), coalesce(not_rated, 0), coalesce(voided, 0),
    coalesce(taking_back, 0), coalesce(amounts, '{{}}')
FROM received LEFT JOIN refused USING (feed_id, day) LEFT JOIN left_out USING (feed_id, day)
    LEFT JOIN mediated USING (feed_id, day) LEFT JOIN charged USING (feed_id, day)
    LEFT JOIN uncharged USING (feed_id, day)
ORDER BY day, feed_id
"""

SIZE = """
WITH few AS (SELECT id FROM ingestion_usageimport WHERE received_at >= %(start)s AND received_at < %(end)s
    LIMIT %(most)s)
SELECT (SELECT count(*) FROM few), coalesce(sum(udr_count), 0)
FROM mediation_udrbatch WHERE import_id IN (SELECT id FROM few)
"""


def bounds(month: date) -> tuple[datetime, datetime]:
    """From the first moment of a month to the first of the next, UTC; month: any day of it."""
    start = datetime.combine(month.replace(day=1), time.min, UTC)
    return start, (start + timedelta(days=32)).replace(day=1)


def is_small(month: date) -> bool:
    """Whether a month is counted in no time."""
    start, end = bounds(month)
    with connection.cursor() as cursor:
        cursor.execute(SIZE, {"start": start, "end": end, "most": MOST_IMPORTS_AT_ONCE + 1})
        imports, udrs = cursor.fetchone()
    return imports <= MOST_IMPORTS_AT_ONCE and udrs <= MOST_UDRS_AT_ONCE


def count_month(month: date, *, is_small: bool) -> list[Line]:
    """A line for each feed and day (UTC) on which something was received, by day; everything as of one moment."""
    start, end = bounds(month)
    bits = UDR_ID_BITS + ENTRY_BITS
    query = MONTH.format(charges=OF_FEW_BATCHES if is_small else OF_MANY_BATCHES)
    with connection.cursor() as cursor:
        cursor.execute(query, {"start": start, "end": end, "bits": bits, "udr_bits": UDR_ID_BITS})
        return [
            Line(feed_id, day, **dict(zip(COUNTS, map(int, counts), strict=True)), amounts=_amounts(amounts))
            for feed_id, day, *counts, amounts in cursor.fetchall()
        ]


def _amounts(told: str) -> dict[str, Decimal]:
    return {currency: Decimal(amount) for currency, amount in sorted(json.loads(told).items())}
