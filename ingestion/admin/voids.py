"""Screens of voids: what was asked to be taken back, what became of each key, and the page that voids one UDR."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from ingestion import services
from ingestion.models import Feed, KeyToVoid, UsageVoid
from mediation import selectors as mediation_selectors
from mediation.admin import filters, kit, marks, udrs
from mediation.models import Udr, UdrKey
from mediation.services import seen

MAY = "ingestion.void_usage"
SHORT = 100


class VoidForm(forms.Form):
    reason = forms.CharField(
        max_length=1_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stays with the UDR, and whoever sees the reversal of its charge reads it.",
    )


class KeyInline(kit.ReadOnlyInline):
    """Every key of a void, 1,000 at most."""

    model = KeyToVoid
    fields = ("number", "outcome_mark", "udr_link", "key_shown", "detail")
    ordering = ("number",)
    show_change_link = False

    @admin.display(description="key")
    def key_shown(self, one: KeyToVoid) -> Any:
        return marks.clipped(one.key)

    @admin.display(description="outcome")
    def outcome_mark(self, one: KeyToVoid) -> Any:
        return marks.badge(one.outcome, one.get_outcome_display())

    @admin.display(description="UDR")
    def udr_link(self, one: KeyToVoid) -> Any:
        return marks.row_link(one.udr_id, "mediation_udr", one.udr_id) if one.udr_id else marks.NOTHING


@admin.register(UsageVoid)
class UsageVoidAdmin(kit.ReadOnlyAdmin):
    feed_path = "feed_id"
    list_display = (
        "tracking_id",
        "feed",
        kit.status_badge(),
        "short_reason",
        kit.count("key_count", "keys"),
        kit.count("voided_count", "voided"),
        kit.count("not_found_count", "not found"),
        "received_by",
        kit.moment("received_at"),
    )
    list_filter = (("feed", filters.FeedFilter), "status", ("received_at", filters.DayRangeFilter))
    list_select_related = ("feed", "received_by")
    search_fields = ("=tracking_id",)
    search_help_text = "A whole tracking id."
    actions = ("retry",)
    inlines = (KeyInline,)
    export_also = {"feed": "feed__name", "received_by": "received_by__username"}
    export_quiet = ("content_hash", "claimed_until", "attempts", "error")
    empty_text = "Nothing was asked to be voided. Void a record from the page of its UDR, or over the API by its key."
    fields: ClassVar[Any] = (
        ("feed", "tracking_id"),
        "reason",
        ("received_by", kit.moment("received_at"), kit.moment("ended_at")),
        ("key_count", "voided_count", "already_voided_count", "not_found_count", "refused_count"),
        "idempotency_key",
        "trace",
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.void_view)
        return [path("udr/<int:pk>/", view, name="mediation_udr_void"), *super().get_urls()]

    def offers(self, action: str, target: UsageVoid) -> bool:
        return target.status == UsageVoid.Status.ERRORED

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm(MAY)

    @admin.action(description="Try again", permissions=["retry"])
    def retry(self, request: HttpRequest, voids: QuerySet[UsageVoid]) -> None:
        count = services.retry_voids(voids=voids, by=kit.person(request), now=timezone.now())
        kit.tell(self, request, count, "void", "will be tried again")

    @admin.display(description="reason")
    def short_reason(self, void: UsageVoid) -> str:
        return void.reason if len(void.reason) <= SHORT else f"{void.reason[:SHORT]}…"

    @admin.display(description="error")
    def trace(self, void: UsageVoid) -> Any:
        return marks.trace(void.error)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Voided UDRs", f"{reverse('admin:mediation_voidedudr_changelist')}?q={target.tracking_id}")]

    def void_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks why, and has the UDR voided by its key."""
        person = kit.person(request)
        if not person.has_perm(MAY) or not person.has_perm("mediation.view_udr"):
            raise PermissionDenied
        udr = get_object_or_404(seen(mediation_selectors.counting_udrs(Udr.objects.all()), person), pk=pk)
        key = get_object_or_404(UdrKey, pk=udr.pk, feed_id=udr.feed_id)
        form = VoidForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                void = services.ask_void(
                    feed=Feed.objects.get(pk=udr.feed_id),
                    keys=[key.key],
                    reason=form.cleaned_data["reason"],
                    by=person,
                    now=timezone.now(),
                )
            except services.UnableToVoid as refusal:
                form.add_error("reason", str(refusal))
            else:
                self.message_user(request, "It is being voided: a worker takes its charges back in a moment.")
                return redirect(self.object_url(void.pk))
        lead = (
            f"UDR {udr.pk} with the key “{key.key}” counts no more, and what it was charged is taken back: in its"
            " period, or in the earliest open one where that is closed. The record stays in the history. Its key may"
            " come again."
        )
        return kit.form_page(self, request, form, title="Void a UDR", button="Void", lead=lead)


def void_link(request: HttpRequest, udr: Udr) -> list[tuple[str, str]]:
    """The way to the page that voids a UDR, for whoever may, while it counts."""
    if not kit.person(request).has_perm(MAY) or not UdrKey.objects.filter(pk=udr.pk).exists():
        return []
    return [("Void…", reverse("admin:mediation_udr_void", args=[udr.pk]))]


udrs.LINKS.append(void_link)
