"""`POST feeds/{id or API name}/usage`: 1 to 1,000 records into a feed, answered once they are recorded."""

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import selectors, services
from ingestion.models import UsageImport
from mediation.api import Problem

STATUS_OF = {
    "feed_disabled": http.HTTP_409_CONFLICT,
    "profile_not_active": http.HTTP_409_CONFLICT,
    "profile_needs_header": http.HTTP_409_CONFLICT,
    "idempotency_key_reused": http.HTTP_422_UNPROCESSABLE_ENTITY,
    "structure_not_kept": http.HTTP_422_UNPROCESSABLE_ENTITY,
}


class SubmitUsage(APIView):
    """Takes rows for a delimited feed, JSON records for a JSON feed; 202 means that they are on disk."""

    def post(self, request: Request, feed: str) -> Response:
        if not request.user.has_perm("ingestion.add_usageimport"):
            self.permission_denied(request)
        found = selectors.feed_by(feed)
        if found is None:
            detail = f"There is no feed {feed!r}; use its number or API name."
            raise Problem(http.HTTP_404_NOT_FOUND, "unknown_feed", detail)
        if request.content_type.partition(";")[0].strip() != "application/json":
            detail = f"The body must be application/json, not {request.content_type or 'untyped'}."
            raise Problem(http.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 1 <= len(key) <= 255:
            raise Problem(http.HTTP_400_BAD_REQUEST, "bad_idempotency_key", "Idempotency-Key has 1 to 255 characters.")
        assert isinstance(request.user, User)  # noqa: S101 - IsAuthenticated let it pass
        try:
            # The body as it came: parsing it into Python numbers first would send them through a float.
            received = services.receive_usage(
                feed=found, body=request._request.body, idempotency_key=key, by=request.user, now=timezone.now()
            )
        except services.UnableToReceive as refusal:
            status = STATUS_OF.get(refusal.code, http.HTTP_400_BAD_REQUEST)
            raise Problem(status, refusal.code, str(refusal), faults=refusal.faults) from None
        return Response(_accepted(request, found.api_name, received.usage_import), status=http.HTTP_202_ACCEPTED)


def _accepted(request: Request, feed: str, usage_import: UsageImport) -> dict[str, object]:
    """The answer to a submission; the same for every repeat of it, however far it has come."""
    args = [usage_import.tracking_id]
    return {
        "tracking_id": str(usage_import.tracking_id),
        "feed": feed,
        "record_count": usage_import.record_count,
        "status": UsageImport.Status.WAITING,
        "links": {
            "import": request.build_absolute_uri(reverse("api:import", args=args)),
            "exceptions": request.build_absolute_uri(reverse("api:import-exceptions", args=args)),
        },
    }
