"""The screen of import exceptions one by one: their list, the record at the desk, and what is done with many."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ingestion import services
from ingestion.admin.desk import correct_view, desk_of, raw_view
from ingestion.admin.groups import GROUP, GROUPS, group_of, group_url, groups_view
from ingestion.admin.one_group import act_view, group_view
from ingestion.admin.reviewing import REVIEW
from ingestion.admin.rules import RULE, rule_view
from ingestion.models import ExceptionRevision, ImportException
from mediation.admin import filters, kit, marks, reviewing, workbench
from mediation.admin.workbench import ASK_ABOVE, IMPORT_BENCH

Status = ImportException.Status
REVISION_SHOWN = 2_000
# Of other tables, by what leads to this list.
LOOKUPS = ("revisions__correction", "usage_import__received_at__gte", "usage_import__received_at__lt")


class RevisionInline(kit.ReadOnlyInline):
    model = ExceptionRevision
    show_change_link = False
    ordering = ("-number",)
    fields: ClassVar[Any] = ("number", "what", "reason", "created_by", kit.moment("created_at"), "by_rule")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who sees an exception sees its corrections."""
        return kit.person(request).has_perm("ingestion.view_importexception")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExceptionRevision]:
        return super().get_queryset(request).select_related("created_by")

    @admin.display(description="record as corrected")
    def what(self, revision: Any) -> Any:
        if revision.raw is not None:
            return marks.raw(
                revision.raw if len(revision.raw) <= REVISION_SHOWN else f"{revision.raw[:REVISION_SHOWN]}…"
            )
        return format_html_join("", "<div>{} {}</div>", (_change(*one) for one in (revision.changes or {}).items()))

    @admin.display(description="by a rule")
    def by_rule(self, revision: Any) -> Any:
        link = marks.row_link(
            f"correction {revision.correction_id}", "ingestion_groupcorrection", revision.correction_id
        )
        return format_html("{} {}", link, marks.badge("undone")) if revision.withdrawn_at else link


def _change(name: str, text: str | None) -> tuple[SafeString, SafeString]:
    shown = format_html("<code>{}</code>", workbench.cut(text)) if text is not None else format_html("{}", "emptied")
    return format_html('<span class="quiet">{}</span>', name), shown


