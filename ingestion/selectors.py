"""Questions about ingestion's tables, answered without changing anything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, Greatest

from ingestion.core.fixing import Corrected
from ingestion.models import (
    Backfill,
    ExceptionComment,
    ExceptionRevision,
    Feed,
    FeedGrant,
    FileUpload,
    GroupCorrection,
    ImportChunk,
    ImportException,
    LeftOutRecord,
    UsageImport,
    UsageVoid,
    WaitingPart,
)
from mediation.models import UDR_ID_BITS, ProfileVersion, UdrBatch, UdrKey
from mediation.selectors import COUNTING

MAX_ATTEMPTS = 5
MOST_GROUPS = 200  # on one page


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


def voids_to_work(now: datetime) -> QuerySet[UsageVoid]:
    """Voids that a worker may claim: new ones, those whose turn has come, and those whose worker is gone."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    waiting = UsageVoid.objects.filter(is_free, status=UsageVoid.Status.WAITING)
    return waiting.exclude(feed_id__in=feeds_swapped_now())


def voids_waiting(feed_id: int) -> QuerySet[UsageVoid]:
    """Voids of a feed that are not done."""
    return UsageVoid.objects.filter(feed_id=feed_id, status=UsageVoid.Status.WAITING)


def amendments_under_way(feed_id: int) -> QuerySet[ImportChunk]:
    """Chunks of a feed that amend and are not decided."""
    undecided = (ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED)
    return ImportChunk.objects.filter(feed_id=feed_id, amends=True, status__in=undecided)


def is_corrected_now(feed_id: int) -> bool:
    """Whether voids or amendments of a feed are under way, so that what came later waits for them."""
    return voids_waiting(feed_id).exists() or amendments_under_way(feed_id).exists()


