"""API submissions: import, body and chunk in one statement, under the stamp of what was decided."""

from datetime import datetime
from functools import cache
from threading import local
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import psycopg
from django.db import connection, models
from psycopg import sql

from ingestion.models import (
    IdempotencyKey,
    ImportBody,
    ImportChunk,
    UsageImport,
)
from ingestion.store.twins import LIMIT, waiting_for_a_twin

# A session that answered so lately is not asked whether it lives: the question takes as long as the statement.
ALIVE_SECONDS = 1.0


class _Session(local):
    """Of this thread: when it answered last."""

    answered_at = float("-inf")


_session = _Session()


class Submission(NamedTuple):
    """An API submission as it is written: who sent which body to which feed, and what it holds.

    request_hash: what a repeat under its Idempotency-Key must have too: of the body, and of as what it was sent.
    file_fields, header: JSON texts of what its header and trailer rows say, and of the columns that it names.
    amend_reason: empty for new usage.
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
    request_hash: str
    header: str | None = None
    shape: str = "json"
    header_lines: int = 0
    amend_reason: str = ""
    request_id: str = ""


def put_submission(submission: Submission, *, stamp: UUID) -> int | None:
    """Write a submission as an import, its body, its chunk and its Idempotency-Key, in one statement.

    None, and nothing written, where the acceptance stamp is another one by now or the feed had the key before.
    Outside of a transaction it is committed when this returns. TwinInFlight: another one with this key is not.
    """
    given = submission._asdict() | {"byte_size": len(submission.body), "stamp": stamp}
    if monotonic() - _session.answered_at < ALIVE_SECONDS:
        connection.health_check_done = True  # type: ignore[attr-defined]
    with waiting_for_a_twin(), connection.cursor() as cursor, connection.wrap_database_errors:
        # Django's own cursors write parameters into the text: the body would be sent, and read, as hex.
        row = psycopg.Cursor(cursor.connection).execute(_put_submission(), given).fetchone()
    _session.answered_at = monotonic()
    return row[0] if row else None


@cache
def _put_submission() -> bytes:
    """The statement, made from the tables' columns: what a submission does not say is its column's default."""
    record_count, one = "%(record_count)s", "1"
    both = {"feed_id": "%(feed_id)s", "profile_version_id": "%(version_id)s", "waiting_count": record_count}
    amends = "%(amend_reason)s::text <> ''"
    chunk = {"import_id": "id", "number": one, "status": "'waiting'", "amends": amends}
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
        "header": "%(header)s::jsonb",
        "amend_reason": "%(amend_reason)s::text",
        "request_id": "%(request_id)s::text",
    }
    body = {
        "import_id": "id",
        "content": "%(body)b::bytea",
        "shape": "%(shape)s::text",
        "header_lines": "%(header_lines)s",
    }
    key = {
        "feed_id": "%(feed_id)s",
        "key": "%(idempotency_key)s::text",
        "content_hash": "%(request_hash)s::text",
        "usage_import_id": "id",
    }
    return (
        sql.SQL(PUT_SUBMISSION)
        .format(
            key=_insert(IdempotencyKey, key),
            usage_import=_insert(UsageImport, usage_import | both),
            body=_insert(ImportBody, body),
            chunk=_insert(ImportChunk, chunk | both),
            limit=sql.SQL(LIMIT),
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
        AND (%(idempotency_key)s::text IS NULL OR {limit} IS NOT NULL)
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
