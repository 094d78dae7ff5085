"""What a backfill swaps, by set: UDRs of a window taken back, its own let in, and the other way round."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.core.voiding import Window
from mediation.models import UDR_ID_BITS, Udr, UdrKey
from mediation.store.copying import copy_out, in_array
from mediation.store.udrs import HELD_KEYS

BITS = UDR_ID_BITS
# Of a UDR's batch: neither staged nor replaced.
COUNTS = "b.status IN ('mediated', 'rated', 'errored')"
IN_WINDOW = "u.feed_id = %(feed)s AND u.date >= %(starts_at)s AND u.date < %(ends_at)s"
OF_OTHERS = f"{COUNTS} AND b.backfill_id IS DISTINCT FROM %(backfill)s"
NOT_VOIDED = "NOT EXISTS (SELECT FROM mediation_voidedudr v WHERE v.udr_id = u.id)"

# Before the batches, as whoever charges them does.
LOCK_RESTORED = f"""
SELECT count(*) FROM (
    SELECT FROM mediation_restoredudr r WHERE r.udr_date >= %(starts_at)s AND r.udr_date < %(ends_at)s
      AND EXISTS (SELECT FROM mediation_udrbatch b WHERE b.id = r.udr_id >> {BITS} AND b.feed_id = %(feed)s)
    ORDER BY r.udr_id FOR UPDATE OF r) r
"""  # noqa: S608 - our own table names
LOCK_COVERED = f"""
SELECT b.id FROM mediation_udrbatch b
WHERE ({OF_OTHERS} AND b.id IN (SELECT DISTINCT u.id >> {BITS} FROM mediation_udr u WHERE {IN_WINDOW}))
   OR (b.backfill_id = %(backfill)s AND b.status = 'held')
ORDER BY b.id FOR UPDATE
"""  # noqa: S608 - our own table names
# What was never rated has no charges, and is not rated any more.
TAKE_BACK = f"""
INSERT INTO mediation_voidedudr (udr_id, udr_date, feed_id, key, content_hash, import_id, record_number, requested_at,
    request_id, voided_at, voided_by_id, reason, settled_at, attempts, error, backfill_id)
SELECT u.id, u.date, u.feed_id, k.key, k.content_hash, u.import_id, u.record_number, %(asked_at)s,
    %(request)s, %(now)s, %(by)s, %(reason)s, CASE WHEN b.finished_at IS NULL THEN %(now)s END, 0, '', %(backfill)s
FROM mediation_udr u JOIN mediation_udrbatch b ON b.id = u.id >> {BITS} JOIN mediation_udrkey k ON k.udr_id = u.id
WHERE {IN_WINDOW} AND {OF_OTHERS}
"""  # noqa: S608 - our own table names
# What came back and was not charged again has no charges either, and is to be charged if it comes back once more.
SETTLE_UNCHARGED = """
WITH waiting AS (
    DELETE FROM mediation_restoredudr r USING mediation_voidedudr v
    WHERE v.backfill_id = %(backfill)s AND r.udr_id = v.udr_id RETURNING r.udr_id
)
UPDATE mediation_voidedudr v SET settled_at = %(now)s FROM waiting WHERE v.udr_id = waiting.udr_id
"""
# Its own records whose key somebody outside of the window holds by now, or voided since they came. What was amended in
# the window meanwhile is replaced like everything there.
LEAVE_OUT = f"""
INSERT INTO mediation_voidedudr (udr_id, udr_date, feed_id, key, content_hash, import_id, record_number, requested_at,
    request_id, voided_at, voided_by_id, reason, settled_at, attempts, error, backfill_id)
SELECT u.id, u.date, u.feed_id, k.key, k.content_hash, u.import_id, u.record_number, %(asked_at)s,
    %(request)s, %(now)s, %(by)s, %(left_out)s, %(now)s, 0, '', %(backfill)s
FROM mediation_udrkey k JOIN mediation_udr u ON u.id = k.udr_id AND u.date >= %(starts_at)s AND u.date < %(ends_at)s
JOIN mediation_udrbatch b ON b.id = k.udr_id >> {BITS} AND b.status = 'held'
JOIN unnest(%(import_ids)s::bigint[], %(arrivals)s::timestamptz[]) arrived (import_id, received_at)
    ON arrived.import_id = u.import_id
