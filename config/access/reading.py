"""Pages of the admin are made for their reader's eyes, see `mediation.admin.reach`."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from mediation.admin import reach


class ReaderMiddleware:
    """Stands inside the middleware that knows who is signed in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with reach.read_by(request):
            return self.get_response(request)
