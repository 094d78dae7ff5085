"""Screens of webhooks: the endpoints, whose secret is shown once, and the log of what was sent to them."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from config.models import EventType, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from config.webhooks import keeping
from config.webhooks.delivering import message_id
from mediation.admin import filters, kit, marks
from mediation.admin.labels import name_parts
from mediation.services.seeing import feeds_seen

CHOICES = [(one.value, one.label) for one in EventType if one != EventType.TEST]
MOST_TRIES_SHOWN = 50
FAILING_SINCE = kit.moment("failing_since")


class EndpointForm(forms.ModelForm):
    """An endpoint as a person sets it up; what could never be delivered is refused here."""

    events = forms.MultipleChoiceField(choices=CHOICES, widget=forms.CheckboxSelectMultiple, label="It is told when")
    thresholds = forms.CharField(
        label="Thresholds of buckets",
        initial="80, 100",
        help_text="Percent of a grant, parted by commas; at most ten.",
        max_length=100,
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("name", "url", "owner", "events", "feeds", "thresholds", "is_enabled")
        widgets: ClassVar[Any] = {"url": forms.TextInput(attrs={"class": "vTextField"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["thresholds"] = ", ".join(map(str, self.instance.thresholds))

    def clean_thresholds(self) -> list[int]:
        pieces = [piece.strip() for piece in self.cleaned_data["thresholds"].split(",") if piece.strip()]
        if not pieces or len(pieces) > 10 or not all(piece.isdecimal() and 1 <= int(piece) <= 100 for piece in pieces):
            raise forms.ValidationError("Give one to ten whole numbers from 1 to 100, such as 80, 100.")
        return sorted({int(piece) for piece in pieces})

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if self.errors:
            return said
        feeds = [feed.pk for feed in said["feeds"]]
        try:
            keeping.require_fit(url=said["url"], owner=said["owner"], chosen=said["events"], feed_ids=feeds)
        except keeping.UnableToSend as refusal:
            raise forms.ValidationError(str(refusal)) from None
        return said


class SinceForm(forms.Form):
    since = forms.SplitDateTimeField(
        label="Since",
        widget=admin.widgets.AdminSplitDateTime,
        help_text="Deliveries of what happened since then that were given up are sent again.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_parts(self.fields["since"])


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(kit.ModelAdmin):
    """For who sees every feed; an owner sees its own."""

    form = EndpointForm
    list_display = ("name", "address", "owner", "told_of", "state")
    list_filter = ("is_enabled",)
    list_select_related = ("owner",)
    search_fields = ("name", "url")
    ordering = ("name",)
    filter_horizontal = ("feeds",)
    export_without = ("secret_salt", "secret_check", "previous_salt")
    actions = ("send_test",)
    empty_text = "No webhook endpoint yet. Add one for a system outside that wants to be told what happens here."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "url", "owner", "is_enabled")}),
        ("What it is told of", {"fields": ("events", "feeds", "thresholds")}),
    )
    has_send_permission = kit.permission("send")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        told = ("How it is", {"fields": (("state", "failures", FAILING_SINCE), "disabled_reason", "secret_state")})
        return (*self.fieldsets, told) if obj else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("state", "failures", FAILING_SINCE, "disabled_reason", "secret_state")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/rotate", wrap(self.rotate_view), name="config_webhookendpoint_rotate"),
            path("<int:pk>/again", wrap(self.again_view), name="config_webhookendpoint_again"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        by = kit.person(request)
        endpoints = super().get_queryset(request)
        return endpoints if feeds_seen(by) is None else endpoints.filter(owner=by)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "owner":
            kwargs["queryset"] = User.objects.filter(is_active=True).order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="address")
    def address(self, endpoint: Any) -> Any:
        return marks.clipped(endpoint.url)

    @admin.display(description="told of")
    def told_of(self, endpoint: Any) -> Any:
        return marks.clipped(", ".join(endpoint.events))

    @admin.display(description="state")
    def state(self, endpoint: Any) -> Any:
        if not endpoint.is_enabled:
            return marks.badge("failed" if endpoint.disabled_reason else "neutral", "disabled")
        return marks.badge("open", "failing") if endpoint.failures else marks.badge("active", "enabled")

    @admin.display(description="secret")
    def secret_state(self, endpoint: Any) -> str:
        if endpoint.previous_until and endpoint.previous_until > timezone.now():
            until = timezone.localtime(endpoint.previous_until)
            return f"Shown once when it was made. The one before signs too until {until:%Y-%m-%d %H:%M}."
        return "Shown once when it was made."

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = []
        if kit.person(request).has_perm("config.view_webhookdelivery"):
            deliveries = marks.list_url("config_webhookdelivery", endpoint__id__exact=target.pk)
            links.append(("Deliveries", deliveries))
        if kit.person(request).has_perm("config.replay_webhookdelivery"):
            links.append(("Send failed ones again…", reverse("admin:config_webhookendpoint_again", args=[target.pk])))
        if self.has_change_permission(request, target):
            links.append(("Rotate the secret…", reverse("admin:config_webhookendpoint_rotate", args=[target.pk])))
        return links

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Whoever enables an endpoint lets it begin anew."""
        if not change:
            obj.created_at, obj.created_by = timezone.now(), kit.person(request)
        if obj.is_enabled:
            obj.disabled_reason = ""
        if "is_enabled" in form.changed_data or "url" in form.changed_data:
            obj.failures, obj.failing_since, obj.rests_until = 0, None, None
        super().save_model(request, obj, form, change)

    def _shown_once(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str, lead: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Secret of {endpoint}",
            "endpoint": endpoint,
            "secret": secret,
            "lead": lead,
        }
        page = TemplateResponse(request, "admin/config/webhook_secret.html", context)
        add_never_cache_headers(page)
        return page

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        secret = keeping.put_secret(obj, timezone.now())
        return self._shown_once(request, obj, secret, "The endpoint is set up.")

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        endpoint = get_object_or_404(self.get_queryset(request), pk=pk)
        if not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        if request.method == "POST":
            secret = keeping.rotate_secret(endpoint=endpoint, by=kit.person(request), now=timezone.now())
            return self._shown_once(request, endpoint, secret, "For 24 hours the secret before signs as well.")
        lead = "The endpoint gets another secret, shown once. For 24 hours requests are signed with both."
        return kit.form_page(
            self, request, forms.Form(), title="Rotate the secret", button="Rotate", lead=lead, target=endpoint
        )

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        endpoint = get_object_or_404(self.get_queryset(request), pk=pk)
        if not kit.person(request).has_perm("config.replay_webhookdelivery"):
            raise PermissionDenied
        form = SinceForm(request.POST or None, initial={"since": keeping.started_today()})
        if request.method == "POST" and form.is_valid():
            since: datetime = form.cleaned_data["since"]
            by = kit.person(request)
            count = keeping.send_failed_again(endpoint=endpoint, since=since, by=by, now=timezone.now())
            self.message_user(request, f"{kit.counted(count, 'delivery').replace('deliverys', 'deliveries')} to go.")
            return HttpResponseRedirect(self.object_url(endpoint.pk))
        lead = "What was given up since then goes out again, with the same webhook-id; what waits goes at once."
        title = "Send failed deliveries again"
        return kit.form_page(self, request, form, title=title, button="Send again", lead=lead, target=endpoint)

    @admin.action(description="Send a test event", permissions=["send"])
    def send_test(self, request: HttpRequest, endpoints: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in endpoints:
            try:
                delivery = keeping.send_test(endpoint=endpoint, by=kit.person(request), now=timezone.now())
            except keeping.UnableToSend as refusal:
                self.message_user(request, str(refusal), messages.WARNING)
            else:
                link = marks.row_link("its delivery", "config_webhookdelivery", delivery.pk)
                self.message_user(request, marks.format_html("A test event goes to {}: {}.", endpoint, link))


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one.value, str(one.label)) for one in WebhookDelivery.Status]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(status=self.value()) if self.value() in WebhookDelivery.Status.values else queryset


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(kit.ReadOnlyAdmin):
    feed_path = "event__feed_id"
    list_display = (
        "what",
        "endpoint",
        kit.status_badge(),
        "attempts",
        kit.moment("created_at", "happened"),
        kit.moment("next_try_at", "next try"),
    )
    list_filter = (
        ("endpoint", admin.RelatedOnlyFieldListFilter),
        StateFilter,
        "event__type",
        ("created_at", filters.DayRangeFilter),
    )
    list_select_related = ("event", "endpoint")
    actions = ("again",)
    export_also = {"type": "event__type", "endpoint_name": "endpoint__name"}
    empty_text = "Nothing was sent yet. Endpoints are told of what happens while they are enabled."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("what", "endpoint_link", kit.status_badge(), "webhook_id")}),
        (
            "When",
            {"fields": ((kit.moment("created_at", "happened"), kit.moment("next_try_at"), kit.moment("give_up_at")),)},
        ),
        ("Body", {"fields": ("body_text",)}),
        ("Tries", {"fields": ("tries_text",)}),
    )
    has_replay_permission = kit.permission("replay")

    @admin.display(description="event")
    def what(self, delivery: Any) -> Any:
        return delivery.event.type

    @admin.display(description="endpoint")
    def endpoint_link(self, delivery: Any) -> Any:
        return marks.row_link(marks.clipped(delivery.endpoint.name), "config_webhookendpoint", delivery.endpoint_id)

    @admin.display(description="webhook-id")
    def webhook_id(self, delivery: Any) -> Any:
        return marks.raw(message_id(delivery.event))

    @admin.display(description="as sent")
    def body_text(self, delivery: Any) -> Any:
        return marks.raw(delivery.body)

    @admin.display(description="the newest first")
    def tries_text(self, delivery: Any) -> Any:
        rows = WebhookAttempt.objects.filter(delivery=delivery).order_by("-pk")[:MOST_TRIES_SHOWN]
        lines = [
            f"{timezone.localtime(row.at):%Y-%m-%d %H:%M:%S}  {row.status_code or '–':>3}  {row.milliseconds:>6,} ms  "
            f"{' '.join(filter(None, (row.error, row.answer)))}"
            for row in rows
        ]
        return marks.raw("\n".join(lines)) if lines else marks.NOTHING

    def offers(self, action: str, target: Any) -> bool:
        return target.status != WebhookDelivery.Status.WAITING

    @admin.action(description="Send again", permissions=["replay"])
    def again(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        count = keeping.send_again(deliveries=deliveries, by=kit.person(request), now=timezone.now())
        if count:
            self.message_user(request, f"{count:,} to be sent again.")
        else:
            self.message_user(request, "Nothing to send again: what waits is sent anyway.", messages.WARNING)
