"""Screens of rerates and what-ifs: asked for, followed while they are worked out, looked at by account, applied."""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.db.models.functions import Abs
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html_join
from django.utils.http import urlencode

from mediation.admin import kit, marks
from mediation.admin.filters import NamedNumberFilter
from rating import selectors, services, store
from rating.admin import asking, versions
from rating.admin.differences import progress_bar, signed, told_by_currency, told_total
from rating.models import PlanVersion, RepricedAccount, Repricing
from rating.services.rerating import FILTERS, left_out

Status = Repricing.Status
AT_WORK = (Status.COUNTING, Status.WAITING)
EVERYTHING = "everything that was charged"
DIFFERENCE = F("after") - F("before")


@admin.register(Repricing)
class RepricingAdmin(kit.ReadOnlyAdmin):
    list_display = (
        "__str__",
        kit.status_badge(),
        "usage_text",
        "differences_text",
        "reason_text",
        kit.moment("created_at", "asked"),
        "asked_by",
    )
    list_filter = ("kind", "status")
    list_select_related = ("version__plan", "created_by", "applied_by")
    actions = ("apply", "retry")
    export_also = {"version": "version__number", "plan": "version__plan__name", "asked_by": "created_by__username"}
    empty_text = "Nothing was rated again yet. Rerate charged usage, or ask what a plan version would make of it."

    class Media:
        css: ClassVar[Any] = {"all": ("config/repricing.css",)}

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(address, self.admin_site.admin_view(partial(page, self)), name=f"rating_repricing_{name}")
            for address, name, page in (
                ("rerate/", "rerate", asking.rerate_page),
                ("what-if/", "what_if", asking.what_if_page),
            )
        ]
        return [*own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Repricing]:
        return super().get_queryset(request).defer("version__document")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        asked = ((kit.moment("created_at", "asked"), "asked_by"), kit.moment("shown_at", "worked out"))
        if obj is not None and obj.kind == Repricing.Kind.WHAT_IF:
            return ("usage_text", "version_link", *asked)
        applied = (kit.moment("applied_at", "applied"), "applied_by")
        return ("usage_text", "version_link", "reason", *asked, applied)

    def dress_rows(self, rows: list[Any]) -> None:
        words = words_of(rows)
        for row in rows:
            row.words = words[row.pk]

    @admin.display(description="usage")
    def usage_text(self, asked: Any) -> Any:
        """In a list from its page's words; on the page of one by itself."""
        words = getattr(asked, "words", None)
        return words_of([asked])[asked.pk] if words is None else marks.clipped(words)

    @admin.display(description="difference")
    def differences_text(self, asked: Any) -> Any:
        """By currency, of what is worked out; the page of one tells how it stands before that."""
        line = '<div class="difference-text-{}">{} {} <span class="quiet">{}</span></div>'
        told = (
            (said["tone"], said["difference_text"], total["currency"], said["percent_text"])
            for total in asked.totals
            for said in (told_total(total),)
        )
        return format_html_join("", line, told) or marks.NOTHING

    @admin.display(description="reason")
    def reason_text(self, asked: Any) -> Any:
        return marks.clipped(asked.reason) if asked.reason else marks.NOTHING

    @admin.display(description="asked by")
    def asked_by(self, asked: Any) -> str:
        return str(asked.created_by or marks.NOTHING)

    @admin.display(description="priced by")
    def version_link(self, asked: Any) -> Any:
        if asked.version is None:
            return "the prices of today"
        return marks.row_link(asked.version, "rating_planversion", asked.version_id)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        may = kit.person(request).has_perm
        links = [("Rerate…", reverse("admin:rating_repricing_rerate"))] if may("rating.rerate_charge") else []
        return [*links, ("What if…", reverse("admin:rating_repricing_what_if"))] if may("rating.what_if") else links

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        address = reverse("admin:rating_repricedaccount_export")
        return [
            ("Accounts", marks.list_url("rating_repricedaccount", repricing=target.pk)),
            ("Export CSV", f"{address}?{urlencode({'repricing': target.pk})}"),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        asked = kwargs["obj"]
        context |= {
            "progress": progress_of(asked),
            "currencies": told_by_currency(asked),
            "left_out": left_out_of(asked),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def offers(self, action: str, target: Any) -> bool:
        if action == "retry":
            return bool(target.status == Status.ERRORED)
        return bool(target.kind == Repricing.Kind.RERATE and target.status == Status.SHOWN)

    def has_apply_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).has_perm("rating.rerate_charge")

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = kit.person(request).has_perm
        return may("rating.rerate_charge") or may("rating.what_if")

    @admin.action(description="Apply…", permissions=["apply"])
    def apply(self, request: HttpRequest, chosen: QuerySet[Repricing]) -> HttpResponse | None:
        first, *more = chosen.order_by("pk")
        if more or not self.offers("apply", first):
            said = "Apply one rerate at a time." if more else f"{first} is {first.get_status_display()}."
            self.message_user(request, f"{said} Only a rerate that is worked out can be applied.", messages.WARNING)
            return None
        if "is_confirmed" not in request.POST:
            lines = told_of_applying(first)
            return kit.ask_first(self, request, chosen, action="apply", lines=lines, button="Apply")
        try:
            services.apply_rerate(asked=first, by=kit.person(request), now=timezone.now())
        except services.UnableToRerate as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
        else:
            self.message_user(request, f"{first} is being applied, account by account.")
        return None

    @admin.action(description="Try again", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Repricing]) -> None:
        for asked in chosen.order_by("pk"):
            try:
                services.retry_repricing(asked=asked, by=kit.person(request), now=timezone.now())
            except services.UnableToRerate as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
            else:
                self.message_user(request, f"{asked} goes on where it stopped.")