def is_put_off(now: datetime) -> bool:
    """Whether a young void or amendment waits for usage that came before it, and will look again in a moment."""
    since = now - timedelta(minutes=1)
    chunks = ImportChunk.objects.filter(amends=True, status=ImportChunk.Status.CLAIMED, attempts=0)
    return (
        UsageVoid.objects.filter(status=UsageVoid.Status.WAITING, attempts=0, received_at__gt=since).exists()
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


def under_way_before(feed_id: int, moment: datetime) -> QuerySet[UsageImport]:
    """Imports of a feed that were received until a moment and whose records are not all decided."""
    undecided = (ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED)
    of_chunks = ImportChunk.objects.filter(feed_id=feed_id, status__in=undecided).values("usage_import_id")
    to_plan = UsageImport.objects.filter(feed_id=feed_id, status=UsageImport.Status.RECEIVED).values("pk")
    return UsageImport.objects.filter(Q(pk__in=of_chunks) | Q(pk__in=to_plan), received_at__lte=moment)


def imports_to_plan(now: datetime) -> QuerySet[UsageImport]:
    """Files whose chunks are not known yet, and that no worker is looking at."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    return UsageImport.objects.filter(is_free, status=UsageImport.Status.RECEIVED)


def exceptions_to_retry() -> QuerySet[ImportException]:
    """Exceptions that somebody asked to mediate again."""
    waiting = ImportException.objects.filter(status=ImportException.Status.REPROCESSING)
    return waiting.exclude(feed_id__in=feeds_swapped_now())


def corrections_of(usage_import: UsageImport, number: int | None = None) -> dict[int, Corrected]:
    """Record number -> what it is read from now, for every record of an import that was ever corrected, or for one."""
    revisions = ExceptionRevision.objects.filter(exception__usage_import=usage_import, withdrawn_at=None)
    if number is not None:
        revisions = revisions.filter(exception__record_number=number)
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


def corrections_to_undo(now: datetime) -> QuerySet[GroupCorrection]:
    """Group corrections that a worker may take back."""
    is_free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    return GroupCorrection.objects.filter(is_free, status=GroupCorrection.Status.UNDOING)


@dataclass(frozen=True)
class Group:
    """Open exceptions alike: of a feed, with the same code, UDR field at fault and offending value (clipped).

    A value of None is any: where each record has another text, such as 1,5 and 2,5, one rule still mends them all.
    """

    feed_id: int
    code: str
    field: str
    value: str | None


@dataclass(frozen=True)
class CountedGroup:
    """A group with how many open exceptions it has, and when the first and the last of them were met."""

    group: Group
    count: int
    first_created_at: datetime
    last_created_at: datetime


@dataclass(frozen=True)
class Groups:
    """The largest groups first; more_count: how many smaller ones there are beside them."""

    groups: tuple[CountedGroup, ...]
    more_count: int


GROUP_FIELDS = ("feed_id", "code", "field", "value")


def exception_groups(
    *,
    feeds: frozenset[int] | None,
    feed: int | None = None,
    code: str | None = None,
    field: str | None = None,
    assigned_to: int | None = None,
    before: datetime | None = None,
    any_value: bool = False,
    most: int = MOST_GROUPS,
) -> Groups:
    """Open exceptions by what is wrong with them, the largest groups first, at most `most` of them.

    feeds: those that may be seen, None is every feed. assigned_to: the number of a person, 0 is nobody. before: only
    exceptions that were met before then. any_value: whatever the offending value, so that there are fewer groups.
    """
    rows = ImportException.objects.filter(status=ImportException.Status.OPEN)
    rows = rows if feeds is None else rows.filter(feed_id__in=feeds)
    rows = rows if feed is None else rows.filter(feed_id=feed)
    rows = rows if code is None else rows.filter(code=code)
    rows = rows if field is None else rows.filter(field=field)
    rows = rows if before is None else rows.filter(created_at__lt=before)
    if assigned_to is not None:
        rows = rows.filter(assigned_to=assigned_to or None)
    names = GROUP_FIELDS[:-1] if any_value else GROUP_FIELDS
    counted = (
        rows.order_by()
        .values(*names)
        .annotate(count=Count("pk"), first=Min("created_at"), last=Max("created_at"), groups=Window(Count("*")))
    )
    found = list(counted.order_by("-count", *names)[:most])
    groups = tuple(
        CountedGroup(Group(*(row.get(name) for name in GROUP_FIELDS)), row["count"], row["first"], row["last"])
        for row in found
    )
    return Groups(groups, found[0]["groups"] - len(groups) if found else 0)


def exceptions_of_group(group: Group) -> QuerySet[ImportException]:
    """The open exceptions of a group."""
    rows = ImportException.objects.filter(
        status=ImportException.Status.OPEN, feed_id=group.feed_id, code=group.code, field=group.field
    )
    return rows if group.value is None else rows.filter(value=group.value)


def comments_on_group(group: Group) -> QuerySet[ExceptionComment]:
    """What was said about a group as a whole, or about those with any value of its field, the latest first."""
    of_value = Q(value=None) if group.value is None else Q(value=None) | Q(value=group.value)
    said = ExceptionComment.objects.filter(
        of_value, exception=None, feed_id=group.feed_id, code=group.code, field=group.field
    )
    return said.select_related("created_by").order_by("-pk")


def holders_of_groups(feeds: frozenset[int] | None, *, any_value: bool = False) -> dict[Group, str]:
    """Who has open exceptions of each group that anybody has: a name, or "several people"."""
    names_of_key = GROUP_FIELDS[:-1] if any_value else GROUP_FIELDS
    held = ImportException.objects.filter(status=ImportException.Status.OPEN, assigned_to__isnull=False)
    held = held if feeds is None else held.filter(feed_id__in=feeds)
    rows = held.order_by().values(*names_of_key).annotate(first=Min("assigned_to"), last=Max("assigned_to"))
    found = {Group(*(row.get(name) for name in GROUP_FIELDS)): (row["first"], row["last"]) for row in rows}
    names = dict(User.objects.filter(pk__in={first for first, _ in found.values()}).values_list("pk", "username"))
    return {
        group: names.get(first, "somebody who is gone") if first == last else "several people"
        for group, (first, last) in found.items()
    }


def exceptions_due(now: datetime) -> QuerySet[ImportException]:
    """Open exceptions whose next try by themselves has come."""
    return ImportException.objects.filter(status=ImportException.Status.OPEN, next_try_at__lte=now)


def same_file(feed: Feed, content_hash: str) -> UsageImport | None:
    """An earlier import of the same bytes into the same feed that did not fail."""
    imports = UsageImport.objects.filter(feed=feed, content_hash=content_hash).exclude(source=UsageImport.Source.API)
    return imports.exclude(status=UsageImport.Status.FAILED).first()


def upload_of(feed: Feed, file_name: str, by: User) -> QuerySet[FileUpload]:
    """A sender's file of this name while it is on its way: one, or none."""
    return FileUpload.objects.filter(feed=feed, file_name=file_name, sent_by=by)


def file_taken(feed: Feed, file_name: str, by: User) -> UsageImport | None:
    """The newest import of a file of this name that a sender brought into a feed over HTTP."""
    files = UsageImport.objects.filter(feed=feed, file_name=file_name, received_by=by)
    return files.filter(source=UsageImport.Source.UPLOAD).order_by("-pk").first()


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


def replaced_batch_ids(usage_import: UsageImport) -> list[int]:
    """The UDR batches of the attempts before the current one."""
    chunks = ImportChunk.objects.filter(usage_import=usage_import, attempt__lt=usage_import.attempt)
    return [batch_id for batch_id in chunks.values_list("batch_id", flat=True) if batch_id is not None]


def envelope_of(profile_version_id: int) -> str:
    """What one bad record keeps out beside itself, as the profile version says: see `spec.ENVELOPES`."""
    stated = ProfileVersion.objects.filter(pk=profile_version_id).values_list("spec__envelope", flat=True).first()
    return stated or "record"


def origins_of(import_ids: Iterable[int]) -> list[tuple[str, str]]:
    """The tracking id of each import, and the id of the request that it came by, or none."""
    rows = UsageImport.objects.filter(pk__in=import_ids).order_by("pk").values_list("tracking_id", "request_id")
    return [(str(tracking_id), request_id) for tracking_id, request_id in rows]


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
