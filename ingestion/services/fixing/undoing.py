"""Taking back the correction of a group: in place while nothing of it is rated, later by another attempt without it."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from ingestion import selectors, store
from ingestion.models import ExceptionRevision, GroupCorrection, ImportChunk, ImportException, UsageImport
from ingestion.services import reprocessing
from ingestion.services.charged import require_second_person_for_imports
from ingestion.services.mediating import LEDGER_FIELDS, mediate_repeats_again
from ingestion.services.retrying import last_chunk_numbers
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.models import ProfileVersion, UdrBatch
from mediation.services import acts

log = structlog.get_logger()

Status = GroupCorrection.Status
ENDED = (Status.COMPLETED, Status.ERRORED)


AT_ONCE = 20_000  # records; three to five seconds
LEASE = timedelta(seconds=20)
NOTHING_LEFT = "Its records were all corrected again since, and keep that: nothing of it is left to be undone."


class UnableToUndo(Exception):
    """A correction that cannot be taken back now; the message says why, and what can be done instead."""


class UndoingMoved(UnableToUndo):
    """What undoing a correction does is not what was told."""

    def __init__(self) -> None:
        super().__init__("This is what undoing it does now. Look at it, and confirm it.")


@dataclass(frozen=True)
class Undoing:
    """What undoing a correction does. imports: those with records that are read as it left them.

    is_whole: these are mediated again as a whole without it, since some of it was rated, or they were mediated again.
    """

    is_whole: bool
    imports: QuerySet[UsageImport]


def undoing_of(*, correction: GroupCorrection, by: User | None, now: datetime) -> Undoing:
    """What undoing does if `by` asks for it now. Raises UnableToUndo, and PermissionDenied."""
    mediation.require_permission(by, "ingestion.correct_importexception")
    mediation.require_feeds(by, [correction.feed_id])
    if correction.status not in ENDED:
        raise UnableToUndo(f"This correction is {correction.get_status_display()}; only one that has ended is undone.")
    found = Undoing(_is_whole(correction, now), selectors.imports_corrected_by(correction))
    if found.is_whole:
        mediation.require_permission(by, "ingestion.reprocess_usageimport")
        _require_rest(found.imports)
        _version_for(correction)
        if not store.has_corrections_to_withdraw(correction.pk):
            raise UnableToUndo(NOTHING_LEFT)
    return found


def can_undo(*, correction: GroupCorrection, by: User | None, now: datetime) -> bool:
    """Whether undoing the correction may be offered: it would not be refused."""
    if not correction.corrected_count:
        return False
    try:
        undoing_of(correction=correction, by=by, now=now)
    except (UnableToUndo, PermissionDenied):
        return False
    return True


def _is_whole(correction: GroupCorrection, now: datetime) -> bool:
    """Whether what it brought in is rated, or being rated, or no longer what its imports say."""
    entries = ImportChunk.objects.filter(correction_id=correction.pk, batch_id__isnull=False)
    is_being_rated = Q(status=UdrBatch.Status.MEDIATED, claimed_until__gte=now)
    if UdrBatch.objects.filter(is_being_rated | ~mediation.NEVER_RATED, pk__in=entries.values("batch_id")).exists():
        return True
    standing = ExceptionRevision.objects.filter(correction=correction, withdrawn_at=None)
    return standing.exclude(
        exception__attempt=F("exception__usage_import__attempt"),
        exception__usage_import__status=UsageImport.Status.COMPLETED,
    ).exists()


def _require_rest(imports: QuerySet[UsageImport]) -> None:
    """Raise UnableToUndo where one of them cannot be mediated again as a whole now."""
    chunks = ImportChunk.objects.filter(usage_import=OuterRef("pk"), status__in=reprocessing.UNDECIDED)
    retried = ImportException.objects.filter(usage_import=OuterRef("pk"), status=ImportException.Status.REPROCESSING)
    restless = imports.filter(~Q(status__in=reprocessing.ENDED) | Exists(chunks) | Exists(retried))
    first = restless.order_by("pk").first()
    if first is not None:
        raise UnableToUndo(
            f"{restless.count():,} of its imports are being mediated or wait for it, as a whole or in some of their"
            f" exceptions, the first is {first.tracking_id}. The correction can be undone when they are through."
        )


def _version_for(correction: GroupCorrection) -> ProfileVersion:
    version = mediation_selectors.active_version(correction.feed.profile_id)
    if version is None:
        raise UnableToUndo(f"The Data Profile of {correction.feed} has no active version. Activate one.")
    return version


@acts()
@transaction.atomic
def undo_correction(
    *, correction: GroupCorrection, by: User | None, now: datetime, as_whole: bool | None = None
) -> GroupCorrection:
    """Take a correction back: its revisions are withdrawn but kept, its records read as they were before it.

    While nothing of it is rated, its UDRs count no more and its exceptions are open again at once. Later, or when its
    imports were mediated again, they are mediated as a whole once more, without it. Records that were corrected again
    since keep all their corrections. One of more than 20,000 records is left to workers, its status undoing meanwhile.
    as_whole: which of the two `by` was told. Raises UnableToUndo.
    """
    locked = GroupCorrection.objects.select_for_update().get(pk=correction.pk)
    undoing = undoing_of(correction=locked, by=by, now=now)
    if as_whole not in (None, undoing.is_whole):
        raise UndoingMoved
    _require_second_person(locked, undoing, by, now)
    locked.undone_by, locked.is_undone_as_whole = by, undoing.is_whole
    if locked.corrected_count <= AT_ONCE:
        _take_back(locked, now)
        return locked
    locked.status, locked.attempts, locked.claimed_until, locked.error = Status.UNDOING, 0, None, ""
    locked.save(update_fields=["status", "attempts", "claimed_until", "error", "undone_by", "is_undone_as_whole"])
    mediation.ring("mediate", now)
    return locked


def _require_second_person(correction: GroupCorrection, undoing: Undoing, by: User | None, now: datetime) -> None:
    """Its imports may be charged, and so may those that repeat what is taken back, which are mediated again, too."""
    if mediation.asks_for_second_person("void", by):
        entries = ImportChunk.objects.filter(correction_id=correction.pk)
        batch_ids = [entry.batch_id for entry in entries if entry.batch_id is not None]
        again = set(selectors.imports_to_mediate_again(batch_ids, after=None, are_gone=False) if batch_ids else [])
        if undoing.is_whole:
            again.update(undoing.imports.values_list("pk", flat=True))
        require_second_person_for_imports(
            import_ids=again,
            does="undo a correction",
            arguments={"correction": correction.pk, "as_whole": undoing.is_whole},
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
            # They may be gone since it was asked for.
            mediation.require_permission(correction.undone_by, "ingestion.correct_importexception")
            if correction.is_undone_as_whole:
                mediation.require_permission(correction.undone_by, "ingestion.reprocess_usageimport")
            mediation.require_feeds(correction.undone_by, [correction.feed_id])
            locked = GroupCorrection.objects.select_for_update().get(pk=correction.pk)
            if locked.status == Status.UNDOING:
                _take_back(locked, now)
    except UnableToUndo as refusal:
        _let_stand(correction, str(refusal))
    except PermissionDenied:
        _let_stand(correction, f"{correction.undone_by} may not undo this correction any more; it stands.")
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
        status=ended, error=error, claimed_until=None, attempts=0, undone_by=None, is_undone_as_whole=False
    )


def _take_back(correction: GroupCorrection, now: datetime) -> None:
    """All of it in the caller's transaction, which holds the correction's row."""
    if correction.is_undone_as_whole:
        _mediate_without(correction, now)
    else:
        _take_back_in_place(correction, now)
    correction.status, correction.undone_at, correction.claimed_until = Status.UNDONE, now, None
    correction.save(update_fields=["status", "undone_at", "undone_by", "claimed_until", "is_undone_as_whole"])


def _mediate_without(correction: GroupCorrection, now: datetime) -> None:
    """Withdraw the correction and open another attempt at its imports, whose charges are taken back once it counts."""
    version = _version_for(correction)
    ids = list(selectors.imports_corrected_by(correction).values_list("pk", flat=True))
    imports = UsageImport.objects.filter(pk__in=ids)
    locked = list(imports.order_by("pk").select_for_update())
    _require_rest(imports)
    withdrawn_in = store.withdraw_corrections(correction.pk, now=now)
    if not withdrawn_in:
        raise UnableToUndo(NOTHING_LEFT)
    for one in locked:
        if one.pk in withdrawn_in:
            _open_attempt(one, version)
    log.info("mediated_without", correction_id=correction.pk, count=len(withdrawn_in))
    mediation.ring("mediate", now)


def _open_attempt(usage_import: UsageImport, version: ProfileVersion) -> None:
    try:
        reprocessing.open_attempt(usage_import, version)
    except reprocessing.UnableToReprocess:
        # It could read the request when it came.
        reprocessing.open_attempt(usage_import, usage_import.profile_version)


def _take_back_in_place(correction: GroupCorrection, now: datetime) -> None:
    """Its UDRs, of which none is rated, count no more, and its exceptions are open again."""
    entries = list(ImportChunk.objects.filter(correction_id=correction.pk).order_by("pk"))
    batch_ids = [entry.batch_id for entry in entries if entry.batch_id is not None]
    imports = _lock_imports(correction, batch_ids)
    if rated := mediation.take_back_batches(batch_ids=batch_ids):
        raise UnableToUndo(
            f"{rated:,} of its {correction.resolved_count:,} records are rated by now, or are being rated. Undo it"
            " again: its imports are mediated again as a whole then, which takes back what is charged."
        )
    store.take_back_corrections(correction.pk, now=now)
    _counter_ledger(imports, entries, now)
    mediate_repeats_again(batch_ids, after=None, now=now)


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
            f"{len(moved):,} of its imports are mediated again by now, the first is {moved[0].tracking_id}."
            " The correction can be undone when they are through: they are mediated without it then."
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
