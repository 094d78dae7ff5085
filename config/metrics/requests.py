"""Requests counted and timed by each process of the web server, and added up over all of them."""

import fcntl
import os
from collections.abc import Callable, Iterable
from functools import cache
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import IO

from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # as prometheus_client calls it; without it a process tells of itself alone
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@cache
def _seat_of(pid: int, folder: str) -> tuple[str, IO[bytes]]:
    """The first seat that nobody holds. A process that ends leaves its seat, and its counts, to one that comes."""
    for number in count(1):
        held = (Path(folder) / f"seat_{number}.lock").open("ab")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
        else:
            return str(number), held
    raise AssertionError("there is always another number")


def seat() -> str:
    """What this process keeps its counts under: by its number they would leave files behind without end."""
    return _seat_of(os.getpid(), os.environ[FOLDER])[0]


if FOLDER in os.environ:
    values.ValueClass = values.MultiProcessValue(seat)  # type: ignore[no-untyped-call]

OF_PROCESS = CollectorRegistry()
REQUESTS = Counter(
    "sluice_http_requests", "Requests that were answered", ("route", "method", "status"), registry=OF_PROCESS
)
SECONDS = Histogram(
    "sluice_http_request_seconds", "Until the answer began", ("route",), registry=OF_PROCESS, buckets=BOUNDS
)


def families() -> Iterable[Metric]:
    """What was counted, by all processes that share the folder."""
    if FOLDER in os.environ:
        return MultiProcessCollector(CollectorRegistry()).collect()  # type: ignore[no-untyped-call,no-any-return]
    return OF_PROCESS.collect()


class RequestsMiddleware:
    """Counts and times each request; it stands outside of all that may answer one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        answer = self.get_response(request)
        route = route_of(request)
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(route, method, str(answer.status_code)).inc()
        SECONDS.labels(route).observe(perf_counter() - began)
        return answer


def route_of(request: HttpRequest) -> str:
    """The pattern that a request's address fits; there are no more of them than the code has.

    The admin's are one, and so is all that fits none.
    """
    match = request.resolver_match
    if match is None:
        return "none"
    return "admin" if "admin" in match.namespaces else match.route
