"""A line of the import history as people and programs read it, with what rating made of it."""

from typing import Any

from django.utils import timezone

from ingestion import selectors as ingestion_selectors
from ingestion import services as ingestion_services
from ingestion.models import UsageImport
from mediation.models import UdrBatch
from rating import selectors as rating_selectors
from rating import services as rating_services

ENDED = (UsageImport.Status.COMPLETED, UsageImport.Status.FAILED, UsageImport.Status.ERRORED)
UNRATED = (UdrBatch.Status.MEDIATED, UdrBatch.Status.STAGED, UdrBatch.Status.SUPERSEDED)


def history_row(usage_import: UsageImport) -> dict[str, Any]:
    """The history's columns of one import, ready for JSON."""
    found: Any = ingestion_selectors.history().get(pk=usage_import.pk)
    return {
        "tracking_id": str(usage_import.tracking_id),
        "feed": usage_import.feed.api_name,
        "profile": usage_import.profile_version.profile.name,
        "profile_version": usage_import.profile_version.number,
        "source": usage_import.source,
        "file_name": usage_import.file_name,
        "status": usage_import.status,
        "error": usage_import.error,
        "received_at": usage_import.received_at.isoformat(),
        "started_at": usage_import.started_at.isoformat() if usage_import.started_at else None,
        "ended_at": usage_import.ended_at.isoformat() if usage_import.ended_at else None,
        "record_count": usage_import.record_count,
        "imported_count": usage_import.imported_count,
        "exception_count": usage_import.exception_count,
        "skipped_count": usage_import.skipped_count,
        "duplicate_count": usage_import.duplicate_count,
        "repaired_count": usage_import.repaired_count,
        "rated_count": found.rated_count,
        "rating_exception_count": found.rating_exception_count,
        "voided_count": found.voided_count,
        "attempts": usage_import.attempt,
    }


def has_ended(usage_import: UsageImport) -> bool:
    """Whether an import is mediated and rated, or failed."""
    usage_import.refresh_from_db()
    if usage_import.status not in ENDED:
        return False
    return not UdrBatch.objects.filter(import_id=usage_import.pk, status__in=UNRATED).exists()


def work_once() -> bool:
    """Do one piece of whatever waits, as a worker would; False where nothing does.

    A command that waits for an import takes part in the work: it must end on a machine without workers too.
    """
    now = timezone.now()
    return (
        ingestion_services.plan_next_import(now=now)
        or ingestion_services.mediate_next_chunks(now=now)
        or ingestion_services.void_next(now=now)
        or ingestion_services.retry_next_exceptions(now=now)
        or ingestion_services.backfill_next(now=now)
        or bool(rating_services.rate_batches(now=now))
        or bool(rating_services.reverse_voided(now=now))
        or bool(rating_services.charge_restored(now=now))
        or bool(rating_services.settle_waiting(now=now))
        or bool(rating_services.rerate_asked(now=now))
        or bool(rating_services.close_asked(now=now))
        or bool(rating_services.reprice_waiting(now=now))
    )


def is_work_waiting() -> bool:
    """Whether anything waits for a worker."""
    now = timezone.now()
    questions = (
        ingestion_selectors.imports_to_plan(now),
        ingestion_selectors.chunks_waiting(now),
        ingestion_selectors.exceptions_to_retry(),
        ingestion_selectors.backfills_to_work(now=now),
        rating_selectors.batches_waiting(now=now),
        rating_selectors.voids_waiting(now=now),
        rating_selectors.restored_waiting(now=now),
        rating_selectors.periods_unsettled(),
        rating_selectors.repricings_unfinished(),
        rating_selectors.exception_rerates_waiting(),
    )
    return any(rows.exists() for rows in questions)
