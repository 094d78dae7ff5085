"""What a worker does when the bell for rating rings."""

from datetime import timedelta

from django.utils import timezone

from mediation import services as mediation
from rating import services

# Short enough that other tasks get their turn, and that a worker's memory is looked at.
LONGEST = timedelta(seconds=20)


def rate_waiting() -> None:
    """Rate and reverse what is ready; where that takes long, leave the rest to whoever hears the next bell."""
    started_at = timezone.now()
    mediation.answer(name="rate", now=started_at)
    while services.rate_batches(now=timezone.now()):
        if timezone.now() - started_at > LONGEST:
            mediation.ring(name="rate", now=timezone.now())
            return
