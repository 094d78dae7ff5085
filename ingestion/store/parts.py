"""Parts of records that several rows make, stored until they are complete."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

import polars as pl
from django.db import connection
from django.db.models import Q
from psycopg import sql

from ingestion.models import (
    LeftOutRecord,
    UsageImport,
    WaitingPart,
)
from mediation.core.structure.combining import PART_OF, WAITS
from mediation.store import CopyMismatchError, copy_in, copy_out, in_array

# A stored part. record_*: the row that carries its record, null while it waits.
STORED_PARTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "attempt": pl.Int64,
    "key": pl.String,
    "role": pl.String,
    "raw": pl.String,
    "record_import_id": pl.Int64,
    "record_attempt": pl.Int64,
    "record_row": pl.Int64,
}
PART_LOCKS = 256


def lock_part_keys(feed_id: int, keys: pl.Series) -> None:
    """Until this transaction ends, nobody else combines parts of these keys.

    Keys share a limited number of locks, taken in one order: the server has room for some thousands, and two workers
    that hold the two halves of a record wait for each other instead of both finding nothing.
    """
    slots = sorted({crc32(key.encode()) % PART_LOCKS for key in keys.unique().to_list()})
    names = [f"parts:{feed_id}:{slot}" for slot in slots]
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def stored_parts(feed_id: int, keys: pl.Series, *, since: datetime, import_ids: Sequence[int]) -> pl.DataFrame:
    """STORED_PARTS of these keys that wait and had not expired at `since`, or that records of these imports took."""
    of_keys = sql.SQL("feed_id = {} AND ").format(feed_id) + in_array("key", keys.unique().to_list(), "text")
    waits = sql.SQL("record_import_id IS NULL AND expires_at >= {}").format(since)
    taken = in_array("record_import_id", import_ids, "bigint")
    return _stored(sql.SQL("{} AND ({} OR {})").format(of_keys, waits, taken))


def copy_in_parts(parts: pl.DataFrame, *, feed_id: int) -> int:
    """Write parts. parts: STORED_PARTS, received_at, expires_at."""
    raw = pl.col("raw").str.replace_all("\0", "␀", literal=True)
    return copy_in(parts.with_columns(raw, feed_id=pl.lit(feed_id)), WaitingPart._meta.db_table)


def set_part_records(parts: pl.DataFrame) -> int:
    """Say which row carries the record of stored parts; returns how many parts there were.

    parts: import_id, record_number, record_import_id, record_attempt, record_row (null: the part waits again) and
    reason, which the left-out row of the part gives from now on.
    """
    columns = ["import_id", "record_number", "record_import_id", "record_attempt", "record_row", "reason"]
    arrays = {name: parts[name].to_list() for name in columns}
    with connection.cursor() as cursor:
        cursor.execute(SET_PART_RECORDS, arrays)
        count = cursor.rowcount
        cursor.execute(SET_PART_REASONS, arrays)
    return count


SET_PART_RECORDS = """
UPDATE ingestion_waitingpart p
SET record_import_id = n.record_import_id, record_attempt = n.record_attempt, record_row = n.record_row
FROM unnest(%(import_id)s::bigint[], %(record_number)s::bigint[], %(record_import_id)s::bigint[],
            %(record_attempt)s::smallint[], %(record_row)s::bigint[])
     AS n (import_id, record_number, record_import_id, record_attempt, record_row)
WHERE p.import_id = n.import_id AND p.record_number = n.record_number
"""
SET_PART_REASONS = """
UPDATE ingestion_leftoutrecord l SET reason = n.reason
FROM unnest(%(import_id)s::bigint[], %(record_number)s::bigint[], %(reason)s::text[])
     AS n (import_id, record_number, reason)
JOIN ingestion_waitingpart p ON p.import_id = n.import_id AND p.record_number = n.record_number
WHERE l.import_id = p.import_id AND l.attempt = p.attempt AND l.record_number = p.record_number
  AND l.outcome = 'skipped'
