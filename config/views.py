"""What load balancers and monitors ask (does the process live, can it work), and what machines hear at no address."""

import sys
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.defaults import bad_request, server_error
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.views import APIView

from config.metrics import reading
from mediation.api import TYPE, Problem
from mediation.api.outages import RETRY_SECONDS, is_outage
from mediation.api.problems import NO_DATABASE
from mediation.models import Bell

# Without any one of these, a record that we acknowledged could be lost with the power.
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when usage can be taken and kept; 503 with what is wrong otherwise."""
    try:
        faults = unready()
        told = {} if faults else how_workers_are(timezone.now())
    except (DatabaseError, ImproperlyConfigured):
        faults, told = ["the database does not answer"], {}
    answer = {"status": "not ready" if faults else "ready", "faults": faults, **told}
    return JsonResponse(answer, status=503 if faults else 200)


def unready() -> list[str]:
    """What keeps us from taking usage, in words."""
    executor = MigrationExecutor(connection)
    faults = ["migrations are not applied"] if executor.migration_plan(executor.loader.graph.leaf_nodes()) else []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off'", [list(DURABLE)])
        faults += [f"{name} is off" for (name,) in cursor.fetchall()]
    return faults


def how_workers_are(now: datetime) -> dict[str, Any]:
    """What waits and whether anybody works, for alarms: usage is taken and kept whether or not the workers live."""
    beat = reading.heartbeat_seconds(now)
    return {
        "oldest_ringing_bell_seconds": oldest_bell_seconds(),
        "oldest_work_seconds": {kind: round(age, 3) for kind, (_, age) in reading.oldest_work(now).items()},
        "heartbeat_age_seconds": None if beat is None else round(beat, 3),
    }


def oldest_bell_seconds() -> float | None:
    """For how long the bell that rings longest has been waiting for a worker; none rings: nothing."""
    rung_at = Bell.objects.filter(is_ringing=True).aggregate(oldest=Min("rung_at"))["oldest"]
    return rung_at and round((timezone.now() - rung_at).total_seconds(), 3)


def refuse_person(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: what a person may not open, with what may be done about it."""
    roles = ", ".join(request.user.groups.order_by("name").values_list("name", flat=True)) if _is_known(request) else ""
    steps = [
        f"You are signed in as {request.user}, with the role {roles}." if roles else "You have no role here.",
        "If it is your work, ask a superuser for the role or the feed that it needs.",
        "If you followed a link that somebody sent you, they may see more than you do.",
    ]
    return _told(request, 403, "This is not yours to open", "Your role does not reach this page.", steps)


def miss_page(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: an address that leads nowhere, or to what the person may not see."""
    steps = [
        "It may have been deleted, or belong to a feed that you were not granted.",
        "Search for it by any number or identifier that you know: Find a record, at the top of every page.",
    ]
    return _told(request, 404, "There is nothing here", "This address leads to nothing that you may see.", steps)


def refuse_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: a request that no view was asked about, such as one for a host that is not ours."""
    if is_for_machines(request):
        return _problem_before_views(400, "bad_request", "The request cannot be read, or is for another host.")
    return bad_request(request, exception)


def admit_failure(request: HttpRequest) -> HttpResponse:
    """500: logged as a crash; who asked is told no more than that. 503 where the database is away."""
    error = sys.exception()
    if is_for_machines(request):
        if error is not None and is_outage(error):
            told = _problem_before_views(503, "database_away", NO_DATABASE)
            told["Retry-After"] = str(RETRY_SECONDS)
            return told
        return _problem_before_views(500, "internal_error", "We failed, and it is logged. Nothing is half done.")
    return server_error(request)


def is_for_machines(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _problem_before_views(status: int, code: str, detail: str) -> HttpResponse:
    """A problem where no view is there to tell it; by the second door too."""
    told = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return JsonResponse(
        told | {"errors": [{"pointer": "", "code": code, "detail": detail}]}, status=status, content_type=TYPE
    )


def _is_known(request: HttpRequest) -> bool:
    return hasattr(request, "user") and request.user.is_authenticated


def _told(request: HttpRequest, status: int, title: str, lead: str, steps: list[str]) -> HttpResponse:
    known = admin.site.each_context(request) if _is_known(request) else {}
    context = {**known, "title": title, "lead": lead, "steps": steps if _is_known(request) else []}
    return TemplateResponse(request, "admin/refused.html", context, status=status).render()


class NoSuchAddress(APIView):
    """Any other address below /api/: machines get a problem, never a page."""

    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        detail = f"There is nothing at {request.path}. Addresses have no slash at their end."
        raise Problem(http.HTTP_404_NOT_FOUND, "not_found", detail)
