"""Workers correct a group in portions: rule, revisions, mediation and progress in one transaction each."""

import json
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import structlog
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Length

from ingestion import selectors, store
from ingestion.core.fixing import Corrected, Rule, apply_rule
from ingestion.models import Feed, GroupCorrection, ImportException, UsageImport
from ingestion.services import envelopes
from ingestion.services.exceptions import fault_of
from ingestion.services.fixing.rules import rule_for
from ingestion.services.mediating import TRY_GAPS
from ingestion.services.retrying import Place, Retried, lock_usage_of, mediate_again, read_exceptions
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.models import ProfileVersion

log = structlog.get_logger()

Status = GroupCorrection.Status
LEASE = timedelta(seconds=20)
# Progress is seen after each; what a portion costs beside its records is little from a thousand on.
PORTION_RECORDS = 5_000
PORTION_CHARS = 50_000_000
AFTER_DEATH = 100  # records; where the worker dies of this too, they go one by one
# One that crashes is found among 5,000 by 13 halvings; where so much crashes, it is no single record's fault.
MAX_CRASHES = 60


def correct_next_portion(*, now: datetime) -> bool:
    """Correct the next exceptions of a group that somebody has a rule for; False where none waits."""
    correction = _claim(now)
    if correction is None:
        return False
    try:
        with mediation.acting(by=correction.created_by, why=correction.reason):
            if not _may_still(correction):
                _park(correction.pk, NO_MORE, now)
                return True
            _correct_portion(correction.pk, now)
    except Exception:
        log.exception("correction_crashed", correction_id=correction.pk)
        _release(correction.pk, traceback.format_exc(), now)
    return True


@transaction.atomic
def _claim(now: datetime) -> GroupCorrection | None:
    """Claim a correction and count the try; one that crashed too often is parked where people see it."""
    waiting = selectors.corrections_to_work(now).select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    while (first := waiting.select_related("created_by").first()) is not None:
        if first.attempts < selectors.MAX_ATTEMPTS:
            GroupCorrection.objects.filter(pk=first.pk).update(
                status=Status.RUNNING,
                attempts=F("attempts") + 1,
                claimed_until=now + LEASE,
                started_at=Coalesce("started_at", now),
            )
            return first
        _park(first.pk, first.error or "Its workers died while they corrected records. Look at their log.", now)
    return None


NO_MORE = (
    "Whoever asked for this correction may not correct these records any more. What is decided stays; who may correct"
    " them can ask for the correction of what is left."
)


def _may_still(correction: GroupCorrection) -> bool:
    """Whether who asked for it still has the right and sees the feed: both may be gone since."""
    try:
        mediation.require_permission(correction.created_by, "ingestion.correct_importexception")
        mediation.require_feeds(correction.created_by, [correction.feed_id])
    except PermissionDenied:
        return False
    return True


def _park(correction_id: int, error: str, now: datetime) -> None:
    """Leave a correction to people, with what is known of why."""
    GroupCorrection.objects.filter(pk=correction_id).update(
        status=Status.ERRORED, error=error, claimed_until=None, ended_at=now
    )


def _release(correction_id: int, trace: str, now: datetime) -> None:
    """After a crash: tried again in a while, and parked when its tries are over, which whoever claims it sees."""
    running = GroupCorrection.objects.filter(pk=correction_id, status=Status.RUNNING)
    running.update(error=trace, claimed_until=None)
    for tries, gap in enumerate(TRY_GAPS, start=1):
        running.filter(attempts=tries).update(claimed_until=now + gap if gap else None)


