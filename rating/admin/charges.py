"""Screens of what was charged, and of how far tiers and allowances have come."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from mediation.admin import kit, marks, reach
from mediation.admin.filters import BatchIdFilter, DayRangeFilter, NamedNumberFilter
from mediation.admin.paging import LimitedChangeList
from mediation.models import UDR_ID_BITS, Udr
from mediation.services import feeds_seen
from rating import selectors
from rating.admin.accounts import month_of
from rating.admin.asking import rerate_address
from rating.admin.explaining import explain_page
from rating.admin.granting import grant_page
from rating.core.frames import ENTRY_BITS
from rating.models import BucketDraw, BucketGrant, Charge, Counter


class ImportOfChargesFilter(BatchIdFilter):
    id_bits = UDR_ID_BITS + ENTRY_BITS


class UdrOfChargesFilter(NamedNumberFilter):
    """Filters charges by UDR through their ids, which begin with the UDR's."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.number is None:
            return super().queryset(request, queryset)
        first = self.number << ENTRY_BITS
        return queryset.filter(pk__gte=first, pk__lt=first + (1 << ENTRY_BITS))


@admin.register(Charge)
class ChargeAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "udr_text",
        "explain_link",
        "kind_mark",
        kit.moment("date"),
        "payer_text",
        "class_text",
        "rated_text",
        "amount_full",
    )
    list_filter = (
        "kind",
        "usage_class",
        "plan",
        ("date", DayRangeFilter),
        ("rated_at", DayRangeFilter),
        ("import_id", ImportOfChargesFilter),
        ("udr_id", UdrOfChargesFilter),
        ("period", NamedNumberFilter),
        ("period__account", NamedNumberFilter),
    )
    list_select_related = (
        "account",
        "service",
        "usage_class",
        "service_identifier",
        "period__account",
        "plan",
        "version__plan",
        "rate",
    )
    export_also = {
        "account": "account__number",
        "service": "service__name",
        "account_name": "account__name",
        "identifier": "service_identifier__identifier",
        "usage_class": "usage_class__name",
        "plan": "plan__name",
        "version": "version__number",
        "rate_group": "rate__group",
        "rate": "rate__name",
    }
    export_quiet = ("service_identifier_id", "version_id", "part", "counting_period_id", "tier_position")
    empty_text = "No charge yet. Charges appear when UDRs find an account, a plan and a rate."
    fieldsets: ClassVar[Any] = (
        ("What was used", {"fields": ("udr_link", kit.moment("date"), "usage_class", "quantity_text")}),
        ("Who pays", {"fields": ("account_link", "service_link", "identifier_text", "period_link")}),
        ("By which price", {"fields": ("plan_link", "version_link", "rate_text")}),
        (
            "How it is reckoned",
            {"fields": ("rated_text", "bucket_text", "tier_text", "amount_full", kit.moment("rated_at"))},
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.explain_view)
        return [path("<int:pk>/explain/", view, name="rating_charge_explain"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Charge]:
        return selectors.charges_seen(kit.person(request)).order_by(*self.get_ordering(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LimitedChangeList

    def explain_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return explain_page(self, request, get_object_or_404(self.get_queryset(request), pk=pk))

    @admin.display(description="")
    def explain_link(self, charge: Any) -> Any:
        return marks.link("Explain", reverse("admin:rating_charge_explain", args=[charge.pk]))

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        may = kit.person(request).has_perm("rating.rerate_charge")
        address = rerate_address(request) if may else None
        return [*([("Rerate these…", address)] if address else []), *kit.reconciliation_links(request)]

    @admin.display(description="UDR")
    def udr_text(self, charge: Any) -> str:
        return str(charge.udr_id)

    @admin.display(description="kind")
    def kind_mark(self, charge: Any) -> Any:
        return marks.badge("imported" if charge.kind == Charge.Kind.CHARGE else "superseded", charge.kind)

    @admin.display(description="account, service")
    def payer_text(self, charge: Any) -> Any:
        return format_html("{}{}", marks.clipped(str(charge.account)), marks.clipped(str(charge.service)))

    @admin.display(description="usage class")
    def class_text(self, charge: Any) -> Any:
        return marks.clipped(str(charge.usage_class))

    @admin.display(description="rated")
    def rated_text(self, charge: Any) -> str:
        return marks.exact(charge.rated_quantity)

    @admin.display(description="UDR")
    def udr_link(self, charge: Any) -> Any:
        return marks.row_link(charge.udr_id, "mediation_udr", charge.udr_id)

    @admin.display(description="measured")
    def quantity_text(self, charge: Any) -> str:
        return marks.exact(charge.quantity)

    @admin.display(description="account")
    def account_link(self, charge: Any) -> Any:
        return marks.row_link(charge.account, "rating_account", charge.account_id)

    @admin.display(description="service")
    def service_link(self, charge: Any) -> Any:
        return marks.row_link(charge.service, "rating_service", charge.service_id)

    @admin.display(description="because it owned")
    def identifier_text(self, charge: Any) -> Any:
        owned = charge.service_identifier
        until = f"to {owned.ends_at:%Y-%m-%d %H:%M} UTC" if owned.ends_at else "with no end"
        text = f"{owned.identifier}, from {owned.starts_at:%Y-%m-%d %H:%M} UTC {until}"
        return marks.row_link(text, "rating_serviceidentifier", owned.pk)

    @admin.display(description="billed in")
    def period_link(self, charge: Any) -> Any:
        month = month_of(charge.period)
        if not reach.may_see("rating_billingperiod"):
            return month
        return marks.link(month, reverse("admin:rating_billingperiod_statement", args=[charge.period_id]))

    @admin.display(description="rate plan")
    def plan_link(self, charge: Any) -> Any:
        return marks.row_link(charge.plan, "rating_rateplan", charge.plan_id)

    @admin.display(description="version")
    def version_link(self, charge: Any) -> Any:
        return marks.row_link(f"version {charge.version.number}", "rating_planversion", charge.version_id)

    @admin.display(description="rate")
    def rate_text(self, charge: Any) -> str:
        return str(charge.rate)

    @admin.display(description="drawn from buckets")
    def bucket_text(self, charge: Any) -> str:
        return marks.exact(charge.bucket_quantity)

    @admin.display(description="tiers used up before")
    def tier_text(self, charge: Any) -> str:
        return "no tiers" if charge.tier_position is None else marks.exact(charge.tier_position)

    @admin.display(description="amount")
    def amount_full(self, charge: Any) -> str:
        return f"{marks.exact(charge.amount)} {charge.currency}"

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        places = Udr.objects.filter(pk=target.udr_id).values_list("import_id", "record_number")
        return [
            ("Explain", reverse("admin:rating_charge_explain", args=[target.pk])),
            *(("Life of its record", reverse("admin:trace_record", args=place)) for place in places),
            ("UDR", reverse("admin:mediation_udr_change", args=[target.udr_id])),
            ("Import", reverse("admin:ingestion_usageimport_change", args=[target.import_id])),
            ("All charges of this UDR", marks.list_url("rating_charge", udr_id=target.udr_id)),
            ("Statement", reverse("admin:rating_billingperiod_statement", args=[target.period_id])),
        ]


class OfEveryFeed(kit.ReadOnlyAdmin):
    """What an account has used of all feeds together, which tells of the feeds that a person may not see."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and feeds_seen(kit.person(request)) is None


@admin.register(Counter)
class CounterAdmin(OfEveryFeed):
    list_display = ("account", "service_id", "rate", "key", "period_id", "used_up", "records")
    list_filter = (("period_id", NamedNumberFilter), ("account", NamedNumberFilter))
    list_select_related = ("account", "rate")
    export_also = {"account": "account__number", "plan": "rate__plan__name"}
    empty_text = "No counter yet. Rates with tiers note here how far each service or account has come in a period."

    @admin.display(description="used up")
    def used_up(self, counter: Any) -> str:
        return marks.exact(counter.position)


@admin.register(BucketGrant)
class BucketGrantAdmin(OfEveryFeed):
    list_display = (
        "account",
        "service_id",
        "bucket",
        kit.moment("starts_at"),
        kit.moment("ends_at"),
        "used_text",
        "granted_text",
        "left_text",
        "reason_text",
        "given_by",
    )
    list_filter = (("account", NamedNumberFilter), "bucket")
    list_select_related = ("account", "bucket", "given_by")
    export_also = {"account": "account__number", "bucket": "bucket__name", "given_by": "given_by__username"}
    empty_text = "No bucket has been drawn on yet, and nothing was given."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm("rating.add_bucketgrant")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return grant_page(self, request)

    @admin.display(description="left")
    def left_text(self, grant: Any) -> str:
        return marks.exact(grant.granted - grant.used)

    @admin.display(description="why it was given")
    def reason_text(self, grant: Any) -> Any:
        return marks.clipped(grant.reason) if grant.reason else "–"

    @admin.display(description="used")
    def used_text(self, grant: Any) -> str:
        return marks.exact(grant.used)

    @admin.display(description="of")
    def granted_text(self, grant: Any) -> str:
        return marks.exact(grant.granted)


@admin.register(BucketDraw)
class BucketDrawAdmin(OfEveryFeed):
    list_display = ("charge_id", "kind", kit.moment("date"), "account", "bucket", "quantity_text", "left_text")
    list_filter = ("kind", ("charge_id", NamedNumberFilter), ("account", NamedNumberFilter), "bucket")
    list_select_related = ("account", "bucket")
    export_also = {"account": "account__number", "bucket": "bucket__name"}
    empty_text = "No bucket has been drawn on yet."

    @admin.display(description="quantity")
    def quantity_text(self, draw: Any) -> str:
        return marks.exact(draw.quantity)

    @admin.display(description="left after it")
    def left_text(self, draw: Any) -> str:
        return marks.exact(draw.left)
