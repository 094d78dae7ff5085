"""Chunks into outcomes: claim, read, mediate, write, count, in one transaction a group of chunks."""

import json
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

import polars as pl
import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from ingestion import selectors, store
from ingestion.core.bodies import rows_of
from ingestion.models import Feed, ImportBody, ImportChunk, UsageImport
from ingestion.services import envelopes
from ingestion.services.corrected import with_corrections
from ingestion.services.parts import combine_rows, release_parts, write_parts
from ingestion.services.reprocessing import UnableToReprocess, open_attempt
from ingestion.services.voiding import come_again, has_to_wait, let_go_on, orders_of, put_off
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.core.frames import WINDOWS
from mediation.models import ProfileVersion

log = structlog.get_logger()

LEASE = timedelta(seconds=20)
# Before the second try and each after it. The first is at once, so that a crash holds up no neighbours; what is wrong
# with a database or a disk is often over within minutes.
TRY_GAPS = (timedelta(0), timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2))
MAX_GROUP = 200  # submissions that are mediated together
MAX_GROUP_RECORDS = 20_000


def mediate_next_chunks(*, now: datetime) -> bool:
    """Mediate the next chunk of a file, or the next submissions of one feed together; False where nothing waits."""
    chunk_ids = _claim_chunks(now)
    if not chunk_ids:
        return False
    # Asked by one question: of which imports, and by which requests those came.
    imports = ImportChunk.objects.filter(pk__in=chunk_ids).values_list("usage_import_id", flat=True)
    with mediation.working_on(imports):
        try:
            mediate_chunks(chunk_ids=chunk_ids, now=now)
            log.info("usage_mediated", chunk_ids=chunk_ids)
        except mediation.UsageHeldError:
            come_again(chunk_ids, now=now)
        except Exception:
            log.exception("chunks_crashed", chunk_ids=chunk_ids)
            _park_or_release(chunk_ids, traceback.format_exc(), now)
    return True


@transaction.atomic
def _claim_chunks(now: datetime) -> list[int]:
    """Claim what is worked on together, and count the try, so that a worker's death counts too.

    A chunk that was tried before goes alone: if it is the one that crashes, it takes no others with it.
    """
    waiting = selectors.chunks_waiting(now).select_for_update(skip_locked=True)
    first = _first_of(waiting, now)
    if first is None:
        return []
    envelope = selectors.envelope_of(first.profile_version_id)
    claimed = [first]
    is_new = first.byte_start is None and first.attempts == 0 and first.attempt == 1 and not first.amends
    is_new = is_new and first.backfill_id is None
    if envelope == "record" and is_new and not selectors.is_corrected_now(first.feed_id):
        alike = waiting.filter(
            feed_id=first.feed_id,
            profile_version_id=first.profile_version_id,
            byte_start=None,
            attempts=0,
            attempt=1,
            amends=False,
            backfill_id=None,
            pk__gt=first.pk,
        )
        for chunk in alike.order_by("pk")[: MAX_GROUP - 1]:
            if sum(one.waiting_count for one in claimed) + chunk.waiting_count > MAX_GROUP_RECORDS:
                break
            claimed.append(chunk)
    ids = [chunk.pk for chunk in claimed]
    # Said now and not while the chunk is worked on: the row would stay locked, and the import's other chunks wait.
    UsageImport.objects.filter(pk__in=[chunk.usage_import_id for chunk in claimed], started_at=None).update(
        started_at=now
    )
    ImportChunk.objects.filter(pk__in=ids).update(
        status=ImportChunk.Status.CLAIMED, attempts=F("attempts") + 1, claimed_until=now + LEASE
    )
    return ids


