"""Every refusal as `application/problem+json`, by RFC 9457: all faults at once, each with a stable code of `codes`."""

import logging
from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import status as http
from rest_framework.exceptions import APIException, Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from mediation.api.outages import RETRY_SECONDS, is_outage
from mediation.services.approving import ASKERS, NeedsSecondPerson

log = logging.getLogger(__name__)

TYPE = "application/problem+json"
MAX_ERRORS = 100  # of an answer; whoever mends these sees the next
NO_DATABASE = f"The database does not answer just now. Send it again, from {RETRY_SECONDS} seconds on."
MAX_POINTER, MAX_DETAIL = 500, 5_000  # characters, also where a sender's own text stands in them


class Problem(APIException):
    """An answer that says what is wrong: a code for machines, a sentence for people, and every fault with its place."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        faults: Sequence[Any] = (),
        links: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.faults = faults
        self.links = links or {}
        self.headers = headers or {}


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Any refusal as `application/problem+json`; a crash stays a crash and is logged as one."""
    if isinstance(error, RequestDataTooBig):
        set_rollback()
        return _answer(http.HTTP_413_REQUEST_ENTITY_TOO_LARGE, "too_large", "The body is larger than is taken here.")
    if isinstance(error, Problem):
        set_rollback()
        errors = [{"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in error.faults]
        told = _answer(error.status_code, error.code, str(error.detail), errors=errors, links=error.links)
        for name, value in error.headers.items():
            told[name] = value
        return told
    if isinstance(error, NeedsSecondPerson):
        set_rollback()
        return _asked(error, context["request"])
    if is_outage(error):
        log.error("the database does not answer: %s", error)
        set_rollback()
        told = _answer(http.HTTP_503_SERVICE_UNAVAILABLE, "database_away", NO_DATABASE)
        told["Retry-After"] = str(RETRY_SECONDS)
        return told
    answer = exception_handler(error, context)
    if answer is None:
        return None
    return _from_rest_framework(error, answer)


def _asked(error: NeedsSecondPerson, request: Request) -> Response:
    """What its person may not do alone is asked for at once: a program cannot be asked whether it wants that."""
    number, address = ASKERS[0](error)
    detail = f"{error.asked.summary.rstrip('.')} – that needs a second person: it waits for one as approval {number}."
    links = {"approval": request.build_absolute_uri(address)}
    return _answer(http.HTTP_409_CONFLICT, "needs_second_person", detail, links=links)


def _from_rest_framework(error: Exception, answer: Response) -> Response:
    if isinstance(error, ValidationError):
        faults = list(islice(_validation_faults(error.get_full_details(), ""), MAX_ERRORS))
        problem_ = _answer(answer.status_code, "invalid", "The request has faults.", errors=faults)
    elif isinstance(error, Http404):
        problem_ = _answer(answer.status_code, "not_found", "There is nothing at this address for you.")
    elif isinstance(error, PermissionDenied):
        problem_ = _answer(answer.status_code, "permission_denied", "You may not do this.")
    else:
        assert isinstance(error, APIException)  # noqa: S101 - all that the framework's handler answers for
        problem_ = _answer(answer.status_code, str(error.get_codes()), str(error.detail))
    for name in ("WWW-Authenticate", "Retry-After", "Allow"):
        if name in answer.headers:
            problem_[name] = answer.headers[name]
    if isinstance(error, Throttled) and error.wait:
        problem_["Retry-After"] = str(int(error.wait) + 1)
    return problem_


def _validation_faults(details: Any, pointer: str) -> Any:
    if isinstance(details, dict) and "message" in details:
        yield {"pointer": pointer, "code": str(details["code"]), "detail": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            yield from _validation_faults(inner, f"{pointer}/{name}" if name != "non_field_errors" else pointer)
    else:
        for inner in details:
            yield from _validation_faults(inner, pointer)


def _answer(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[dict[str, str]] = (),
    links: dict[str, str] | None = None,
) -> Response:
    detail = _cut(detail, MAX_DETAIL)
    body: dict[str, Any] = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    told = [
        {**one, "pointer": _cut(one["pointer"], MAX_POINTER), "detail": _cut(one["detail"], MAX_DETAIL)}
        for one in errors[:MAX_ERRORS]
    ]
    body["errors"] = told or [{"pointer": "", "code": code, "detail": detail}]
    if links:
        body["links"] = links
    return Response(body, status=status, content_type=TYPE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
