"""Questions about exceptions and what they were corrected to."""

from datetime import datetime

from django.db.models import Q, QuerySet

from ingestion.core.fixing import Corrected
from ingestion.models import ExceptionRevision, GroupCorrection, ImportException, UsageImport
from ingestion.selectors.taking_back import feeds_swapped_now


def exceptions_to_retry() -> QuerySet[ImportException]:
    """Exceptions that somebody asked to mediate again."""
    waiting = ImportException.objects.filter(status=ImportException.Status.REPROCESSING)
    return waiting.exclude(feed_id__in=feeds_swapped_now())


def exceptions_due(now: datetime) -> QuerySet[ImportException]:
    """Open exceptions whose next try by themselves has come."""
    return ImportException.objects.filter(status=ImportException.Status.OPEN, next_try_at__lte=now)


def corrections_of(
    usage_import: UsageImport, first: int | None = None, last: int | None = None
) -> dict[int, Corrected]:
    """Record number -> what it is read from now, for every record of an import that was ever corrected.

    first: for this record alone, or up to `last`.
    """
    revisions = ExceptionRevision.objects.filter(exception__usage_import=usage_import, withdrawn_at=None)
    if first is not None:
        # One look into the index for each attempt: the place of a record comes last in it.
        attempts = range(1, usage_import.attempt + 1)
        is_asked = Q(exception__record_number=first)
        if last is not None:
            is_asked = Q(exception__record_number__range=(first, last))
        revisions = revisions.filter(is_asked, exception__attempt__in=attempts)
    found: dict[int, Corrected] = {}
    in_order = revisions.order_by("exception__attempt", "number")
    for place, raw, changes in in_order.values_list("exception__record_number", "raw", "changes"):
        found[place] = found.get(place, Corrected()).then(raw, changes)
    return found


def corrections_to_work(now: datetime) -> QuerySet[GroupCorrection]:
    """Group corrections that a worker may take a portion of: new ones, and those whose worker is gone."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    under_way = (GroupCorrection.Status.WAITING, GroupCorrection.Status.RUNNING)
    return GroupCorrection.objects.filter(is_free, status__in=under_way).exclude(feed_id__in=feeds_swapped_now())


def imports_corrected_by(correction: GroupCorrection) -> QuerySet[UsageImport]:
    """The imports of which records are read as a group correction left them."""
    standing = ExceptionRevision.objects.filter(correction=correction, withdrawn_at=None)
    return UsageImport.objects.filter(pk__in=standing.values("exception__usage_import_id"))


def corrections_to_undo(now: datetime) -> QuerySet[GroupCorrection]:
    """Group corrections that a worker may take back."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    return GroupCorrection.objects.filter(is_free, status=GroupCorrection.Status.UNDOING)
