"""Statements: the page of a period, on screen and on paper and as files; the lists of what was issued."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import groupby
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from mediation.admin import kit, marks
from mediation.admin.filters import DayRangeFilter, NamedNumberFilter
from mediation.admin.previews import page
from rating import services
from rating.admin import statement_files
from rating.core.money import minor_unit_decimals
from rating.core.settling import TaxAmount, tax_totals
from rating.models import BillingPeriod, Statement, StatementLine, StatementTax
from rating.services import Sheet

# The parts of a statement, by the kind of their lines.
PARTS = {
    StatementLine.Kind.USAGE: "Usage",
    StatementLine.Kind.ADJUSTMENT: "Adjustments of earlier statements",
    StatementLine.Kind.TRUE_UP: "Commitments",
    StatementLine.Kind.MAXIMUM: "Commitments",
    StatementLine.Kind.OVERAGE: "Commitments",
}
# What is shown of a line before its amount. The last three are left out where no line has any.
QUANTITIES = {
    "quantity": "measured",
    "rated_quantity": "rated",
    "free_quantity": "free",
    "bucket_quantity": "from buckets",
    "credit": "credit",
}
ALWAYS = ("quantity", "rated_quantity")
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def statement_urls(model_admin: kit.ModelAdmin) -> list[URLPattern]:
    """The addresses of a period's statement: the page, the printable page, the files."""
    pages: dict[str, tuple[str, Callable[[kit.ModelAdmin, HttpRequest, BillingPeriod], HttpResponse]]] = {
        "<int:pk>/statement/": ("statement", statement_page),
        "<int:pk>/statement/print/": ("statement_print", printable_page),
        "<int:pk>/statement.csv": ("statement_csv", csv_file),
        "<int:pk>/statement.xlsx": ("statement_xlsx", excel_file),
    }
    return [
        path(
            place, model_admin.admin_site.admin_view(_of_period(model_admin, view)), name=f"rating_billingperiod_{name}"
        )
        for place, (name, view) in pages.items()
    ]


