"""`?wait=seconds`: a sender may wait for the outcome of what was just recorded, but not at the cost of others."""

from threading import BoundedSemaphore
from time import monotonic, sleep

from rest_framework import status as http
from rest_framework.request import Request

from ingestion import selectors
from ingestion.models import UsageImport
from mediation.api import Problem

MOST_SECONDS = 30
# In each web process, which has three threads or more: somebody always goes on serving the others.
MOST_WAITERS = 1
PAUSES = (0.02, 0.05, 0.1, 0.25)  # seconds between two looks; the last one again and again
ENDED = (UsageImport.Status.COMPLETED, UsageImport.Status.FAILED, UsageImport.Status.ERRORED)

_waiters = BoundedSemaphore(MOST_WAITERS)


def seconds_asked(request: Request) -> int:
    """How long the sender is ready to wait; 0 where he does not say so."""
    asked = request.query_params.get("wait", "0")
    if asked.isascii() and asked.isdecimal() and len(asked) < 4 and int(asked) <= MOST_SECONDS:
        return int(asked)
    detail = f"wait is a whole number of seconds from 0 to {MOST_SECONDS}, not {asked[:50]!r}."
    raise Problem(http.HTTP_400_BAD_REQUEST, "bad_wait", detail)


def ended_in_time(usage_import: UsageImport, seconds: int) -> UsageImport | None:
    """The import's line of the history once it has ended; None where it has not, or where others wait already.

    Between two looks no transaction is open, so that nothing in the database waits along.
    """
    if not seconds or not _waiters.acquire(blocking=False):
        return None
    try:
        give_up_at = monotonic() + seconds
        looks = 0
        while not UsageImport.objects.filter(pk=usage_import.pk, status__in=ENDED).exists():
            left = give_up_at - monotonic()
            if left <= 0:
                return None
            sleep(min(left, PAUSES[min(looks, len(PAUSES) - 1)]))
            looks += 1
        return selectors.history().get(pk=usage_import.pk)
    finally:
        _waiters.release()
