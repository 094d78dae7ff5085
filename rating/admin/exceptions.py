"""The screen of UDRs that could not be charged: put the configuration right, then rate them again."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from mediation.admin import filters, kit, marks
from rating import services
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
        "identifier",
        "usage_class",
        "value_text",
        kit.status_badge(),
        "attempts",
    )
    list_filter = (
        "status",
        "cause",
        ("feed_id", filters.NamedNumberFilter),
        ("import_id", filters.NamedNumberFilter),
        ("udr_id", filters.NamedNumberFilter),
        ("created_at", filters.DayRangeFilter),
    )
    list_select_related = ("usage_class", "account", "service", "closed_by")
    search_fields = ("=identifier",)
    search_help_text = "A whole identifier."
    actions = ("rerate", "write_off")
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
                    (kit.moment("closed_at"), "closed_by"),
                    "close_reason",
                )
            },
        ),
    )

    has_rerate_permission = kit.permission("rerate")
    has_writeoff_permission = kit.permission("writeoff")

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

    @admin.display(description="value")
    def value_text(self, exception: Any) -> str:
        return marks.exact(exception.value)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("UDR", reverse("admin:mediation_udr_change", args=[target.udr_id])),
            ("Import", reverse("admin:ingestion_usageimport_change", args=[target.import_id])),
        ]

    def offers(self, action: str, target: Any) -> bool:
        return target.status == RatingException.Status.OPEN

    @admin.action(description="Rerate", permissions=["rerate"])
    def rerate(self, request: HttpRequest, exceptions: QuerySet[RatingException]) -> None:
        try:
            count = services.rerate_exceptions(exceptions=exceptions, by=kit.person(request), now=timezone.now())
        except services.UnableToRerate as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            said = f"{kit.counted(count, 'UDR')} charged; what is still open says why."
            self.message_user(request, said, messages.SUCCESS if count else messages.WARNING)

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
