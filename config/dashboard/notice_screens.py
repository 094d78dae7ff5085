"""Screens of notices: what is unusual, since when, and what a person has to say to it."""

from datetime import UTC, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from config.dashboard import noticing
from config.dashboard.figures import between, midnight
from config.models import Notice
from mediation.admin import filters, kit, marks
from rating.models import Account

STATES = {
    "open": ("open", Q(closed_at__isnull=True, acknowledged_at__isnull=True)),
    "acknowledged": ("acknowledged", Q(closed_at__isnull=True, acknowledged_at__isnull=False)),
    "over": ("over", Q(closed_at__isnull=False)),
}


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in STATES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(STATES[self.value() or ""][1]) if self.value() in STATES else queryset


@admin.register(Notice)
class NoticeAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    named_numbers = ("feed_id",)
    list_display = (
        "state",
        "kind_text",
        "subject",
        "said",
        kit.moment("opened_at", "since"),
        "acknowledged_by",
    )
    list_filter = (StateFilter, "kind", ("feed_id", filters.NamedNumberFilter), ("opened_at", filters.DayRangeFilter))
    list_select_related = ("acknowledged_by",)
    actions = ("acknowledge",)
    export_without = ("numbers",)
    empty_text = (
        "Nothing unusual was seen. Volume, silence, duplicates, exceptions and charges are watched for every feed "
        "against its own past weeks; a notice appears here by itself."
    )
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("state", "kind_text", "subject", "text", "figures")}),
        (
            "When",
            {"fields": ((kit.moment("opened_at", "since"), kit.moment("last_seen_at"), kit.moment("closed_at")),)},
        ),
        (
            "What a person says",
            {"fields": (("acknowledged_by", kit.moment("acknowledged_at")), "comment")},
        ),
    )

    has_acknowledge_permission = kit.permission("acknowledge")

    def dress_rows(self, rows: list[Any]) -> None:
        super().dress_rows(rows)
        accounts = Account.objects.in_bulk({row.account_id for row in rows if row.account_id is not None})
        for row in rows:
            row.account = accounts.get(row.account_id)

    @admin.display(description="what")
    def kind_text(self, notice: Any) -> str:
        return notice.get_kind_display()

    @admin.display(description="feed or account")
    def subject(self, notice: Any) -> Any:
        if notice.feed_id is not None:
            known = getattr(notice, "feed_id_text", None) or filters.NAMINGS["feed_id"].names().get(notice.feed_id)
            return marks.row_link(marks.clipped(known or f"feed {notice.feed_id}"), "ingestion_feed", notice.feed_id)
        if notice.account_id is None:
            return marks.NOTHING
        account = notice.account if hasattr(notice, "account") else Account.objects.filter(pk=notice.account_id).first()
        known = str(account) if account else f"account {notice.account_id}"
        return marks.row_link(marks.clipped(known), "rating_account", notice.account_id)

    @admin.display(description="seen")
    def said(self, notice: Any) -> Any:
        return marks.row_link(marks.clipped(notice.text), "config_notice", notice.pk)

    @admin.display(description="judged by")
    def figures(self, notice: Any) -> Any:
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in notice.numbers.items()) or marks.NOTHING

    @admin.display(description="state")
    def state(self, notice: Any) -> Any:
        if notice.closed_at is not None:
            return marks.badge("closed", "over")
        return marks.badge("neutral", "acknowledged") if notice.acknowledged_at else marks.badge("open")

    def offers(self, action: str, target: Any) -> bool:
        return target.acknowledged_at is None

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            (text, url) for text, url in [what_to_look_at(target)] if kit.person(request).has_perm(PERMISSIONS[text])
        ]

    @admin.action(description="Acknowledge…", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, notices: QuerySet[Notice]) -> HttpResponse | None:
        comment = request.POST.get("reason", "").strip()
        if not comment:
            question = "What is behind it? The comment stays with the notice."
            return kit.ask_reason(self, request, notices, action="acknowledge", question=question, button="Acknowledge")
        try:
            for notice in notices:
                noticing.acknowledge_notice(notice=notice, comment=comment, by=kit.person(request), now=timezone.now())
        except noticing.UnableToAcknowledge as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            kit.tell(self, request, len(notices), "notice", "acknowledged")
        return None


PERMISSIONS = {
    "Imports": "ingestion.view_usageimport",
    "Exceptions": "ingestion.view_importexception",
    "Charges": "rating.view_charge",
    "Webhook endpoints": "config.view_webhookendpoint",
    "Audit": "config.view_auditentry",
}


def what_to_look_at(notice: Notice) -> tuple[str, str]:
    """Where the rows stand that a notice speaks of: (text, address)."""
    day = midnight(notice.last_seen_at.astimezone(UTC).date())
    if notice.kind == Notice.Kind.ACCOUNT:
        return "Charges", marks.list_url("rating_charge", period__account=notice.account_id)
    if notice.kind == Notice.Kind.WEBHOOK:
        return "Webhook endpoints", marks.list_url("config_webhookendpoint", is_enabled__exact=0)
    if notice.kind == Notice.Kind.LOGIN:
        return "Audit", marks.list_url("config_auditentry", table_name="config_logintries")
    if notice.kind == Notice.Kind.EXCEPTIONS:
        return "Exceptions", marks.list_url("ingestion_importexception", feed__id__exact=notice.feed_id)
    if notice.kind == Notice.Kind.SILENCE:
        return "Imports", marks.list_url("ingestion_usageimport", feed__id__exact=notice.feed_id)
    of_the_day = between("received_at", day, day + timedelta(days=1))
    return "Imports", marks.list_url("ingestion_usageimport", feed__id__exact=notice.feed_id, **of_the_day)


def address(notice: Notice) -> str:
    return reverse("admin:config_notice_change", args=[notice.pk])
