"""Where a person may not do something alone: the page that offers to ask for a second one."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from config.approving.screens import ask_page
from mediation.services.approving import NeedsSecondPerson


class SecondPersonMiddleware:
    """Answers on screens; the API's own answer is `mediation.api.problem`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, NeedsSecondPerson):
            return None
        return ask_page(request, exception.asked).render()
