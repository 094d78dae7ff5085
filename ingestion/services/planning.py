"""Finding where a stored file can be cut, so that workers can share it and a crash costs one chunk."""

import tempfile
import traceback
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F

from ingestion import selectors, store
from ingestion.models import ImportChunk, UsageImport
from mediation import services as mediation
from mediation.core.reading.unpacking import UnpackError, unpack
from mediation.models import ProfileVersion

log = structlog.get_logger()

LEASE = timedelta(seconds=20)


def plan_next_import(*, now: datetime) -> bool:
    """Plan one waiting file; False where none waits."""
    usage_import = _claim_import(now)
    if usage_import is None:
        return False
    if usage_import.plan_attempts > selectors.MAX_ATTEMPTS:
        _end(usage_import, UsageImport.Status.ERRORED, "Its workers died while they read it. Look at their log.", now)
        return True
    with mediation.working_on([usage_import.pk]):
        try:
            plan_import(usage_import=usage_import, now=now)
            log.info("file_planned", import_id=usage_import.pk)
        except Exception:
            log.exception("planning_crashed", import_id=usage_import.pk)
            _park_or_release(usage_import, traceback.format_exc(), now)
    return True


def _park_or_release(usage_import: UsageImport, trace: str, now: datetime) -> None:
    """After a crash: let the file be read again soon, or park it where people see it."""
    if usage_import.plan_attempts >= selectors.MAX_ATTEMPTS:
        _end(usage_import, UsageImport.Status.ERRORED, trace, now)
        return
    UsageImport.objects.filter(pk=usage_import.pk).update(error=trace)


@transaction.atomic
def _claim_import(now: datetime) -> UsageImport | None:
    waiting = selectors.imports_to_plan(now).select_for_update(skip_locked=True)
    usage_import = waiting.select_related(None).order_by("pk").first()
    if usage_import is not None:
        usage_import.claimed_until = now + LEASE
        usage_import.plan_attempts += 1
        usage_import.save(update_fields=["claimed_until", "plan_attempts"])
    return usage_import


@transaction.atomic
def plan_import(*, usage_import: UsageImport, now: datetime) -> None:
    """Write the chunks of a received file, or fail the import where the file cannot be read as a whole."""
    locked = UsageImport.objects.select_for_update(of=("self",)).filter(
        pk=usage_import.pk, status=UsageImport.Status.RECEIVED
    )
    if not locked.exists():
        return
    try:
        chunks = _chunks(usage_import)
    except mediation.UnreadableError as error:
        if not _fall_back(usage_import, str(error), now):
            _end(usage_import, UsageImport.Status.FAILED, str(error), now)
        return
    ImportChunk.objects.bulk_create(chunks, batch_size=1_000)
    usage_import.status = UsageImport.Status.WAITING if chunks else UsageImport.Status.COMPLETED
    usage_import.ended_at, usage_import.error = None if chunks else now, ""
    usage_import.save(update_fields=["status", "header", "file_fields", "unpacked", "ended_at", "error"])


def _unpack(usage_import: UsageImport) -> None:
    """Keep beside a packed file, or one that cannot be cut, what workers can share. Raises UnreadableError."""
    version = usage_import.profile_version
    with store.open_original(usage_import) as original, tempfile.TemporaryFile() as spool:
        try:
            is_packed = unpack(original, spool) is not None
        except UnpackError as error:
            raise mediation.UnreadableError(str(error)) from None
        with tempfile.TemporaryFile() as lines:
            source = spool if is_packed else original
            written = lines if mediation.write_out(version=version, stream=source, spool=lines) else None
            kept = written or (spool if is_packed else None)
            usage_import.unpacked = store.keep_file(kept, *store.hash_of(kept)) if kept else None


def _chunks(usage_import: UsageImport) -> list[ImportChunk]:
    _unpack(usage_import)
    blocks = store.payload_blocks(usage_import)
    usage_import.header, found = mediation.cut(version=usage_import.profile_version, blocks=blocks)
    spans = list(found)
    usage_import.file_fields = mediation.scan_file(
        version=usage_import.profile_version,
        spans=spans,
        header=usage_import.header,
        read=lambda span: store.payload_part(usage_import, span.start, span.end),
    )
    return [
        ImportChunk(
            usage_import=usage_import,
            attempt=usage_import.attempt,
            number=number,
            feed_id=usage_import.feed_id,
            profile_version_id=usage_import.profile_version_id,
            byte_start=span.start,
            byte_end=span.end,
            first_record_number=span.first_number,
            backfill_id=usage_import.backfill_id,
        )
        for number, span in enumerate(spans, start=1)
    ]


def _fall_back(usage_import: UsageImport, error: str, now: datetime) -> bool:
    """Let the attempt before stand where a file cannot be read again; False where there is none that did anything.

    Its UDRs count and may be billed, so the history must not say that nothing was imported.
    """
    before = ImportChunk.objects.filter(usage_import=usage_import, attempt=usage_import.attempt - 1)
    if (chunk := before.order_by("number").first()) is None:
        return False
    version = ProfileVersion.objects.get(pk=chunk.profile_version_id)
    told = f"It was to be mediated again with {usage_import.profile_version}: {error} What was imported before stands."
    usage_import.attempt, usage_import.profile_version, usage_import.error = chunk.attempt, version, told
    usage_import.save(update_fields=["attempt", "profile_version", "error"])
    store.recount([usage_import.pk], now=now)
    usage_import.refresh_from_db()
    return True


def _end(usage_import: UsageImport, status: str, error: str, now: datetime) -> None:
    UsageImport.objects.filter(pk=usage_import.pk).update(
        status=status, error=error, ended_at=now, started_at=F("received_at")
    )
    usage_import.status, usage_import.error = status, error
