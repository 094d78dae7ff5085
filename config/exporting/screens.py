"""The list of exports, the page of one that follows its progress, and its file."""

from decimal import Decimal
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.text import capfirst

from config.exporting.jobs import ask_for_export, may_download, open_file, screen_of
from config.models import ExportJob
from mediation.admin import kit, marks
from mediation.admin.export import CONTENT_TYPES, Wish, changelist_of, told_filters
from mediation.services.exporting import Kind, UnableToExport

Status = ExportJob.Status
AT_WORK = (Status.WAITING, Status.RUNNING)


@admin.register(ExportJob)
class ExportJobAdmin(kit.ReadOnlyAdmin):
    """Everybody's own exports; those of others for who may see all."""

    change_form_template = "admin/config/exportjob/change_form.html"
    list_display = (
        "what",
        "kind_text",
        kit.status_badge(),
        "rows_text",
        "size_text",
        kit.moment("created_at", "asked"),
        "asked_by",
        kit.moment("expires_at", "kept until"),
        "download_link",
    )
    list_filter = ("status",)
    list_select_related = ("created_by",)
    export_without = ("file_name",)
    export_also = {"asked_by": "created_by__username"}
    empty_text = "No export yet. Open a list, filter it, and press Export…; what is large is made here."
    fields: ClassVar[Any] = (
        ("list_link", "kind_text"),
        "filters_text",
        "columns_text",
        (kit.moment("created_at", "asked"), "asked_by"),
        (kit.moment("started_at"), kit.moment("ended_at"), "attempts"),
        ("size_text", "sha256"),
    )

    class Media:
        css: ClassVar[Any] = {"all": ("config/exporting.css",)}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/progress.json", wrap(self.progress_view), name="config_exportjob_progress"),
            path("<int:pk>/download", wrap(self.download_view), name="config_exportjob_download"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExportJob]:
        jobs = super().get_queryset(request)
        by = kit.person(request)
        return jobs if by.has_perm("config.view_any_exportjob") else jobs.filter(created_by=by)

    @admin.display(description="what")
    def what(self, job: Any) -> Any:
        return marks.clipped(f"{name_of(job)} · {_filters(job)}")

    @admin.display(description="asked by")
    def asked_by(self, job: Any) -> str:
        return str(job.created_by)

    @admin.display(description="as", ordering="kind")
    def kind_text(self, job: Any) -> str:
        return "Excel" if job.kind == Kind.WORKBOOK else "CSV"

    @admin.display(description="rows")
    def rows_text(self, job: Any) -> str:
        return marks.number(job.row_count)

    @admin.display(description="size")
    def size_text(self, job: Any) -> str:
        return filesizeformat(job.byte_size) if job.byte_size is not None else marks.NOTHING

    @admin.display(description="")
    def download_link(self, job: Any) -> Any:
        if job.status != Status.DONE:
            return ""
        return marks.link("Download", reverse("admin:config_exportjob_download", args=[job.pk]))

    @admin.display(description="list")
    def list_link(self, job: Any) -> Any:
        try:
            model = screen_of(job).opts.label_lower.replace(".", "_")
        except UnableToExport:
            return job.screen
        address = marks.list_url(model) + (f"?{job.query}" if job.query else "")
        return marks.link(name_of(job), address)

    @admin.display(description="filter")
    def filters_text(self, job: Any) -> str:
        return _filters(job)

    @admin.display(description="columns")
    def columns_text(self, job: Any) -> str:
        return ", ".join(job.columns)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        try:
            model = screen_of(target).opts.label_lower.replace(".", "_")
        except UnableToExport:
            return []
        again = urlencode([*(("column", name) for name in target.columns), ("as", target.kind)])
        address = reverse(f"admin:{model}_export_page")
        return [("Export again…", f"{address}?{target.query}{'&' if target.query else ''}{again}")]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job = kwargs["obj"]
        context["progress"] = progress_of(job)
        context["progress_url"] = reverse("admin:config_exportjob_progress", args=[job.pk])
        return super().render_change_form(request, context, *args, **kwargs)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        job = self._seen(request, pk)
        progress = progress_of(job)
        html = render_to_string("admin/config/exportjob/progress.html", {"progress": progress})
        return JsonResponse({"at_rest": progress["at_rest"], "html": html})

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        job = self._seen(request, pk)
        if not may_download(job, kit.person(request)):
            raise PermissionDenied
        stream = open_file(job)
        if stream is None:
            raise Http404("The file is not kept any more. Export the list again.")
        ending = Kind(job.kind).ending
        name = f"{job.screen.rpartition('.')[2].lower()}-{job.created_at:%Y-%m-%d}-{job.pk}.{ending}"
        return FileResponse(stream, as_attachment=True, filename=name, content_type=CONTENT_TYPES[ending])

    def _seen(self, request: HttpRequest, pk: int) -> ExportJob:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=pk)


def name_of(job: ExportJob) -> str:
    """What the list is called."""
    try:
        return capfirst(str(screen_of(job).opts.verbose_name_plural))
    except UnableToExport:
        return job.screen


def _filters(job: ExportJob) -> str:
    return "; ".join(f"{what}: {which}" for what, which in job.told_filters) or "everything"


def progress_of(job: ExportJob) -> dict[str, Any]:
    """What the panel of one export shows, on its page and in its updates."""
    share = min(100 * job.row_count // job.row_total, 100) if job.row_total else 0
    summed = [name for name, _ in job.totals[0]["sums"]] if job.totals else []
    return {
        "badge": marks.badge(job.status, job.get_status_display()),
        "at_rest": job.status not in AT_WORK,
        "is_done": job.status == Status.DONE,
        "share": 100 if job.status in (Status.DONE, Status.EXPIRED) else share,
        "rows": marks.number(job.row_count),
        "row_total": marks.number(job.row_total),
        "size": filesizeformat(job.byte_size) if job.byte_size is not None else "",
        "download_url": reverse("admin:config_exportjob_download", args=[job.pk]),
        "expires_at": marks.moment(job.expires_at) if job.expires_at else "",
        "header": [name.replace("_", " ") for name in ("currency", "rows", *summed)],
        "totals": [_told_total(total) for total in job.totals],
        "error": job.error,
    }


def _told_total(total: dict[str, Any]) -> list[str]:
    sums = (marks.exact(None if found is None else Decimal(found)) for _, found in total["sums"])
    return [total["currency"] or marks.NOTHING, marks.number(total["rows"]), *sums]


def send_to_background(model_admin: kit.ModelAdmin, request: HttpRequest, wish: Wish, row_total: int) -> str:
    """Start a job for what was chosen on a list's page; returns the address of its page."""
    told = list(told_filters(changelist_of(model_admin, request, wish.query)))
    job = ask_for_export(
        screen=model_admin.model._meta.label,
        wish=wish,
        told_filters=told,
        row_total=row_total,
        by=kit.person(request),
        now=timezone.now(),
    )
    return reverse("admin:config_exportjob_change", args=[job.pk])