@admin.register(RepricedAccount)
class RepricedAccountAdmin(kit.ReadOnlyAdmin):
    """The accounts of a repricing, the largest difference first; reached from its page alone."""

    list_display = (
        "account",
        "udr_count",
        "before_text",
        "after_text",
        "difference_text",
        "currency",
        "changed_count",
        "refused_count",
    )
    list_filter = (("repricing", NamedNumberFilter), ("account__currency", NamedNumberFilter))
    list_select_related = ("account",)
    search_fields = ("account__number__startswith", "account__name")
    search_help_text = "The beginning of a number, or a part of a name."
    export_also = {
        "account": "account__number",
        "name": "account__name",
        "currency": "account__currency",
        "difference": "difference",
    }
    export_currency = "account__currency"
    empty_text = "No account yet. Rerate charged usage, or ask what a plan version would make of it."
    fields = ("repricing_link", "account_link", "udr_count", "before_text", "after_text", "difference_text")

    class Media:
        css: ClassVar[Any] = {"all": ("config/repricing.css",)}

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        number = request.GET.get("repricing", "")
        asked = selectors.repricings().filter(pk=number).first() if number.isdecimal() else None
        return [(f"Back to {asked}", reverse("admin:rating_repricing_change", args=[asked.pk]))] if asked else []

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).has_perm("rating.view_repricing")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RepricedAccount]:
        rows = super().get_queryset(request)
        return rows.annotate(difference=DIFFERENCE, size=Abs(DIFFERENCE))

    def get_ordering(self, request: HttpRequest) -> Any:
        # Of all repricings together the newest rows come first: their differences are not to be sorted at every look.
        of_one = (F("size").desc(nulls_last=True), "pk")
        return of_one if request.GET.get("repricing") else super().get_ordering(request)

    @admin.display(description="before")
    def before_text(self, row: Any) -> str:
        return marks.exact(row.before)

    @admin.display(description="after")
    def after_text(self, row: Any) -> str:
        return marks.exact(row.after)

    @admin.display(description="difference")
    def difference_text(self, row: Any) -> str:
        return signed(row.difference)

    @admin.display(description="currency")
    def currency(self, row: Any) -> str:
        return str(row.account.currency)

    @admin.display(description="account")
    def account_link(self, row: Any) -> Any:
        return marks.row_link(row.account, "rating_account", row.account_id)

    @admin.display(description="of")
    def repricing_link(self, row: Any) -> Any:
        return marks.row_link(row.repricing, "rating_repricing", row.repricing_id)


