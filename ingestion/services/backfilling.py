"""Backfills: a stretch of past time sent again beside what counts, then swapped in by a worker in one step."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from django.db.utils import OperationalError

from ingestion import selectors
from ingestion.core.requests import RequestFault
from ingestion.models import Backfill, Feed, UsageImport
from ingestion.services.mediating import mediate_imports_again
from ingestion.services.receiving import version_to_use
from ingestion.services.voiding import let_go_on
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.core.voiding import BY_BACKFILL
from mediation.services import acts

log = structlog.get_logger()

PERMISSION = "ingestion.backfill_usage"
MAX_REASON_CHARS = 1_000
LEASE = timedelta(seconds=20)
TURN = timedelta(seconds=3)  # before it is looked at again while imports of the feed are mediated again
PATIENCE = timedelta(minutes=15)
MAX_ATTEMPTS = 5
# UDRs that are swapped at once, its own and what they replace: half of the time that a task has, on a busy machine.
MOST_SWAPPED = 6_000_000
AT_ONCE = 500  # batches asked about in one question
MOST_MILLISECONDS = 8_000  # for the difference that a reader waits for

Status = Backfill.Status
AT_WORK = (Status.CLOSING, Status.REVERTING, Status.ABANDONING)
GIVEN_UP = (
    "It was tried 5 times and its worker crashed or died each time. See the error; ask again once that is mended."
)
DIED = "Its worker died in each of 5 tries. Look at the log of the workers."
TOO_LARGE = (
    "{count:,} UDRs would be swapped, its own and those they replace; {most:,} at most are swapped at once. Abandon it"
    " and send the stretch again in several backfills of shorter windows."
)
BUSY = (
    "Imports of the feed, or of the backfill, are being mediated and have not ended for 15 minutes. See to those first."
)

# Set by the roof, which sees rating: (currency, charges, amount) that stand in the window for what would be replaced;
# and whether something of a closed backfill, or taken back because of it, is on a statement.
CHARGED: list[Callable[[Backfill], Sequence[tuple[str, int, Decimal]]]] = []
BILLED: list[Callable[[Backfill], bool]] = []


class UnableToBackfill(Exception):
    """What is not done with a backfill. `code` for machines, `faults` where there are several."""

    def __init__(self, code: str, message: str, *, faults: Sequence[RequestFault] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.faults = list(faults)


@acts(why="reason")
@transaction.atomic
def open_backfill(
    *, feed: Feed, starts_at: datetime, ends_at: datetime, reason: str, by: User | None, now: datetime
) -> Backfill:
    """Open a backfill of a feed for a past window, half-open. Raises UnableToBackfill, UnableToReceive."""
    mediation.require_permission(by, PERMISSION)
    mediation.require_feeds(by, [feed.pk])
    reason = reason.strip()
    _require_sound(starts_at, ends_at, reason, now)
    version = version_to_use(feed)
    if mediation.window_of(version=version) is not None:
        message = f"The profile of {feed} makes records of several rows, which may lie on both sides of a window."
        raise UnableToBackfill("not_backfillable", message)
    # Two that are opened at once must see each other; who sends is not held up.
    Feed.objects.select_for_update(no_key=True).get(pk=feed.pk)
    unfinished = Backfill.objects.filter(feed=feed, status__in=(Status.OPEN, *AT_WORK))
    if other := unfinished.filter(starts_at__lt=ends_at, ends_at__gt=starts_at).first():
        message = (
            f"The {other} of this feed is {other.status} and covers a part of this window. Close or abandon it first."
        )
        raise UnableToBackfill("backfill_overlaps", message)
    backfill = Backfill.objects.create(
        feed=feed, starts_at=starts_at, ends_at=ends_at, reason=reason, opened_at=now, opened_by=by
    )
    mediation.open_window(backfill_id=backfill.pk, feed_id=feed.pk, starts_at=starts_at, ends_at=ends_at)
    return backfill


def _require_sound(starts_at: datetime, ends_at: datetime, reason: str, now: datetime) -> None:
    """Every fault at once."""
    faults = []
    if not reason:
        faults.append(RequestFault("/reason", "missing_reason", "Say why the usage is sent again."))
    if len(reason) > MAX_REASON_CHARS:
        faults.append(RequestFault("/reason", "too_long", f"A reason has at most {MAX_REASON_CHARS:,} characters."))
    if "\0" in reason or any(0xD800 <= ord(char) < 0xE000 for char in reason):
        faults.append(RequestFault("/reason", "not_text", "A reason is text without NUL."))
    if ends_at <= starts_at:
        faults.append(RequestFault("/ends_at", "bad_window", "A window ends after it starts."))
    if ends_at > now:
        faults.append(RequestFault("/ends_at", "bad_window", "A window lies in the past: it ends now at the latest."))
    if faults:
        raise UnableToBackfill(faults[0].code, faults[0].detail, faults=faults)


@acts()
@transaction.atomic
def ask_close(*, backfill: Backfill, by: User | None, now: datetime) -> Backfill:
    """Have a worker let an open backfill count in place of what lies in its window. Raises UnableToBackfill."""
    locked = _lock(backfill, by)
    _require_status(locked, Status.OPEN, "closed")
    if waiting := _undecided(locked).count():
        message = f"{waiting} of its imports have not ended. Wait for them, or try their errored work again."
        raise UnableToBackfill("imports_under_way", message)
    own = mediation_selectors.held_by_backfill(locked.pk)
    if own > MOST_SWAPPED:
        raise UnableToBackfill("backfill_too_large", TOO_LARGE.format(count=own, most=MOST_SWAPPED))
    _require_second_person("close_backfill", locked, "Close", "is replaced, and its charges are taken back", by)
    return _ask(locked, Status.CLOSING, by, now)


@acts()
@transaction.atomic
def ask_revert(*, backfill: Backfill, by: User | None, now: datetime) -> Backfill:
    """Have a worker bring back what a closed backfill replaced, while it is not billed. Raises UnableToBackfill."""
    locked = _lock(backfill, by)
    _require_status(locked, Status.CLOSED, "reverted")
    _require_revertible(locked)
    _require_second_person("revert_backfill", locked, "Revert", "comes back, and what replaced it is taken back", by)
    return _ask(locked, Status.REVERTING, by, now)


@acts()
@transaction.atomic
def ask_abandon(*, backfill: Backfill, by: User | None, now: datetime) -> Backfill:
    """Have a worker give up what was sent into an open backfill: it never counts. Raises UnableToBackfill."""
    locked = _lock(backfill, by)
    _require_status(locked, Status.OPEN, "abandoned")
    return _ask(locked, Status.ABANDONING, by, now)


def _lock(backfill: Backfill, by: User | None) -> Backfill:
    mediation.require_permission(by, PERMISSION)
    mediation.require_feeds(by, [backfill.feed_id])
    return Backfill.objects.select_for_update(of=("self",)).select_related("feed").get(pk=backfill.pk)


def _require_status(backfill: Backfill, first: str, what: str) -> None:
    if backfill.status != first:
        message = f"The {backfill} is {backfill.status}: only one that is {first} can be {what}."
        raise UnableToBackfill("bad_state", message)


def _require_revertible(backfill: Backfill) -> None:
    later = Backfill.objects.filter(
        feed_id=backfill.feed_id,
        status__in=(Status.CLOSING, Status.CLOSED, Status.REVERTING),
        starts_at__lt=backfill.ends_at,
        ends_at__gt=backfill.starts_at,
        opened_at__gt=backfill.opened_at,
    )
    if other := later.exclude(pk=backfill.pk).order_by("-opened_at").first():
        message = f"The {other} replaced a part of this one since. Revert that first."
        raise UnableToBackfill("backfill_covered", message)
    if any(is_billed(backfill) for is_billed in BILLED):
        message = (
            "A billing period that is closed by now bills something of this backfill, or what was taken back because of"
            " it. Correct it by another backfill of the window: what that changes is billed as an adjustment."
        )
        raise UnableToBackfill("backfill_billed", message)


def _require_second_person(act: str, backfill: Backfill, does: str, what: str, by: User | None) -> None:
    mediation.require_second_person(
        kind="void",
        act=act,
        by=by,
        subject=("ingestion.Backfill", str(backfill.pk)),
        arguments={"backfill": backfill.pk, "feed": backfill.feed_id},
        summary=(
            f"{does} the backfill of {backfill.feed} from {backfill.starts_at:%Y-%m-%d %H:%M} to"
            f" {backfill.ends_at:%Y-%m-%d %H:%M} UTC: what lay in it {what}. {backfill.reason}"
        ),
    )


def _ask(backfill: Backfill, status: str, by: User | None, now: datetime) -> Backfill:
    backfill.status, backfill.asked_at, backfill.asked_by = status, now, by
    backfill.refusal, backfill.attempts, backfill.error, backfill.claimed_until = "", 0, "", None
    backfill.save()
    mediation.ring("mediate", now)
    return backfill


def _undecided(backfill: Backfill) -> Any:
    return UsageImport.objects.filter(backfill=backfill).exclude(status__in=("completed", "failed"))


def backfill_next(*, now: datetime) -> bool:
    """Do what was asked for of the next backfill; False where nothing waits.

    All of it is one transaction: readers see what was before, or what is after. A crash is tried again; what crashes
    too often is as it was before it was asked for, and says why.
    """
    backfill_id = _claim(now)
    if backfill_id is None:
        return False
    try:
        _work(backfill_id, now)
    except Exception:
        log.exception("backfill_crashed", backfill_id=backfill_id)
        _crashed(backfill_id, traceback.format_exc())
    return True


@transaction.atomic
def _crashed(backfill_id: int, trace: str) -> None:
    backfill = Backfill.objects.select_for_update(of=("self",)).get(pk=backfill_id)
    backfill.error = trace
    if backfill.status in AT_WORK and backfill.attempts >= MAX_ATTEMPTS:
        _take_back(backfill, GIVEN_UP)
    backfill.save()


def _take_back(backfill: Backfill, why: str) -> None:
    """Nothing of what was asked for is done: it may be asked for again, or something else."""
    backfill.status = Status.CLOSED if backfill.status == Status.REVERTING else Status.OPEN
    backfill.refusal, backfill.attempts, backfill.claimed_until = why, 0, None


@transaction.atomic
def _claim(now: datetime) -> int | None:
    waiting = selectors.backfills_to_work(now).select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    for backfill in waiting[:10]:
        # Who works on it holds this, and not the row, which senders ask for.
        if _is_alone(backfill.pk):
            if backfill.attempts >= MAX_ATTEMPTS:
                backfill.error = backfill.error or DIED
                _take_back(backfill, GIVEN_UP)
                backfill.save()
                continue
            Backfill.objects.filter(pk=backfill.pk).update(attempts=F("attempts") + 1, claimed_until=now + LEASE)
            return backfill.pk
    return None


def _is_alone(backfill_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('ingestion_backfill', %s))", [backfill_id])
        return bool(cursor.fetchone()[0])


@transaction.atomic
def _work(backfill_id: int, now: datetime) -> None:
    backfill = Backfill.objects.get(pk=backfill_id)
    if not _is_alone(backfill_id) or backfill.status not in AT_WORK:
        return
    with mediation.acting(by=backfill.asked_by, why=backfill.reason):
        # Before anything of the window is looked at: it is asked again and again.
        if _is_busy(backfill):
            _put_off(backfill, now)
            return
        ACTS[backfill.status](backfill, now)
        backfill.attempts, backfill.error, backfill.claimed_until = 0, "", None
        backfill.save()
        let_go_on(backfill.feed_id)


def _is_busy(backfill: Backfill) -> bool:
    """Whether its own imports, or others of the feed, are mediated; if not, nobody is until the transaction ends."""
    try:
        mediation.lock_window(backfill.pk)
    except mediation.BusyError:
        return True
    return bool(_undecided(backfill).exists())


def _put_off(backfill: Backfill, now: datetime) -> None:
    """Let it wait for imports that are mediated; after a quarter of an hour it is as it was, and says why."""
    backfill.attempts, backfill.claimed_until = 0, now + TURN
    if backfill.asked_at is not None and now - backfill.asked_at >= PATIENCE:
        _take_back(backfill, BUSY)
    backfill.save()


def _order(backfill: Backfill, now: datetime) -> mediation.SwapOrder:
    # It came while the worker waited for his turn, or by a clock that is ahead: a few rows of an index by time.
    ahead = UsageImport.objects.filter(feed_id=backfill.feed_id, received_at__gt=now).order_by("-received_at")
    return mediation.SwapOrder(
        backfill_id=backfill.pk,
        request_id=backfill.tracking_id,
        opened_at=backfill.opened_at,
        reason=backfill.reason,
        by_id=backfill.asked_by_id,
        arrivals=dict(UsageImport.objects.filter(backfill=backfill).values_list("pk", "received_at")),
        received_until=ahead.values_list("received_at", flat=True).first() or now,
    )


def _close(backfill: Backfill, now: datetime) -> None:
    found = mediation.difference_of(backfill_id=backfill.pk)
    count = int(sum(one.count + one.replaced_count for one in found))
    if count > MOST_SWAPPED:
        _take_back(backfill, TOO_LARGE.format(count=count, most=MOST_SWAPPED))
        return
    backfill.difference = [_told(one) for one in found]
    swapped = mediation.close_window(order=_order(backfill, now), now=now)
    backfill.status, backfill.closed_at = Status.CLOSED, now
    backfill.udr_count, backfill.replaced_count = swapped.let_in, swapped.replaced
    backfill.left_out_count = swapped.left_out


def _revert(backfill: Backfill, now: datetime) -> None:
    try:
        _require_revertible(backfill)
    except UnableToBackfill as refusal:
        backfill.status, backfill.refusal = Status.CLOSED, str(refusal)
        return
    own = mediation_selectors.batches_of_backfill(backfill.pk)
    swapped = mediation.reopen_window(order=_order(backfill, now), now=now)
    backfill.status, backfill.ended_at, backfill.restored_count = Status.REVERTED, now, swapped.let_in
    _mediate_again(backfill, own, now)


def _abandon(backfill: Backfill, now: datetime) -> None:
    mediation.drop_window(order=_order(backfill, now))
    backfill.status, backfill.ended_at = Status.ABANDONED, now


ACTS: dict[str, Callable[[Backfill, datetime], None]] = {
    Status.CLOSING: _close,
    Status.REVERTING: _revert,
    Status.ABANDONING: _abandon,
}


def _mediate_again(backfill: Backfill, own_batches: Sequence[int], now: datetime) -> None:
    """Imports whose records repeated what came by the backfill, or were left out because of it, are read again."""
    again = set(selectors.imports_left_out(f"{BY_BACKFILL}{backfill.pk}", backfill.feed_id, backfill.closed_at))
    for first in range(0, len(own_batches), AT_ONCE):
        again.update(selectors.imports_to_mediate_again(own_batches[first : first + AT_ONCE], after=None))
    own = UsageImport.objects.filter(backfill=backfill).values_list("pk", flat=True)
    mediate_imports_again(again.difference(own), since=None, now=now)


@dataclass(frozen=True)
class Figures:
    """How far a backfill has come, and what it changes.

    imports: counts of its imports and their records; difference: class by class, None where it takes too long to count;
    charges: what stands for what would be replaced, None where that is not for the reader or already taken back.
    unsettled_count: UDRs whose charges are still to be taken back, or to be made again.
    """

    imports: dict[str, int]
    difference: list[dict[str, Any]] | None
    charges: list[tuple[str, int, Decimal]] | None
    unsettled_count: int


def figures_of(*, backfill: Backfill, by: User | None) -> Figures:
    """What a reader is told of a backfill; counted as it stands while it is open."""
    mediation.require_feeds(by, [backfill.feed_id])
    difference, charges = backfill.difference, None
    if backfill.status in (Status.OPEN, Status.CLOSING):
        sees_charges = by is None or by.has_perm("rating.view_charge")
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {MOST_MILLISECONDS}")
                difference = [_told(one) for one in mediation.difference_of(backfill_id=backfill.pk)]
                charges = list(CHARGED[0](backfill)) if CHARGED and sees_charges else None
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        except OperationalError:
            difference = charges = None
    return Figures(
        imports=selectors.sums_of_backfill(backfill),
        difference=difference,
        charges=charges,
        unsettled_count=mediation_selectors.unsettled_of_backfill(backfill.pk),
    )


def _told(one: mediation.ClassDifference) -> dict[str, Any]:
    return {
        "usage_class": one.usage_class,
        "records": int(one.count),
        "quantity": f"{one.value:f}",
        "replaced_records": int(one.replaced_count),
        "replaced_quantity": f"{one.replaced_value:f}",
    }