def _first_of(waiting: QuerySet[ImportChunk], now: datetime) -> ImportChunk | None:
    """The first chunk that may be worked on; what crashed too often is parked, whose turn it is not is put off."""
    while (first := waiting.order_by("pk").first()) is not None:
        if first.attempts >= selectors.MAX_ATTEMPTS:
            _park([first.pk], first.error or "Its workers died while they mediated it. Look at their log.", now)
        elif has_to_wait(first, now=now):
            put_off(first.pk, now=now)
        elif selectors.envelope_of(first.profile_version_id) != "file" or not envelopes.postpone(first, now=now):
            return first
    return None


@transaction.atomic
def mediate_chunks(*, chunk_ids: Sequence[int], now: datetime) -> None:
    """Decide every record of claimed chunks of one feed and profile version, all in this transaction.

    The rows stay locked while it runs: a sweeper skips them, and a second worker finds them done. Raises
    UsageHeldError where they amend and others are at the feed's usage.
    """
    began = time.monotonic()
    chunks = list(
        ImportChunk.objects.select_for_update()
        .filter(pk__in=chunk_ids, status=ImportChunk.Status.CLAIMED)
        .order_by("pk")
    )
    if not chunks:
        return
    if chunks[0].amends:
        mediation.lock_usage_soon(chunks[0].feed_id)
    imports = list(UsageImport.objects.filter(pk__in=[chunk.usage_import_id for chunk in chunks]))
    feed = Feed.objects.get(pk=chunks[0].feed_id)
    version = ProfileVersion.objects.get(pk=chunks[0].profile_version_id)
    is_again = imports[0].attempt > 1
    records = _read(chunks, {one.pk: one for one in imports}, version)
    envelope = selectors.envelope_of(version.pk)
    with transaction.atomic():
        records, parts = combine_rows(records=records, version=version, imports=imports, feed_id=feed.pk, now=now)
        outcome = mediation.mediate(
            records=records,
            version=version,
            feed_id=feed.pk,
            windows=windows_of(feed, imports),
            now=now,
            is_staged=is_again or envelope == "file",
            replaced_ids=selectors.replaced_batch_ids(imports[0]) if is_again else (),
            arrivals={one.pk: one.received_at for one in imports},
            amending=orders_of(imports),
            backfill_id=chunks[0].backfill_id,
        )
        if envelope == "chunk" and not outcome.rejected.is_empty():
            transaction.set_rollback(True)
            outcome = envelopes.refuse_chunk(records, outcome, parts)
        else:
            write_parts(parts=parts, rejected=outcome.rejected, feed_id=feed.pk)

    def clock() -> datetime:
        """The history says when the work was done, not when it was taken up."""
        return now + timedelta(seconds=time.monotonic() - began)

    write_outcome(chunks, imports, records, outcome, now=clock())
    _finish(imports, envelope, began_at=now, clock=clock)
    if any(one.amend_reason for one in imports):
        let_go_on(feed.pk)
    mediation.ring("rate", now)


def windows_of(feed: Feed, imports: Sequence[UsageImport]) -> pl.DataFrame:
    """WINDOWS: how old and how far ahead usage of each import may be, counted from its arrival.

    What is sent into a backfill is as old as its window.
    """
    latest = timedelta(minutes=feed.max_future_minutes)
    rows = [
        (one.pk, None if one.backfill_id else _earliest(feed, one.received_at), one.received_at + latest)
        for one in imports
    ]
    return pl.DataFrame(rows, schema=WINDOWS, orient="row")


def _earliest(feed: Feed, received_at: datetime) -> datetime | None:
    if feed.max_age_days is None or feed.max_age_days > received_at.toordinal() - 365:
        return None  # further back than the calendar
    return received_at - timedelta(days=feed.max_age_days)


def _read(chunks: list[ImportChunk], imports: dict[int, UsageImport], version: ProfileVersion) -> pl.DataFrame:
    """The RECORDS of chunks: one part of a file, or the bodies of several submissions."""
    if chunks[0].byte_start is None:
        records = _submitted([imports[chunk.usage_import_id] for chunk in chunks], version)
    else:
        chunk, usage_import = chunks[0], imports[chunks[0].usage_import_id]
        records = mediation.read_part(
            version=version,
            content=store.payload_part(usage_import, chunk.byte_start or 0, chunk.byte_end or 0),
            import_id=usage_import.pk,
            first_number=chunk.first_record_number,
            header=usage_import.header,
            file_fields=usage_import.file_fields,
        )
    again = [one for one in imports.values() if one.attempt > 1]
    return _corrected(records, again[0], version) if again else records


