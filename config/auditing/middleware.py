"""Web requests say whose deed it is what they change: asked of the request only when something is written."""

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from mediation import services as mediation


class ActingMiddleware:
    """Stands inside the middlewares that know who is signed in and number the requests.

    The API knows who sends only once REST framework has looked at the token; it says so on the request, which is asked
    when the first statement writes to an audited table.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        source = "API" if request.path_info.startswith("/api/") else "screen"
        with mediation.coming_by(source=source, who=lambda: request.user, request_id=_request_id):
            return self.get_response(request)


def _request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
