"""What ingestion writes in columns: exceptions, left-out records, and the counters that follow from the chunks."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import IO, Any, NamedTuple
from uuid import UUID
from zlib import crc32

import polars as pl
import psycopg
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection, models
from django.db.models import Q
from psycopg import sql

from ingestion.models import (
    IdempotencyKey,
    ImportBody,
    ImportChunk,
    ImportException,
    LeftOutRecord,
    UsageImport,
    WaitingPart,
)
from mediation.core.structure.combining import PART_OF, WAITS
from mediation.models import UDR_ID_BITS
from mediation.store import CopyMismatchError, copy_in, copy_out, in_array

BLOCK_BYTES = 8 << 20


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The bytes of an open file in blocks."""
    while block := stream.read(BLOCK_BYTES):
        yield block


def payload_blocks(usage_import: UsageImport) -> Iterator[bytes]:
    """The bytes of an import's file in blocks."""
    with _open_payload(usage_import) as stream:
        yield from blocks_of(stream)


def _open_payload(usage_import: UsageImport) -> Any:
    return default_storage.open(str(usage_import.unpacked.name or usage_import.payload.name))


def open_original(usage_import: UsageImport) -> Any:
    """The file as received, however it is packed."""
    return default_storage.open(str(usage_import.payload.name))


def keep_file(spool: IO[bytes], content_hash: str, byte_size: int) -> str:
    """Store a file under the hash of its content, once for the same bytes; returns its name.

    To be called in a transaction: until it ends, nobody else stores the same bytes. Whoever found them half written
    would take them for the remains of a crash, and write over them.
    """
    name = f"{content_hash[:2]}/{content_hash}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"file:{content_hash}"])
    if default_storage.exists(name):
        if default_storage.size(name) == byte_size:
            return name
        # A crash cut an earlier writing short; no import row can know that file.
        default_storage.delete(name)
    spool.seek(0)
    return default_storage.save(name, File(spool))


def hash_of(stream: Any) -> tuple[str, int]:
    """The SHA-256 of what a seekable file holds, and its length."""
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256")
    return digest.hexdigest(), stream.tell()


def payload_part(usage_import: UsageImport, start: int, end: int) -> bytes:
    """The bytes [start, end) of an import's file. Raises EOFError where the file is shorter than it was."""
    with _open_payload(usage_import) as stream:
        stream.seek(start)
        content: bytes = stream.read(end - start)
    if len(content) != end - start:
        raise EOFError(f"{usage_import.payload.name} ends before byte {end:,}: the stored file was changed")
    return content


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


def recount(import_ids: Iterable[int], *, now: datetime) -> None:
    """Derive the counters and the status of imports from the chunks of their current attempt.

    The rows are locked first: two workers that finish chunks of one import must not count past each other.
    """
    ids = sorted(import_ids)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM ingestion_usageimport WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [ids])
        cursor.execute(RECOUNT, {"ids": ids, "now": now})


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
    started_at = coalesce(started_at, %(now)s),
    ended_at = CASE WHEN all_done THEN coalesce(i.ended_at, %(now)s) END
FROM counted WHERE counted.import_id = i.id
"""


def close_earlier_exceptions(usage_import: UsageImport, *, now: datetime) -> None:
    """Let the exceptions of the attempts before rest; a write-off of the same fault of the same record carries over."""
    with connection.cursor() as cursor:
        cursor.execute(CARRY_WRITE_OFFS, {"import_id": usage_import.pk, "attempt": usage_import.attempt})
    earlier = ImportException.objects.filter(usage_import=usage_import, attempt__lt=usage_import.attempt)
    undecided = (ImportException.Status.OPEN, ImportException.Status.REPROCESSING)
    earlier.filter(status__in=undecided).update(status=ImportException.Status.SUPERSEDED, closed_at=now)


CARRY_WRITE_OFFS = """
UPDATE ingestion_importexception fresh
SET status = 'written_off', close_reason = old.close_reason, closed_at = old.closed_at, closed_by_id = old.closed_by_id
FROM (
    SELECT DISTINCT ON (record_number) * FROM ingestion_importexception
    WHERE import_id = %(import_id)s AND attempt < %(attempt)s ORDER BY record_number, attempt DESC
) old
WHERE fresh.import_id = %(import_id)s AND fresh.attempt = %(attempt)s AND fresh.status = 'open'
  AND old.record_number = fresh.record_number AND old.code = fresh.code AND old.status = 'written_off'
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


# Parts of records

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
SET status = 'open', code = excluded.code, field = '', message = excluded.message,
    last_tried_at = excluded.last_tried_at, closed_at = NULL, closed_by_id = NULL, close_reason = ''
