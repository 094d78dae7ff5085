"""Screens of what did not become a UDR: import exceptions with their correction, records left out, waiting parts."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from ingestion import services
from ingestion.models import ExceptionRevision, ImportException, LeftOutRecord, WaitingPart
from mediation.admin import filters, kit, marks


class RevisionInline(kit.ReadOnlyInline):
    model = ExceptionRevision
    show_change_link = False
    ordering = ("-number",)
    fields: ClassVar[Any] = ("number", "raw_shown", "reason", "created_by", kit.moment("created_at"))

    @admin.display(description="record as corrected")
    def raw_shown(self, revision: Any) -> Any:
        return marks.raw(revision.raw)


class CorrectForm(forms.Form):
    raw = forms.CharField(
        label="Record",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "cols": 100, "class": "vLargeTextField code", "spellcheck": "false"}),
    )
    reason = forms.CharField(label="Reason", max_length=2000, widget=forms.Textarea(attrs={"rows": 2, "cols": 100}))

    def clean_raw(self) -> str:
        """Browsers send every line end as CR LF; a record that came without CR keeps none."""
        text: str = self.cleaned_data["raw"]
        return text if "\r\n" in (self.initial.get("raw") or "") else text.replace("\r\n", "\n")


@admin.register(ImportException)
class ImportExceptionAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "record",
        kit.status_badge(),
        "code",
        "field",
        "message_text",
        "raw_text",
        "feed",
        "import_link",
        kit.moment("created_at"),
        "revision_count",
    )
    list_filter = (
        "status",
        filters.CodeFilter,
        ("feed", filters.FeedFilter),
        ("usage_import", filters.NamedNumberFilter),
        ("created_at", filters.DayRangeFilter),
    )
    list_select_related = ("feed",)
    search_fields = ("raw", "message")
    search_help_text = "A part of the record or of the message"
    actions = ("reprocess", "write_off")
    inlines = (RevisionInline,)
    export_also = {"feed": "feed__name"}
    empty_text = "No record has been refused. Records that cannot become a UDR appear here with the reason."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("status_mark", ("code", "field"), "message", "raw_shown")}),
        ("Where it came from", {"fields": (("feed", "import_link"), ("record_number", "attempt"))}),
        (
            "What became of it",
            {
                "fields": (
                    (kit.moment("created_at"), kit.moment("last_tried_at")),
                    (kit.moment("closed_at"), "closed_by"),
                    ("corrected_by", "udrs_link"),
                    "close_reason",
                )
            },
        ),
    )

    has_reprocess_permission = kit.permission("reprocess")
    has_correct_permission = kit.permission("correct")
    has_writeoff_permission = kit.permission("writeoff")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.correct_view)
        return [path("<int:pk>/correct/", view, name="ingestion_importexception_correct"), *super().get_urls()]

    @admin.display(description="record")
    def record(self, exception: ImportException) -> str:
        return f"record {exception.record_number:,}"

    @admin.display(description="import")
    def import_link(self, exception: ImportException) -> Any:
        return marks.row_link(f"import {exception.usage_import_id}", "ingestion_usageimport", exception.usage_import_id)

    @admin.display(description="message")
    def message_text(self, exception: ImportException) -> Any:
        return marks.clipped(exception.message)

    @admin.display(description="record as received")
    def raw_text(self, exception: ImportException) -> Any:
        return marks.raw(exception.raw, 80)

    @admin.display(description="record as received")
    def raw_shown(self, exception: ImportException) -> Any:
        return marks.raw(exception.raw)

    @admin.display(description="status")
    def status_mark(self, exception: ImportException) -> Any:
        return marks.badge(exception.status, exception.get_status_display())

    @admin.display(description="corrected last by")
    def corrected_by(self, exception: ImportException) -> Any:
        latest = exception.revisions.select_related("created_by").order_by("-number").first()
        if latest is None:
            return marks.NOTHING
        return format_html("{} at {}", latest.created_by or "somebody unknown", marks.moment(latest.created_at))

    @admin.display(description="UDRs made of it")
    def udrs_link(self, exception: ImportException) -> Any:
        """A search, not a link to one: a record may have become several UDRs, or none where it proved a duplicate."""
        if exception.status != ImportException.Status.RESOLVED:
            return marks.NOTHING
        of_record = {"import_id": exception.usage_import_id, "record_number": exception.record_number}
        return marks.list_link(f"UDRs of record {exception.record_number:,}", "mediation_udr", **of_record)

    @admin.action(description="Reprocess", permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, exceptions: QuerySet[ImportException]) -> None:
        try:
            count = services.reprocess_exceptions(exceptions=exceptions, by=kit.person(request), now=timezone.now())
        except services.UnableToReprocess as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, count, "record", "will be mediated again")

    @admin.action(description="Write off…", permissions=["writeoff"])
    def write_off(self, request: HttpRequest, exceptions: QuerySet[ImportException]) -> HttpResponse | None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            question = "Why are these records given up? The reason is kept with each."
            return kit.ask_reason(self, request, exceptions, action="write_off", question=question, button="Write off")
        try:
            count = services.write_off_exceptions(
                exceptions=exceptions, reason=reason, by=kit.person(request), now=timezone.now()
            )
        except services.UnableToWriteOff as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, count, "record", "written off")
        return None

    def offers(self, action: str, target: Any) -> bool:
        return target.status == ImportException.Status.OPEN

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [("Import", reverse("admin:ingestion_usageimport_change", args=[target.usage_import_id]))]
        if target.status == ImportException.Status.OPEN and self.has_correct_permission(request):
            links.insert(0, ("Correct…", reverse("admin:ingestion_importexception_correct", args=[target.pk])))
        return links

    def correct_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_correct_permission(request):
            raise PermissionDenied
        exception = get_object_or_404(self.get_queryset(request), pk=pk)
        latest = exception.revisions.order_by("-number").first()
        form = CorrectForm(request.POST or None, initial={"raw": latest.raw if latest else exception.raw})
        if request.method == "POST" and form.is_valid():
            answers = form.cleaned_data
            try:
                services.correct_exception(
                    exception=exception,
                    raw=answers["raw"],
                    reason=answers["reason"],
                    by=kit.person(request),
                    now=timezone.now(),
                )
            except services.UnableToCorrect as refusal:
                form.add_error(None, str(refusal))
            else:
                self.message_user(request, "The correction is kept and the record will be mediated again.")
                return redirect(self.object_url(pk))
        field = f" in {exception.field}" if exception.field else ""
        lead = f"{exception.code.replace('_', ' ')}{field}: {exception.message}"
        return kit.form_page(
            self,
            request,
            form,
            title="Correct a record",
            button="Correct and mediate again",
            lead=lead,
            target=exception,
        )


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