@transaction.atomic
def _correct_portion(correction_id: int, now: datetime) -> None:
    """Decide the next exceptions, all in this transaction; the row stays locked while it runs."""
    correction = GroupCorrection.objects.select_for_update().get(pk=correction_id)
    if correction.status != Status.RUNNING:
        return
    ids, last_id = _next_ids(correction)
    if not ids:
        _complete(correction, now)
        return
    feed = Feed.objects.get(pk=correction.feed_id)
    version = mediation_selectors.active_version(feed.profile_id)
    if version is None:
        raise RuntimeError(f"The Data Profile of {feed} has no active version. Activate one and try again.")
    exceptions, imports = _lock(ids, feed)

    def correct(part: Sequence[ImportException]) -> Retried | None:
        return _correct(correction, part, imports, feed, version, now)

    corrected, crashed, trace = _correct_apart(exceptions, correct)
    changed = len(corrected.resolved | corrected.still | corrected.reopened)
    correction.last_exception_id = last_id
    correction.corrected_count += changed
    correction.resolved_count += len(corrected.resolved)
    correction.still_count += len(corrected.still)
    correction.unchanged_count += len(exceptions) - changed - crashed
    correction.passed_count += len(ids) - len(exceptions) + len(corrected.reopened) + crashed
    # What was said of a record that was left open stays to be read.
    correction.error = trace or (correction.error if correction.attempts <= 1 else "")
    correction.attempts, correction.claimed_until = 0, None
    correction.save()


def _correct_apart(
    exceptions: Sequence[ImportException], correct: Callable[[Sequence[ImportException]], Retried | None]
) -> tuple[Retried, int, str]:
    """What became of locked exceptions, how many crash whenever they are corrected, and the trace of the last of them.

    What crashes together is halved until those that crash are alone: they stay open and hold up no others. Raises
    what was raised where too much crashes for that, or everything does.
    """
    done, passed, crashes, trace = Retried(frozenset(), frozenset(), frozenset()), 0, 0, ""
    parts = [exceptions] if exceptions else []
    while parts:
        part = parts.pop()
        try:
            with transaction.atomic():
                more = correct(part)
        except Exception:
            crashes += 1
            if len(part) > 1 and crashes <= MAX_CRASHES:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                continue
            passed += 1
            if crashes > MAX_CRASHES or passed == len(exceptions):
                raise
            log.exception("record_crashed", exception_id=part[0].pk)
            trace = f"Exception {part[0].pk} crashes and is left open.\n\n{traceback.format_exc()}"
        else:
            done = done.and_(more) if more else done
    return done, passed, trace


def _next_ids(correction: GroupCorrection) -> tuple[list[int], int]:
    """The exceptions of the next portion, as many as fit into memory, and the last of their numbers."""
    group = selectors.Group(correction.feed_id, correction.code, correction.field, correction.value)
    rest = selectors.exceptions_of_group(group).filter(
        pk__gt=correction.last_exception_id, pk__lte=correction.max_exception_id
    )
    after_death = min(PORTION_RECORDS, AFTER_DEATH) if correction.attempts == 2 else 1
    most = PORTION_RECORDS if correction.attempts <= 1 else after_death
    ids: list[int] = []
    size = 0
    for pk, chars in rest.order_by("pk").values_list("pk", Length("raw"))[:most]:
        size += chars
        if ids and size > PORTION_CHARS:
            break
        ids.append(pk)
    return ids, ids[-1] if ids else correction.last_exception_id


def _complete(correction: GroupCorrection, now: datetime) -> None:
    """What was in the group when it was asked for and is decided nowhere has left it by another way.

    Only now, when all of their records are corrected, imports with an envelope are mediated again as a whole.
    """
    if reopened := _reopen_envelopes(correction):
        log.info("imports_reopened", correction_id=correction.pk, count=reopened)
        mediation.ring("mediate", now)
    correction.passed_count += max(correction.record_count - correction.done_count, 0)
    correction.record_count = correction.done_count
    correction.status, correction.ended_at = Status.COMPLETED, now
    correction.claimed_until, correction.attempts = None, 0
    correction.save()
    log.info("correction_completed", correction_id=correction.pk, resolved=correction.resolved_count)


def _reopen_envelopes(correction: GroupCorrection) -> int:
    version = mediation_selectors.active_version(correction.feed.profile_id)
    revisions = correction.revisions.filter(has_resolved=False, exception__status=ImportException.Status.OPEN)
    import_ids = revisions.values_list("exception__usage_import_id", flat=True).distinct()
    imports = UsageImport.objects.filter(pk__in=set(import_ids), status=UsageImport.Status.COMPLETED)
    found = list(imports.order_by("pk").select_for_update())
    return len(envelopes.reopen(found, version)) if version else 0


