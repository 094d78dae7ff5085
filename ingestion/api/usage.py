"""`POST feeds/{id or API name}/usage`: 1 to 1,000 records into a feed, answered once they are recorded."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from structlog.contextvars import bind_contextvars

from ingestion import selectors, services
from ingestion.api import backfills, bodies, gates, regulars, waiting
from ingestion.api.gates import BACKLOG
from ingestion.api.imports import UsageImportSerializer
from ingestion.api.schemas import ACCEPTED, BODIES, SENDING_CODES, WAIT
from ingestion.api.seeing import seen_feed
from ingestion.core.bodies import Shape
from ingestion.models import Feed, UsageImport
from mediation.api import Problem
from mediation.api.describing import FEED, IDEMPOTENCY_KEY, describe

STATUS_OF = {
    "feed_disabled": http.HTTP_409_CONFLICT,
    "profile_not_active": http.HTTP_409_CONFLICT,
    "profile_needs_header": http.HTTP_409_CONFLICT,
    "idempotency_key_reused": http.HTTP_422_UNPROCESSABLE_ENTITY,
    "structure_not_kept": http.HTTP_422_UNPROCESSABLE_ENTITY,
    "not_amendable": http.HTTP_409_CONFLICT,
    "overtaken": http.HTTP_503_SERVICE_UNAVAILABLE,
    "twin_in_flight": http.HTTP_409_CONFLICT,
}
# Of refusals that a moment mends: the seconds to wait.
COME_AGAIN = {"overtaken": "1", "twin_in_flight": "1"}
MAX_KEY_CHARS = 255
# Of a submission that a change overtakes: changes come one by one and the way to the insert takes milliseconds.
TRIES = 10


class SubmitUsage(APIView):
    """Takes rows for a delimited feed, JSON records for a JSON feed, in any shape; 202 means that they are on disk."""

    shapes = frozenset(Shape)  # taken at this door, where the feed reads them
    also_called: Mapping[str, Shape] = {}  # by what other types they go here
    body: bytes | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return self._accept_regular(request, kwargs["feed"]) or super().dispatch(request, *args, **kwargs)

    def _accept_regular(self, request: HttpRequest, feed: str) -> HttpResponse | None:
        """The answer to somebody who is known, in one statement; None for whoever needs a closer look."""
        now = timezone.now()
        key = regulars.key_of(request.META, feed)
        regular = regulars.find(key, now) if key else None
        if key is None or regular is None or not _is_plain(request):
            return None
        if BACKLOG.is_high(now) or not gates.let_in(regular.token, request, now):
            return None
        try:
            accepted = services.receive_more_usage(
                terms=regular.terms, body=request.body, idempotency_key=request.headers.get("Idempotency-Key"), now=now
            )
        except RequestDataTooBig:
            return None
        if accepted is None:
            regulars.forget(key)
            return None
        gates.took(regular.token, accepted.record_count)
        request.user = regular.user
        document = _answer(request, regular.terms.feed_name, accepted.tracking_id, accepted.record_count)
        content = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return HttpResponse(
            content,
            status=http.HTTP_202_ACCEPTED,
            content_type="application/json",
            headers=self.default_response_headers,
        )

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # First the stamp, then who sends: what the middleware knows of a session is older.
        self.stamp = selectors.acceptance_stamp()
        if request.COOKIES:
            request._request.user = get_user(request._request)
        super().initial(request, *args, **kwargs)

    @describe(
        "Send usage",
        parameters=[FEED, IDEMPOTENCY_KEY, WAIT, backfills.INTO],
        request=BODIES,
        responses={202: ACCEPTED, 200: UsageImportSerializer},
        refuses=(*SENDING_CODES, *backfills.INTO_CODES, "bad_wait"),
    )
    def post(self, request: Request, feed: str) -> Response:
        """Have 1 to 1,000 records taken, in a body that may be packed: `Content-Encoding: gzip` or `zstd`."""
        for _ in range(TRIES - 1):
            try:
                return self._accept(request, feed)
            except services.Overtaken:
                self.request = request = self.initialize_request(request._request, feed=feed)
                self.initial(request, feed=feed)
        try:
            return self._accept(request, feed)
        except services.Overtaken as refusal:
            raise problem_of(refusal) from None

    def _body(self, request: Request) -> bytes:
        """The body; a second try finds nothing more to read."""
        if self.body is None:
            self.body = bodies.body_of(request._request)
        return self.body

    def amend_reason(self, request: Request) -> str:
        """Why the records take the place of others; empty: they are new usage."""
        return ""

    def seconds_to_wait(self, request: Request) -> int:
        """For the outcome. Raises Problem 400."""
        return waiting.seconds_asked(request)

    def receive(self, request: Request, *, feed: Feed, **said: Any) -> services.Received:
        """Into the backfill that the address names, if it does."""
        if backfill := backfills.asked_for(request, feed):
            return services.receive_usage_into(backfill=backfill, feed=feed, **said)
        return services.receive_usage(feed=feed, **said)

    def _accept(self, request: Request, feed: str) -> Response:
        if not request.user.has_perm("ingestion.add_usageimport"):
            self.permission_denied(request)
        found = seen_feed(feed, request.user)
        shape, charset = bodies.shape_of(request, found, self.shapes, self.also_called)
        key = idempotency_key_of(request)
        seconds = self.seconds_to_wait(request)
        assert isinstance(request.user, User)  # noqa: S101 - IsAuthenticated let it pass
        BACKLOG.require_low(timezone.now())
        try:
            # The body as it came: parsing it into Python numbers first would send them through a float.
            received = self.receive(
                request,
                feed=found,
                body=self._body(request),
                shape=shape,
                charset=charset,
                idempotency_key=key,
                by=request.user,
                now=timezone.now(),
                stamp=self.stamp,
                amend_reason=self.amend_reason(request),
            )
        except services.Overtaken:
            raise
        except services.UnableToBackfill as refusal:
            raise backfills.problem_of(refusal) from None
        except services.UnableToReceive as refusal:
            if refusal.code == "unsupported_media_type":
                raise bodies.unsupported(str(refusal), found, self.shapes) from None
            raise problem_of(refusal) from None
        _remember(request, feed, received.terms)
        usage_import = received.usage_import
        if not received.is_repeat:
            gates.took(request.auth, usage_import.record_count)
        if ended := waiting.ended_in_time(usage_import, seconds):
            return Response(UsageImportSerializer(ended).data)
        document = _answer(request._request, found.api_name, usage_import.tracking_id, usage_import.record_count)
        return Response(document, status=http.HTTP_202_ACCEPTED)


def _remember(request: Request, feed: str, terms: services.Terms | None) -> None:
    key = regulars.key_of(request.META, feed)
    if terms and key and isinstance(request.auth, AuthToken):
        regulars.remember(key, terms, request.auth)


def _is_plain(request: HttpRequest) -> bool:
    """Whether a request asks for nothing that has to be refused, or answered in another form."""
    return (
        request.method == "POST"
        and not request.META.get("QUERY_STRING")
        and request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", "application/json")
        and _is_json(request.META.get("CONTENT_TYPE", ""))
        and "HTTP_CONTENT_ENCODING" not in request.META
        and "HTTP_TRANSFER_ENCODING" not in request.META
        and _is_idempotency_key(request.headers.get("Idempotency-Key"))
    )


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip() == "application/json"


def idempotency_key_of(request: Request) -> str | None:
    """The Idempotency-Key that a request names, if it does. Raises Problem 400 where it cannot be kept."""
    key = request.headers.get("Idempotency-Key")
    if not _is_idempotency_key(key):
        detail = f"Idempotency-Key has 1 to {MAX_KEY_CHARS} characters, none of them NUL."
        raise Problem(http.HTTP_400_BAD_REQUEST, "bad_idempotency_key", detail)
    return key


def _is_idempotency_key(key: str | None) -> bool:
    """Whether a request names no key, or one that is kept."""
    return key is None or (1 <= len(key) <= MAX_KEY_CHARS and "\0" not in key)


def problem_of(refusal: services.UnableToReceive | services.UnableToVoid) -> Problem:
    """A refusal as machines are told it."""
    status = STATUS_OF.get(refusal.code, http.HTTP_400_BAD_REQUEST)
    headers = {"Retry-After": COME_AGAIN[refusal.code]} if refusal.code in COME_AGAIN else {}
    return Problem(status, refusal.code, str(refusal), faults=refusal.faults, headers=headers)


def _answer(request: HttpRequest, feed: str, tracking_id: UUID, record_count: int) -> dict[str, object]:
    """The answer to a submission; the same for every repeat of it, however far it has come."""
    args = [tracking_id]
    bind_contextvars(tracking_id=str(tracking_id))  # the line that tells the request's end bears it
    return {
        "tracking_id": str(tracking_id),
        "feed": feed,
        "record_count": record_count,
        "status": UsageImport.Status.WAITING,
        "links": {
            "import": request.build_absolute_uri(reverse("api:import", args=args)),
            "exceptions": request.build_absolute_uri(reverse("api:import-exceptions", args=args)),
            "records": request.build_absolute_uri(reverse("api:import-records", args=args)),
        },
    }
