"""Screens of what mediation made: UDRs, the batches they were written in, the keys that were seen, the bells."""

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from mediation.admin import kit, marks
from mediation.admin.filters import BatchIdFilter, DayRangeFilter, NamedNumberFilter
from mediation.admin.paging import LimitedChangeList
from mediation.models import UDR_ID_BITS, Bell, Udr, UdrBatch, UdrKey, VoidedUdr
from mediation.services import feeds_seen
from mediation.store import RowsByBatch

SHORT = 100  # characters of a reason in a list
# What other rooms offer on the page of a UDR: (text, address).
LINKS: list[Callable[[HttpRequest, Udr], list[tuple[str, str]]]] = []


class ImportOfUdrsFilter(BatchIdFilter):
    id_bits = UDR_ID_BITS


@admin.register(Udr)
class UdrAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "id",
        kit.moment("date"),
        kit.named_number("feed_id", "feed"),
        "usage_class",
        "originating_identifier",
        "terminating_identifier",
        "udr_usage_identifier",
        "value",
        "money",
        "import_link",
        "batch_mark",
    )
    list_filter = (
        ("feed_id", NamedNumberFilter),
        ("import_id", ImportOfUdrsFilter),
        "usage_class",
        ("date", DayRangeFilter),
    )
    list_select_related = ("usage_class", "identifier_type")
    search_fields = ("=udr_usage_identifier", "=originating_identifier", "=terminating_identifier")
    search_help_text = "A whole identifier, as the record carries it; leads to the records that are found."
    named_numbers = ("feed_id",)
    export_also = {"usage_class": "usage_class__name", "identifier_type": "identifier_type__name"}
    empty_text = "No UDR yet. They appear when an import is mediated: upload a usage file from its feed."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ((kit.moment("date"), "source_zone"), "feed_name", "import_link", "record_number")}),
        ("What was used", {"fields": (("usage_class", "value"), "money", ("inbound", "reverse_rating"))}),
        (
            "By whom",
            {
                "fields": (
                    "identifier_type",
                    "originating_identifier",
                    "terminating_identifier",
                    "udr_usage_identifier",
                    "candidate_terminating_identifier",
                    "uniqueness_identifier",
                )
            },
        ),
        (
            "Beside",
            {
                "fields": (
                    "primary_data_row",
                    kit.moment("usage_bill_date", "usage bill date"),
                    "repairs",
                    "extensions_shown",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Udr]:
        rows, feeds = super().get_queryset(request), feeds_seen(kit.person(request))
        if feeds is None:
            return rows
        return RowsByBatch(Udr, query=rows.query).walked(feeds, UDR_ID_BITS)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Identifiers have no index, and twenty million UDRs take 12 s to look through: the search of records does it
        within a span of days, side by side in the places where an identifier may stand."""
        if asked := request.GET.get("q", "").strip():
            return redirect(f"{reverse('admin:trace')}?{urlencode({'q': asked})}")
        return super().changelist_view(request, extra_context)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LimitedChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Neither an export nor a kept filter looks through them either."""
        if request.GET.get("q", "").strip():
            raise IncorrectLookupParameters
        return super().get_changelist_instance(request)

    def dress_rows(self, rows: list[Any]) -> None:
        super().dress_rows(rows)
        batch_ids = {row.pk >> UDR_ID_BITS for row in rows}
        statuses = dict(UdrBatch.objects.filter(pk__in=batch_ids).values_list("pk", "status"))
        voided = set(VoidedUdr.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", flat=True))
        for row in rows:
            row.batch_status = "voided" if row.pk in voided else statuses.get(row.pk >> UDR_ID_BITS, "")

    @admin.display(description="status")
    def batch_mark(self, udr: Any) -> Any:
        return marks.badge(udr.batch_status)

    @admin.display(description="amount in the record")
    def money(self, udr: Any) -> str:
        return marks.NOTHING if udr.amount is None else f"{udr.amount:f} {udr.currency or ''}"

    @admin.display(description="import")
    def import_link(self, udr: Any) -> Any:
        return marks.row_link(f"import {udr.import_id}", "ingestion_usageimport", udr.import_id)

    @admin.display(description="feed")
    def feed_name(self, udr: Any) -> Any:
        return kit.named_number("feed_id", "feed")(udr)

    @admin.display(description="extensions")
    def extensions_shown(self, udr: Any) -> Any:
        return marks.pretty_json(udr.extensions)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        batch = target.pk >> UDR_ID_BITS
        return [
            ("Its life", reverse("admin:trace_record", args=[target.import_id, target.record_number])),
            ("Import", reverse("admin:ingestion_usageimport_change", args=[target.import_id])),
            ("Batch", reverse("admin:mediation_udrbatch_change", args=[batch])),
            ("Charges", marks.list_url("rating_charge", udr_id=target.pk)),
            ("Rating exception", marks.list_url("rating_ratingexception", udr_id=target.pk)),
            *(link for links in LINKS for link in links(request, target)),
        ]


@admin.register(UdrBatch)
class UdrBatchAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "id",
        kit.status_badge(),
        kit.named_number("feed_id", "feed"),
        "import_link",
        kit.count("udr_count", "UDRs"),
        kit.moment("mediated_at"),
        kit.moment("finished_at"),
        "attempts",
    )
    list_filter = (
        "status",
        ("feed_id", NamedNumberFilter),
        ("import_id", NamedNumberFilter),
        ("mediated_at", DayRangeFilter),
    )
    named_numbers = ("feed_id",)
    empty_text = "No batch yet. Mediation writes one for each chunk of an import, and rating takes them from here."
    fields: ClassVar[Any] = (
        "status_mark",
        "import_link",
        "udr_count",
        (kit.moment("mediated_at"), kit.moment("finished_at")),
        ("attempts", kit.moment("claimed_until", "claimed until")),
        "trace",
    )

    @admin.display(description="status")
    def status_mark(self, batch: Any) -> Any:
        return marks.badge(batch.status)

    @admin.display(description="import")
    def import_link(self, batch: Any) -> Any:
        return marks.row_link(f"import {batch.import_id}", "ingestion_usageimport", batch.import_id)

    @admin.display(description="error")
    def trace(self, batch: Any) -> Any:
        return marks.trace(batch.error)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        first = target.pk << UDR_ID_BITS
        return [("UDRs", marks.list_url("mediation_udr", id__gte=first, id__lt=first + (1 << UDR_ID_BITS)))]


@admin.register(UdrKey)
class UdrKeyAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = ("key", kit.named_number("feed_id", "feed"), "udr_link", "content_hash")
    list_filter = (("feed_id", NamedNumberFilter),)
    ordering: ClassVar[Any] = ("feed_id", "key")  # the order of the table's only index
    search_fields = ("key__startswith",)
    search_help_text = "The beginning of a key."
    named_numbers = ("feed_id",)
    empty_text = "No key yet. Every UDR leaves one, so that the same record is never counted twice."

    @admin.display(description="UDR")
    def udr_link(self, seen: Any) -> Any:
        return marks.row_link(seen.pk, "mediation_udr", seen.pk)


@admin.register(VoidedUdr)
class VoidedUdrAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "key",
        "udr_link",
        kit.named_number("feed_id", "feed"),
        "short_reason",
        "voided_by",
        kit.moment("voided_at"),
        kit.moment("settled_at", "charges taken back"),
    )
    list_filter = (("feed_id", NamedNumberFilter), ("import_id", NamedNumberFilter), ("voided_at", DayRangeFilter))
    list_select_related = ("voided_by",)
    search_fields = ("=key", "=request_id")
    search_help_text = "A whole key, or the tracking id of what asked for it."
    named_numbers = ("feed_id",)
    export_also = {"voided_by": "voided_by__username"}
    export_quiet = ("attempts", "next_try_at", "error")
    empty_text = "Nothing was voided. Void a record from the page of its UDR, or over the API by its key."
    fields: ClassVar[Any] = (
        "key",
        "reason",
        ("udr_link", "replacement", "life"),
        ("voided_by", kit.moment("requested_at"), kit.moment("voided_at")),
        ("request_id", kit.moment("settled_at", "charges taken back")),
        ("attempts", kit.moment("next_try_at", "next try")),
        "trace",
    )

    @admin.display(description="UDR")
    def udr_link(self, void: Any) -> Any:
        return marks.row_link(void.pk, "mediation_udr", void.pk)

    @admin.display(description="replaced by")
    def replacement(self, void: Any) -> Any:
        return marks.row_link(void.replaced_by, "mediation_udr", void.replaced_by) if void.replaced_by else "nothing"

    @admin.display(description="record")
    def life(self, void: Any) -> Any:
        address = reverse("admin:trace_record", args=[void.import_id, void.record_number])
        return marks.link(f"record {void.record_number} of import {void.import_id}", address)

    @admin.display(description="reason")
    def short_reason(self, void: Any) -> str:
        return void.reason if len(void.reason) <= SHORT else f"{void.reason[:SHORT]}…"

    @admin.display(description="error")
    def trace(self, void: Any) -> Any:
        return marks.trace(void.error)


@admin.register(Bell)
class BellAdmin(kit.ReadOnlyAdmin):
    list_display = ("name", "is_ringing", kit.moment("rung_at"), kit.moment("answered_at"))
    empty_text = "No bell has rung yet. Work that arrives rings one; a schedule looks for work anyway."
