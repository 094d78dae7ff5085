"""Questions about the import history."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Case, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Greatest

from ingestion.models import Backfill, ImportChunk, LeftOutRecord, UsageImport
from mediation.models import UDR_ID_BITS, ProfileVersion, UdrBatch, UdrKey
from mediation.selectors import COUNTING

MAX_ATTEMPTS = 5


def history() -> QuerySet[UsageImport]:
    """The import history with what became of the UDRs so far: rated_count, rating_exception_count, voided_count.

    A voided record stays imported; it is counted beside.
    """
    counting = UdrBatch.objects.filter(import_id=OuterRef("pk"), status__in=COUNTING).values("import_id")
    standing = Greatest(F("udr_count") - F("voided_count") - F("uncharged_count"), 0)
    rated = UdrBatch.objects.filter(import_id=OuterRef("pk"), status=UdrBatch.Status.RATED).values("import_id")
    return UsageImport.objects.select_related("feed", "profile_version__profile").annotate(
        rated_count=_or_zero(rated.annotate(n=Sum(standing)).values("n")),
        voided_count=_or_zero(counting.annotate(n=Sum("voided_count")).values("n")),
        rating_exception_count=_or_zero(rated.annotate(n=Sum("uncharged_count")).values("n")),
    )


def _or_zero(count: Any) -> Coalesce:
    return Coalesce(Subquery(count), Value(0), output_field=BigIntegerField())


def origins_of(import_ids: Iterable[int]) -> list[tuple[str, str]]:
    """The tracking id of each import, and the id of the request that it came by, or none."""
    rows = UsageImport.objects.filter(pk__in=import_ids).order_by("pk").values_list("tracking_id", "request_id")
    return [(str(tracking_id), request_id) for tracking_id, request_id in rows]


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


def under_way_before(feed_id: int, moment: datetime) -> QuerySet[UsageImport]:
    """Imports of a feed that were received until a moment and whose records are not all decided."""
    undecided = (ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED)
    of_chunks = ImportChunk.objects.filter(feed_id=feed_id, status__in=undecided).values("usage_import_id")
    to_plan = UsageImport.objects.filter(feed_id=feed_id, status=UsageImport.Status.RECEIVED).values("pk")
    return UsageImport.objects.filter(Q(pk__in=of_chunks) | Q(pk__in=to_plan), received_at__lte=moment)


def imports_left_out(reason: str, feed_id: int, since: datetime | None) -> list[int]:
    """Completed imports of a feed, mediated since a moment, with records that were left out for this reason."""
    rows = LeftOutRecord.objects.filter(
        outcome=LeftOutRecord.Outcome.SKIPPED,
        reason=reason,
        attempt=F("usage_import__attempt"),
        usage_import__feed_id=feed_id,
        usage_import__status=UsageImport.Status.COMPLETED,
        usage_import__skipped_count__gt=0,
    )
    chunks = ImportChunk.objects.filter(usage_import=OuterRef("usage_import"), ended_at__gte=since)
    return sorted(set(rows.filter(Exists(chunks)).values_list("usage_import_id", flat=True)))


def imports_to_mediate_again(
    batch_ids: Sequence[int], *, after: UsageImport | None, are_gone: bool = True
) -> list[int]:
    """The ended imports, but for `after`, with duplicates of UDRs of these batches whose keys nobody holds any more.

    Their records repeated what counted then and does not now: left alone, they would be billed nowhere.
    are_gone: False asks before the batches are taken back, while they hold their keys.
    """
    within = Q(pk__in=())
    for batch_id in batch_ids:
        within |= Q(udr_id__gte=batch_id << UDR_ID_BITS, udr_id__lt=(batch_id + 1) << UDR_ID_BITS)
    # Until a backfill is closed its keys are apart, under its negative number.
    apart = (Backfill.Status.OPEN, Backfill.Status.CLOSING, Backfill.Status.ABANDONING)
    space = Case(
        When(usage_import__backfill__status__in=apart, then=-F("usage_import__backfill_id")),
        default=F("usage_import__feed_id"),
        output_field=BigIntegerField(),
    )
    held = UdrKey.objects.filter(feed_id=OuterRef("space"), key=OuterRef("reason"))
    repeats = LeftOutRecord.objects.annotate(space=space).filter(
        within,
        ~Exists(held) if are_gone else Q(),
        outcome=LeftOutRecord.Outcome.DUPLICATE,
        attempt=F("usage_import__attempt"),
        usage_import__status=UsageImport.Status.COMPLETED,
    )
    repeats = repeats.exclude(usage_import=after) if after else repeats
    return sorted(set(repeats.values_list("usage_import_id", flat=True)))