"""


def parts_of(import_id: int, record_numbers: pl.Series) -> pl.DataFrame:
    """STORED_PARTS of these rows of an import."""
    return _stored(
        sql.SQL("import_id = {} AND ").format(import_id) + in_array("record_number", record_numbers.to_list(), "bigint")
    )


def parts_taken_by(import_id: int, *, before_attempt: int) -> pl.DataFrame:
    """STORED_PARTS whose record an attempt of this import before `before_attempt` carries."""
    return _stored(sql.SQL("record_import_id = {} AND record_attempt < {}").format(import_id, before_attempt))


def _stored(condition: sql.Composable) -> pl.DataFrame:
    columns = sql.SQL(", ").join(map(sql.Identifier, STORED_PARTS))
    table = sql.Identifier(WaitingPart._meta.db_table)
    query = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY received_at, import_id, record_number")
    return copy_out(query.format(columns, table, condition), STORED_PARTS).with_columns(pl.col("role").fill_null(""))


def renew_parts(parts: pl.DataFrame, *, attempt: int) -> None:
    """Keep the texts of stored parts as their import reads them now. parts: import_id, record_number, raw."""
    with connection.cursor() as cursor:
        cursor.execute(
            RENEW_PARTS,
            {**{name: parts[name].to_list() for name in ("import_id", "record_number", "raw")}, "attempt": attempt},
        )


RENEW_PARTS = """
UPDATE ingestion_waitingpart p SET attempt = %(attempt)s, raw = n.raw
FROM unnest(%(import_id)s::bigint[], %(record_number)s::bigint[], %(raw)s::text[]) AS n (import_id, record_number, raw)
WHERE p.import_id = n.import_id AND p.record_number = n.record_number
"""


def delete_parts_of(import_id: int, record_numbers: Sequence[int]) -> None:
    """Forget what is stored of these rows as parts."""
    WaitingPart.objects.filter(usage_import=import_id, record_number__in=record_numbers).delete()


def delete_stale_parts(import_id: int, *, before_attempt: int) -> None:
    """Forget the parts of an import's attempts before `before_attempt`, but for those that others' records took."""
    own = Q(record_import_id=None) | Q(record_import_id=import_id)
    WaitingPart.objects.filter(own, usage_import=import_id, attempt__lt=before_attempt).delete()


def move_to_exceptions(rows: Sequence[tuple[int, int, int]], rejected: pl.DataFrame, *, now: datetime) -> None:
    """Let skipped records be exceptions. rows: import id, attempt, record number; rejected: REJECTED with feed_id.

    A record that was an exception before it was tried again is that exception again.
    """
    columns = ["import_id", "feed_id", "record_number", "raw", "code", "field", "message"]
    arrays: dict[str, Any] = {name: rejected[name].to_list() for name in columns}
    arrays |= {"attempt": [attempt for _, attempt, _ in rows], "now": now}
    with connection.cursor() as cursor:
        cursor.execute(NO_LONGER_SKIPPED, arrays)
        if cursor.rowcount != len(rows):
            raise CopyMismatchError(f"{len(rows)} records were skipped, {cursor.rowcount} rows say so")
        cursor.execute(TO_EXCEPTIONS, arrays)


NO_LONGER_SKIPPED = """
DELETE FROM ingestion_leftoutrecord l
USING unnest(%(import_id)s::bigint[], %(attempt)s::smallint[], %(record_number)s::bigint[])
      AS n (import_id, attempt, record_number)
WHERE l.import_id = n.import_id AND l.attempt = n.attempt AND l.record_number = n.record_number
  AND l.outcome = 'skipped'
"""
TO_EXCEPTIONS = """
INSERT INTO ingestion_importexception (import_id, attempt, feed_id, record_number, raw, code, field, message, status,
    created_at, last_tried_at, revision_count, retry_attempts, close_reason)
SELECT import_id, attempt, feed_id, record_number, raw, code, field, message, 'open', %(now)s, %(now)s, 0, 0, ''
FROM unnest(%(import_id)s::bigint[], %(attempt)s::smallint[], %(feed_id)s::bigint[], %(record_number)s::bigint[],
            %(raw)s::text[], %(code)s::text[], %(field)s::text[], %(message)s::text[])
     AS n (import_id, attempt, feed_id, record_number, raw, code, field, message)
ON CONFLICT (import_id, attempt, record_number) DO UPDATE
SET status = 'open', code = excluded.code, field = '', value = '', message = excluded.message,
    last_tried_at = excluded.last_tried_at, closed_at = NULL, closed_by_id = NULL, close_reason = ''
"""


def refuse_parts(usage_import: UsageImport, *, reason: str) -> int:
    """Let rows of an import that waited, were parts or repeated parts be skipped for `reason`; how many repeated."""
    own = LeftOutRecord.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
    skipped = own.filter(outcome=LeftOutRecord.Outcome.SKIPPED)
    skipped.filter(Q(reason=WAITS) | Q(reason__startswith=PART_OF)).update(reason=reason)
    repeats = own.filter(outcome=LeftOutRecord.Outcome.DUPLICATE, udr_id=None)
    return repeats.update(outcome=LeftOutRecord.Outcome.SKIPPED, reason=reason)
