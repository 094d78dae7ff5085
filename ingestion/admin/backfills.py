"""Screens of backfills: what was sent again for a past window, what that changes, and the acts that let it count."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from ingestion import services
from ingestion.models import Backfill, Feed
from mediation.admin import filters, kit, marks
from mediation.services import seen

MAY = "ingestion.backfill_usage"
SHORT = 60
Status = Backfill.Status
MOMENT = "%Y-%m-%dT%H:%M:%S"
WHAT_IT_DOES = {
    "close": [
        "What was sent into it counts from then on, and everything else of its feed in its window does not any more.",
        "Charges of what is replaced are taken back; those of closed periods as adjustments in the earliest open one.",
        "It happens in one step; until nothing of it is billed it can be reverted.",
    ],
    "revert": [
        "What it replaced counts again and is charged again; what replaced it counts no more.",
        "What came since with the same key keeps its place, and what was voided since stays voided.",
    ],
    "abandon": ["What was sent into it never counts. This cannot be taken back."],
}


def _moment_field(label: str, help_text: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format=MOMENT)
    return forms.DateTimeField(label=label, widget=widget, help_text=help_text)


class OpeningForm(forms.Form):
    starts_at = _moment_field("Window from", "Belongs to the window.")
    ends_at = _moment_field("Window before", "The first moment behind the window; now at the latest.")
    reason = forms.CharField(
        max_length=1_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stays with every UDR that is replaced.",
    )


@admin.register(Backfill)
class BackfillAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "window",
        "feed",
        kit.status_badge(),
        kit.count("udr_count", "UDRs"),
        kit.count("replaced_count", "replaced"),
        "short_reason",
    )
    list_filter = (("feed", filters.FeedFilter), "status", ("opened_at", filters.DayRangeFilter))
    list_select_related = ("feed",)
    search_fields = ("=tracking_id",)
    search_help_text = "A whole tracking id."
    actions = ("close", "revert", "abandon")
    export_also = {"feed": "feed__name", "opened_by": "opened_by__username"}
    export_quiet = ("claimed_until", "attempts", "error", "difference")
    empty_text = "No backfill yet. Open one from the page of a feed, then upload or post what replaces its window."
    fields: ClassVar[Any] = (
        ("feed", "tracking_id"),
        kit.status_badge(),
        (kit.moment("starts_at", "from"), kit.moment("ends_at", "before")),
        "reason",
        ("opened_by", kit.moment("opened_at")),
        ("asked_by", kit.moment("asked_at")),
        (kit.moment("closed_at"), kit.moment("ended_at")),
        "refusal",
        "sent",
        "changes",
        "charges",
        ("udr_count", "replaced_count", "left_out_count", "restored_count"),
        "unsettled",
        "trace",
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.open_view)
        return [path("feed/<int:pk>/open/", view, name="ingestion_feed_backfill"), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without what belongs to another state than it is in."""
        hidden = {name for name, stays in STAYS.items() if obj is not None and not stays(obj)}
        return [field for field in self.fields if field not in hidden]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm(MAY)

    def offers(self, action: str, target: Backfill) -> bool:
        return bool(target.status == (Status.CLOSED if action == "revert" else Status.OPEN))

    @admin.action(description="Close the backfill…", permissions=["act"])
    def close(self, request: HttpRequest, backfills: QuerySet[Backfill]) -> HttpResponse | None:
        return self._do(request, backfills, "close", services.ask_close, "being closed")

    @admin.action(description="Revert the backfill…", permissions=["act"])
    def revert(self, request: HttpRequest, backfills: QuerySet[Backfill]) -> HttpResponse | None:
        return self._do(request, backfills, "revert", services.ask_revert, "being reverted")

    @admin.action(description="Abandon the backfill…", permissions=["act"])
    def abandon(self, request: HttpRequest, backfills: QuerySet[Backfill]) -> HttpResponse | None:
        return self._do(request, backfills, "abandon", services.ask_abandon, "being abandoned")

    def _do(
        self, request: HttpRequest, backfills: QuerySet[Backfill], action: str, ask: Callable[..., Any], done: str
    ) -> HttpResponse | None:
        if "is_confirmed" not in request.POST:
            button = f"{action.capitalize()} the backfill"
            return kit.ask_first(self, request, backfills, action=action, lines=WHAT_IT_DOES[action], button=button)
        count = 0
        for backfill in backfills.order_by("-opened_at"):
            try:
                ask(backfill=backfill, by=kit.person(request), now=timezone.now())
            except services.UnableToBackfill as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
            else:
                count += 1
        if count:
            kit.tell(self, request, count, "backfill", f"{'is' if count == 1 else 'are'} {done}")
        return None

    @admin.display(description="window", ordering="starts_at")
    def window(self, backfill: Backfill) -> str:
        return f"{_short(backfill.starts_at)} to {_short(backfill.ends_at)}"

    @admin.display(description="reason")
    def short_reason(self, backfill: Backfill) -> str:
        return backfill.reason if len(backfill.reason) <= SHORT else f"{backfill.reason[:SHORT]}…"

    @admin.display(description="sent into it")
    def sent(self, backfill: Backfill) -> Any:
        sums = self._figures(backfill).imports
        said = [f"{kit.counted(sums['record_count'], 'record')} in {kit.counted(sums['import_count'], 'import')}"]
        said += [
            f"{marks.number(sums[f'{name}_count'])} {name}"
            for name in ("imported", "exception", "skipped", "duplicate", "waiting")
            if sums[f"{name}_count"]
        ]
        return " · ".join(said)

    @admin.display(description="what it changes")
    def changes(self, backfill: Backfill) -> Any:
        """By usage class: what comes, and what goes for it."""
        difference = self._figures(backfill).difference
        if difference is None:
            return "It takes too long to count here; it is told once the backfill is closed."
        if not difference:
            return "Nothing: there is no usage in its window, neither sent into it nor before."
        rows = format_html_join(
            "",
            '<tr><th scope="row">{}</th><td class="figure">{}</td><td class="figure">{}</td><td class="figure">{}</td>'
            '<td class="figure">{}</td></tr>',
            (
                (
                    marks.clipped(one["usage_class"]),
                    marks.number(one["records"]),
                    marks.exact(Decimal(one["quantity"])),
                    marks.number(one["replaced_records"]),
                    marks.exact(Decimal(one["replaced_quantity"])),
                )
                for one in difference
            ),
        )
        return format_html(
            '<div class="scroll"><table class="figures"><thead><tr><th>class</th>'
            '<th class="figure">UDRs sent into it</th><th class="figure">quantity</th>'
            '<th class="figure">UDRs replaced</th><th class="figure">quantity</th></tr>'
            "</thead><tbody>{}</tbody></table></div>",
            rows,
        )

    @admin.display(description="charges to take back")
    def charges(self, backfill: Backfill) -> Any:
        charges = self._figures(backfill).charges
        if not charges:
            return marks.NOTHING
        return ", ".join(
            f"{kit.counted(int(count), 'charge')}, {marks.exact(amount)} {currency}"
            for currency, count, amount in charges
        )

    @admin.display(description="charges still to be taken back")
    def unsettled(self, backfill: Backfill) -> str:
        return kit.counted(self._figures(backfill).unsettled_count, "UDR")

    @admin.display(description="error")
    def trace(self, backfill: Backfill) -> Any:
        return marks.trace(backfill.error)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Backfill | None:
        """With its figures for whoever looks, which the columns of its page read."""
        found: Any = super().get_object(request, object_id, from_field)
        if found is not None:
            found.figures = services.figures_of(backfill=found, by=kit.person(request))
        return found

    @staticmethod
    def _figures(backfill: Any) -> services.Figures:
        return backfill.figures  # type: ignore[no-any-return]

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Imports", marks.list_url("ingestion_usageimport", backfill__id__exact=target.pk)),
            ("Replaced UDRs", f"{reverse('admin:mediation_voidedudr_changelist')}?q={target.tracking_id}"),
        ]
        if target.status == Status.OPEN and kit.person(request).has_perm("ingestion.add_usageimport"):
            address = reverse("admin:ingestion_feed_upload", args=[target.feed_id])
            links.insert(0, ("Upload usage file", f"{address}?backfill={target.pk}"))
        return links

    def open_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks for the window and the reason, and opens a backfill of a feed."""
        person = kit.person(request)
        if not person.has_perm(MAY) or not person.has_perm("ingestion.view_feed"):
            raise PermissionDenied
        feed = get_object_or_404(seen(Feed.objects.select_related("profile"), person, "pk"), pk=pk)
        form = OpeningForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                backfill = services.open_backfill(feed=feed, by=person, now=timezone.now(), **form.cleaned_data)
            except (services.UnableToBackfill, services.UnableToReceive) as refusal:
                form.add_error(None, str(refusal))
            else:
                self.message_user(request, "It is open: upload or post what replaces its window, then close it.")
                return redirect(self.object_url(backfill.pk))
        zone = timezone.get_current_timezone_name()
        lead = (
            f"Usage of {feed.name} in a past window is sent again as a whole. It counts nowhere until the backfill is"
            f" closed, and then in place of everything else of the feed in that window. Moments are in {zone}."
        )
        return kit.form_page(self, request, form, title="Open a backfill", button="Open", lead=lead)


def _is_open(backfill: Backfill) -> bool:
    return backfill.status in (Status.OPEN, Status.CLOSING)


# What is shown of a backfill in some states alone.
STAYS: dict[Any, Callable[[Backfill], bool]] = {
    "refusal": lambda backfill: bool(backfill.refusal),
    "charges": _is_open,
    "unsettled": lambda backfill: backfill.status == Status.CLOSED,
    "trace": lambda backfill: bool(backfill.error),
    ("udr_count", "replaced_count", "left_out_count", "restored_count"): lambda backfill: (
        backfill.closed_at is not None
    ),
}


def open_ones(feed: Feed) -> QuerySet[Backfill]:
    """Those that a file may be uploaded into."""
    return Backfill.objects.filter(feed=feed, status=Status.OPEN).order_by("-pk")


def said_of(backfill: Backfill) -> str:
    """A backfill in a list of choices, by its window."""
    return f"{_short(backfill.starts_at)} to {_short(backfill.ends_at)}: {backfill.reason[:SHORT]}"


def _short(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"
