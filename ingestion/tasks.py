"""What a worker does when the bell `mediate` rings."""

import time

from django.utils import timezone

from ingestion import selectors, services
from mediation import services as mediation

MAX_SECONDS = 20
PAUSE_SECONDS = 0.5  # while voids and amendments wait for usage that other workers mediate


def mediate_waiting() -> None:
    """Plan, mediate and retry what waits, until nothing does or it is another task's turn.

    While more waits than one worker has in hand, the bell rings on, so that others come.
    """
    mediation.answer("mediate", timezone.now())
    started = time.monotonic()
    while time.monotonic() - started < MAX_SECONDS:
        now = timezone.now()
        if selectors.chunks_waiting(now)[1:2].exists():
            mediation.ring_now("mediate", now)
        worked = (
            services.plan_next_import(now=now)
            or services.void_next(now=now)
            or services.mediate_next_chunks(now=now)
            or services.retry_due(now=now)
            or services.retry_next_exceptions(now=now)
            or services.correct_next_portion(now=now)
            or services.undo_next_correction(now=now)
        )
        if not worked and not selectors.is_put_off(now):
            return
        if not worked:
            time.sleep(PAUSE_SECONDS)
    mediation.ring_now("mediate", timezone.now())
