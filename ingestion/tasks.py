"""What a worker does when the bell `mediate` rings."""

import time
from datetime import datetime
from itertools import count

from django.utils import timezone

from ingestion import selectors, services
from mediation import services as mediation

MAX_SECONDS = 20
TURN = 5  # steps after which what waits behind incoming usage has its turn, too
MANY = services.MAX_GROUP  # submissions that one worker takes in one step
PAUSE_SECONDS = 0.5  # while voids and amendments wait for usage that other workers mediate


def mediate_waiting() -> None:
    """Plan, mediate and retry what waits, until nothing does or it is another task's turn.

    While more waits than one worker has in hand, the bell rings on, so that others come. They go as soon as one is
    enough again: while single records come without end there is always something to do here, and nobody would rate.
    A part of a file is enough for another.
    """
    mediation.answer("mediate", timezone.now())
    with mediation.sole("mediating") as is_first:
        is_through = _work_through(is_first)
    if not is_through or (not is_first and _is_nobody_there()):
        mediation.ring_now("mediate", timezone.now())


def _is_nobody_there() -> bool:
    """Whether the one to whom this worker left the rest has gone meanwhile: what came since, nobody was called for."""
    with mediation.sole("mediating") as is_nobody_there:
        return is_nobody_there


def _work_through(is_first: bool) -> bool:
    """Whether nothing is left for this worker; False where it is another task's turn."""
    started, has_lingered = time.monotonic(), False
    for turn in count(1):
        if time.monotonic() - started >= MAX_SECONDS:
            return False
        now = timezone.now()
        if selectors.is_much_waiting(now, many=MANY):
            mediation.ring_now("mediate", now)
        elif turn > 1 and not is_first and not selectors.are_files_waiting(now):
            return True
        worked = (
            services.plan_next_import(now=now) or services.void_next(now=now) or services.mediate_next_chunks(now=now)
        )
        if not worked or turn % TURN == 0:
            worked = _work_behind(now, turn) or worked
        if worked:
            has_lingered = False
        elif selectors.is_put_off(now):
            time.sleep(PAUSE_SECONDS)
        elif has_lingered or not is_first:
            return True
        else:
            mediation.linger("mediate", lambda: selectors.is_usage_waiting(timezone.now()), came_at=started)
            has_lingered = True
    raise AssertionError  # count() does not end


def _work_behind(now: datetime, turn: int) -> bool:
    """A step of what was asked for or is tried again; each kind is asked first in its turn."""
    steps = (
        services.retry_due,
        services.retry_next_exceptions,
        services.correct_next_portion,
        services.undo_next_correction,
        services.backfill_next,
    )
    first = turn // TURN % len(steps)
    return any(step(now=now) for step in (*steps[first:], *steps[:first]))
