"""Questions about voids, amendments and backfills."""

from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from ingestion.models import Backfill, ImportChunk, UsageImport, UsageVoid


def voids_to_work(now: datetime) -> QuerySet[UsageVoid]:
    """Voids that a worker may claim: new ones, those whose turn has come, and those whose worker is gone.

    Where one found its feed held up, the others of that feed wait with it: each would wait its own second for it.
    """
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    all_waiting = UsageVoid.objects.filter(status=UsageVoid.Status.WAITING)
    held_up = all_waiting.filter(held_up_since__lte=now, claimed_until__gte=now)
    return (
        all_waiting.filter(is_free)
        .exclude(feed_id__in=feeds_swapped_now())
        .exclude(feed_id__in=held_up.values("feed_id"))
    )


def voids_waiting(feed_id: int) -> QuerySet[UsageVoid]:
    """Voids of a feed that are not done."""
    return UsageVoid.objects.filter(feed_id=feed_id, status=UsageVoid.Status.WAITING)


def is_void_held_up(feed_id: int, *, since: datetime) -> bool:
    """Whether a void of a feed has come in vain since a moment: others were at the feed's usage at each turn."""
    return voids_waiting(feed_id).filter(held_up_since__lte=since).exists()


def amendments_under_way(feed_id: int) -> QuerySet[ImportChunk]:
    """Chunks of a feed that amend and are not decided."""
    undecided = (ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED)
    return ImportChunk.objects.filter(feed_id=feed_id, amends=True, status__in=undecided)


def is_corrected_now(feed_id: int) -> bool:
    """Whether voids or amendments of a feed are under way, so that what came later waits for them."""
    return voids_waiting(feed_id).exists() or amendments_under_way(feed_id).exists()


def is_put_off(now: datetime) -> bool:
    """Whether a void or an amendment waits for a moment, for usage that came before it or until its feed is free.

    One that has waited for longer than a minute is looked for once a minute.
    """
    since = now - timedelta(minutes=1)
    is_young = Q(received_at__gt=since) | Q(held_up_since__gt=since)
    chunks = ImportChunk.objects.filter(amends=True, status=ImportChunk.Status.CLAIMED, attempts=0)
    return (
        UsageVoid.objects.filter(is_young, status=UsageVoid.Status.WAITING, attempts=0).exists()
        or chunks.filter(usage_import__received_at__gt=since).exists()
    )


def backfills_to_work(now: datetime) -> QuerySet[Backfill]:
    """Backfills that a worker is to close, revert or abandon, or to give up, and that nobody works on."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    at_work = (Backfill.Status.CLOSING, Backfill.Status.REVERTING, Backfill.Status.ABANDONING)
    return Backfill.objects.filter(is_free, status__in=at_work)


def feeds_swapped_now() -> QuerySet[Backfill, int]:
    """The feeds of whose backfills a worker is at one: whoever mediates their usage would stand and wait for him."""
    at_work = (Backfill.Status.CLOSING, Backfill.Status.REVERTING, Backfill.Status.ABANDONING)
    return Backfill.objects.filter(status__in=at_work, attempts__gt=0).values_list("feed_id", flat=True)


def is_swapped_now(feed_id: int) -> bool:
    """Whether a worker is at a backfill of a feed."""
    return feeds_swapped_now().filter(feed_id=feed_id).exists()


def sums_of_backfill(backfill: Backfill) -> dict[str, int]:
    """How many imports and records came by a backfill, and what became of them."""
    names = ("record", "imported", "exception", "skipped", "duplicate", "waiting")
    sums = {f"{name}_count": Coalesce(Sum(f"{name}_count"), 0) for name in names}
    return UsageImport.objects.filter(backfill=backfill).aggregate(import_count=Count("pk"), **sums)
