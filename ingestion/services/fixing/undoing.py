"""Taking back the correction of a group, while nothing that it brought in has been rated."""

import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F

from ingestion import selectors, store
from ingestion.models import ExceptionRevision, GroupCorrection, ImportChunk, UsageImport
from ingestion.services.charged import require_second_person_for_imports
from ingestion.services.mediating import LEDGER_FIELDS, mediate_repeats_again
from ingestion.services.retrying import last_chunk_numbers
from mediation import services as mediation
from mediation.models import UdrBatch
from mediation.services import acts

log = structlog.get_logger()

Status = GroupCorrection.Status
ENDED = (Status.COMPLETED, Status.ERRORED)


AT_ONCE = 20_000  # records; three to five seconds
LEASE = timedelta(seconds=20)
INSTEAD = "What is charged is taken back by mediating the import again, or by voiding the statement."


class UnableToUndo(Exception):
    """A correction that cannot be taken back; the message says why, and what can be done instead."""


def can_undo(correction: GroupCorrection) -> bool:
    """Whether taking the correction back may be offered: it has ended, and none of it is rated so far."""
    if correction.status not in ENDED or not correction.corrected_count:
        return False
    batch_ids = ImportChunk.objects.filter(correction_id=correction.pk, batch_id__isnull=False).values("batch_id")
    return not UdrBatch.objects.filter(pk__in=batch_ids).exclude(mediation.NEVER_RATED).exists()


@acts()
@transaction.atomic
def undo_correction(*, correction: GroupCorrection, by: User | None, now: datetime) -> GroupCorrection:
    """Take a correction back: its UDRs count no more, its exceptions are open again, its revisions withdrawn but kept.

    Records that were corrected again since keep all their corrections. One of more than 20,000 records is left to
    workers, its status undoing meanwhile. Raises UnableToUndo.
    """
    mediation.require_permission(by, "ingestion.correct_importexception")
    mediation.require_feeds(by, [correction.feed_id])
    locked = GroupCorrection.objects.select_for_update().get(pk=correction.pk)
    if locked.status not in ENDED:
        raise UnableToUndo(f"This correction is {locked.get_status_display()}; only one that has ended is undone.")
    _require_second_person(locked, by, now)
    locked.undone_by = by
    if locked.corrected_count <= AT_ONCE:
        _take_back(locked, now)
        return locked
    if not can_undo(locked):
        raise UnableToUndo(f"Some of its {locked.resolved_count:,} records are rated already. {INSTEAD}")
    locked.status, locked.attempts, locked.claimed_until, locked.error = Status.UNDOING, 0, None, ""
    locked.save(update_fields=["status", "attempts", "claimed_until", "error", "undone_by"])
    mediation.ring("mediate", now)
    return locked


def _require_second_person(correction: GroupCorrection, by: User | None, now: datetime) -> None:
    """Imports that repeat what is taken back are mediated again, though they may be charged themselves."""
    if mediation.asks_for_second_person("void", by):
        entries = ImportChunk.objects.filter(correction_id=correction.pk)
        batch_ids = [entry.batch_id for entry in entries if entry.batch_id is not None]
        repeating = selectors.imports_to_mediate_again(batch_ids, after=None, are_gone=False) if batch_ids else []
        require_second_person_for_imports(
            import_ids=repeating,
            does="undo a correction",
            arguments={"correction": correction.pk},
            by=by,
            now=now,
        )


def undo_next_correction(*, now: datetime) -> bool:
    """Take back the next correction of many records that somebody wants undone; False where none waits."""
    correction = _claim(now)
    if correction is None:
        return False
    try:
        with mediation.acting(by=correction.undone_by, why=f"undone: {correction.reason}"), transaction.atomic():
            # Both may be gone since it was asked for.
            mediation.require_permission(correction.undone_by, "ingestion.correct_importexception")
            mediation.require_feeds(correction.undone_by, [correction.feed_id])
            locked = GroupCorrection.objects.select_for_update().get(pk=correction.pk)
            if locked.status == Status.UNDOING:
                _take_back(locked, now)
    except UnableToUndo as refusal:
        _let_stand(correction, str(refusal))
    except PermissionDenied:
        _let_stand(correction, f"{correction.undone_by} may not correct these records any more; the correction stands.")
    except Exception:
        log.exception("undoing_crashed", correction_id=correction.pk)
        GroupCorrection.objects.filter(pk=correction.pk, status=Status.UNDOING).update(
            error=traceback.format_exc(), claimed_until=None
        )
    return True


