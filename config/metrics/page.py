"""/metrics: the house's numbers for a monitor that has the token, or that asks from a network that is allowed."""

from collections.abc import Iterable
from hmac import compare_digest
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from config.metrics import requests
from config.metrics.reading import families

# Through a proxy everybody comes from the proxy's address.
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


class _House(Collector):
    def collect(self) -> Iterable[Metric]:
        yield from families(timezone.now())
        yield from requests.families()


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers as text, in the format that the monitor asks for."""
    if not may_read(request):
        answer = HttpResponse("Send the token of SLUICE_METRICS_TOKEN as Authorization: Bearer.\n", status=401)
        answer["WWW-Authenticate"] = 'Bearer realm="metrics"'
        answer["Content-Type"] = "text/plain; charset=utf-8"
        return answer
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_House())
    return HttpResponse(encode(registry), content_type=content_type)


def may_read(request: HttpRequest) -> bool:
    """Whether the request bears the token, or comes straight from a network that is allowed."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and kind == "Bearer":
        return compare_digest(token.encode(), settings.METRICS_TOKEN.encode())
    if any(name in request.META for name in FORWARDED):
        return False
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a socket has no address
    return any(address in network for network in settings.METRICS_ALLOW)
