"""Screens of what became neither a UDR nor an exception: records left out, and parts that wait for the others."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from ingestion.models import LeftOutRecord, WaitingPart
from mediation.admin import filters, kit, marks


@admin.register(LeftOutRecord)
class LeftOutRecordAdmin(kit.ReadOnlyAdmin):
    feed_path = "usage_import__feed_id"
    list_display = ("record", "outcome_mark", "reason", "import_link", "attempt", "udr_link")
    list_filter = ("outcome", ("usage_import", filters.NamedNumberFilter))
    empty_text = "No record has been left out. Records that a filter skips and duplicates appear here."

    @admin.display(description="record")
    def record(self, left_out: LeftOutRecord) -> str:
        return f"record {left_out.record_number:,}"

    @admin.display(description="outcome")
    def outcome_mark(self, left_out: LeftOutRecord) -> Any:
        return marks.badge(left_out.outcome)

    @admin.display(description="import")
    def import_link(self, left_out: LeftOutRecord) -> Any:
        return marks.row_link(f"import {left_out.usage_import_id}", "ingestion_usageimport", left_out.usage_import_id)

    @admin.display(description="repeats UDR")
    def udr_link(self, left_out: LeftOutRecord) -> Any:
        return marks.row_link(left_out.udr_id, "mediation_udr", left_out.udr_id)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Its life", reverse("admin:trace_record", args=[target.usage_import_id, target.record_number]))]


class PartStateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "waits for the others"), ("taken", "has its record")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(record_import_id__isnull=self.value() == "waiting") if self.value() else queryset


@admin.register(WaitingPart)
class WaitingPartAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "part",
        "key_text",
        "role",
        "raw_text",
        "import_link",
        kit.moment("received_at"),
        kit.moment("expires_at"),
        "record_link",
    )
    list_filter = (PartStateFilter, ("usage_import", filters.NamedNumberFilter))
    empty_text = "No part waits. Rows that make a record only together appear here until the others have come."

    @admin.display(description="row")
    def part(self, part: WaitingPart) -> str:
        return f"row {part.record_number:,}"

    @admin.display(description="key")
    def key_text(self, part: WaitingPart) -> Any:
        return marks.clipped(part.key)

    @admin.display(description="row as received")
    def raw_text(self, part: WaitingPart) -> Any:
        return marks.raw(part.raw, 80)

    @admin.display(description="import")
    def import_link(self, part: WaitingPart) -> Any:
        return marks.row_link(f"import {part.usage_import_id}", "ingestion_usageimport", part.usage_import_id)

    @admin.display(description="its record")
    def record_link(self, part: WaitingPart) -> Any:
        if part.record_import_id is None:
            return marks.badge("waiting")
        text = f"row {part.record_row:,} of import {part.record_import_id}"
        return marks.row_link(text, "ingestion_usageimport", part.record_import_id)
