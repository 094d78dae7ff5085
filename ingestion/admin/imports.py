"""Screens of the import history: a list, and a page for each import that follows its progress."""

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, QuerySet, Sum
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from ingestion import selectors, services
from ingestion.admin.comparing import address_for, compare_page
from ingestion.models import IdempotencyKey, ImportBody, ImportChunk, UsageImport
from mediation import services as mediation
from mediation.admin import filters, kit, marks
from mediation.models import ProfileVersion, UdrBatch

Status = UsageImport.Status
AT_REST = (Status.COMPLETED, Status.FAILED, Status.ERRORED)


class ChunkInline(kit.ReadOnlyInline):
    model = ImportChunk
    show_change_link = False
    ordering = ("-attempt", "number")
    verbose_name_plural = "chunks of every attempt, newest attempt first"
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
    }
    export_quiet = ("payload", "unpacked", "header", "file_fields", "claimed_until", "plan_attempts", "error")
    empty_text = "No usage has arrived yet. Open a feed and upload a usage file, or post to its address."
    fields: ClassVar[Any] = (
        ("feed_link", "profile_link"),
        ("source", "received_by"),
        "tracking_id",
        "file_name",
        ("byte_size_text", "content_hash"),
        (kit.moment("received_at"), kit.moment("started_at"), kit.moment("ended_at")),
        ("attempt", "plan_attempts"),
        "header",
    )

    has_reprocess_permission = kit.permission("reprocess")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("compare/", wrap(partial(compare_page, self)), name="ingestion_usageimport_compare"),
            path("<int:pk>/progress.json", wrap(self.progress_view), name="ingestion_usageimport_progress"),
            path("<int:pk>/payload", wrap(self.payload_view), name="ingestion_usageimport_payload"),
            *super().get_urls(),
        ]

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

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("Exceptions", marks.list_url("ingestion_importexception", usage_import=target.pk)),
            ("UDRs", marks.list_url("mediation_udr", import_id=target.pk)),
            ("Charges", marks.list_url("rating_charge", import_id=target.pk)),
            ("Rating exceptions", marks.list_url("rating_ratingexception", import_id=target.pk)),
            ("Left out", marks.list_url("ingestion_leftoutrecord", usage_import=target.pk)),
            ("Compare with another version", address_for(usage_import=target.pk)),
            ("Download the original", reverse("admin:ingestion_usageimport_payload", args=[target.pk])),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        usage_import = selectors.history().filter(pk=object_id).first() if object_id.isdecimal() else None
        context = extra_context or {}
        if usage_import:
            address = reverse("admin:ingestion_usageimport_progress", args=[usage_import.pk])
            context |= {"progress": progress_of(usage_import), "progress_url": address}
            context["attempts"] = attempts_of(usage_import)
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
        if usage_import.payload:
            try:
                stream = usage_import.payload.open("rb")
            except FileNotFoundError as lost:
                raise Http404("The original is not in the file storage any more.") from lost
            return FileResponse(stream, as_attachment=True, filename=name, content_type="application/octet-stream")
        body = get_object_or_404(ImportBody, pk=usage_import.pk)
        headers = {"Content-Disposition": f'attachment; filename="{usage_import.tracking_id}.json"'}
        return HttpResponse(bytes(body.content), content_type="application/octet-stream", headers=headers)


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


def progress_of(usage_import: Any) -> dict[str, Any]:
    """What the progress panel shows, on the page and in its updates; a row of `selectors.history`."""
    counts = marks.outcomes(usage_import)
    addresses = {
        "imported": marks.list_url("mediation_udr", import_id=usage_import.pk),
        "exceptions": marks.list_url("ingestion_importexception", usage_import=usage_import.pk),
        "skipped": marks.list_url("ingestion_leftoutrecord", usage_import=usage_import.pk, outcome__exact="skipped"),
        "duplicates": marks.list_url(
            "ingestion_leftoutrecord", usage_import=usage_import.pk, outcome__exact="duplicate"
        ),
    }
    return {
        "badge": marks.badge(usage_import.status, usage_import.get_status_display()),
        "at_rest": usage_import.status in AT_REST,
        "bar": marks.outcome_bar(counts),
        "record_count": marks.number(usage_import.record_count),
        "beside": [
            (
                "repaired",
                marks.number(usage_import.repaired_count),
                marks.list_url("mediation_udr", import_id=usage_import.pk, repairs__isnull=0),
            ),
            (
                "rated",
                marks.number(usage_import.rated_count),
                marks.list_url("rating_charge", import_id=usage_import.pk),
            ),
            (
                "rating exceptions",
                marks.number(usage_import.rating_exception_count),
                marks.list_url("rating_ratingexception", import_id=usage_import.pk, status__exact="open"),
            ),
        ],
        "counts": [(name, marks.number(count), addresses.get(name)) for name, count in counts.items()],
        "error": usage_import.error,
        "earlier": earlier_of(usage_import),
    }


def counting_attempt(usage_import: UsageImport) -> int:
    """The attempt whose UDRs count: a newer one takes its place only when it is complete."""
    if usage_import.attempt == 1 or usage_import.status == Status.COMPLETED:
        return usage_import.attempt
    in_force = (UdrBatch.Status.MEDIATED, UdrBatch.Status.RATED, UdrBatch.Status.ERRORED)
    batches = UdrBatch.objects.filter(import_id=usage_import.pk, status__in=in_force)
    chunks = ImportChunk.objects.filter(usage_import=usage_import, batch_id__in=batches.values("pk"))
    return chunks.aggregate(newest=Max("attempt"))["newest"] or usage_import.attempt


def attempts_of(usage_import: UsageImport) -> list[Any]:
    chunks = ImportChunk.objects.filter(usage_import=usage_import).values("attempt").order_by("-attempt")
    counting = counting_attempt(usage_import)
    sums = chunks.annotate(
        chunks=Count("pk"),
        imported=Sum("imported_count"),
        repaired=Sum("repaired_count"),
        exceptions=Sum("exception_count"),
        skipped=Sum("skipped_count"),
        duplicates=Sum("duplicate_count"),
        last_ended_at=Max("ended_at"),
    )
    return [{**attempt, "counts": attempt["attempt"] == counting} for attempt in sums]


def earlier_of(usage_import: UsageImport) -> dict[str, Any] | None:
    """The earlier attempt that counts while a newer one is not complete, with its counts in words."""
    if usage_import.attempt == 1 or usage_import.status == Status.COMPLETED:
        return None
    counting = [one for one in attempts_of(usage_import) if one["counts"] and one["attempt"] < usage_import.attempt]
    if not counting:
        return None
    said = ", ".join(f"{counting[0][name]:,} {name}" for name in marks.OUTCOMES if counting[0].get(name))
    return {"attempt": counting[0]["attempt"], "newer": usage_import.attempt, "said": said}


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
