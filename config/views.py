"""What load balancers and monitors ask (does the process live, can it work), and what machines hear at no address."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Min
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.views import APIView

from mediation.api import Problem
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
        waiting = None if faults else oldest_bell_seconds()
    except (DatabaseError, ImproperlyConfigured):
        faults, waiting = ["the database does not answer"], None
    status = "not ready" if faults else "ready"
    answer = {"status": status, "faults": faults, "oldest_ringing_bell_seconds": waiting}
    return JsonResponse(answer, status=503 if faults else 200)


def unready() -> list[str]:
    """What keeps us from taking usage, in words."""
    executor = MigrationExecutor(connection)
    faults = ["migrations are not applied"] if executor.migration_plan(executor.loader.graph.leaf_nodes()) else []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off'", [list(DURABLE)])
        faults += [f"{name} is off" for (name,) in cursor.fetchall()]
    return faults


def oldest_bell_seconds() -> float | None:
    """For how long the bell that rings longest has been waiting for a worker; none rings: nothing."""
    rung_at = Bell.objects.filter(is_ringing=True).aggregate(oldest=Min("rung_at"))["oldest"]
    return rung_at and round((timezone.now() - rung_at).total_seconds(), 3)


class NoSuchAddress(APIView):
    """Any other address below /api/: machines get a problem, never a page."""

    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        detail = f"There is nothing at {request.path}. Addresses have no slash at their end."
        raise Problem(http.HTTP_404_NOT_FOUND, "not_found", detail)
