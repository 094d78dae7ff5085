"""Mediating whole imports again: a new attempt that replaces the one before when it is complete."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from ingestion.core.bodies import Shape, header_of, rows_of
from ingestion.core.requests import FaultyRequestError
from ingestion.models import ImportChunk, ImportException, UsageImport
from ingestion.services.receiving import scan_submission
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.models import ProfileVersion
from mediation.services import acts

ENDED = (UsageImport.Status.COMPLETED, UsageImport.Status.FAILED, UsageImport.Status.ERRORED)
UNDECIDED = (ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED)


class UnableToReprocess(Exception):
    """Imports that cannot be mediated again now."""


@acts()
@transaction.atomic
def reprocess_imports(*, imports: QuerySet[UsageImport], by: User | None, now: datetime) -> int:
    """Mediate completed, failed or errored imports again with their profile's active version; returns how many.

    Raises UnableToReprocess where one of them has not ended, or its profile has no active version.
    """
    mediation.require_permission(by, "ingestion.reprocess_usageimport")
    locked = list(mediation.seen(imports, by).order_by("pk").select_for_update(of=("self",)).select_related(None))
    running = [one for one in locked if one.status not in ENDED or _is_worked_on(one)]
    if running:
        raise UnableToReprocess(
            f"{len(running)} of these imports have not ended, the first is {running[0].tracking_id}."
            " Wait for it, or try its errored work again."
        )
    if _retried(locked):
        raise UnableToReprocess("Exceptions of these imports are being mediated right now. Try again in a moment.")
    _require_second_person(locked, by, now)
    for usage_import in locked:
        open_attempt(usage_import, _version_of(usage_import))
    mediation.ring("mediate", now)
    return len(locked)


def _require_second_person(imports: list[UsageImport], by: User | None, now: datetime) -> None:
    """To mediate again what is charged takes charges back; what is not is nobody else's business."""
    if not mediation.asks_for_second_person("void", by):
        return
    ids = [one.pk for one in imports]
    if mediation.are_charged(import_ids=ids, now=now):
        mediation.require_second_person(
            kind="void",
            act="reprocess_imports",
            by=by,
            subject=("ingestion.UsageImport", str(ids[0]) if len(ids) == 1 else ""),
            arguments={"ids": ids},
            summary=f"Mediate {len(ids):,} import{'s' if len(ids) > 1 else ''} again: their charges are taken back.",
        )


def _is_worked_on(usage_import: UsageImport) -> bool:
    """Whether a worker may still take a chunk of it: an import is errored as soon as one of its chunks is."""
    return ImportChunk.objects.filter(usage_import=usage_import, status__in=UNDECIDED).exists()


def _retried(imports: list[UsageImport]) -> bool:
    status = ImportException.Status.REPROCESSING
    return ImportException.objects.filter(usage_import__in=imports, status=status).exists()


def _version_of(usage_import: UsageImport) -> ProfileVersion:
    version = mediation_selectors.active_version(usage_import.feed.profile_id)
    if version is None:
        raise UnableToReprocess(f"The Data Profile of {usage_import.feed} has no active version. Activate one.")
    return version


def _look_again(usage_import: UsageImport, version: ProfileVersion) -> None:
    """See what a request says of itself, as today's profile version reads it."""
    body, spec = usage_import.body.as_sent, mediation.spec_of(version)
    try:
        if body.shape != Shape.JSON:
            rows_of([body], spec)
        header, file_fields = header_of(body, spec), scan_submission(version, body)
    except (mediation.UnreadableError, FaultyRequestError) as error:
        message = f"Import {usage_import.tracking_id} cannot be mediated with {version}: {error}"
        raise UnableToReprocess(message) from None
    usage_import.header, usage_import.file_fields = header, file_fields


def open_attempt(usage_import: UsageImport, version: ProfileVersion) -> None:
    """Set the history row back to its start; chunks and batches of the attempts before stay as they are.

    Raises UnableToReprocess, with nothing changed, where a request cannot be read by the version.
    """
    is_api = usage_import.source == UsageImport.Source.API
    record_count = usage_import.record_count if is_api else 0
    if is_api:
        _look_again(usage_import, version)
    usage_import.attempt += 1
    usage_import.profile_version = version
    usage_import.status = UsageImport.Status.WAITING if is_api else UsageImport.Status.RECEIVED
    usage_import.record_count = usage_import.waiting_count = record_count
    usage_import.imported_count = usage_import.exception_count = 0
    usage_import.skipped_count = usage_import.duplicate_count = usage_import.repaired_count = 0
    usage_import.started_at = usage_import.ended_at = usage_import.claimed_until = None
    usage_import.plan_attempts, usage_import.error = 0, ""
    usage_import.save()
    if is_api:
        ImportChunk.objects.create(
            usage_import=usage_import,
            attempt=usage_import.attempt,
            number=1,
            feed_id=usage_import.feed_id,
            profile_version_id=version.pk,
            waiting_count=record_count,
            amends=bool(usage_import.amend_reason),
            backfill_id=usage_import.backfill_id,
        )


@acts()
@transaction.atomic
def retry_errored(*, imports: QuerySet[UsageImport], by: User | None, now: datetime) -> int:
    """Let the parked work of imports be tried again; returns how many imports had some."""
    mediation.require_permission(by, "ingestion.reprocess_usageimport")
    errored = mediation.seen(imports, by).filter(status=UsageImport.Status.ERRORED).select_for_update(of=("self",))
    parked = list(errored)
    for usage_import in parked:
        chunks = ImportChunk.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
        chunks.filter(status=ImportChunk.Status.ERRORED).update(
            status=ImportChunk.Status.WAITING, attempts=0, error="", claimed_until=None
        )
        usage_import.status = UsageImport.Status.RUNNING if chunks.exists() else UsageImport.Status.RECEIVED
        usage_import.plan_attempts, usage_import.error, usage_import.ended_at = 0, "", None
        usage_import.claimed_until = None
        usage_import.save(update_fields=["status", "plan_attempts", "error", "ended_at", "claimed_until"])
    mediation.ring("mediate", now)
    return len(parked)
