"""Questions about ingestion's tables, answered without changing anything."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import BigIntegerField, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from ingestion.models import Feed, FeedGrant, ImportChunk, ImportException, LeftOutRecord, UsageImport, WaitingPart
from mediation.models import UDR_ID_BITS, ProfileVersion, UdrBatch, UdrKey

MAX_ATTEMPTS = 5


def feed_by(reference: str) -> Feed | None:
    """The feed with this API name, or with this number."""
    feeds = Feed.objects.select_related("profile")
    if "\0" in reference:
        return None  # no text of PostgreSQL
    if reference.isascii() and reference.isdecimal() and len(reference) < 18:
        return feeds.filter(pk=int(reference)).first()
    return feeds.filter(api_name=reference).first()


def granted_feeds(user: User) -> frozenset[int]:
    """The numbers of the feeds that a person or service user was granted."""
    return frozenset(FeedGrant.objects.filter(user=user).values_list("feed_id", flat=True))


def acceptance_stamp() -> UUID:
    """The stamp of everything that decides whether a submission is accepted: tokens, permissions, feeds and versions.

    Whoever keeps what it looked up reads the stamp first; it holds for as long as the stamp is the same.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT stamp FROM ingestion_acceptance_stamp")
        stamp: UUID = cursor.fetchone()[0]
    return stamp


def history() -> QuerySet[UsageImport]:
    """The import history, with rated_count and rating_exception_count: what rating has made of the UDRs so far."""
    rated = UdrBatch.objects.filter(import_id=OuterRef("pk"), status=UdrBatch.Status.RATED).values("import_id")
    return UsageImport.objects.select_related("feed", "profile_version__profile").annotate(
        rated_count=_or_zero(rated.annotate(n=Sum(F("udr_count") - F("uncharged_count"))).values("n")),
        rating_exception_count=_or_zero(rated.annotate(n=Sum("uncharged_count")).values("n")),
    )


def _or_zero(count: Any) -> Coalesce:
    return Coalesce(Subquery(count), Value(0), output_field=BigIntegerField())


def chunks_waiting(now: datetime) -> QuerySet[ImportChunk]:
    """Chunks that a worker may claim: new ones, and those whose worker is gone."""
    is_stale = Q(status=ImportChunk.Status.CLAIMED, claimed_until__lt=now)
    return ImportChunk.objects.filter(Q(status=ImportChunk.Status.WAITING) | is_stale)


def imports_to_plan(now: datetime) -> QuerySet[UsageImport]:
    """Files whose chunks are not known yet, and that no worker is looking at."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    return UsageImport.objects.filter(is_free, status=UsageImport.Status.RECEIVED)


def exceptions_to_retry() -> QuerySet[ImportException]:
    """Exceptions that somebody asked to mediate again."""
    return ImportException.objects.filter(status=ImportException.Status.REPROCESSING)


def corrections_of(usage_import: UsageImport) -> dict[int, str]:
    """Record number -> corrected text, for every record of an import that was ever corrected."""
    corrected = ImportException.objects.filter(usage_import=usage_import, revision_count__gt=0).order_by("attempt")
    latest: dict[int, str] = {}
    for exception in corrected.prefetch_related("revisions"):
        latest[exception.record_number] = max(exception.revisions.all(), key=lambda revision: revision.number).raw
    return latest


def same_file(feed: Feed, content_hash: str) -> UsageImport | None:
    """An earlier import of the same bytes into the same feed that did not fail."""
    imports = UsageImport.objects.filter(feed=feed, content_hash=content_hash).exclude(source=UsageImport.Source.API)
    return imports.exclude(status=UsageImport.Status.FAILED).first()


def imports_to_mediate_again(batch_ids: Sequence[int], *, after: UsageImport) -> list[int]:
    """The ended imports with duplicates of UDRs of these batches whose keys nobody holds any more.

    Their records repeated what counted then and does not now: left alone, they would be billed nowhere.
    """
    within = Q(pk__in=())
    for batch_id in batch_ids:
        within |= Q(udr_id__gte=batch_id << UDR_ID_BITS, udr_id__lt=(batch_id + 1) << UDR_ID_BITS)
    held = UdrKey.objects.filter(feed_id=OuterRef("usage_import__feed_id"), key=OuterRef("reason"))
    repeats = LeftOutRecord.objects.filter(
        within,
        ~Exists(held),
        outcome=LeftOutRecord.Outcome.DUPLICATE,
        attempt=F("usage_import__attempt"),
        usage_import__status=UsageImport.Status.COMPLETED,
    ).exclude(usage_import=after)
    return sorted(set(repeats.values_list("usage_import_id", flat=True)))


def replaced_batch_ids(usage_import: UsageImport) -> list[int]:
    """The UDR batches of the attempts before the current one."""
    chunks = ImportChunk.objects.filter(usage_import=usage_import, attempt__lt=usage_import.attempt)
    return [batch_id for batch_id in chunks.values_list("batch_id", flat=True) if batch_id is not None]


def envelope_of(profile_version_id: int) -> str:
    """What one bad record keeps out beside itself, as the profile version says: see `spec.ENVELOPES`."""
    stated = ProfileVersion.objects.filter(pk=profile_version_id).values_list("spec__envelope", flat=True).first()
    return stated or "record"


def others_under_way(usage_import_id: int, feed_id: int) -> QuerySet[UsageImport]:
    """Imports of a feed that have begun and not ended, and that this one has to wait for.

    Of several that have begun, as an errored one that is tried again may find, the oldest goes on; else each would wait
    for the other.
    """
    begun = UsageImport.objects.filter(feed_id=feed_id, started_at__isnull=False).exclude(pk=usage_import_id)
    under_way = begun.filter(status__in=(UsageImport.Status.WAITING, UsageImport.Status.RUNNING))
    has_begun = UsageImport.objects.filter(pk=usage_import_id, started_at__isnull=False)
    return under_way.filter(Q(pk__lt=usage_import_id) | ~Exists(has_begun))


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