# In words


def words_of(asked: Iterable[Repricing]) -> dict[int, str]:
    """Which usage each is about, by its number."""
    return {number: _words(filters) for number, filters in selectors.filters_with_names(asked).items()}


def _words(filters: dict[str, Any]) -> str:
    said = []
    for name in FILTERS:
        value = filters.get(name)
        if value is None:
            continue
        if name in ("from", "until"):
            value = f"{timezone.localtime(parse_datetime(value)):%Y-%m-%d %H:%M:%S}"
        said.append(f"{name.replace('_', ' ')} {value}")
    return ", ".join(said) or EVERYTHING


def progress_of(asked: Repricing) -> dict[str, Any]:
    """How far it has come, as its panel shows it; `at_work` while the page is to look again."""
    counted = selectors.repricing_progress(asked)
    done, total = counted["udrs_done"], counted["udrs"]
    return {
        "badge": marks.badge(asked.status, asked.get_status_display()),
        "at_work": asked.status in AT_WORK,
        "accounts": kit.counted(counted["accounts"], "account"),
        "udrs": kit.counted(total, "UDR"),
        "done": marks.number(counted["accounts_done"]),
        "bar": progress_bar(done, total),
        "error": asked.error,
    }


def left_out_of(asked: Repricing) -> str:
    """What its figures leave out."""
    return " ".join(left_out(plan_id=asked.filters.get("plan"), version_id=asked.version_id))


def told_of_applying(asked: Repricing) -> list[str]:
    """What applying it would do, for the page that asks first."""
    totals = selectors.repriced_totals(asked)
    changed, refused = (sum(total[name] or 0 for total in totals) for name in ("changed", "refused"))
    accounts = selectors.repriced_accounts().filter(repricing=asked, changed_count__gt=0).count()
    records, of = kit.counted(changed, "record"), kit.counted(accounts, "account")
    costs = "costs" if changed == 1 else "cost"
    told = f"{records} of {of} {costs} something else: charges are taken back and made anew."
    lines = [
        told if changed else "No record costs something else.",
        "A charge of another version, rate or quantity at the same amount is made anew too, for a closed period by"
        " adjustments that cancel out; what stays the same is not touched.",
    ]
    for total in totals:
        said = told_total(total)
        change = f"{said['before_text']} → {said['after_text']} {total['currency']}"
        share = f" ({said['percent_text']})" if said["percent_text"] else ""
        lines.append(f"{change}: {said['difference_text']}{share}")
    if refused:
        ends = "is taken back and becomes a rating exception"
        if refused > 1:
            ends = "are taken back and become rating exceptions"
        lines.append(f"{kit.counted(refused, 'charge')} {ends}.")
    closed = store.closed_periods_charged(asked.filters, repricing_id=asked.pk)
    if closed:
        periods = kit.counted(closed, "closed billing period")
        hold = "holds" if closed == 1 else "hold"
        lines.append(f"{periods} {hold} such usage: issued statements stay, open periods get adjustments.")
    return [*lines, left_out_of(asked)]


# From other screens


def version_links(request: HttpRequest, version: PlanVersion) -> list[tuple[str, str]]:
    """From a plan version: what it would have made of past usage, and usage since its start rated again by it."""
    may = kit.person(request).has_perm
    links = []
    if may("rating.what_if"):
        links.append(("What if", f"{reverse('admin:rating_repricing_what_if')}?{urlencode({'version': version.pk})}"))
    if may("rating.rerate_charge") and version.status == PlanVersion.Status.ACTIVE and version.starts_at:
        since = timezone.localtime(version.starts_at).strftime(asking.MOMENT)
        said = urlencode({"plan": str(version.plan_id), "from": since})
        links.append(("Rerate usage since its start", f"{reverse('admin:rating_repricing_rerate')}?{said}"))
    return links


versions.VERSION_LINKS.append(version_links)
