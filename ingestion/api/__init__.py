"""The HTTP doors of ingestion: usage in, the import history and exceptions out, and their verbs."""

from django.urls import URLPattern, path

from ingestion.api.backfills import (
    BackfillDetail,
    BackfillsOfFeed,
    abandon_backfill,
    close_backfill,
    revert_backfill,
)
from ingestion.api.exceptions import ExceptionDetail, ExceptionList, ImportExceptionList, correct, reprocess, write_off
from ingestion.api.files import FileOfFeed
from ingestion.api.imports import ImportDetail, ImportList, reprocess_import
from ingestion.api.usage import SubmitUsage
from ingestion.api.voids import AmendUsage, VoidDetail, VoidList, VoidUsage

urlpatterns: list[URLPattern] = [
    path("feeds/<str:feed>/usage", SubmitUsage.as_view(), name="submit-usage"),
    path("feeds/<str:feed>/usage/void", VoidUsage.as_view(), name="void-usage"),
    path("feeds/<str:feed>/usage/amend", AmendUsage.as_view(), name="amend-usage"),
    path("feeds/<str:feed>/files/<str:name>", FileOfFeed.as_view(), name="file"),
    path("feeds/<str:feed>/backfills", BackfillsOfFeed.as_view(), name="backfills"),
    path("backfills/<uuid:tracking_id>", BackfillDetail.as_view(), name="backfill"),
    path("backfills/<uuid:tracking_id>/close", close_backfill, name="close-backfill"),
    path("backfills/<uuid:tracking_id>/revert", revert_backfill, name="revert-backfill"),
    path("backfills/<uuid:tracking_id>/abandon", abandon_backfill, name="abandon-backfill"),
    path("voids", VoidList.as_view(), name="voids"),
    path("voids/<uuid:tracking_id>", VoidDetail.as_view(), name="void"),
    path("imports", ImportList.as_view(), name="imports"),
    path("imports/<uuid:tracking_id>", ImportDetail.as_view(), name="import"),
    path("imports/<uuid:tracking_id>/exceptions", ImportExceptionList.as_view(), name="import-exceptions"),
    path("imports/<uuid:tracking_id>/reprocess", reprocess_import, name="reprocess-import"),
    path("exceptions", ExceptionList.as_view(), name="exceptions"),
    path("exceptions/<int:pk>", ExceptionDetail.as_view(), name="exception"),
    path("exceptions/<int:pk>/correct", correct, name="correct-exception"),
    path("exceptions/<int:pk>/write-off", write_off, name="write-off-exception"),
    path("exceptions/<int:pk>/reprocess", reprocess, name="reprocess-exception"),
]