@transaction.atomic
def _claim(now: datetime) -> GroupCorrection | None:
    """Claim a correction and count the try; one whose undoing crashed too often stands."""
    waiting = selectors.corrections_to_undo(now).select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    while (first := waiting.select_related("undone_by").first()) is not None:
        if first.attempts < selectors.MAX_ATTEMPTS:
            GroupCorrection.objects.filter(pk=first.pk).update(attempts=F("attempts") + 1, claimed_until=now + LEASE)
            return first
        _let_stand(first, first.error or "Its workers died while they took it back. Look at their log.")
    return None


def _let_stand(correction: GroupCorrection, error: str) -> None:
    """The correction is what it was before somebody wanted it undone; `error` says why."""
    ended = Status.COMPLETED if correction.done_count == correction.record_count else Status.ERRORED
    GroupCorrection.objects.filter(pk=correction.pk, status=Status.UNDOING).update(
        status=ended, error=error, claimed_until=None, attempts=0, undone_by=None
    )


def _take_back(correction: GroupCorrection, now: datetime) -> None:
    """All of it in the caller's transaction, which holds the correction's row."""
    entries = list(ImportChunk.objects.filter(correction_id=correction.pk).order_by("pk"))
    batch_ids = [entry.batch_id for entry in entries if entry.batch_id is not None]
    imports = _lock_imports(correction, batch_ids)
    if rated := mediation.take_back_batches(batch_ids=batch_ids):
        raise UnableToUndo(
            f"{rated:,} of its {correction.resolved_count:,} records are rated already, or are being rated right now."
            f" {INSTEAD}"
        )
    store.take_back_corrections(correction.pk, now=now)
    _counter_ledger(imports, entries, now)
    mediate_repeats_again(batch_ids, after=None, now=now)
    correction.status, correction.undone_at, correction.claimed_until = Status.UNDONE, now, None
    correction.save(update_fields=["status", "undone_at", "undone_by", "claimed_until"])


def _lock_imports(correction: GroupCorrection, batch_ids: Sequence[int]) -> list[UsageImport]:
    """The imports that the correction concerned, at rest and in the attempt that it was made in.

    Those that repeat what is taken back are locked with them: later would be out of the order of their numbers.
    """
    concerned = ExceptionRevision.objects.filter(correction=correction)
    made_in = set(concerned.values_list("exception__usage_import_id", "exception__attempt").distinct())
    import_ids = {import_id for import_id, _ in made_in}
    repeating = selectors.imports_to_mediate_again(batch_ids, after=None, are_gone=False) if batch_ids else []
    locked = UsageImport.objects.filter(pk__in=import_ids.union(repeating)).order_by("pk").select_for_update()
    imports = [one for one in locked if one.pk in import_ids]
    moved = [
        one for one in imports if one.status != UsageImport.Status.COMPLETED or (one.pk, one.attempt) not in made_in
    ]
    if moved:
        raise UnableToUndo(
            f"{len(moved):,} of its imports have been mediated again since, the first is {moved[0].tracking_id}:"
            " the corrections went into that. Correct single records again, or write them off."
        )
    return imports


def _counter_ledger(imports: Sequence[UsageImport], entries: Sequence[ImportChunk], now: datetime) -> None:
    """An entry for each import that takes back what the correction entered; the first stays as it is."""
    last_numbers, of_import = last_chunk_numbers(imports), {one.pk: one for one in imports}
    names = [*LEDGER_FIELDS, "repaired_count"]
    counters = []
    for import_id, group in groupby(sorted(entries, key=_of_import), key=_of_import):
        one, entered = of_import[import_id], list(group)
        counters.append(
            ImportChunk(
                usage_import=one,
                attempt=one.attempt,
                number=last_numbers[import_id] + 1,
                feed_id=one.feed_id,
                profile_version_id=entered[-1].profile_version_id,
                status=ImportChunk.Status.DONE,
                ended_at=now,
                correction_id=entered[-1].correction_id,
                **{name: -sum(getattr(entry, name) for entry in entered) for name in names},
            )
        )
    ImportChunk.objects.bulk_create(counters)
    store.recount([one.pk for one in imports], now=now)


def _of_import(entry: ImportChunk) -> int:
    return entry.usage_import_id