"""


def refuse_parts(usage_import: UsageImport, *, reason: str) -> int:
    """Let rows of an import that waited, were parts or repeated parts be skipped for `reason`; how many repeated."""
    own = LeftOutRecord.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
    skipped = own.filter(outcome=LeftOutRecord.Outcome.SKIPPED)
    skipped.filter(Q(reason=WAITS) | Q(reason__startswith=PART_OF)).update(reason=reason)
    repeats = own.filter(outcome=LeftOutRecord.Outcome.DUPLICATE, udr_id=None)
    return repeats.update(outcome=LeftOutRecord.Outcome.SKIPPED, reason=reason)


# Submissions


class Submission(NamedTuple):
    """An API submission as it is written: who sent which body to which feed, and what it holds.

    file_fields: JSON text of what its header and trailer rows say.
    """

    tracking_id: UUID
    feed_id: int
    version_id: int
    content_hash: str
    body: bytes
    record_count: int
    received_by_id: int | None
    received_at: datetime
    idempotency_key: str | None
    file_fields: str | None


def put_submission(submission: Submission, *, stamp: UUID) -> int | None:
    """Write a submission as an import, its body, its chunk and its Idempotency-Key, in one statement.

    None, and nothing written, where the acceptance stamp is another one by now or the feed had the key before.
    Outside of a transaction it is committed when this returns.
    """
    given = submission._asdict() | {"byte_size": len(submission.body), "stamp": stamp}
    with connection.cursor() as cursor, connection.wrap_database_errors:
        # Django's own cursors write parameters into the text: the body would be sent, and read, as hex.
        row = psycopg.Cursor(cursor.connection).execute(_put_submission(), given).fetchone()
    return row[0] if row else None


@cache
def _put_submission() -> bytes:
    """The statement, made from the tables' columns: what a submission does not say is its column's default."""
    record_count, one = "%(record_count)s", "1"
    both = {"feed_id": "%(feed_id)s", "profile_version_id": "%(version_id)s", "waiting_count": record_count}
    chunk = {"import_id": "id", "number": one, "status": "'waiting'"}
    usage_import = {
        "id": "id",
        "tracking_id": "%(tracking_id)s",
        "source": "'api'",
        "status": "'waiting'",
        "payload": "''",
        "content_hash": "%(content_hash)s::text",
        "byte_size": "%(byte_size)s",
        "received_at": "%(received_at)s",
        "received_by_id": "%(received_by_id)s",
        "record_count": record_count,
        "file_fields": "%(file_fields)s::jsonb",
    }
    key = {
        "feed_id": "%(feed_id)s",
        "key": "%(idempotency_key)s::text",
        "content_hash": "%(content_hash)s::text",
        "usage_import_id": "id",
    }
    return (
        sql.SQL(PUT_SUBMISSION)
        .format(
            key=_insert(IdempotencyKey, key),
            usage_import=_insert(UsageImport, usage_import | both),
            body=_insert(ImportBody, {"import_id": "id", "content": "%(body)b::bytea"}),
            chunk=_insert(ImportChunk, chunk | both),
        )
        .as_bytes()
    )


def _insert(model: type[models.Model], given: dict[str, str]) -> sql.Composed:
    """INSERT … SELECT of the given expressions by column, and of the defaults of the other columns."""
    defaults: dict[str, sql.Composable] = {
        str(field.column): sql.Literal(field.get_db_prep_save(field.get_default(), connection))
        for field in model._meta.local_concrete_fields
        if not field.primary_key and not field.null
    }
    values = defaults | {column: sql.SQL(expression) for column, expression in given.items()}
    return sql.SQL("INSERT INTO {} ({}) SELECT {}").format(
        sql.Identifier(model._meta.db_table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(values.values()),
    )


PUT_SUBMISSION = """
WITH permitted AS (
    SELECT nextval(pg_get_serial_sequence('ingestion_usageimport', 'id')) AS id
    WHERE EXISTS (SELECT FROM ingestion_acceptance_stamp WHERE stamp = %(stamp)s)
), keyed AS (
    {key} FROM permitted WHERE %(idempotency_key)s::text IS NOT NULL
    ON CONFLICT (feed_id, key) DO NOTHING RETURNING usage_import_id
), taken AS (
    {usage_import} FROM permitted WHERE %(idempotency_key)s::text IS NULL OR EXISTS (SELECT FROM keyed)
    RETURNING id
), body AS (
    {body} FROM taken
), chunk AS (
    {chunk} FROM taken
)
SELECT id FROM taken
"""
