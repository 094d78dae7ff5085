"""Exceptions and their revisions in columns: renewed, opened again, and read with all that corrected them."""

import json
from collections.abc import Sequence
from datetime import datetime

import polars as pl
from django.db import connection

from ingestion.core.fixing import Corrected
from ingestion.models import ExceptionRevision, ImportException
from mediation.store import copy_in

# What became of an exception. status: open or resolved; the others are the fault of those that are open.
RENEWED: dict[str, type[pl.DataType]] = {
    "id": pl.Int64,
    "status": pl.String,
    "code": pl.String,
    "field": pl.String,
    "value": pl.String,
    "message": pl.String,
}
# A revision to be written. raw, changes, fault_before: text, or JSON as text, or null.
REVISIONS: dict[str, type[pl.DataType]] = {
    "exception_id": pl.Int64,
    "number": pl.Int64,
    "raw": pl.String,
    "changes": pl.String,
    "fault_before": pl.String,
    "has_resolved": pl.Boolean,
}
TEXTS = ("code", "field", "value", "message")


def renew_exceptions(renewed: pl.DataFrame, *, added_revisions: int, now: datetime) -> None:
    """Close the resolved of RENEWED, give the others their fault. added_revisions: how many each has more."""
    # PostgreSQL has no text with NUL in it; the sign for it stands in.
    shown = renewed.with_columns(pl.col(name).str.replace_all("\0", "␀", literal=True) for name in TEXTS)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS renewed_exception (id bigint, status text, code text, field text,"
            " value text, message text) ON COMMIT DELETE ROWS"
        )
        cursor.execute("TRUNCATE renewed_exception")
        copy_in(shown, "renewed_exception")
        cursor.execute(RENEW, {"now": now, "added": added_revisions})


RENEW = """
UPDATE ingestion_importexception e
SET status = r.status, last_tried_at = %(now)s, revision_count = revision_count + %(added)s,
    code = coalesce(r.code, e.code), field = coalesce(r.field, e.field), value = coalesce(r.value, e.value),
    message = coalesce(r.message, e.message),
    closed_at = CASE WHEN r.status = 'resolved' THEN %(now)s::timestamptz ELSE e.closed_at END,
    next_try_at = CASE WHEN r.status = 'open' THEN e.next_try_at END
FROM renewed_exception r WHERE r.id = e.id
"""


def open_again(ids: Sequence[int], *, added_revisions: int, now: datetime) -> None:
    """Let exceptions be open that could not be decided by themselves."""
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE ingestion_importexception SET status = 'open', last_tried_at = %s,"
                " revision_count = revision_count + %s WHERE id = ANY(%s)",
                [now, added_revisions, list(ids)],
            )


def copy_in_revisions(
    revisions: pl.DataFrame, *, correction_id: int, reason: str, created_by_id: int | None, now: datetime
) -> int:
    """Write REVISIONS of a group correction; returns how many."""
    rows = revisions.with_columns(
        reason=pl.lit(reason),
        created_at=pl.lit(now),
        created_by_id=pl.lit(created_by_id, pl.Int64),
        correction_id=pl.lit(correction_id, pl.Int64),
    )
    return copy_in(rows, ExceptionRevision._meta.db_table)


def corrections_of_exceptions(exceptions: Sequence[ImportException]) -> dict[tuple[int, int], Corrected]:
    """What corrected the records of exceptions, by (import id, record number), in this attempt and those before it."""
    with connection.cursor() as cursor:
        cursor.execute(CORRECTIONS, [[one.pk for one in exceptions if one.revision_count or one.attempt > 1]])
        found: dict[tuple[int, int], Corrected] = {}
        for import_id, number, raw, changes in cursor.fetchall():
            known = found.get((import_id, number), Corrected())
            found[import_id, number] = known.then(raw, json.loads(changes) if isinstance(changes, str) else changes)
    return found


# One look into the index for each attempt: that the record's place comes last in it would cost a walk otherwise.
CORRECTIONS = """
SELECT e.import_id, e.record_number, r.raw, r.changes
FROM ingestion_importexception mine
CROSS JOIN LATERAL generate_series(1, mine.attempt) made (attempt)
JOIN ingestion_importexception e
  ON e.import_id = mine.import_id AND e.attempt = made.attempt AND e.record_number = mine.record_number
JOIN ingestion_exceptionrevision r ON r.exception_id = e.id AND r.withdrawn_at IS NULL
WHERE mine.id = ANY(%s)
ORDER BY e.attempt, r.number
"""


