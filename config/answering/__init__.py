"""Answers that need more than one room: what became of every record of an import, and of the usage behind keys."""

from django.urls import URLPattern, path

from config.answering.lookup import LookUpIdentifiers
from config.answering.records import ImportRecords

urlpatterns: list[URLPattern] = [
    path("imports/<uuid:tracking_id>/records", ImportRecords.as_view(), name="import-records"),
    path("usage-identifiers/lookup", LookUpIdentifiers.as_view(), name="look-up-identifiers"),
]
