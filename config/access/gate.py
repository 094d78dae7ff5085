"""The gate that requests with a token come through: who used it last, and whether it has sent too much."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from config.access.authentication import address_of
from config.access.last_use import note_use
from config.access.quota import QUOTAS


class TokenGate:
    """For senders that ingestion remembers: they are not authenticated anew, and no throttle is asked."""

    def let_in(self, token: AuthToken, request: HttpRequest, now: datetime) -> bool:
        """Whether the request may come in; it is counted then."""
        note_use(digest=token.digest, address=address_of(request.META), now=now)
        is_let_in = QUOTAS.take_request(token, now) is None
        request.is_counted = is_let_in  # type: ignore[attr-defined]
        request.limited_token = token  # type: ignore[attr-defined]
        return is_let_in

    def took(self, token: AuthToken, record_count: int) -> None:
        """Count what a request held, once it is accepted."""
        QUOTAS.note_records(token, record_count)


class TokenThrottle(BaseThrottle):
    """For everybody else who comes by a token; a request that is looked at twice is counted once."""

    seconds: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, AuthToken) or getattr(request._request, "is_counted", False):
            return True
        self.seconds = QUOTAS.take_request(request.auth, timezone.now())
        request._request.limited_token = request.auth  # type: ignore[attr-defined]
        request._request.is_counted = self.seconds is None  # type: ignore[attr-defined]
        return self.seconds is None

    def wait(self) -> float | None:
        return self.seconds


class TellLimits:
    """The middleware that tells senders with limits what is left of them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        token = getattr(request, "limited_token", None)
        if token is not None:
            for name, value in QUOTAS.told_of(token, timezone.now()).items():
                answer[name] = value
        return answer