WHERE k.feed_id = -%(backfill)s AND (
    EXISTS (SELECT FROM mediation_udrkey other WHERE other.feed_id = %(feed)s AND other.key = k.key)
    OR EXISTS (SELECT FROM mediation_voidedudr v WHERE v.feed_id = %(feed)s AND v.key = k.key
               AND v.backfill_id IS NULL AND v.replaced_by IS NULL AND v.requested_at > arrived.received_at))
"""  # noqa: S608 - our own table names
# By the keys, which have a B-tree: the numbers of UDRs have a BRIN, and a backfill that was written just now is taken
# for a few rows, for each of which some hundred pages would be read.
FREE_KEYS = """
DELETE FROM mediation_udrkey k USING mediation_voidedudr v
WHERE v.backfill_id = %(backfill)s AND k.feed_id IN (%(feed)s, -%(backfill)s) AND k.key = v.key AND k.udr_id = v.udr_id
"""
COUNT_TAKEN = f"""
UPDATE mediation_udrbatch b SET voided_count = b.voided_count + taken.n
FROM (SELECT udr_id >> {BITS} AS batch_id, count(*) AS n FROM mediation_voidedudr WHERE backfill_id = %(backfill)s
      GROUP BY 1) taken WHERE b.id = taken.batch_id
"""  # noqa: S608 - our own table names
LET_KEYS_IN = "UPDATE mediation_udrkey SET feed_id = %(feed)s WHERE feed_id = -%(backfill)s"
LET_BATCHES_IN = """
UPDATE mediation_udrbatch SET status = 'mediated', mediated_at = %(now)s
WHERE backfill_id = %(backfill)s AND status = 'held'
"""

# Voided rows before batches, as those who settle them do.
LOCK_TAKEN = """
SELECT count(*) FROM (SELECT FROM mediation_voidedudr WHERE backfill_id = %(backfill)s ORDER BY udr_id FOR UPDATE) v
"""
LOCK_CONCERNED = f"""
SELECT b.id, b.backfill_id IS NOT DISTINCT FROM %(backfill)s FROM mediation_udrbatch b
WHERE b.backfill_id = %(backfill)s
   OR b.id IN (SELECT DISTINCT udr_id >> {BITS} FROM mediation_voidedudr WHERE backfill_id = %(backfill)s)
ORDER BY b.id FOR UPDATE
"""  # noqa: S608 - our own table names
# A key that came again since stays with whoever holds it; what was voided by its key since does not come back: in the
# order of doing, whenever it was asked for. A void that hit a UDR of the backfill was done since, whatever its clock.
BRING_BACK = f"""
WITH back AS (
    DELETE FROM mediation_voidedudr v USING mediation_udrbatch b
    WHERE v.backfill_id = %(backfill)s AND b.id = v.udr_id >> {BITS} AND {OF_OTHERS}
      AND NOT EXISTS (SELECT FROM mediation_udrkey k WHERE k.feed_id = v.feed_id AND k.key = v.key)
      AND NOT EXISTS (SELECT FROM mediation_voidedudr o WHERE o.feed_id = v.feed_id AND o.key = v.key
                      AND o.backfill_id IS NULL
                      AND (o.voided_at > v.voided_at
                           OR EXISTS (SELECT FROM mediation_udrbatch own WHERE own.id = o.udr_id >> {BITS}
                                      AND own.backfill_id = %(backfill)s)))
    RETURNING v.udr_id, v.udr_date, v.feed_id, v.key, v.content_hash, b.status = 'rated' AND v.settled_at IS NOT NULL
        AS is_uncharged
), keyed AS (
    INSERT INTO mediation_udrkey (udr_id, feed_id, key, content_hash)
    SELECT udr_id, feed_id, key, content_hash FROM back
), counted AS (
    UPDATE mediation_udrbatch b SET voided_count = b.voided_count - gone.n
    FROM (SELECT udr_id >> {BITS} AS batch_id, count(*) AS n FROM back GROUP BY 1) gone WHERE b.id = gone.batch_id
), uncharged AS (
    INSERT INTO mediation_restoredudr (udr_id, udr_date, restored_at, attempts, error)
    SELECT udr_id, udr_date, %(now)s, 0, '' FROM back WHERE is_uncharged
    ON CONFLICT (udr_id) DO NOTHING
)
SELECT count(*) FROM back
"""  # noqa: S608 - our own table names


def arguments_of(
    window: Window,
    *,
    feed_id: int,
    now: datetime,
    request_id: UUID,
    opened_at: datetime,
    by_id: int | None,
    reason: str,
    arrivals: Mapping[int, datetime] | None = None,
) -> dict[str, Any]:
    """What the statements here are told. arrivals: when the imports of the backfill were received."""
    return {
        "backfill": window.backfill_id,
        "feed": feed_id,
        "starts_at": window.starts_at,
        "ends_at": window.ends_at,
        "now": now,
        "asked_at": opened_at,
        "import_ids": list(arrivals or ()),
        "arrivals": list((arrivals or {}).values()),
        "request": request_id,
        "by": by_id,
        "reason": reason,
        "left_out": f"Its key was taken outside of the window, or voided, while the backfill was open. {reason}",
    }


def swap_in(told: Mapping[str, Any]) -> tuple[int, int, int]:
    """Take back what lies in a window and let its backfill's UDRs count instead; (let in, taken back, left out).

    The feed's voids are locked alone, and none of its batches is staged: every key of it is held by what counts.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        cursor.execute(LOCK_RESTORED, told)
        cursor.execute(LOCK_COVERED, told)
        cursor.execute(TAKE_BACK, told)
        taken = cursor.rowcount
        cursor.execute(SETTLE_UNCHARGED, told)
        cursor.execute(FREE_KEYS, told)
        if cursor.rowcount != taken:
            raise RuntimeError(f"{taken} UDRs are taken back, and {cursor.rowcount} keys are free")
        cursor.execute(LEAVE_OUT, told)
        left_out = cursor.rowcount
        cursor.execute(COUNT_TAKEN, told)
        cursor.execute(FREE_KEYS, told)
        cursor.execute(LET_KEYS_IN, told)
        let_in = cursor.rowcount
        cursor.execute(LET_BATCHES_IN, told)
        return let_in, taken, left_out


