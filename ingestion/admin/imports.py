"""Screens of the import history: a list, and a page for each import that follows its progress."""

import io
from functools import partial
from pathlib import PurePath
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from ingestion import selectors, services
from ingestion.admin.attempts import attempts_page, told_attempts, told_steps
from ingestion.admin.comparing import address_for, compare_page
from ingestion.admin.progress import progress_of
from ingestion.core.bodies import Shape
from ingestion.models import IdempotencyKey, ImportBody, ImportChunk, UsageImport
from ingestion.services.attempts import attempts_of
from ingestion.services.beginnings import beginning_of
from ingestion.services.steps import steps_of
from mediation import services as mediation
from mediation.admin import filters, kit, marks, reach
from mediation.models import ProfileVersion

Status = UsageImport.Status
MOST_CHUNKS = 100
MOST_CHARS = 5_000  # of the names of columns
# Files are handed out as what their name says only where no browser would run them.
PLAIN_TYPES = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".txt": "text/plain",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
}


class ChunkInline(kit.ReadOnlyInline):
    model = ImportChunk
    show_change_link = False
    ordering = ("-attempt", "number")
    verbose_name_plural = f"chunks, the newest {MOST_CHUNKS}"
    fields: ClassVar[Any] = (
        "attempt",
        kit.status_badge(),
        kit.count("imported_count"),
        kit.count("repaired_count"),
        kit.count("exception_count", "exceptions"),
        kit.count("skipped_count"),
        kit.count("duplicate_count", "duplicates"),
        "attempts",
        kit.moment("ended_at"),
        "batch",
        "error",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportChunk]:
        """The newest of one import: a file of a hundred million records has thousands."""
        chunks = super().get_queryset(request)
        pk = request.resolver_match.kwargs.get("object_id", "") if request.resolver_match else ""
        if not pk.isdecimal():
            return chunks.none()
        newest = chunks.filter(usage_import=pk).order_by("-attempt", "-number").values("pk")[:MOST_CHUNKS]
        return chunks.filter(pk__in=newest)

    @admin.display(description="UDR batch")
    def batch(self, chunk: Any) -> Any:
        return marks.row_link(chunk.batch_id, "mediation_udrbatch", chunk.batch_id)


