"""The import history over HTTP."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.decorators import api_view
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from ingestion import selectors, services
from ingestion.api.schemas import REPROCESSED
from ingestion.api.seeing import SendersSeeTheirOwn, seen_imports
from ingestion.models import UsageImport
from mediation import services as mediation
from mediation.api import Listed, MomentRangeFilter, NewestFirst, Problem
from mediation.api.describing import describe


class UsageImportSerializer(serializers.ModelSerializer[UsageImport]):
    """A line of the history."""

    feed = serializers.CharField(source="feed.api_name")
    profile = serializers.CharField(source="profile_version.profile.name")
    profile_version = serializers.IntegerField(source="profile_version.number")
    attempts = serializers.IntegerField(source="attempt")
    rated_count = serializers.IntegerField()
    rating_exception_count = serializers.IntegerField()
    voided_count = serializers.IntegerField()

    class Meta:
        model = UsageImport
        fields = (
            "tracking_id",
            "feed",
            "profile",
            "profile_version",
            "source",
            "file_name",
            "status",
            "error",
            "received_at",
            "started_at",
            "ended_at",
            "record_count",
            "imported_count",
            "exception_count",
            "skipped_count",
            "duplicate_count",
            "waiting_count",
            "repaired_count",
            "rated_count",
            "rating_exception_count",
            "voided_count",
            "attempts",
        )


class UsageImportFilter(django_filters.FilterSet):
    """By feed (API name), status, source, and when it was received."""

    feed = django_filters.CharFilter(field_name="feed__api_name")
    received = MomentRangeFilter(field_name="received_at")

    class Meta:
        model = UsageImport
        fields = ("status", "source")


@describe("List imports")
class ImportList(Listed):
    """The history, newest first."""

    queryset = selectors.history()
    serializer_class = UsageImportSerializer
    filter_backends = (django_filters.rest_framework.DjangoFilterBackend,)
    filterset_class = UsageImportFilter
    pagination_class = NewestFirst
    permission_classes = (SendersSeeTheirOwn,)

    def get_queryset(self) -> QuerySet[UsageImport]:
        return seen_imports(super().get_queryset(), self.request.user)


@describe("Get an import")
class ImportDetail(RetrieveAPIView[UsageImport]):
    """What became of one submission or file."""

    queryset = selectors.history()
    serializer_class = UsageImportSerializer
    lookup_field = "tracking_id"
    permission_classes = (SendersSeeTheirOwn,)

    def get_queryset(self) -> QuerySet[UsageImport]:
        return seen_imports(super().get_queryset(), self.request.user)


@describe(
    "Reprocess an import",
    request=None,
    responses={202: REPROCESSED},
    refuses=("unable_to_reprocess", "needs_second_person"),
)
@api_view(["POST"])
def reprocess_import(request: Request, tracking_id: Any) -> Response:
    """Mediate a whole import again."""
    if not request.user.has_perm("ingestion.reprocess_usageimport"):
        raise Problem(http.HTTP_403_FORBIDDEN, "permission_denied", "You may not reprocess imports.")
    usage_import = get_object_or_404(mediation.seen(UsageImport.objects.all(), request.user), tracking_id=tracking_id)
    try:
        services.reprocess_imports(
            imports=UsageImport.objects.filter(pk=usage_import.pk), by=request.user, now=timezone.now()
        )
    except services.UnableToReprocess as refusal:
        raise Problem(http.HTTP_409_CONFLICT, "unable_to_reprocess", str(refusal)) from None
    return Response({"tracking_id": str(tracking_id), "status": "waiting"}, status=http.HTTP_202_ACCEPTED)