@admin.register(ImportException)
class ImportExceptionAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    change_form_template = "admin/ingestion/importexception/change_form.html"
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
        "assigned_to",
    )
    list_filter = (
        "status",
        filters.CodeFilter,
        ("feed", filters.FeedFilter),
        ("usage_import", filters.NamedNumberFilter),
        reviewing.AssignedFilter,
        ("created_at", filters.DayRangeFilter),
    )
    list_select_related = ("feed", "assigned_to")
    search_fields = ("raw", "message")
    search_help_text = "A part of the record or of the message"
    actions = ("reprocess", "retry_later", "stop_retrying", "write_off", "reopen")
    inlines = (RevisionInline,)
    export_also = {"feed": "feed__name"}
    empty_text = "No record has been refused. Records that cannot become a UDR appear here with the reason."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": (("status_mark", "assigned_to"),)}),
        ("Where it came from", {"fields": (("feed", "import_link"), ("record_number", "attempt"))}),
        (
            "What became of it",
            {
                "fields": (
                    (kit.moment("created_at"), kit.moment("last_tried_at")),
                    "retry_text",
                    (kit.moment("closed_at"), "closed_by"),
                    ("corrected_by", "udrs_link"),
                    "close_reason",
                )
            },
        ),
    )

    has_reprocess_permission = kit.permission("reprocess")
    has_writeoff_permission = kit.permission("writeoff")
    has_review_permission = kit.permission("review")

    def get_urls(self) -> list[URLPattern]:
        pages: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
            "groups/": (GROUPS, groups_view),
            "group/": (GROUP, group_view),
            "group/rule/": (RULE, rule_view),
            "group/do/<slug:verb>/": (f"{GROUP}_act", act_view),
            "<int:pk>/correct/": ("ingestion_importexception_correct", correct_view),
            "<int:pk>/raw.txt": ("ingestion_importexception_raw", raw_view),
        }
        wrap = self.admin_site.admin_view
        own = [path(address, wrap(partial(view, self)), name=name) for address, (name, view) in pages.items()]
        return [*own, *reviewing.urls(self, REVIEW), *super().get_urls()]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj is None or obj.revision_count else ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup in LOOKUPS or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [("By group", reverse(f"admin:{GROUPS}"))]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        rows = self.get_queryset(request).select_related("usage_import", "feed")
        exception = rows.filter(pk=object_id).first() if object_id.isdecimal() else None
        context = extra_context or {}
        if exception and request.method == "GET":
            context["desk"] = desk_of(request, exception)
            context["panels"] = [panel(request, exception) for panel in IMPORT_BENCH.record_panels]
        return super().change_view(request, object_id, form_url, context)

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

    @admin.display(description="status")
    def status_mark(self, exception: ImportException) -> Any:
        return marks.badge(exception.status, exception.get_status_display())

    @admin.display(description="tried again by itself")
    def retry_text(self, exception: ImportException) -> Any:
        if exception.next_try_at is None:
            return marks.NOTHING
        return format_html("{}; tries so far: {}", marks.moment(exception.next_try_at), exception.retry_round)

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
    def reprocess(self, request: HttpRequest, exceptions: QuerySet[ImportException]) -> HttpResponse | None:
        lines = ["Each is mediated again as it stands, with the Data Profile that is active now."]
        return self._do(request, exceptions, "reprocess", "Reprocess", lines, "will be mediated again")

    @admin.action(description="Retry later", permissions=["review"])
    def retry_later(self, request: HttpRequest, exceptions: QuerySet[ImportException]) -> HttpResponse | None:
        lines = ["Each is tried again by itself, with growing gaps, for two weeks."]
        return self._do(request, exceptions, "retry_later", "Retry later", lines, "will be tried again by itself")

    @admin.action(description="Stop retrying", permissions=["review"])
    def stop_retrying(self, request: HttpRequest, exceptions: QuerySet[ImportException]) -> HttpResponse | None:
        lines = ["They stay open and are not tried again by themselves."]
        return self._do(request, exceptions, "stop_retrying", "Stop retrying", lines, "taken off the schedule")

    @admin.action(description="Write off…", permissions=["writeoff"])
    def write_off(self, request: HttpRequest, exceptions: QuerySet[ImportException]) -> HttpResponse | None:
        question = "Why are these records given up? The reason is kept with each."
        return self._do_for_reason(request, exceptions, "write_off", question, "Write off", "written off")

    @admin.action(description="Reopen…", permissions=["writeoff"])
    def reopen(self, request: HttpRequest, exceptions: QuerySet[ImportException]) -> HttpResponse | None:
        question = "Why is the write-off of these records taken back?"
        return self._do_for_reason(request, exceptions, "reopen", question, "Reopen", "open again")

    def _do(
        self,
        request: HttpRequest,
        exceptions: QuerySet[ImportException],
        action: str,
        button: str,
        lines: list[str],
        done: str,
    ) -> HttpResponse | None:
        """A few at once; of many, how many and what happens to them is said first."""
        is_large = exceptions.order_by()[: ASK_ABOVE + 1].count() > ASK_ABOVE
        if is_large and "is_confirmed" not in request.POST:
            return kit.ask_first(self, request, exceptions, action=action, lines=lines, button=button)
        self._call(request, exceptions, action, done)
        return None

    def _do_for_reason(
        self,
        request: HttpRequest,
        exceptions: QuerySet[ImportException],
        action: str,
        question: str,
        button: str,
        done: str,
    ) -> HttpResponse | None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            return kit.ask_reason(self, request, exceptions, action=action, question=question, button=button)
        self._call(request, exceptions, action, done, reason=reason)
        return None

    def _call(
        self, request: HttpRequest, exceptions: QuerySet[ImportException], action: str, done: str, **said: str
    ) -> None:
        try:
            count = SERVICES[action](exceptions=exceptions, by=kit.person(request), now=timezone.now(), **said)
        except REFUSALS as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, count, "record", done)

    def offers(self, action: str, target: Any) -> bool:
        if action == "reopen":
            return target.status == Status.WRITTEN_OFF
        is_fit = action != "stop_retrying" or target.next_try_at is not None
        return is_fit and target.status == Status.OPEN

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Its life", reverse("admin:trace_record", args=[target.usage_import_id, target.record_number])),
            ("Import", reverse("admin:ingestion_usageimport_change", args=[target.usage_import_id])),
            *reviewing.record_links(REVIEW, request, target),
        ]
        return [("Its group", group_url(group_of(target))), *links] if target.status == Status.OPEN else links


SERVICES: dict[str, Callable[..., int]] = {
    "reprocess": services.reprocess_exceptions,
    "retry_later": services.retry_later,
    "stop_retrying": services.stop_retrying,
    "write_off": services.write_off_exceptions,
    "reopen": services.reopen_exceptions,
}
REFUSALS = (
    services.UnableToReprocess,
    services.UnableToRetryLater,
    services.UnableToWriteOff,
    services.UnableToReopen,
)