def _of_period(model_admin: kit.ModelAdmin, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page of one period as a view of its number, for those who may see periods or statements."""

    def show(request: HttpRequest, pk: int) -> HttpResponse:
        if not model_admin.has_view_permission(request) and not kit.person(request).has_perm("rating.view_statement"):
            raise PermissionDenied
        return view(model_admin, request, get_object_or_404(BillingPeriod.objects.select_related("account"), pk=pk))

    return show


def statement_page(model_admin: kit.ModelAdmin, request: HttpRequest, period: BillingPeriod) -> HttpResponse:
    """The statement as it stands while the period is open, as it was issued once it is closed."""
    sheet = services.statement_of(period=period)
    told = _told(sheet, can_see_charges=kit.person(request).has_perm("rating.view_charge"))
    title = f"Statement of {month_of(period)}"
    return page(model_admin, request, "admin/rating/statement.html", title, {**told, "original": period})


def printable_page(model_admin: kit.ModelAdmin, request: HttpRequest, period: BillingPeriod) -> HttpResponse:
    """The statement alone, for paper."""
    told = _told(services.statement_of(period=period), can_see_charges=False)
    return page(model_admin, request, "admin/rating/statement_print.html", f"Statement of {month_of(period)}", told)


def csv_file(model_admin: kit.ModelAdmin, request: HttpRequest, period: BillingPeriod) -> HttpResponse:
    """The lines as CSV; with `spreadsheet` safe to open in one."""
    sheet = services.statement_of(period=period)
    text = statement_files.csv_of(sheet, spreadsheet="spreadsheet" in request.GET)
    return _file(text, "text/csv; charset=utf-8", statement_files.file_name(sheet, "csv"))


def excel_file(model_admin: kit.ModelAdmin, request: HttpRequest, period: BillingPeriod) -> HttpResponse:
    """The statement as an Excel workbook."""
    sheet = services.statement_of(period=period)
    return _file(statement_files.workbook_of(sheet), EXCEL, statement_files.file_name(sheet, "xlsx"))


def _file(content: str | bytes, content_type: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type=content_type, headers=headers)


def month_of(period: BillingPeriod) -> str:
    """The calendar month, as it is in the account's own zone."""
    return f"{period.starts_at.astimezone(ZoneInfo(period.account.time_zone)):%B %Y}"


# What is shown of a statement


def _told(sheet: Sheet, *, can_see_charges: bool) -> dict[str, Any]:
    period, currency = sheet.period, sheet.currency
    zone = ZoneInfo(period.account.time_zone)
    names = ("page", "print", "csv", "xlsx")
    shown = [name for name in QUANTITIES if name in ALWAYS or any(getattr(line, name) for line in sheet.lines)]
    return {
        "sheet": sheet,
        "period": period,
        "month": month_of(period),
        "number": sheet.number,
        "badge": marks.badge("closed", f"No. {sheet.number}") if sheet.number else marks.badge("draft"),
        "starts_at": f"{period.starts_at.astimezone(zone):%Y-%m-%d %H:%M}",
        "ends_at": f"{period.ends_at.astimezone(zone):%Y-%m-%d %H:%M}",
        "closed_at": marks.moment(period.closed_at) if period.closed_at else "",
        "columns": [QUANTITIES[name] for name in shown],
        "width": len(shown) + 5,
        "width_of_names": len(shown) + 3,
        "parts": list(_parts(sheet, shown, can_see_charges=can_see_charges)),
        "taxes": [_tax(tax, currency) for tax in _tax_totals(sheet)],
        "exact": marks.exact(sheet.amount),
        **{name: _money(getattr(sheet, name), currency) for name in ("subtotal", "tax_total", "total")},
        "addresses": {
            name: reverse(
                f"admin:rating_billingperiod_statement{'' if name == 'page' else f'_{name}'}", args=[period.pk]
            )
            for name in names
        },
        "charges_url": marks.list_url("rating_charge", period=period.pk) if can_see_charges else "",
    }


def _parts(sheet: Sheet, shown: list[str], *, can_see_charges: bool) -> Iterator[dict[str, Any]]:
    """The lines in their order, under the title of their part."""
    for title, lines in groupby(sheet.lines, key=lambda line: PARTS[StatementLine.Kind(line.kind)]):
        yield {
            "title": title,
            "lines": [_line(line, sheet, shown, can_see_charges=can_see_charges) for line in lines],
        }


def _line(line: StatementLine, sheet: Sheet, shown: list[str], *, can_see_charges: bool) -> dict[str, Any]:
    below = (line.usage_class if line.rate and line.usage_class and line.rate.name != line.usage_class.name else None,)
    return {
        "about": line.description if line.rate_id or line.commitment else line.usage_class,
        "kind": "" if line.kind in ("usage", "adjustment") else line.get_kind_display(),
        "below": ", ".join(str(each) for each in (*below, line.plan, line.service) if each),
        "adjusts": line.adjusts,
        "tier": _bounds(line),
        "records": marks.number(line.record_count),
        "figures": [marks.exact(getattr(line, name)) for name in shown],
        "amount": marks.exact(line.amount),
        "line_amount": _money(line.line_amount, sheet.currency),
        "charges_url": _charges_url(line, sheet)
        if can_see_charges and line.usage_class_id and not line.commitment
        else "",
    }


def _bounds(line: StatementLine) -> str:
    """Which units lie in the line's tier."""
    if line.tier is None or line.tier_above is None:
        return ""
    above = f"above {marks.exact(line.tier_above)}" if line.tier_above else ""
    up_to = f"up to {marks.exact(line.tier_up_to)}" if line.tier_up_to is not None else ""
    return " ".join(filter(None, (above, up_to))) or "all units"


def _charges_url(line: StatementLine, sheet: Sheet) -> str:
    """The charges behind a line; those of a rate's other tiers are among them, for a charge may lie in several."""
    behind: dict[str, Any] = {"period": sheet.period.pk, "usage_class__id__exact": line.usage_class_id}
    if line.plan_id:
        behind["plan__id__exact"] = line.plan_id
    if line.rate_id:
        behind["rate__id__exact"] = line.rate_id
    return marks.list_url("rating_charge", **behind)


def _tax_totals(sheet: Sheet) -> Any:
    return tax_totals(
        TaxAmount(
            line=tax.line,
            code=tax.code,
            part=tax.name,
            percent=tax.percent,
            jurisdiction=tax.jurisdiction,
            category=tax.category,
            base=tax.base,
            amount=tax.amount,
        )
        for tax in sheet.taxes
    )


def _tax(tax: Any, currency: str) -> dict[str, str]:
    return {
        "name": f"{tax.part} {marks.exact(tax.percent)} %",
        "jurisdiction": tax.jurisdiction,
        "base": _money(tax.base, currency),
        "amount": _money(tax.amount, currency),
    }


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.{minor_unit_decimals(currency)}f}"


def _column(field: str, description: str) -> Callable[[Any], str]:
    """A column of money in the statement's currency."""

    @admin.display(description=description)
    def column(row: Any) -> str:
        statement = row if isinstance(row, Statement) else row.statement
        return _money(getattr(row, field), statement.currency)

    column.__name__ = f"{field}_money"
    return column


def _exact(field: str, description: str) -> Callable[[Any], str]:
    """A column of a number with every digit that says something."""

    @admin.display(description=description)
    def column(row: Any) -> str:
        return marks.exact(getattr(row, field))

    column.__name__ = f"{field}_exact"
    return column