def _submitted(imports: list[UsageImport], version: ProfileVersion) -> pl.DataFrame:
    """The RECORDS of submissions; those whose bodies name the same columns, mostly all, are read together."""
    bodies = ImportBody.objects.in_bulk([one.pk for one in imports])
    by_header: dict[str, list[UsageImport]] = {}
    for one in imports:
        by_header.setdefault(json.dumps(one.header), []).append(one)
    frames = [
        mediation.read_rows(
            version=version,
            rows=rows_of([bodies[one.pk].as_sent for one in alike], mediation.spec_of(version)),
            header=alike[0].header,
            file_fields={one.pk: one.file_fields or {} for one in alike},
        )
        for alike in by_header.values()
    ]
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal").sort("import_id", "record_number")


def _corrected(records: pl.DataFrame, usage_import: UsageImport, version: ProfileVersion) -> pl.DataFrame:
    """Records that were corrected are read from their revisions when the import is mediated again.

    No chunk asks for those of others: of a file there may be a hundred thousand.
    """
    if records.is_empty():
        return records
    numbers = records["record_number"].to_list()
    return with_corrections(
        records=records,
        import_id=usage_import.pk,
        corrections=selectors.corrections_of(usage_import, min(numbers), max(numbers)),
        read=lambda rows: mediation.read_rows(
            version=version,
            rows=rows,
            header=usage_import.header,
            file_fields={usage_import.pk: usage_import.file_fields or {}},
        ),
    )


class OutcomeMismatchError(RuntimeError):
    """Mediation returned another number of records than it was given; the transaction must not commit."""


def write_outcome(
    chunks: Sequence[ImportChunk],
    imports: Sequence[UsageImport],
    records: pl.DataFrame,
    outcome: mediation.Outcome,
    *,
    now: datetime,
) -> None:
    """Write exceptions and left-out records, and the ledger of outcomes on the chunks. chunks: one an import."""
    attempts = store.attempts_frame(imports)
    feed_id = chunks[0].feed_id
    store.copy_in_exceptions(outcome.rejected, attempts=attempts, feed_id=feed_id, now=now)
    store.copy_in_left_out(outcome.left_out, attempts=attempts)
    counts = count_outcomes(outcome)
    for chunk in chunks:
        count = counts.get(chunk.usage_import_id, {})
        chunk.imported_count = count.get("imported", 0)
        chunk.exception_count = count.get("exception", 0)
        chunk.skipped_count = count.get("skipped", 0)
        chunk.duplicate_count = count.get("duplicate", 0)
        chunk.repaired_count = count.get("repaired", 0)
        chunk.batch_id = count.get("batch_id")
        chunk.waiting_count, chunk.status, chunk.ended_at = 0, ImportChunk.Status.DONE, now
    store.write_ledger(chunks)
    written = sum(getattr(chunk, field) for chunk in chunks for field in LEDGER_FIELDS)
    if written != records.height:
        raise OutcomeMismatchError(f"{records.height} records in, {written} outcomes out")


LEDGER_FIELDS = ("imported_count", "exception_count", "skipped_count", "duplicate_count")


def count_outcomes(outcome: mediation.Outcome) -> dict[int, dict[str, int]]:
    """For each import: how many records had which outcome, and the batch that holds its UDRs."""
    counts: dict[int, dict[str, int]] = {}
    for import_id, batch_id, udr_count, repaired_count in outcome.imported.iter_rows():
        counts.setdefault(import_id, {}).update(imported=udr_count, batch_id=batch_id, repaired=repaired_count)
    for import_id, rejected in outcome.rejected.group_by("import_id").len().iter_rows():
        counts.setdefault(import_id, {})["exception"] = rejected
    for import_id, kind, left_out in outcome.left_out.group_by("import_id", "outcome").len().iter_rows():
        counts.setdefault(import_id, {})[kind] = left_out
    return counts


