"""Import exceptions: correct, write off, mediate again."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet

from ingestion import selectors, store
from ingestion.core.fixing.laying import Changes
from ingestion.core.fixing.rules import MAX_TEXT
from ingestion.models import ExceptionRevision, Feed, ImportException, UsageImport
from ingestion.services.charged import require_second_person_for_records
from ingestion.services.retrying import lock_usage_of, mediate_again
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.services import acts

log = structlog.get_logger()

MAX_RETRY_RECORDS = 10_000


class UnableToCorrect(Exception):
    """A correction that cannot be taken."""


class UnableToWriteOff(Exception):
    """A write-off that cannot be done."""


class UnableToReopen(Exception):
    """A write-off that cannot be taken back."""


@acts(why="reason")
@transaction.atomic
def correct_exception(
    *,
    exception: ImportException,
    raw: str | None = None,
    changes: Changes | None = None,
    reason: str,
    by: User | None,
    now: datetime,
    known_revision: int | None = None,
) -> ExceptionRevision:
    """Keep a corrected text, or changes of source fields, as a numbered revision and mediate the record soon.

    The record as received stays as it is. known_revision: the number of the last revision that was seen; None does not
    ask. Raises UnableToCorrect.
    """
    mediation.require_permission(by, "ingestion.correct_importexception")
    mediation.require_feeds(by, [exception.feed_id])
    locked = ImportException.objects.select_for_update(of=("self",)).get(pk=exception.pk)
    if locked.status != ImportException.Status.OPEN:
        raise UnableToCorrect(f"This exception is {locked.get_status_display()}; only open ones can be corrected.")
    if known_revision is not None and known_revision != locked.revision_count:
        raise UnableToCorrect(
            "Somebody else has corrected this record since you opened it. Open it again and look at what it says now."
        )
    usage_import = locked.usage_import
    if usage_import.status != UsageImport.Status.COMPLETED or usage_import.attempt != locked.attempt:
        raise UnableToCorrect(
            f"Its import is {usage_import.get_status_display()}; an exception is corrected once that has completed."
        )
    require_correction(raw=raw, changes=changes, feed=locked.feed)
    require_second_person_for_records(
        exceptions=ImportException.objects.filter(pk=locked.pk),
        does="correct a record",
        arguments={"ids": [locked.pk], "raw": raw, "changes": dict(changes) if changes else None, "reason": reason},
        by=by,
        now=now,
    )
    revision = ExceptionRevision.objects.create(
        exception=locked,
        number=locked.revision_count + 1,
        raw=raw,
        changes=dict(changes) if changes else None,
        reason=reason,
        created_by=by,
        created_at=now,
        fault_before=fault_of(locked),
    )
    locked.revision_count = revision.number
    locked.save(update_fields=["revision_count"])
    reprocess_exceptions(exceptions=ImportException.objects.filter(pk=locked.pk), by=None, now=now)
    return revision


def fault_of(exception: ImportException) -> dict[str, str]:
    """What is wrong with a record, as a revision keeps it."""
    return {name: getattr(exception, name) for name in ("code", "field", "value", "message")}


def require_correction(*, raw: str | None, changes: Changes | None, feed: Feed) -> None:
    """Raise UnableToCorrect where a correction says nothing, or something that cannot be kept or read."""
    if raw is None and not changes:
        raise UnableToCorrect("Nothing is corrected: change the record's text, or one of its source fields.")
    if raw is not None and not raw.strip():
        raise UnableToCorrect("The corrected record is empty. Write the exception off if the record is to be given up.")
    if "\0" in (raw or ""):
        raise UnableToCorrect("The corrected record holds a NUL character.")
    for name, text in (changes or {}).items():
        if "\0" in name or "\0" in (text or ""):
            raise UnableToCorrect("A corrected field holds a NUL character.")
        if len(text or "") > MAX_TEXT:
            raise UnableToCorrect(f"The text of {name[:200]} is longer than {MAX_TEXT:,} characters.")
    if changes:
        _require_fields(changes, feed)


def _require_fields(changes: Changes, feed: Feed) -> None:
    version = mediation_selectors.active_version(feed.profile_id)
    if version is None:
        raise UnableToCorrect(f"The Data Profile of {feed} has no active version. Activate one.")
    if mediation.window_of(version=version) is not None:
        raise UnableToCorrect("Rows of this profile make records together. Correct the text of the row instead.")
    if strangers := [name for name in changes if name not in mediation.spec_of(version).sources]:
        raise UnableToCorrect(f"{strangers[0][:200]} is no source field that {version} reads.")


@acts(why="reason")
@transaction.atomic
def write_off_exceptions(*, exceptions: QuerySet[ImportException], reason: str, by: User | None, now: datetime) -> int:
    """Give up the open exceptions among `exceptions`, with a reason; returns how many. Raises UnableToWriteOff."""
    mediation.require_permission(by, "ingestion.writeoff_importexception")
    if not reason.strip():
        raise UnableToWriteOff("Say why these records are given up: a write-off needs a reason.")
    chosen = mediation.seen(exceptions, by).filter(status=ImportException.Status.OPEN)
    _require_second_person(chosen, reason, by)
    ids = chosen.order_by().values("pk")
    return ImportException.objects.filter(pk__in=ids, status=ImportException.Status.OPEN).update(
        status=ImportException.Status.WRITTEN_OFF, close_reason=reason, closed_by=by, closed_at=now, next_try_at=None
    )


def _require_second_person(chosen: QuerySet[ImportException], reason: str, by: User | None) -> None:
    if not mediation.asks_for_second_person("write_off", by):
        return
    ids = list(chosen.order_by("pk").values_list("pk", flat=True))
    if ids:
        mediation.require_second_person(
            kind="write_off",
            act="write_off_import_exceptions",
            by=by,
            subject=("ingestion.ImportException", str(ids[0]) if len(ids) == 1 else ""),
            arguments={"ids": ids, "reason": reason},
            summary=f"Write off {len(ids):,} import exception{'s' if len(ids) > 1 else ''}: {reason}",
            value=lambda: mediation.value_of(chosen),
        )


@acts(why="reason")
@transaction.atomic
def reopen_exceptions(*, exceptions: QuerySet[ImportException], reason: str, by: User | None, now: datetime) -> int:
    """Take back the write-off of exceptions, with a reason; returns how many are open again. Raises UnableToReopen.

    Only of records whose import has not been mediated again since.
    """
    mediation.require_permission(by, "ingestion.writeoff_importexception")
    if not reason.strip():
        raise UnableToReopen("Say why the write-off is taken back.")
    written_off = ImportException.objects.filter(status=ImportException.Status.WRITTEN_OFF)
    chosen = mediation.seen(exceptions, by).filter(attempt=F("usage_import__attempt")).order_by().values("pk")
    count = written_off.filter(pk__in=chosen).update(
        status=ImportException.Status.OPEN, close_reason="", closed_by=None, closed_at=None
    )
    log.info("exceptions_reopened", count=count, by=getattr(by, "pk", None), reason=reason, at=now.isoformat())
    return count


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
    if mediation.asks_for_second_person("void", by):
        asked = list(ids.order_by("pk").values_list("pk", flat=True))
        require_second_person_for_records(
            exceptions=ids, does="mediate exceptions again", arguments={"ids": asked}, by=by, now=now
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
    exceptions, imports = _lock(ids)
    exceptions = _of_current_attempts(exceptions, imports)
    if not exceptions:
        return
    feed = Feed.objects.get(pk=exceptions[0].feed_id)
    version = mediation_selectors.active_version(feed.profile_id)
    if version is None:
        ImportException.objects.filter(pk__in=ids).update(status=ImportException.Status.OPEN, last_tried_at=now)
        return
    concerned = {exception.usage_import_id for exception in exceptions}
    mediate_again(
        exceptions=exceptions,
        imports=[one for one in imports if one.pk in concerned],
        feed=feed,
        version=version,
        corrections=store.corrections_of_exceptions(exceptions),
        now=now,
    )


def _lock(ids: Sequence[int]) -> tuple[list[ImportException], list[UsageImport]]:
    """Exceptions that wait, and their imports, so that nobody opens another attempt or numbers the ledger as we do."""
    waiting = ImportException.objects.filter(pk__in=ids, status=ImportException.Status.REPROCESSING)
    found = dict(waiting.values_list("usage_import_id", "feed_id"))
    import_ids = found.keys()
    for feed_id in set(found.values()):
        lock_usage_of(import_ids, feed_id)
    imports = list(UsageImport.objects.filter(pk__in=import_ids).order_by("pk").select_for_update())
    exceptions = waiting.select_for_update(of=("self",), skip_locked=True).order_by("usage_import_id", "record_number")
    return list(exceptions), imports


def _of_current_attempts(
    exceptions: Sequence[ImportException], imports: Sequence[UsageImport]
) -> list[ImportException]:
    """The exceptions that may be decided now; those whose import is mediated again as a whole wait for that."""
    attempts = {one.pk: one.attempt for one in imports if one.status == UsageImport.Status.COMPLETED}
    current = [one for one in exceptions if attempts.get(one.usage_import_id) == one.attempt]
    others = {one.pk for one in exceptions} - {one.pk for one in current}
    ImportException.objects.filter(pk__in=others).update(status=ImportException.Status.OPEN)
    return current
