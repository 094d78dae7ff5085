"""Import exceptions: correct, write off, mediate again."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import polars as pl
import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max, QuerySet

from ingestion import selectors, store
from ingestion.models import ExceptionRevision, Feed, ImportChunk, ImportException, UsageImport
from ingestion.services import envelopes
from ingestion.services.mediating import count_outcomes, windows_of
from ingestion.services.parts import combine_rows, write_parts
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.models import ProfileVersion
from mediation.services import acts

log = structlog.get_logger()

MAX_RETRY_RECORDS = 10_000


class UnableToCorrect(Exception):
    """A correction that cannot be taken."""


class UnableToWriteOff(Exception):
    """A write-off that cannot be done."""


@acts(why="reason")
@transaction.atomic
def correct_exception(
    *, exception: ImportException, raw: str, reason: str, by: User | None, now: datetime
) -> ExceptionRevision:
    """Keep a corrected text as a numbered revision and mediate it soon. Raises UnableToCorrect.

    The record as received stays as it is.
    """
    mediation.require_permission(by, "ingestion.correct_importexception")
    mediation.require_feeds(by, [exception.feed_id])
    locked = ImportException.objects.select_for_update(of=("self",)).get(pk=exception.pk)
    if locked.status != ImportException.Status.OPEN:
        raise UnableToCorrect(f"This exception is {locked.get_status_display()}; only open ones can be corrected.")
    usage_import = locked.usage_import
    if usage_import.status != UsageImport.Status.COMPLETED or usage_import.attempt != locked.attempt:
        raise UnableToCorrect(
            f"Its import is {usage_import.get_status_display()}; an exception is corrected once that has completed."
        )
    if not raw.strip():
        raise UnableToCorrect("The corrected record is empty. Write the exception off if the record is to be given up.")
    if "\0" in raw:
        raise UnableToCorrect("The corrected record holds a NUL character.")
    revision = ExceptionRevision.objects.create(
        exception=locked, number=locked.revision_count + 1, raw=raw, reason=reason, created_by=by, created_at=now
    )
    locked.revision_count = revision.number
    locked.save(update_fields=["revision_count"])
    reprocess_exceptions(exceptions=ImportException.objects.filter(pk=locked.pk), by=None, now=now)
    return revision


@acts(why="reason")
@transaction.atomic
def write_off_exceptions(*, exceptions: QuerySet[ImportException], reason: str, by: User | None, now: datetime) -> int:
    """Give up the open exceptions among `exceptions`, with a reason; returns how many. Raises UnableToWriteOff."""
    mediation.require_permission(by, "ingestion.writeoff_importexception")
    if not reason.strip():
        raise UnableToWriteOff("Say why these records are given up: a write-off needs a reason.")
    ids = mediation.seen(exceptions, by).filter(status=ImportException.Status.OPEN).order_by().values("pk")
    return ImportException.objects.filter(pk__in=ids, status=ImportException.Status.OPEN).update(
        status=ImportException.Status.WRITTEN_OFF, close_reason=reason, closed_by=by, closed_at=now
    )


@acts()
@transaction.atomic
def reprocess_exceptions(*, exceptions: QuerySet[ImportException], by: User | None, now: datetime) -> int:
    """Have the open exceptions among `exceptions` mediated again, each from its latest text; returns how many."""
    mediation.require_permission(by, "ingestion.reprocess_importexception")
    ids = (
        mediation.seen(exceptions, by)
        .filter(
            status=ImportException.Status.OPEN,
            attempt=F("usage_import__attempt"),
            usage_import__status=UsageImport.Status.COMPLETED,
        )
        .order_by()
    )
    count = ImportException.objects.filter(pk__in=ids.values("pk"), status=ImportException.Status.OPEN).update(
        status=ImportException.Status.REPROCESSING, retry_attempts=0
    )
    log.info("exceptions_to_retry", count=count, by=getattr(by, "pk", None))
    mediation.ring("mediate", now)
    return count


def retry_next_exceptions(*, now: datetime) -> bool:
    """Mediate some of the exceptions that somebody asked to mediate again; False where none waits."""
    ids = _claim_exceptions()
    if not ids:
        return False
    try:
        _retry(ids, now)
    except Exception:
        log.exception("retry_crashed", exception_ids=ids[:10], count=len(ids))
    return True


@transaction.atomic
def _claim_exceptions() -> list[int]:
    """Claim exceptions of one feed and count the try; those that crashed too often are open again."""
    waiting = selectors.exceptions_to_retry()
    hopeless = waiting.filter(retry_attempts__gte=selectors.MAX_ATTEMPTS)
    hopeless.update(status=ImportException.Status.OPEN)
    first = waiting.select_for_update(skip_locked=True).order_by("pk").first()
    if first is None:
        return []
    alike = waiting.filter(feed_id=first.feed_id).select_for_update(skip_locked=True).order_by("pk")
    most = MAX_RETRY_RECORDS if first.retry_attempts == 0 else 1
    ids = list(alike.values_list("pk", flat=True)[:most])
    ImportException.objects.filter(pk__in=ids).update(retry_attempts=F("retry_attempts") + 1)
    return ids


@transaction.atomic
def _retry(ids: Sequence[int], now: datetime) -> None:
    """Mediate exceptions of one feed again with its active profile version, all in this transaction."""
    exceptions = list(
        selectors.exceptions_to_retry()
        .filter(pk__in=ids)
        .select_for_update(of=("self",), skip_locked=True)
        .order_by("usage_import_id", "record_number")
    )
    # Locked too, so that nobody opens another attempt meanwhile or numbers the ledger's next entry as we do.
    imports = list(
        UsageImport.objects.filter(pk__in={one.usage_import_id for one in exceptions})
        .order_by("pk")
        .select_for_update()
    )
    exceptions = _of_current_attempts(exceptions, imports)
    if not exceptions:
        return
    feed = Feed.objects.get(pk=exceptions[0].feed_id)
    version = mediation_selectors.active_version(feed.profile_id)
    if version is None:
        ImportException.objects.filter(pk__in=ids).update(status=ImportException.Status.OPEN, last_tried_at=now)
        return
    imports = [one for one in imports if one.pk in {exception.usage_import_id for exception in exceptions}]
    if whole := envelopes.reopen(imports, version):
        ImportException.objects.filter(pk__in=ids, usage_import__in=whole).update(
            status=ImportException.Status.OPEN, last_tried_at=now
        )
        exceptions = [one for one in exceptions if one.usage_import not in whole]
        imports = [one for one in imports if one not in whole]
    if not exceptions:
        return
    records, parts = combine_rows(
        records=_read(exceptions, {one.pk: one for one in imports}, version),
        version=version,
        imports=imports,
        feed_id=feed.pk,
        now=now,
        is_retry=True,
    )
    outcome = mediation.mediate(
        records=records,
        version=version,
        feed_id=feed.pk,
        windows=windows_of(feed, imports),
        now=now,
    )
    _write(exceptions, imports, outcome, version, now)
    write_parts(parts=parts, rejected=outcome.rejected, feed_id=feed.pk)
    mediation.ring("rate", now)


def _of_current_attempts(
    exceptions: Sequence[ImportException], imports: Sequence[UsageImport]
) -> list[ImportException]:
    """The exceptions that may be decided now; those whose import is mediated again as a whole wait for that."""
    attempts = {one.pk: one.attempt for one in imports if one.status == UsageImport.Status.COMPLETED}
    current = [one for one in exceptions if attempts.get(one.usage_import_id) == one.attempt]
    others = {one.pk for one in exceptions} - {one.pk for one in current}
    ImportException.objects.filter(pk__in=others).update(status=ImportException.Status.OPEN)
    return current


def _read(
    exceptions: Sequence[ImportException], imports: dict[int, UsageImport], version: ProfileVersion
) -> pl.DataFrame:
    """The RECORDS of exceptions, from the latest revision of each or the text as received."""
    corrected = {
        revision.exception_id: revision.raw
        for revision in ExceptionRevision.objects.filter(exception__in=exceptions).order_by("number")
    }
    frames = []
    for import_id, group in groupby(exceptions, key=lambda exception: exception.usage_import_id):
        rows = [(import_id, one.record_number, corrected.get(one.pk, one.raw)) for one in group]
        schema = {"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        one_import = imports[import_id]
        frames.append(
            mediation.read_rows(
                version=version,
                rows=frame,
                header=one_import.header,
                file_fields={import_id: one_import.file_fields or {}},
            )
        )
    return pl.concat(frames, how="diagonal")


def _write(
    exceptions: Sequence[ImportException],
    imports: Sequence[UsageImport],
    outcome: mediation.Outcome,
    version: ProfileVersion,
    now: datetime,
) -> None:
    """Close the exceptions that became something else, renew the reason of the others, and enter both in the ledger."""
    still = {(row["import_id"], row["record_number"]): row for row in outcome.rejected.iter_rows(named=True)}
    for exception in exceptions:
        fault = still.get((exception.usage_import_id, exception.record_number))
        exception.last_tried_at = now
        exception.status = ImportException.Status.OPEN if fault else ImportException.Status.RESOLVED
        if fault:
            exception.code, exception.field = fault["code"], fault["field"]
            exception.message = fault["message"].replace("\0", "␀")
        else:
            exception.closed_at = now
    fields = ["last_tried_at", "status", "code", "field", "message", "closed_at"]
    ImportException.objects.bulk_update(exceptions, fields, batch_size=1_000)
    store.copy_in_left_out(outcome.left_out, attempts=store.attempts_frame(imports))
    _enter_in_ledger(exceptions, imports, outcome, version, now)


def _enter_in_ledger(
    exceptions: Sequence[ImportException],
    imports: Sequence[UsageImport],
    outcome: mediation.Outcome,
    version: ProfileVersion,
    now: datetime,
) -> None:
    """A chunk of its own for each import: records move out of the exceptions into another outcome."""
    last_numbers = dict(
        ImportChunk.objects.filter(usage_import__in=imports, attempt=F("usage_import__attempt"))
        .values_list("usage_import_id")
        .annotate(last=Max("number"))
    )
    counts = count_outcomes(outcome)
    entries = []
    for one in imports:
        count = counts.get(one.pk, {})
        moved = count.get("imported", 0) + count.get("skipped", 0) + count.get("duplicate", 0)
        if moved:
            entries.append(
                ImportChunk(
                    usage_import=one,
                    attempt=one.attempt,
                    number=last_numbers.get(one.pk, 0) + 1,
                    feed_id=one.feed_id,
                    profile_version_id=version.pk,
                    status=ImportChunk.Status.DONE,
                    ended_at=now,
                    batch_id=count.get("batch_id"),
                    imported_count=count.get("imported", 0),
                    skipped_count=count.get("skipped", 0),
                    duplicate_count=count.get("duplicate", 0),
                    repaired_count=count.get("repaired", 0),
                    exception_count=-moved,
                )
            )
    ImportChunk.objects.bulk_create(entries)
    store.recount([one.pk for one in imports], now=now)