@admin.register(UsageImport)
class UsageImportAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    change_form_template = "admin/ingestion/usageimport/change_form.html"
    list_display = (
        kit.moment("received_at"),
        "source_text",
        kit.status_badge(),
        "outcome",
        kit.count("record_count", "records"),
        "exceptions_link",
        "not_rated",
    )
    list_filter = (("feed", filters.FeedFilter), "status", "source", ("received_at", filters.DayRangeFilter))
    search_fields = ("file_name", "=tracking_id")
    search_help_text = "A part of a file name, or a whole tracking id."
    actions = ("reprocess", "retry_errored")
    inlines = (ChunkInline,)
    export_also = {
        "feed": "feed__name",
        "rated_count": "rated_count",
        "profile": "profile_version__profile__name",
        "version": "profile_version__number",
        "rating_exception_count": "rating_exception_count",
        "voided_count": "voided_count",
    }
    export_quiet = ("payload", "unpacked", "header", "file_fields", "claimed_until", "plan_attempts", "error")
    empty_text = "No usage has arrived yet. Open a feed and upload a usage file, or post to its address."
    fields: ClassVar[Any] = (
        ("feed_link", "profile_link"),
        ("source", "received_by"),
        ("tracking_id", "idempotency_key"),
        "file_name",
        "amend_reason",
        "backfill",
        ("byte_size_text", "content_hash"),
        (kit.moment("received_at"), kit.moment("started_at"), kit.moment("ended_at")),
        ("attempt", "plan_attempts"),
        "header_text",
        "file_fields_text",
    )

    has_reprocess_permission = kit.permission("reprocess")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("compare/", wrap(partial(compare_page, self)), name="ingestion_usageimport_compare"),
            path("<int:pk>/attempts/", wrap(partial(attempts_page, self)), name="ingestion_usageimport_attempts"),
            path("<int:pk>/progress.json", wrap(self.progress_view), name="ingestion_usageimport_progress"),
            path("<int:pk>/payload", wrap(self.payload_view), name="ingestion_usageimport_payload"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without what only some imports have, where this one has none."""
        some = ("header", "file_fields", "file_name", "amend_reason", "backfill")
        empty = [name for name in some if obj is not None and not getattr(obj, name)]
        return [field for field in self.fields if str(field).removesuffix("_text") not in empty]

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageImport]:
        return mediation.seen(selectors.history(), kit.person(request)).order_by(*self.get_ordering(request))

    @admin.display(description="source and feed")
    def source_text(self, usage_import: UsageImport) -> Any:
        source = marks.clipped(usage_import.file_name or usage_import.get_source_display())
        feed = marks.clipped(usage_import.feed.name)
        return format_html('{}<br><span class="quiet">{}</span>', source, feed)

    @admin.display(description="outcome")
    def outcome(self, usage_import: Any) -> Any:
        """The bar, and in words what has no column: with a column for each count the last ones left a small screen."""
        beside = {"repaired": usage_import.repaired_count, "rated": usage_import.rated_count}
        counts = marks.outcomes(usage_import) | beside
        said = " · ".join(
            f"{count:,}\N{NO-BREAK SPACE}{name}" for name, count in counts.items() if count and name != "exceptions"
        )
        return format_html('{}<span class="quiet">{}</span>', marks.outcome_bar(marks.outcomes(usage_import)), said)

    @admin.display(description="exceptions")
    def exceptions_link(self, usage_import: UsageImport) -> Any:
        if not usage_import.exception_count:
            return "0"
        text = f"{usage_import.exception_count:,}"
        return marks.list_link(text, "ingestion_importexception", usage_import=usage_import.pk)

    @admin.display(description="not rated")
    def not_rated(self, usage_import: Any) -> Any:
        return not_rated(usage_import)

    @admin.display(description="feed")
    def feed_link(self, usage_import: UsageImport) -> Any:
        return marks.row_link(usage_import.feed, "ingestion_feed", usage_import.feed_id)

    @admin.display(description="read by")
    def profile_link(self, usage_import: UsageImport) -> Any:
        version = usage_import.profile_version
        return marks.row_link(version, "mediation_profileversion", version.pk)

    @admin.display(description="Idempotency-Key")
    def idempotency_key(self, usage_import: UsageImport) -> Any:
        key = IdempotencyKey.objects.filter(usage_import=usage_import).values_list("key", flat=True).first()
        return marks.NOTHING if key is None else marks.raw(key)

    @admin.display(description="columns named by its header")
    def header_text(self, usage_import: UsageImport) -> Any:
        header = usage_import.header
        return ", ".join(map(str, header))[:MOST_CHARS] if isinstance(header, list) else marks.pretty_json(header)

    @admin.display(description="said by its header and trailer")
    def file_fields_text(self, usage_import: UsageImport) -> Any:
        return marks.pretty_json(usage_import.file_fields or None)

    @admin.display(description="bytes")
    def byte_size_text(self, usage_import: UsageImport) -> str:
        return marks.number(usage_import.byte_size)

    @admin.action(description="Reprocess…", permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, imports: QuerySet[UsageImport]) -> HttpResponse | None:
        if "is_confirmed" not in request.POST:
            lines = told_of_reprocessing(imports)
            return kit.ask_first(self, request, imports, action="reprocess", lines=lines, button="Reprocess")
        try:
            count = services.reprocess_imports(imports=imports, by=kit.person(request), now=timezone.now())
        except services.UnableToReprocess as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, count, "import", "will be read again")
        return None

    @admin.action(description="Try errored work again", permissions=["reprocess"])
    def retry_errored(self, request: HttpRequest, imports: QuerySet[UsageImport]) -> None:
        try:
            count = services.retry_errored(imports=imports, by=kit.person(request), now=timezone.now())
        except services.UnableToReprocess as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, count, "import", "will be tried again")

    def offers(self, action: str, target: Any) -> bool:
        return action != "retry_errored" or target.status == Status.ERRORED

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return kit.reconciliation_links(request)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        compare = ("Compare with another version", address_for(usage_import=target.pk))
        return [
            ("Exceptions", marks.list_url("ingestion_importexception", usage_import=target.pk)),
            ("UDRs", marks.list_url("mediation_udr", import_id=target.pk)),
            ("Charges", marks.list_url("rating_charge", import_id=target.pk)),
            ("Rating exceptions", marks.list_url("rating_ratingexception", import_id=target.pk)),
            ("Left out", marks.list_url("ingestion_leftoutrecord", usage_import=target.pk)),
            *([compare] if reach.may_see("mediation_profileversion") else []),
            ("Download the original", reverse("admin:ingestion_usageimport_payload", args=[target.pk])),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        usage_import = selectors.history().filter(pk=object_id).first() if object_id.isdecimal() else None
        context = extra_context or {}
        if usage_import and self.has_view_permission(request, usage_import):
            address = reverse("admin:ingestion_usageimport_progress", args=[usage_import.pk])
            attempts = attempts_of(usage_import)
            steps = steps_of(usage_import=usage_import, attempts=attempts, by=kit.person(request))
            context |= {
                "progress": progress_of(usage_import),
                "progress_url": address,
                "attempts": told_attempts(attempts),
                "steps": told_steps(steps),
                "beginning": beginning_of(usage_import),
            }
        return super().change_view(request, object_id, form_url, context)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        progress = progress_of(get_object_or_404(self.get_queryset(request), pk=pk))
        html = render_to_string("admin/ingestion/usageimport/progress.html", {"progress": progress})
        return JsonResponse({"at_rest": progress["at_rest"], "html": html})

    def payload_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        usage_import = get_object_or_404(self.get_queryset(request), pk=pk)
        name = usage_import.file_name.rsplit("/", 1)[-1] or f"{usage_import.tracking_id}.txt"
        if not usage_import.payload:
            name = f"{usage_import.tracking_id}{_ending(usage_import)}"
        kind = PLAIN_TYPES.get(PurePath(name).suffix.lower(), "application/octet-stream")
        return FileResponse(_original(usage_import), as_attachment=True, filename=name, content_type=kind)


def _ending(usage_import: UsageImport) -> str:
    """How the name of a request's body ends."""
    shape = ImportBody.objects.filter(pk=usage_import.pk).values_list("shape", flat=True).first()
    return f".{shape}" if shape in (Shape.CSV, Shape.NDJSON) else ".json"


def _original(usage_import: UsageImport) -> Any:
    """The bytes as they came, as an open file."""
    if not usage_import.payload:
        return io.BytesIO(get_object_or_404(ImportBody, pk=usage_import.pk).content)
    try:
        return usage_import.payload.open("rb")
    except FileNotFoundError as lost:
        raise Http404("The original is not in the file storage any more.") from lost


def told_of_reprocessing(imports: QuerySet[UsageImport]) -> list[str]:
    """What reading imports again does, for the page that asks first; `imports` out of `selectors.history`."""
    sums = imports.order_by().aggregate(records=Sum("record_count", default=0), rated=Sum("rated_count", default=0))
    profiles = imports.order_by().values("feed__profile_id")
    active = ProfileVersion.objects.filter(status=ProfileVersion.Status.ACTIVE, profile_id__in=profiles)
    names = ", ".join(str(version) for version in active.select_related("profile").order_by("profile__name"))
    return [
        f"{kit.counted(sums['records'], 'record')} will be read again from the original, with corrections kept.",
        f"They are read by what is active now: {names or 'no version, so it will be refused'}.",
        f"The charges of {kit.counted(sums['rated'], 'UDR')} will be reversed, and the new UDRs rated.",
        "What was made of an import before counts until its new attempt is complete.",
    ]


def not_rated(usage_import: Any) -> Any:
    """How many of its UDRs stand uncharged, as a badge that leads to them; a row of `selectors.history`."""
    still_open = {"import_id": usage_import.pk, "status__exact": "open"}
    return marks.alarm(usage_import.rating_exception_count, "rating_ratingexception", **still_open)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = ("key", "feed", "import_link")
    list_filter = (("feed", filters.FeedFilter),)
    list_select_related = ("feed", "usage_import")
    search_fields = ("=key",)
    export_also = {"feed": "feed__name"}
    empty_text = "No Idempotency-Key yet. Integrators may send one with each post, so that a retry is safe."

    @admin.display(description="import")
    def import_link(self, kept: Any) -> Any:
        return marks.row_link(kept.usage_import.tracking_id, "ingestion_usageimport", kept.usage_import_id)
