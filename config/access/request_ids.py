"""Each request has a number, by which its sender, the log and the audit speak of the same one."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
# What a sender may call a request: nothing that a log, a header or a page would take for anything but a name.
CLEAN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,99}")


class RequestIdMiddleware:
    """Takes a request's id from its sender, or makes one where that is none or not clean, and says it on every answer.

    It stands outside of all others, so that what they answer themselves bears it too; the one that logs finds it in
    the request's headers.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if CLEAN.fullmatch(given) else str(uuid.uuid4())
        request.META["HTTP_X_REQUEST_ID"] = request_id
        answer = self.get_response(request)
        answer[HEADER] = request_id
        return answer