# The lists


@admin.register(Statement)
class StatementAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "__str__",
        "account_text",
        "month_text",
        _column("subtotal", "subtotal"),
        _column("tax_total", "tax"),
        _column("total", "total"),
        "currency",
        kit.moment("issued_at"),
        "page_link",
    )
    list_filter = ("currency", ("period__account", NamedNumberFilter), ("issued_at", DayRangeFilter))
    list_select_related = ("period__account",)
    search_fields = ("period__account__number__startswith", "period__account__name")
    search_help_text = "The beginning of an account's number, or a part of its name."
    export_also = {
        "account": "period__account__number",
        "account_name": "period__account__name",
        "starts_at": "period__starts_at",
        "ends_at": "period__ends_at",
    }
    empty_text = "No statement yet. A statement is issued when a billing period is closed."
    fields: ClassVar[Any] = (
        ("__str__", "currency", kit.moment("issued_at")),
        ("account_text", "month_text"),
        (_exact("amount", "exact amount"), _column("subtotal", "subtotal")),
        (_column("tax_total", "tax"), _column("total", "total")),
    )

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return kit.reconciliation_links(request)

    @admin.display(description="account")
    def account_text(self, statement: Any) -> Any:
        account = statement.period.account
        return marks.row_link(account, "rating_account", account.pk)

    @admin.display(description="period")
    def month_text(self, statement: Any) -> str:
        return month_of(statement.period)

    @admin.display(description="")
    def page_link(self, statement: Any) -> Any:
        return marks.link("Open", reverse("admin:rating_billingperiod_statement", args=[statement.period_id]))

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [
            ("Statement", reverse("admin:rating_billingperiod_statement", args=[target.period_id])),
            ("Lines", marks.list_url("rating_statementline", statement=target.pk)),
            ("Taxes", marks.list_url("rating_statementtax", statement=target.pk)),
            ("Charges", marks.list_url("rating_charge", period=target.period_id)),
        ]


@admin.register(StatementLine)
class StatementLineAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "statement",
        "position",
        "kind",
        "about",
        "usage_class",
        "tier",
        kit.count("record_count", "records"),
        _exact("rated_quantity", "rated"),
        _exact("amount", "exact amount"),
        _column("line_amount", "amount"),
    )
    list_filter = (
        "kind",
        "usage_class",
        "plan",
        ("statement", NamedNumberFilter),
        ("statement__issued_at", DayRangeFilter),
    )
    list_select_related = ("statement", "usage_class", "plan", "rate", "service")
    export_also = {
        "number": "statement__number",
        "account": "statement__period__account__number",
        "issued_at": "statement__issued_at",
        "currency": "statement__currency",
        "plan": "plan__name",
        "usage_class": "usage_class__name",
        "rate": "rate__name",
        "service": "service__name",
    }
    export_currency = "statement__currency"
    empty_text = "No statement line yet. Lines are written when a billing period is closed."
    fieldsets: ClassVar[Any] = (
        (
            "What it is for",
            {
                "fields": (
                    ("statement", "position", "kind"),
                    "description",
                    ("usage_class", "plan", "rate"),
                    ("service", "commitment", "adjusts"),
                    ("tier", _exact("tier_above", "above"), _exact("tier_up_to", "up to")),
                )
            },
        ),
        (
            "How much",
            {
                "fields": (
                    (
                        kit.count("record_count", "records"),
                        _exact("quantity", "measured"),
                        _exact("rated_quantity", "rated"),
                    ),
                    (_exact("free_quantity", "free"), _exact("bucket_quantity", "from buckets")),
                    (_exact("credit", "credit"), _exact("cost", "cost")),
                    (_exact("amount", "exact amount"), _column("line_amount", "amount")),
                )
            },
        ),
        ("How it is taxed", {"fields": (("jurisdiction", "tax_category"),)}),
    )

    @admin.display(description="for")
    def about(self, line: Any) -> Any:
        return marks.clipped(line.description)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Statement", reverse("admin:rating_billingperiod_statement", args=[target.statement.period_id]))]


@admin.register(StatementTax)
class StatementTaxAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "statement",
        "line",
        "jurisdiction",
        "category",
        "code",
        "name",
        _exact("percent", "percent"),
        _column("base", "base"),
        _column("amount", "tax"),
    )
    list_filter = ("jurisdiction", "category", ("statement", NamedNumberFilter))
    list_select_related = ("statement",)
    export_also = {
        "number": "statement__number",
        "account": "statement__period__account__number",
        "currency": "statement__currency",
    }
    export_currency = "statement__currency"
    empty_text = "No tax yet. Taxes are written when a billing period is closed, by the codes of its jurisdiction."

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Statement", reverse("admin:rating_billingperiod_statement", args=[target.statement.period_id]))]