def lock_what_was_swapped(told: Mapping[str, Any]) -> list[int]:
    """Lock what a backfill took back and the batches of both sides; returns its own batches."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_TAKEN, told)
        cursor.execute(LOCK_CONCERNED, told)
        return [batch_id for batch_id, is_own in cursor.fetchall() if is_own]


def bring_back(told: Mapping[str, Any]) -> int:
    """Let count again what a backfill took back, once its own keys are free; returns how many UDRs."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        cursor.execute(BRING_BACK, told)
        return int(cursor.fetchone()[0])


def drop_held_keys(backfill_id: int) -> None:
    """Forget the keys of a backfill that was never closed."""
    UdrKey.objects.filter(feed_id=-backfill_id).delete()


def held_outside(keys: pl.Series, *, feed_id: int, window: Window) -> pl.DataFrame:
    """HELD_KEYS: which of these keys UDRs of a feed hold that lie outside of a backfill's window, and stay."""
    query = sql.SQL(
        "SELECT key, udr_id, replace(content_hash::text, '-', '') FROM {keys} k WHERE feed_id = {feed} AND {wanted}"
        " AND NOT EXISTS (SELECT FROM {udrs} u WHERE u.id = k.udr_id AND u.date >= {starts} AND u.date < {ends})"
    ).format(
        keys=sql.Identifier(UdrKey._meta.db_table),
        udrs=sql.Identifier(Udr._meta.db_table),
        feed=sql.Literal(feed_id),
        wanted=in_array("key", keys.to_list(), "text"),
        starts=sql.Literal(window.starts_at),
        ends=sql.Literal(window.ends_at),
    )
    return copy_out(query, HELD_KEYS)


OWN = f"b.backfill_id = %(backfill)s AND (b.status = 'held' OR {COUNTS})"
DIFFERENCE = f"""
SELECT c.name, sum(own), sum(own_value), sum(other), sum(other_value) FROM (
    SELECT u.usage_class_id, count(*) FILTER (WHERE {OWN}) AS own,
        coalesce(sum(u.value) FILTER (WHERE {OWN}), 0) AS own_value,
        count(*) FILTER (WHERE {OF_OTHERS}) AS other,
        coalesce(sum(u.value) FILTER (WHERE {OF_OTHERS}), 0) AS other_value
    FROM mediation_udr u JOIN mediation_udrbatch b ON b.id = u.id >> {BITS}
    WHERE {IN_WINDOW} AND {NOT_VOIDED} AND (({OF_OTHERS}) OR ({OWN}))
    GROUP BY 1
) summed JOIN mediation_usageclass c ON c.id = usage_class_id
GROUP BY 1 HAVING sum(own) + sum(other) > 0 ORDER BY 1
"""  # noqa: S608 - our own table names


def difference_of(told: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
    """(usage class, records and quantity of the backfill, records and quantity of what it replaces) in its window."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCE, told)
        return cursor.fetchall()