def _finish(
    imports: Sequence[UsageImport], envelope: str, *, began_at: datetime, clock: Callable[[], datetime]
) -> None:
    """Count; once the last chunk is done, swap in an attempt that replaces another, or take back a refused file.

    An import that is swapped has ended when that is done, which may take seconds.
    """
    now = clock()
    store.recount([usage_import.pk for usage_import in imports], now=now, began_at=began_at)
    for usage_import in imports:
        if usage_import.attempt == 1 and envelope != "file":
            continue
        usage_import.refresh_from_db()
        if usage_import.status == UsageImport.Status.COMPLETED:
            withdrawn_ids = envelopes.end_file(usage_import, now=now) if envelope == "file" else []
            replaced_ids = selectors.replaced_batch_ids(usage_import)
            mediation.swap_batches(import_id=usage_import.pk, replaced_ids=replaced_ids)
            release_parts(usage_import=usage_import)
            store.close_earlier_exceptions(usage_import, now=now)
            mediate_repeats_again([*withdrawn_ids, *replaced_ids], after=usage_import, now=now)
            UsageImport.objects.filter(pk=usage_import.pk).update(ended_at=clock())


def mediate_repeats_again(batch_ids: Sequence[int], *, after: UsageImport | None, now: datetime) -> None:
    """Have imports, but for `after`, mediated again whose duplicates repeat records that count no more."""
    again = selectors.imports_to_mediate_again(batch_ids, after=after) if batch_ids else []
    mediate_imports_again(again, since=after.pk if after else None, now=now)


def mediate_imports_again(import_ids: Collection[int], *, since: int | None, now: datetime) -> None:
    """Open another attempt at those of the imports that are completed. since: of what import, for the log."""
    # Whether they are completed is asked under the lock: another worker may have opened an attempt while we waited.
    completed = UsageImport.objects.filter(pk__in=import_ids, status=UsageImport.Status.COMPLETED).order_by("pk")
    for one in list(completed.select_for_update()):
        version = mediation_selectors.active_version(one.feed.profile_id)
        if version is not None:
            try:
                open_attempt(one, version)
            except UnableToReprocess:
                open_attempt(one, one.profile_version)  # it could read the request when it came
            log.info("mediated_again", import_id=one.pk, since=since)
    if import_ids:
        mediation.ring("mediate", now)


@transaction.atomic
def _park_or_release(chunk_ids: Sequence[int], trace: str, now: datetime) -> None:
    """After a crash: let the chunks be tried again in a while, or park those that crashed too often for people to see.

    Until then they are as claimed by nobody.
    """
    claimed = ImportChunk.objects.filter(pk__in=chunk_ids, status=ImportChunk.Status.CLAIMED)
    _park(claimed.filter(attempts__gte=selectors.MAX_ATTEMPTS).values_list("pk", flat=True), trace, now)
    claimed.filter(attempts=1).update(status=ImportChunk.Status.WAITING, claimed_until=None, error=trace)
    for tries, gap in enumerate(TRY_GAPS, start=1):
        claimed.filter(attempts=tries).update(claimed_until=now + gap, error=trace)


def _park(chunk_ids: Iterable[int], trace: str, now: datetime) -> None:
    """Leave chunks to people, with what is known of why."""
    chunks = ImportChunk.objects.filter(pk__in=list(chunk_ids))
    import_ids = list(chunks.values_list("usage_import_id", flat=True))
    chunks.update(status=ImportChunk.Status.ERRORED, claimed_until=None, error=trace)
    UsageImport.objects.filter(pk__in=import_ids).update(status=UsageImport.Status.ERRORED, error=trace, ended_at=now)