def take_back_corrections(correction_id: int, *, now: datetime) -> None:
    """Open what a group correction resolved, forget what it left out, restore the faults of the others, withdraw it.

    Of those that it did not resolve, only open ones that nobody corrected since are taken back.
    """
    with connection.cursor() as cursor:
        for statement in (FORGET_LEFT_OUT, OPEN_RESOLVED, RESTORE_FAULTS, WITHDRAW):
            cursor.execute(statement, {"correction": correction_id, "now": now})


def has_corrections_to_withdraw(correction_id: int) -> bool:
    """Whether there is a record that a group correction changed and that nobody corrected since."""
    with connection.cursor() as cursor:
        cursor.execute(HAS_STANDING, {"correction": correction_id})
        return bool(cursor.fetchone()[0])


def withdraw_corrections(correction_id: int, *, now: datetime) -> set[int]:
    """Withdraw the revisions of a group correction wherever nobody corrected the record since; returns their imports.

    The exceptions stay as they are: their imports are to be mediated again as a whole.
    """
    with connection.cursor() as cursor:
        cursor.execute(WITHDRAW_STANDING, {"correction": correction_id, "now": now})
        return {import_id for (import_id,) in cursor.fetchall()}


# Not corrected since, in this attempt or a later one: one look into the index for each attempt of the record's import.
# OFFSET 0 has the planner do just that; with other joins ninety thousand records took longer than minutes.
STANDING = """
ingestion_exceptionrevision r
JOIN ingestion_importexception e ON e.id = r.exception_id
JOIN ingestion_usageimport i ON i.id = e.import_id
WHERE r.correction_id = %(correction)s AND r.withdrawn_at IS NULL AND NOT EXISTS (
    SELECT FROM generate_series(e.attempt::int, i.attempt::int) made (attempt)
    CROSS JOIN LATERAL (
        SELECT id, attempt FROM ingestion_importexception
        WHERE import_id = e.import_id AND attempt = made.attempt AND record_number = e.record_number OFFSET 0
    ) later
    CROSS JOIN LATERAL (
        SELECT number FROM ingestion_exceptionrevision WHERE exception_id = later.id AND withdrawn_at IS NULL OFFSET 0
    ) since
    WHERE (later.attempt, since.number) > (e.attempt, r.number)
)
"""
HAS_STANDING = f"SELECT EXISTS (SELECT FROM {STANDING})"  # noqa: S608 - our own columns
WITHDRAW_STANDING = f"""
WITH standing AS (SELECT r.id, e.import_id FROM {STANDING}), withdrawn AS (
    UPDATE ingestion_exceptionrevision u SET withdrawn_at = %(now)s FROM standing WHERE u.id = standing.id
    RETURNING standing.import_id
)
SELECT DISTINCT import_id FROM withdrawn
"""  # noqa: S608 - our own columns

FORGET_LEFT_OUT = """
DELETE FROM ingestion_leftoutrecord l
USING ingestion_exceptionrevision r JOIN ingestion_importexception e ON e.id = r.exception_id
WHERE r.correction_id = %(correction)s AND r.has_resolved AND r.withdrawn_at IS NULL AND e.status = 'resolved'
  AND l.import_id = e.import_id AND l.attempt = e.attempt AND l.record_number = e.record_number
"""
OPEN_RESOLVED = """
UPDATE ingestion_importexception e SET status = 'open', closed_at = NULL
FROM ingestion_exceptionrevision r
WHERE r.correction_id = %(correction)s AND r.has_resolved AND r.withdrawn_at IS NULL AND e.id = r.exception_id
  AND e.status = 'resolved'
"""
RESTORE_FAULTS = """
UPDATE ingestion_importexception e
SET code = r.fault_before ->> 'code', field = r.fault_before ->> 'field', value = r.fault_before ->> 'value',
    message = r.fault_before ->> 'message'
FROM ingestion_exceptionrevision r
WHERE r.correction_id = %(correction)s AND NOT r.has_resolved AND r.withdrawn_at IS NULL AND e.id = r.exception_id
  AND e.status = 'open' AND r.number = e.revision_count
"""
WITHDRAW = """
UPDATE ingestion_exceptionrevision r SET withdrawn_at = %(now)s
FROM ingestion_importexception e
WHERE r.correction_id = %(correction)s AND r.withdrawn_at IS NULL AND e.id = r.exception_id AND e.status = 'open'
  AND (r.has_resolved OR r.number = e.revision_count)
"""