def _lock(ids: Sequence[int], feed: Feed) -> tuple[list[ImportException], list[UsageImport]]:
    """The exceptions that are still open, in imports that are at rest; imports are locked first, as everywhere."""
    import_ids = set(ImportException.objects.filter(pk__in=ids).values_list("usage_import_id", flat=True))
    lock_usage_of(import_ids, feed.pk)
    locked = UsageImport.objects.filter(pk__in=import_ids).order_by("pk").select_for_update()
    at_rest = {one.pk: one for one in locked if one.status == UsageImport.Status.COMPLETED}
    found = ImportException.objects.filter(pk__in=ids, status=ImportException.Status.OPEN)
    exceptions = [
        one
        for one in found.order_by("usage_import_id", "record_number").select_for_update(of=("self",))
        if one.usage_import_id in at_rest and at_rest[one.usage_import_id].attempt == one.attempt
    ]
    concerned = {one.usage_import_id for one in exceptions}
    return exceptions, [one for pk, one in at_rest.items() if pk in concerned]


def _correct(
    correction: GroupCorrection,
    exceptions: Sequence[ImportException],
    imports: Sequence[UsageImport],
    feed: Feed,
    version: ProfileVersion,
    now: datetime,
) -> Retried | None:
    """Apply the rule, mediate what it changed, and write the revisions; None where it changed nothing."""
    before = store.corrections_of_exceptions(exceptions)
    records = read_exceptions(exceptions=exceptions, imports=imports, version=version, corrections=before)
    made = revisions_by(rule_for(correction.rule, version), records)
    changed = [one for one in exceptions if (one.usage_import_id, one.record_number) in made]
    if not changed:
        return None
    whole = envelopes.with_envelope(imports)
    alone = [one for one in changed if one.usage_import_id not in whole]
    kept = frozenset(one.pk for one in changed if one.usage_import_id in whole)
    store.open_again(sorted(kept), added_revisions=1, now=now)
    retried = Retried(frozenset(), frozenset(), kept)
    if alone:
        concerned = {one.usage_import_id for one in alone}
        decided = mediate_again(
            exceptions=alone,
            imports=[one for one in imports if one.pk in concerned],
            feed=feed,
            version=version,
            corrections=corrected_by(made, before),
            now=now,
            correction_id=correction.pk,
        )
        retried = replace(decided, reopened=kept)
    store.copy_in_revisions(
        _revisions(changed, made, retried),
        correction_id=correction.pk,
        reason=correction.reason,
        created_by_id=correction.created_by_id,
        now=now,
    )
    return retried


Made = Mapping[Place, tuple[str | None, dict[str, str | None] | None]]


def revisions_by(rule: Rule, records: pl.DataFrame) -> Made:
    """The text, or the changes of fields, that a rule gives each of RECORDS that it changes."""
    applied = apply_rule(records, rule)
    told = records.select("import_id", "record_number").hstack(applied).filter("is_changed")
    if rule.field is None:
        return {(one, number): (text, None) for one, number, text in told.select(*PLACED, "text").iter_rows()}
    return {(one, number): (None, {rule.field: text}) for one, number, text in told.select(*PLACED, "text").iter_rows()}


PLACED = ("import_id", "record_number")


def corrected_by(made: Made, before: Mapping[Place, Corrected]) -> dict[Place, Corrected]:
    """What records are read from once they have these revisions too."""
    return {place: before.get(place, Corrected()).then(*revision) for place, revision in made.items()}


def _revisions(exceptions: Iterable[ImportException], made: Made, retried: Retried) -> pl.DataFrame:
    """REVISIONS of the exceptions, which hold what was wrong before."""
    rows = []
    for one in exceptions:
        raw, changes = made[one.usage_import_id, one.record_number]
        told = json.dumps(changes, ensure_ascii=False) if changes is not None else None
        fault = json.dumps(fault_of(one), ensure_ascii=False)
        rows.append((one.pk, one.revision_count + 1, raw, told, fault, one.pk in retried.resolved))
    return pl.DataFrame(rows, schema=store.REVISIONS, orient="row")
