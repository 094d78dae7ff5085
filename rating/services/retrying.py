"""Rating exceptions that somebody asked to rate again, or whose time has come by itself: work for workers."""

import logging
import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet

from mediation import services as mediation
from mediation.core.retrying import next_try
from mediation.models import UDR_ID_BITS
from mediation.services.acting import acting, acts
from rating import selectors
from rating.models import ExceptionRerate, RatingException
from rating.selectors import ExceptionGroup
from rating.services.exceptions import UnableToRerate, rerate_together

log = logging.getLogger(__name__)

Status = ExceptionRerate.Status
OPEN = RatingException.Status.OPEN

PORTION = 10_000  # rated in one transaction: the progress moves, and a crash costs seconds
AFTER_DEATH = 100  # exceptions; where the worker dies of this too, they go one by one
MAX_ATTEMPTS = 5
# Before the second try and each after it: what is wrong with a database or a disk is often over within minutes.
TRY_GAPS = (timedelta(0), timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2))
# One that crashes is found among 10,000 by 14 halvings; where so much crashes, it is no single record's fault.
MAX_CRASHES = 60
# Those that wait for no rerate, or for one that has been given up.
FREE = Q(rerate=None) | Q(rerate__in=ExceptionRerate.objects.filter(status=Status.ERRORED))


@acts()
@transaction.atomic
def ask_rerate(
    *, exceptions: QuerySet[RatingException], group: ExceptionGroup | None = None, by: User | None, now: datetime
) -> ExceptionRerate:
    """Have workers rate open rating exceptions again: those that are there now. Raises UnableToRerate.

    Those that wait for another rerate already are left to it, unless it is errored. group: what the exceptions are, for
    the pages.
    """
    mediation.require_permission(by, "rating.rerate_ratingexception")
    chosen = mediation.seen(exceptions, by).filter(FREE, status=OPEN).order_by()
    feed_ids = [group.feed_id] if group else list(chosen.values_list("feed_id", flat=True).distinct()[:2])
    asked = ExceptionRerate.objects.create(
        feed_id=feed_ids[0] if len(feed_ids) == 1 else None,
        group=group.as_json() if group else None,
        exception_count=0,
        created_at=now,
        created_by=by,
    )
    free = RatingException.objects.filter(FREE, pk__in=chosen.values("pk"), status=OPEN)
    asked.exception_count = free.update(rerate=asked)
    if not asked.exception_count:
        raise UnableToRerate("None of these rating exceptions is open and free: others may be rated again already.")
    asked.save(update_fields=["exception_count"])
    mediation.ring(name="rate", now=now)
    return asked


@acts()
def retry_rerate(*, asked: ExceptionRerate, by: User | None, now: datetime) -> None:
    """Let a rerate that crashed too often go on where it stopped. Raises UnableToRerate."""
    mediation.require_permission(by, "rating.rerate_ratingexception")
    _require_feeds(asked, by)
    errored = ExceptionRerate.objects.filter(pk=asked.pk, status=Status.ERRORED)
    if not errored.update(status=Status.WAITING, attempts=0, try_at=None, error="", ended_at=None):
        raise UnableToRerate(f"The {asked} is not errored; there is nothing to try again.")
    mediation.ring(name="rate", now=now)


def _require_feeds(asked: ExceptionRerate, by: User | None) -> None:
    """Of those that wait; where none does any more, of the one that it was asked for."""
    feed_ids = set(RatingException.objects.filter(rerate=asked).values_list("feed_id", flat=True).distinct())
    mediation.require_feeds(by, feed_ids or ([] if asked.feed_id is None else [asked.feed_id]))


def rerate_asked(*, now: datetime) -> int:
    """Rate the next portion of what somebody asked for again; returns how many were tried, 0 where none waits.

    A crash is kept with the rerate; one that crashes too often is parked as errored.
    """
    asked = _begin(now)
    if asked is None:
        return 0
    try:
        with acting(by=asked.created_by, why="rated again"):
            return _work(asked, now) if _may_still(asked) else _park(asked, now)
    except Exception:
        log.exception("rerate crashed", extra={"rerate_id": asked.pk})
        _note_crash(asked, now)
        return 1


@transaction.atomic
def _begin(now: datetime) -> ExceptionRerate | None:
    """The next rerate that no other worker is at, its attempt counted before it begins."""
    due = selectors.exception_rerates_waiting().filter(Q(try_at=None) | Q(try_at__lte=now))
    waiting = due.select_for_update(skip_locked=True, of=("self",))
    asked: ExceptionRerate | None = waiting.select_related("created_by").order_by("pk").first()
    if asked is None:
        return None
    if asked.attempts >= MAX_ATTEMPTS:
        asked.status = Status.ERRORED
        asked.error = asked.error or f"The worker died in each of {MAX_ATTEMPTS} attempts."
        asked.save(update_fields=["status", "error"])
        return None
    asked.attempts += 1
    asked.save(update_fields=["attempts"])
    return asked


NO_MORE = (
    "Whoever asked for this may not have these exceptions rated again any more. What is charged stays; who may can ask"
    " for the rest."
)


