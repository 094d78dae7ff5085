"""The screen of UDRs that could not be charged: put the configuration right, then rate them again."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html

from mediation.admin import filters, kit, marks, reviewing
from mediation.admin.workbench import ASK_ABOVE, RATING_BENCH
from rating import services
from rating.admin import groups
from rating.models import RatingException


@admin.register(RatingException)
class RatingExceptionAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "udr_text",
        kit.moment("udr_date", "date of the usage"),
        kit.named_number("feed_id", "feed"),
        "cause",
        "message_text",
        "identifier_text",
        "usage_class",
        "value_text",
        kit.status_badge(),
        "attempts",
        "assigned_to",
    )
    list_filter = (
        "status",
        "cause",
        ("feed_id", filters.NamedNumberFilter),
        ("import_id", filters.NamedNumberFilter),
        ("udr_id", filters.NamedNumberFilter),
        reviewing.AssignedFilter,
        ("created_at", filters.DayRangeFilter),
    )
    list_select_related = ("usage_class", "account", "service", "closed_by", "assigned_to")
    search_fields = ("=identifier",)
    search_help_text = "A whole identifier."
    actions = ("rerate", "retry_later", "stop_retrying", "write_off")
    named_numbers = ("feed_id",)
    export_also = {"usage_class": "usage_class__name", "account": "account__number", "service": "service__name"}
    empty_text = "Nothing stands uncharged. UDRs that find no payer, plan or rate appear here with what is missing."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("status_mark", "cause", "message")}),
        (
            "The usage",
            {"fields": ("udr_link", kit.moment("udr_date", "date of the usage"), "usage_class", "value", "identifier")},
        ),
        ("As far as it came", {"fields": ("account", "service")}),
        (
            "What became of it",
            {
                "fields": (
                    (kit.moment("created_at"), kit.moment("last_tried_at"), "attempts"),
                    ("assigned_to", kit.moment("next_try_at", "tried again by itself"), "rerate_link"),
                    (kit.moment("closed_at"), "closed_by"),
                    "close_reason",
                )
            },
        ),
    )

    has_rerate_permission = kit.permission("rerate")
    has_writeoff_permission = kit.permission("writeoff")
    has_review_permission = kit.permission("review")

    class Media:
        css: ClassVar[Any] = {"all": ("config/workbench.css",)}

    def get_urls(self) -> list[URLPattern]:
        return [*groups.urls(self), *super().get_urls()]

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [("By group", reverse(f"admin:{groups.GROUPS}"))]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["panels"] = [panel(request, kwargs["obj"]) for panel in RATING_BENCH.record_panels]
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="rerate that waits")
    def rerate_link(self, exception: Any) -> Any:
        return marks.row_link(f"rerate {exception.rerate_id}", "rating_exceptionrerate", exception.rerate_id)

    @admin.display(description="UDR")
    def udr_text(self, exception: Any) -> str:
        return str(exception.udr_id)

    @admin.display(description="UDR")
    def udr_link(self, exception: Any) -> Any:
        return marks.row_link(exception.udr_id, "mediation_udr", exception.udr_id)

    @admin.display(description="status")
    def status_mark(self, exception: Any) -> Any:
        return marks.badge(exception.status, exception.get_status_display())

    @admin.display(description="message")
    def message_text(self, exception: Any) -> Any:
        return marks.clipped(exception.message)

    @admin.display(description="identifier")
    def identifier_text(self, exception: Any) -> Any:
        return marks.clipped(exception.identifier or marks.NOTHING)

    @admin.display(description="value")
    def value_text(self, exception: Any) -> str:
        return marks.exact(exception.value)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("UDR", reverse("admin:mediation_udr_change", args=[target.udr_id])),
            ("Import", reverse("admin:ingestion_usageimport_change", args=[target.import_id])),
            ("Its group", groups.group_url(groups.group_of(target))),
            *reviewing.record_links(groups.REVIEW, request, target),
        ]

    def offers(self, action: str, target: Any) -> bool:
        is_fit = action != "stop_retrying" or target.next_try_at is not None
        return is_fit and target.status == RatingException.Status.OPEN

    @admin.action(description="Rerate", permissions=["rerate"])
    def rerate(self, request: HttpRequest, exceptions: QuerySet[RatingException]) -> HttpResponse | None:
        """A few are rated at once; many by workers, after it was asked."""
        is_large = exceptions.order_by()[: ASK_ABOVE + 1].count() > ASK_ABOVE
        if is_large and "is_confirmed" not in request.POST:
            lines = ["Workers rate them again by what is set up now; you can follow how far they are."]
            return kit.ask_first(self, request, exceptions, action="rerate", lines=lines, button="Rerate")
        try:
            self._rerate(request, exceptions, is_large)
        except services.UnableToRerate as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        return None

    def _rerate(self, request: HttpRequest, exceptions: QuerySet[RatingException], is_large: bool) -> None:
        by, now = kit.person(request), timezone.now()
        if is_large:
            asked = services.ask_rerate(exceptions=exceptions, by=by, now=now)
            link = marks.row_link("Follow it", "rating_exceptionrerate", asked.pk)
            said = format_html("{} will be rated again. {}.", kit.counted(asked.exception_count, "UDR"), link)
            self.message_user(request, said)
            return
        count = services.rerate_exceptions(exceptions=exceptions, by=by, now=now)
        told = f"{kit.counted(count, 'UDR')} charged; what is still open says why."
        self.message_user(request, told, messages.SUCCESS if count else messages.WARNING)

    @admin.action(description="Retry later", permissions=["review"])
    def retry_later(self, request: HttpRequest, exceptions: QuerySet[RatingException]) -> None:
        try:
            count = services.retry_later(exceptions=exceptions, by=kit.person(request), now=timezone.now())
        except services.UnableToRetryLater as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, count, "UDR", "will be tried again by itself, with growing gaps")

    @admin.action(description="Stop retrying", permissions=["review"])
    def stop_retrying(self, request: HttpRequest, exceptions: QuerySet[RatingException]) -> None:
        count = services.stop_retrying(exceptions=exceptions, by=kit.person(request), now=timezone.now())
        kit.tell(self, request, count, "UDR", "will not be tried again by itself")

    @admin.action(description="Write off…", permissions=["writeoff"])
    def write_off(self, request: HttpRequest, exceptions: QuerySet[RatingException]) -> HttpResponse | None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            question = "Why is this usage not charged? The reason is kept with each."
            return kit.ask_reason(self, request, exceptions, action="write_off", question=question, button="Write off")
        try:
            count = services.write_off_rating_exceptions(
                exceptions=exceptions, reason=reason, by=kit.person(request), now=timezone.now()
            )
        except services.UnableToWriteOff as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, count, "UDR", "written off")
        return None
