"""Screens of who pays: accounts, services and their identifiers, billing periods with their statements."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from mediation.admin import filters, kit, marks
from rating.admin.closing import close_periods
from rating.admin.statements import month_of, statement_urls
from rating.admin.taxes import ExemptionInline
from rating.models import Account, BillingPeriod, Service, ServiceIdentifier

# An identifier is a text of any length to the database, and one short line to people.
ON_ONE_LINE = {models.TextField: {"widget": AdminTextInputWidget}}


class ServiceInline(kit.EditInline):
    model = Service
    show_change_link = True
    can_delete = False  # on a page of its own, which tells whether charges name it
    fields = ("name", "package", "rate_plan", "starts_at", "ends_at")
    autocomplete_fields = ("rate_plan", "package")


class IdentifierInline(kit.EditInline):
    model = ServiceIdentifier
    show_change_link = True
    can_delete = False
    ordering = ("identifier", "starts_at")
    formfield_overrides: ClassVar[Any] = ON_ONE_LINE

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """A new identifier is owned from the start of its service, unless something else is said."""
        formset = super().get_formset(request, obj, **kwargs)
        if "starts_at" in formset.form.base_fields:
            formset.form.base_fields["starts_at"].initial = obj.starts_at if obj else timezone.now()
        return formset


@admin.register(Account)
class AccountAdmin(kit.ModelAdmin):
    list_display = ("number", "name", "parent", "currency", "time_zone", "rate_plan", kit.moment("closed_at"))
    list_filter = ("currency", "rate_plan", "jurisdiction")
    list_select_related = ("parent", "rate_plan")
    search_fields = ("number__startswith", "name")
    search_help_text = "The beginning of a number, or a part of a name."
    autocomplete_fields = ("parent", "rate_plan", "jurisdiction")
    inlines = (ServiceInline, ExemptionInline)
    export_also = {"parent": "parent__number", "rate_plan": "rate_plan__name", "jurisdiction": "jurisdiction__name"}
    empty_text = "No account yet. Add one with its services; usage finds them by their identifiers."

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("Billing periods", marks.list_url("rating_billingperiod", account=target.pk)),
            ("Charges", marks.list_url("rating_charge", period__account=target.pk)),
            ("Statements", marks.list_url("rating_statement", period__account=target.pk)),
        ]


@admin.register(Service)
class ServiceAdmin(kit.KeptByDatabase, kit.ModelAdmin):
    list_display = ("name", "account", "package", "rate_plan", kit.moment("starts_at"), kit.moment("ends_at"))
    list_filter = ("package", "rate_plan", ("account", filters.NamedNumberFilter))
    list_select_related = ("account", "package", "rate_plan")
    search_fields = ("name", "account__number__startswith")
    autocomplete_fields = ("account", "package", "rate_plan", "jurisdiction")
    inlines = (IdentifierInline,)
    export_also = {"account": "account__number", "package": "package__name", "rate_plan": "rate_plan__name"}
    empty_text = "No service yet. Services are made inside an account."

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Account", reverse("admin:rating_account_change", args=[target.account_id]))]


@admin.register(ServiceIdentifier)
class ServiceIdentifierAdmin(kit.KeptByDatabase, kit.ModelAdmin):
    formfield_overrides: ClassVar[Any] = ON_ONE_LINE
    list_display = ("identifier", "service", "account", kit.moment("starts_at"), kit.moment("ends_at"))
    list_select_related = ("service__account",)
    search_fields = ("=identifier",)
    search_help_text = "A whole identifier: who owned it, and when?"
    autocomplete_fields = ("service",)
    export_also = {"service": "service__name", "account": "service__account__number"}
    empty_text = "No identifier yet. Identifiers are made inside a service."

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"starts_at": timezone.now(), **super().get_changeform_initial_data(request)}

    @admin.display(description="account")
    def account(self, identifier: Any) -> Any:
        account = identifier.service.account
        return marks.row_link(account, "rating_account", account.pk)


@admin.register(BillingPeriod)
class BillingPeriodAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "period",
        "account_text",
        kit.status_badge(),
        kit.moment("close_asked_at"),
        kit.moment("closed_at"),
        "close_refusal",
        "statement_link",
    )
    list_filter = (
        "status",
        ("close_asked_at", admin.EmptyFieldListFilter),
        ("close_refusal", admin.EmptyFieldListFilter),
        ("account", filters.NamedNumberFilter),
        ("starts_at", filters.DayRangeFilter),
    )
    list_select_related = ("account",)
    search_fields = ("account__number__startswith", "account__name")
    actions = ("close",)
    export_also = {"account": "account__number"}
    empty_text = "No billing period yet. A period is made when the first usage of it is charged."
    fields: ClassVar[Any] = (
        "account_text",
        kit.moment("starts_at"),
        kit.moment("ends_at"),
        "status",
        kit.moment("close_asked_at"),
        "close_refusal",
        kit.moment("closed_at"),
    )

    has_close_permission = kit.permission("close")

    def get_urls(self) -> list[URLPattern]:
        return [*statement_urls(self), *super().get_urls()]

    @admin.display(description="period")
    def period(self, period: Any) -> str:
        return month_of(period)

    @admin.display(description="account")
    def account_text(self, period: Any) -> Any:
        return marks.row_link(period.account, "rating_account", period.account_id)

    @admin.display(description="")
    def statement_link(self, period: Any) -> Any:
        return marks.link("Statement", reverse("admin:rating_billingperiod_statement", args=[period.pk]))

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("Statement", reverse("admin:rating_billingperiod_statement", args=[target.pk])),
            ("Charges", marks.list_url("rating_charge", period=target.pk)),
        ]

    def offers(self, action: str, target: Any) -> bool:
        return target.status == BillingPeriod.Status.OPEN

    @admin.action(description="Close the periods…", permissions=["close"])
    def close(self, request: HttpRequest, periods: QuerySet[BillingPeriod]) -> HttpResponse | None:
        return close_periods(self, request, periods)
