"""What ingestion writes in columns: exceptions, left-out records, and counters that follow from the chunks."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl
from django.db import connection

from ingestion.models import (
    ImportChunk,
    ImportException,
    LeftOutRecord,
    UsageImport,
)
from mediation.models import UDR_ID_BITS
from mediation.store import copy_in


def copy_in_exceptions(rejected: pl.DataFrame, *, attempts: pl.DataFrame, feed_id: int, now: datetime) -> int:
    """Write REJECTED records as exceptions. attempts: import_id, attempt."""
    moment = pl.lit(now)
    rows = rejected.join(attempts, on="import_id", how="left").select(
        "import_id",
        "attempt",
        pl.lit(feed_id).alias("feed_id"),
        "record_number",
        # PostgreSQL has no text with NUL in it; the sign for it stands in, and the payload keeps the byte.
        pl.col("raw").str.replace_all("\0", "␀", literal=True),
        "code",
        "field",
        pl.col("value").str.replace_all("\0", "␀", literal=True),
        pl.col("message").str.replace_all("\0", "␀", literal=True),
        pl.lit("open").alias("status"),
        moment.alias("created_at"),
        moment.alias("last_tried_at"),
        pl.lit(0).alias("revision_count"),
        pl.lit(0).alias("retry_attempts"),
        pl.lit("").alias("close_reason"),
    )
    return copy_in(rows, ImportException._meta.db_table)


def copy_in_left_out(left_out: pl.DataFrame, *, attempts: pl.DataFrame) -> int:
    """Write LEFT_OUT records. attempts: import_id, attempt."""
    rows = left_out.join(attempts, on="import_id", how="left").select(
        "import_id", "attempt", "record_number", "outcome", "reason", "udr_id"
    )
    return copy_in(rows, LeftOutRecord._meta.db_table)


def write_ledger(chunks: Sequence[ImportChunk]) -> None:
    """Write what became of chunks, as they say, by one statement.

    A branch of a CASE for each of 200 submissions took three quarters of what mediating them did.
    """
    values = {column: [getattr(chunk, column) for chunk in chunks] for column in LEDGER}
    with connection.cursor() as cursor:
        cursor.execute(WRITE_LEDGER, {"id": [chunk.pk for chunk in chunks], **values})


LEDGER = {
    "imported_count": "int",
    "exception_count": "int",
    "skipped_count": "int",
    "duplicate_count": "int",
    "repaired_count": "int",
    "waiting_count": "int",
    "batch_id": "bigint",
    "status": "text",
    "ended_at": "timestamptz",
}
WRITE_LEDGER = f"""
UPDATE ingestion_importchunk c SET {", ".join(f"{column} = said.{column}" for column in LEDGER)}
FROM unnest(%(id)s::bigint[], {", ".join(f"%({column})s::{kind}[]" for column, kind in LEDGER.items())})
    AS said (id, {", ".join(LEDGER)})
WHERE c.id = said.id
"""  # noqa: S608 - our own columns


def recount(import_ids: Iterable[int], *, now: datetime, began_at: datetime | None = None) -> None:
    """Derive the counters and the status of imports from the chunks of their current attempt.

    began_at: when the work on a chunk of them began, where that is not now. The rows are locked first: two workers that
    finish chunks of one import must not count past each other.
    """
    ids = sorted(import_ids)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM ingestion_usageimport WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [ids])
        cursor.execute(RECOUNT, {"ids": ids, "now": now, "began_at": began_at or now})


RECOUNT = """
WITH counted AS (
    SELECT c.import_id,
           sum(c.imported_count) AS imported, sum(c.exception_count) AS exceptions,
           sum(c.skipped_count) AS skipped, sum(c.duplicate_count) AS duplicates,
           sum(c.waiting_count) AS waiting, sum(c.repaired_count) AS repaired,
           bool_and(c.status = 'done') AS all_done, bool_or(c.status = 'errored') AS any_errored
    FROM ingestion_importchunk c
    JOIN ingestion_usageimport i ON i.id = c.import_id AND i.attempt = c.attempt
    WHERE c.import_id = ANY(%(ids)s)
    GROUP BY c.import_id
)
UPDATE ingestion_usageimport i
SET imported_count = imported, exception_count = exceptions, skipped_count = skipped, duplicate_count = duplicates,
    waiting_count = waiting, record_count = imported + exceptions + skipped + duplicates + waiting,
    repaired_count = repaired,
    status = CASE WHEN all_done THEN 'completed' WHEN any_errored THEN 'errored' ELSE 'running' END,
    started_at = coalesce(started_at, %(began_at)s),
    ended_at = CASE WHEN all_done THEN coalesce(i.ended_at, %(now)s) END
