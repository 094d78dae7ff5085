"""What a worker does when the bell `mediate` rings."""

import time
from datetime import datetime
from itertools import count

from django.utils import timezone

from ingestion import selectors, services
from mediation import services as mediation

MAX_SECONDS = 20
TURN = 5  # steps after which what waits behind incoming usage has its turn, too
PAUSE_SECONDS = 0.5  # while voids and amendments wait for usage that other workers mediate


def mediate_waiting() -> None:
    """Plan, mediate and retry what waits, until nothing does or it is another task's turn.

    While more waits than one worker has in hand, the bell rings on, so that others come.
    """
    mediation.answer("mediate", timezone.now())
    started = time.monotonic()
    for turn in count(1):
        if time.monotonic() - started >= MAX_SECONDS:
            break
        now = timezone.now()
        if selectors.chunks_waiting(now)[1:2].exists():
            mediation.ring_now("mediate", now)
        worked = (
            services.plan_next_import(now=now) or services.void_next(now=now) or services.mediate_next_chunks(now=now)
        )
        if not worked or turn % TURN == 0:
            worked = _work_behind(now, turn) or worked
        if not worked and not selectors.is_put_off(now):
            return
        if not worked:
            time.sleep(PAUSE_SECONDS)
    mediation.ring_now("mediate", timezone.now())


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
