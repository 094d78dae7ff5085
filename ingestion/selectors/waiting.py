"""What waits for a worker of ingestion."""

from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from ingestion.models import ImportChunk, UsageImport, WaitingPart


def chunks_waiting(now: datetime) -> QuerySet[ImportChunk]:
    """Chunks that a worker may claim: new ones, and those whose worker is gone."""
    is_stale = Q(status=ImportChunk.Status.CLAIMED, claimed_until__lt=now)
    return ImportChunk.objects.filter(Q(status=ImportChunk.Status.WAITING) | is_stale)


def is_much_waiting(now: datetime, *, many: int) -> bool:
    """Whether there is enough for several workers: two parts of files, or more than `many` submissions."""
    waiting = chunks_waiting(now)
    return waiting.filter(byte_start__isnull=False)[1:2].exists() or waiting[many : many + 1].exists()


def are_files_waiting(now: datetime) -> bool:
    """Whether a file waits to be read, or a part of one, which takes a worker seconds."""
    return chunks_waiting(now).filter(byte_start__isnull=False).exists() or imports_to_plan(now).exists()


def is_usage_waiting(now: datetime) -> bool:
    """Whether a worker could take up something that came in."""
    return chunks_waiting(now).exists() or imports_to_plan(now).exists()


def submitted_records_waiting() -> int:
    """How many records of API submissions wait to be mediated; counted up to a million submissions.

    Files wait their turn without being in anybody's way, however many records they hold.
    """
    waiting = ImportChunk.objects.filter(
        status__in=(ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED), byte_start=None
    )
    counted = waiting.order_by("pk").values("waiting_count")[:1_000_000]
    return int(counted.aggregate(total=Coalesce(Sum("waiting_count"), 0))["total"])


def imports_to_plan(now: datetime) -> QuerySet[UsageImport]:
    """Files whose chunks are not known yet, and that no worker is looking at."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    return UsageImport.objects.filter(is_free, status=UsageImport.Status.RECEIVED)


def parts_to_expire(now: datetime) -> QuerySet[WaitingPart]:
    """Parts that waited long enough, whose import is at rest, and for which nothing that came in time is on its way."""
    same_feed = {"feed_id": OuterRef("feed_id")}
    in_time = OuterRef("expires_at")
    undecided = (ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED)
    chunks = ImportChunk.objects.filter(status__in=undecided, usage_import__received_at__lte=in_time, **same_feed)
    files = UsageImport.objects.filter(status=UsageImport.Status.RECEIVED, received_at__lte=in_time, **same_feed)
    return WaitingPart.objects.filter(
        ~Exists(chunks),
        ~Exists(files),
        record_import_id=None,
        expires_at__lt=now,
        attempt=F("usage_import__attempt"),
        usage_import__status=UsageImport.Status.COMPLETED,
    )