def _may_still(asked: ExceptionRerate) -> bool:
    """Whether who asked for it still has the right and sees the feeds: both may be gone since."""
    try:
        mediation.require_permission(asked.created_by, "rating.rerate_ratingexception")
        _require_feeds(asked, asked.created_by)
    except PermissionDenied:
        return False
    return True


def _park(asked: ExceptionRerate, now: datetime) -> int:
    """Leave what is not tried yet to others, for whom it is free."""
    waiting = ExceptionRerate.objects.filter(pk=asked.pk, status=Status.WAITING)
    return waiting.update(status=Status.ERRORED, error=NO_MORE, ended_at=now)


@transaction.atomic
def _work(asked: ExceptionRerate, now: datetime) -> int:
    locked = ExceptionRerate.objects.select_for_update(skip_locked=True, of=("self",))
    mine = locked.filter(pk=asked.pk, status=Status.WAITING).first()
    if mine is None:
        return 0  # another worker is at it
    portion = RatingException.objects.filter(rerate=mine).order_by("pk")
    most = PORTION if mine.attempts <= 1 else min(PORTION, AFTER_DEATH) if mine.attempts == 2 else 1
    rows = list(portion.values_list("pk", "udr_id")[:most])
    charged, crashed = _rerate_apart(rows, asked.created_by, now)
    RatingException.objects.filter(rerate=mine, pk__in=[pk for pk, _ in rows]).update(rerate=None)
    mine.tried_count += len(rows)
    mine.charged_count += charged
    # What was said of one that was left open stays to be read.
    mine.error = crashed or (mine.error if mine.attempts <= 1 else "")
    mine.attempts, mine.try_at = 0, None
    if len(rows) < most:
        mine.status, mine.ended_at = Status.COMPLETED, now
    mine.save(update_fields=["tried_count", "charged_count", "attempts", "try_at", "error", "status", "ended_at"])
    return len(rows) or 1


def _rerate_apart(rows: Sequence[tuple[int, int]], by: User | None, now: datetime) -> tuple[int, str]:
    """How many of the exceptions are charged now, and the trace of the last that crashes whenever it is rated.

    What crashes together is halved until those that crash are alone: they stay open and hold up no others. Raises
    what was raised where too much crashes for that, or everything does.
    """
    charged, crashes, trace, passed = 0, 0, "", 0
    parts = [rows]
    while parts:
        part = parts.pop()
        try:
            with transaction.atomic():
                charged += _rerate(part, by, now)
        except Exception:
            crashes += 1
            if len(part) > 1 and crashes <= MAX_CRASHES:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                continue
            passed += 1
            if crashes > MAX_CRASHES or passed == len(rows):
                raise
            log.exception("rerate of one exception crashed", extra={"exception_id": part[0][0]})
            trace = f"Rating exception {part[0][0]} crashes and is left open.\n\n{traceback.format_exc()}"
    return charged, trace


def _rerate(rows: Sequence[tuple[int, int]], by: User | None, now: datetime) -> int:
    """How many of the exceptions (id, UDR id) are charged now; those that are closed meanwhile stay as they are."""
    if not rows:
        return 0
    chosen = RatingException.objects.filter(pk__in=[pk for pk, _ in rows], status=OPEN).order_by("pk")
    return rerate_together(waiting=chosen, batch_ids={udr_id >> UDR_ID_BITS for _, udr_id in rows}, by=by, now=now)


@transaction.atomic
def _note_crash(asked: ExceptionRerate, now: datetime) -> None:
    mine = ExceptionRerate.objects.select_for_update(of=("self",)).get(pk=asked.pk)
    mine.error = traceback.format_exc()
    if mine.attempts >= MAX_ATTEMPTS:
        mine.status, mine.ended_at = Status.ERRORED, now
    else:
        mine.try_at = now + TRY_GAPS[mine.attempts - 1]
    mine.save(update_fields=["error", "status", "ended_at", "try_at"])


def rerate_due(*, now: datetime) -> int:
    """Rate exceptions again whose time has come by the schedule; returns how many were tried, 0 where none is due.

    When each is tried next is set before the try, in a transaction of its own: a crash waits like any other failure.
    """
    due = _schedule_next(now)
    if not due:
        return 0
    try:
        with acting(by=None, why="tried again by the schedule"):
            _rerate_apart(due, None, now)
    except Exception:
        log.exception("retry crashed", extra={"count": len(due)})
    return len(due)


@transaction.atomic
def _schedule_next(now: datetime) -> list[tuple[int, int]]:
    rows = list(
        selectors.rating_exceptions_due(now)
        .select_for_update(skip_locked=True)
        .order_by("next_try_at", "pk")
        .values_list("pk", "udr_id", "retry_round")[:PORTION]
    )
    for tried in {tried for _, _, tried in rows}:
        of_round = RatingException.objects.filter(pk__in=[pk for pk, _, each in rows if each == tried])
        of_round.update(retry_round=F("retry_round") + 1, next_try_at=next_try(tried=tried + 1, now=now))
    return [(pk, udr_id) for pk, udr_id, _ in rows]