FROM counted WHERE counted.import_id = i.id
"""


def close_earlier_exceptions(usage_import: UsageImport, *, now: datetime) -> None:
    """Let the exceptions of the attempts before rest; a write-off of the same fault of the same record carries over."""
    with connection.cursor() as cursor:
        cursor.execute(CARRY_WRITE_OFFS, {"import_id": usage_import.pk, "attempt": usage_import.attempt})
    earlier = ImportException.objects.filter(usage_import=usage_import, attempt__lt=usage_import.attempt)
    undecided = (ImportException.Status.OPEN, ImportException.Status.REPROCESSING)
    earlier.filter(status__in=undecided).update(
        status=ImportException.Status.SUPERSEDED, closed_at=now, next_try_at=None
    )


# OFFSET 0 has the planner look up each place by its whole key, whatever it believes of an attempt just written: with
# other joins ninety thousand exceptions took longer than minutes.
CARRY_WRITE_OFFS = """
WITH written_off AS MATERIALIZED (
    SELECT * FROM ingestion_importexception
    WHERE import_id = %(import_id)s AND attempt < %(attempt)s AND status = 'written_off'
)
UPDATE ingestion_importexception fresh
SET status = 'written_off', close_reason = old.close_reason, closed_at = old.closed_at, closed_by_id = old.closed_by_id
FROM written_off old
CROSS JOIN LATERAL (
    SELECT id FROM ingestion_importexception
    WHERE import_id = %(import_id)s AND attempt = %(attempt)s AND record_number = old.record_number
      AND status = 'open' AND code = old.code
    OFFSET 0
) met
WHERE fresh.id = met.id AND NOT EXISTS (
    SELECT FROM generate_series(old.attempt + 1, %(attempt)s - 1) made (attempt)
    CROSS JOIN LATERAL (
        SELECT FROM ingestion_importexception
        WHERE import_id = %(import_id)s AND attempt = made.attempt AND record_number = old.record_number OFFSET 0
    ) newer
)
"""


def lock_same_content(feed_id: int, content_hash: str) -> None:
    """Until this transaction ends, nobody else takes this content for this feed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{feed_id}:{content_hash}"])


def lock_feed(feed_id: int) -> None:
    """Until this transaction ends, nobody else who asks for it holds this feed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"feed:{feed_id}"])


def skip_duplicates_of(usage_import: UsageImport, batch_ids: Sequence[int], *, reason: str) -> int:
    """Let records that repeat UDRs of these batches be skipped for `reason`, since those UDRs are gone; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            SKIP_DUPLICATES,
            {
                "import_id": usage_import.pk,
                "attempt": usage_import.attempt,
                "batch_ids": list(batch_ids),
                "reason": reason,
                "bits": UDR_ID_BITS,
            },
        )
        return cursor.rowcount


SKIP_DUPLICATES = """
UPDATE ingestion_leftoutrecord SET outcome = 'skipped', reason = %(reason)s, udr_id = NULL
WHERE import_id = %(import_id)s AND attempt = %(attempt)s AND outcome = 'duplicate'
  AND udr_id >> %(bits)s = ANY(%(batch_ids)s)
"""


def attempts_frame(imports: Sequence[UsageImport]) -> pl.DataFrame:
    """import_id and attempt of each import."""
    rows = [(usage_import.pk, usage_import.attempt) for usage_import in imports]
    return pl.DataFrame(rows, schema={"import_id": pl.Int64, "attempt": pl.Int64}, orient="row")
