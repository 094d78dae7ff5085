"""What a worker does when the bell for rating rings."""

from datetime import datetime, timedelta

from django.utils import timezone

from mediation import services as mediation
from rating import services

# Short enough that other tasks get their turn, and that a worker's memory is looked at.
LONGEST = timedelta(seconds=20)


def rate_waiting() -> None:
    """Rate and reverse what is ready, then put in order what was disturbed; the next bell goes on where it is much."""
    started_at = timezone.now()
    mediation.answer(name="rate", now=started_at)
    while _work(timezone.now()):
        if timezone.now() - started_at > LONGEST:
            mediation.ring(name="rate", now=timezone.now())
            return


def _work(now: datetime) -> int:
    """What comes in first; what was disturbed and what somebody asked for when nothing comes in."""
    return (
        services.rate_batches(now=now)
        or services.settle_waiting(now=now)
        or services.close_asked(now=now)
        or services.reprice_waiting(now=now)
    )
