"""What a worker does when the bell for rating rings."""

import time
from datetime import datetime, timedelta
from itertools import count

from django.utils import timezone

from mediation import services as mediation
from rating import selectors, services

# Short enough that other tasks get their turn, and that a worker's memory is looked at.
LONGEST = timedelta(seconds=20)


# Every so many rounds what waits behind incoming usage has its turn, too.
TURN = 5


def rate_waiting() -> None:
    """Rate and take back what is ready, then put in order what was disturbed; the next bell goes on where much is."""
    started_at, came_at, has_lingered = timezone.now(), time.monotonic(), False
    mediation.answer(name="rate", now=started_at)
    for turn in count(1):
        now = timezone.now()
        taken_back = services.reverse_voided(now=now) + services.charge_restored(now=now)
        rated = taken_back + services.rate_batches(now=now)
        if (rated and turn % TURN) or _work_behind(now) or rated:
            has_lingered = False
        elif has_lingered:
            return
        else:
            mediation.linger("rate", lambda: selectors.batches_waiting(timezone.now()).exists(), came_at=came_at)
            has_lingered = True
        if now - started_at > LONGEST:
            mediation.ring(name="rate", now=now)
            return


def _work_behind(now: datetime) -> int:
    """What was disturbed, and what somebody asked for."""
    return (
        services.settle_waiting(now=now)
        or services.rerate_asked(now=now)
        or services.rerate_due(now=now)
        or services.close_asked(now=now)
        or services.reprice_waiting(now=now)
    )
