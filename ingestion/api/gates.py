"""What is asked before usage is taken, beside who sends it: whether the sender may send more, and too much waits."""

from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from django.conf import settings
from django.http import HttpRequest
from knox.models import AuthToken
from rest_framework import status as http

from ingestion import selectors
from mediation.api import Problem

# How long a count of what waits is good: one of a million submissions takes about a second.
LOOK_EVERY = timedelta(seconds=3)
RETRY_SECONDS = 10


class Gate(Protocol):
    """Who lets tokens in, and is told what they brought."""

    def let_in(self, token: AuthToken, request: HttpRequest, now: datetime) -> bool: ...

    def took(self, token: AuthToken, record_count: int) -> None: ...


# Set by the roof, which keeps what each token may send.
GATES: list[Gate] = []


def let_in(token: AuthToken, request: HttpRequest, now: datetime) -> bool:
    """Whether every gate lets a request in."""
    return all(gate.let_in(token, request, now) for gate in GATES)


def took(token: object, record_count: int) -> None:
    """Tell the gates what a request held; who comes without a token is not counted."""
    if isinstance(token, AuthToken):
        for gate in GATES:
            gate.took(token, record_count)


class Backlog:
    """Whether more waits to be mediated than is good; each process looks for itself, now and then."""

    def __init__(self) -> None:
        self._looked_at: datetime | None = None
        self._is_high = False
        self._lock = Lock()

    def is_high(self, now: datetime) -> bool:
        most = settings.MAX_WAITING_RECORDS
        if not most:
            return False
        with self._lock:
            if self._looked_at is None or not self._looked_at <= now < self._looked_at + LOOK_EVERY:
                self._is_high = selectors.submitted_records_waiting() > most
                self._looked_at = now
            return self._is_high

    def require_low(self, now: datetime) -> None:
        """Raise Problem 503 where too much waits."""
        if self.is_high(now):
            detail = (
                f"More than {settings.MAX_WAITING_RECORDS:,} records wait to be mediated, so nothing was taken."
                f" Send it again, from {RETRY_SECONDS} seconds on."
            )
            headers = {"Retry-After": str(RETRY_SECONDS)}
            raise Problem(http.HTTP_503_SERVICE_UNAVAILABLE, "backlogged", detail, headers=headers)


BACKLOG = Backlog()
