"""The screen of tokens: issued with what limits them, shown once, limited anew, revoked; never read again."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from knox.models import AuthToken
from knox.settings import knox_settings

from config.access.quota import limits_of
from config.access.tokens import MAY_ISSUE, MAY_REVOKE, Limits, issue_token, limit_token, revoke_tokens
from config.access.verbs import VERBS
from ingestion.models import Feed
from mediation.admin import kit, marks
from mediation.services.seeing import seen

User = get_user_model()
MOST_PER_MINUTE = 1_000_000_000


class LimitsForm(forms.Form):
    """What a token is called, and what it is limited to."""

    name = forms.CharField(max_length=100, help_text="Which system, or which of its parts, has the token.")
    feeds = forms.ModelMultipleChoiceField(
        queryset=Feed.objects.none(), required=False, help_text="None chosen: every feed that its user is granted."
    )
    verbs = forms.MultipleChoiceField(
        choices=[(name, verb.title) for name, verb in VERBS.items()],
        required=False,
        help_text="None chosen: whatever its user may. It can never do more than its user.",
        widget=forms.SelectMultiple(attrs={"size": len(VERBS)}),
    )

    requests_per_minute = forms.IntegerField(
        min_value=0, max_value=MOST_PER_MINUTE, required=False, help_text="Empty: the usual. 0: as many as come."
    )
    records_per_minute = forms.IntegerField(
        min_value=0, max_value=MOST_PER_MINUTE, required=False, help_text="Empty: the usual. 0: as many as come."
    )

    def __init__(self, *args: Any, by: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["feeds"]
        assert isinstance(field, forms.ModelMultipleChoiceField)  # noqa: S101 - so it is declared above
        field.queryset = seen(Feed.objects.order_by("name"), by, "pk")

    def limits(self) -> Limits:
        answers = self.cleaned_data
        return Limits(
            [feed.pk for feed in answers["feeds"]],
            answers["verbs"],
            answers["requests_per_minute"],
            answers["records_per_minute"],
        )


class TokenForm(LimitsForm):
    """And whom it acts as, and how long it is good."""

    user = forms.ModelChoiceField(
        queryset=User.objects.none(),
        help_text="Requests with the token act as this user. Give each source a user of its own.",
    )
    days = forms.IntegerField(min_value=1, max_value=3650, help_text="For how many days the token is good.")
    field_order = ("user", "name", "days", "feeds", "verbs", "requests_per_minute", "records_per_minute")

    def __init__(self, *args: Any, by: Any, **kwargs: Any) -> None:
        super().__init__(*args, by=by, **kwargs)
        field = self.fields["user"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - so it is declared above
        field.queryset = tokens_may_act_as(by)


def tokens_may_act_as(by: Any) -> QuerySet[Any]:
    """Whom `by` may issue tokens for: service users; a token of a person would do all that the person may do."""
    users = User.objects.filter(is_active=True).order_by("username")
    return users if by.is_superuser else users.filter(is_staff=False, is_superuser=False)


class TokenAdmin(kit.ReadOnlyAdmin):
    """Tokens can be issued, limited and revoked, never read again: only their hash is kept."""

    list_display = (
        "name",
        "token_start",
        "user",
        "state",
        "last_used",
        kit.moment("expiry"),
        "feed_names",
        "verb_names",
    )
    list_filter = ("user",)
    list_select_related = ("user", "scope", "use")
    ordering: ClassVar[Any] = ("-created", "digest")
    actions = ("revoke",)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "token_start", "user", "state", kit.moment("created"), kit.moment("expiry"))}),
        ("Limited to", {"fields": ("feed_names", "verb_names", "requests_a_minute", "records_a_minute")}),
        ("Used last", {"fields": ("last_used", "last_used_from")}),
        ("Revoked", {"fields": ("revoked_at", "revoked_by", "revoke_reason")}),
    )
    export_without = ("digest",)
    export_also = {
        "user": "user__username",
        "name": "scope__name",
        "feeds": "scope__feeds",
        "verbs": "scope__verbs",
        "revoked_at": "scope__revoked_at",
        "last_used_at": "use__last_used_at",
        "last_used_from": "use__last_used_from",
    }
    empty_text = "No token yet. Issue one for the user that an integrator's requests act as."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm(MAY_ISSUE)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm(MAY_REVOKE)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.limit_view)
        return [path("<path:object_id>/limit/", view, name="knox_authtoken_limit"), *super().get_urls()]

    def dress_rows(self, rows: list[Any]) -> None:
        """The names of the feeds of every row, in one query."""
        super().dress_rows(rows)
        numbers = {number for row in rows for number in _scope(row, "feeds") or ()}
        names = dict(Feed.objects.filter(pk__in=numbers).values_list("pk", "name"))
        for row in rows:
            row.names_of_feeds = names

    def get_object(self, *args: Any, **kwargs: Any) -> Any:
        token = super().get_object(*args, **kwargs)
        if token is not None:
            self.dress_rows([token])
        return token

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Under its name: what a token calls itself is its hash."""
        answer = super().render_change_form(request, context, *args, **kwargs)
        if isinstance(answer, TemplateResponse) and answer.context_data is not None:
            token = kwargs["obj"]
            answer.context_data["title"] = _scope(token, "name") or self.token_start(token)
        return answer

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        if not self.has_add_permission(request):
            return []
        return [("Limit it", reverse("admin:knox_authtoken_limit", args=[target.pk]))]

    def offers(self, action: str, target: Any) -> bool:
        return _scope(target, "revoked_at") is None

    @admin.display(description="name", ordering="scope__name")
    def name(self, token: Any) -> Any:
        name = _scope(token, "name")
        return marks.clipped(name) if name else marks.NOTHING

    @admin.display(description="begins with")
    def token_start(self, token: Any) -> str:
        return f"{token.token_key}…"

    @admin.display(description="feeds")
    def feed_names(self, token: Any) -> Any:
        numbers = _scope(token, "feeds")
        if numbers is None:
            return "its user's"
        known = token.names_of_feeds
        return marks.clipped(", ".join(known.get(number, f"{number} (deleted)") for number in numbers))

    @admin.display(description="verbs")
    def verb_names(self, token: Any) -> Any:
        verbs = _scope(token, "verbs")
        if verbs is None:
            return "its user's"
        return marks.clipped(", ".join(VERBS[verb].title if verb in VERBS else verb for verb in verbs))

    @admin.display(description="requests per minute")
    def requests_a_minute(self, token: Any) -> str:
        return _rate(limits_of(token).requests)

    @admin.display(description="records per minute")
    def records_a_minute(self, token: Any) -> str:
        return _rate(limits_of(token).records)

    @admin.display(description="last used", ordering="use__last_used_at")
    def last_used(self, token: Any) -> Any:
        use = getattr(token, "use", None)
        return marks.moment(use.last_used_at) if use else marks.NOTHING

    @admin.display(description="from")
    def last_used_from(self, token: Any) -> Any:
        use = getattr(token, "use", None)
        return (use and use.last_used_from) or marks.NOTHING

    @admin.display(description="revoked")
    def revoked_at(self, token: Any) -> Any:
        return marks.moment(_scope(token, "revoked_at"))

    @admin.display(description="by")
    def revoked_by(self, token: Any) -> Any:
        return _scope(token, "revoked_by") or marks.NOTHING

    @admin.display(description="reason")
    def revoke_reason(self, token: Any) -> Any:
        return _scope(token, "revoke_reason") or marks.NOTHING

    @admin.display(description="state")
    def state(self, token: Any) -> Any:
        if _scope(token, "revoked_at"):
            return marks.badge("failed", "revoked")
        is_good = token.expiry is None or token.expiry > timezone.now()
        return marks.badge("active") if is_good else marks.badge("failed", "expired")

    @admin.action(description="Revoke…", permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[AuthToken]) -> HttpResponse | None:
        why = request.POST.get("reason", "").strip()
        if not why:
            question = "Why? What is sent with them is refused from now on; they stay in the list, with the reason."
            return kit.ask_reason(self, request, chosen, action="revoke", question=question, button="Revoke")
        count = revoke_tokens(tokens=chosen, reason=why, by=kit.person(request), now=timezone.now())
        kit.tell(self, request, count, "token", "revoked")
        return None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The token stands on the page that answers, which no cache keeps; neither messages nor logs hold it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = TokenForm(request.POST or None, by=kit.person(request), initial={"days": knox_settings.TOKEN_TTL.days})
        if request.method == "POST" and form.is_valid():
            return never_cache(self._issue)(request, form)
        lead = "The token is shown once, on the next page. Only its hash is kept."
        return kit.form_page(self, request, form, title="Issue a token", button="Issue", lead=lead)

    def _issue(self, request: HttpRequest, form: TokenForm) -> HttpResponse:
        answers = form.cleaned_data
        issued, token = issue_token(
            user=answers["user"],
            name=answers["name"],
            limits=form.limits(),
            lifetime=timedelta(days=answers["days"]),
            by=kit.person(request),
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Token issued",
            "token": token,
            "owner": answers["user"],
            "expires": marks.moment(issued.expiry),
        }
        return TemplateResponse(request, "admin/token_issued.html", context)

    def limit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Name a token's feeds and verbs otherwise; it acts on the very next request."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        token = get_object_or_404(AuthToken.objects.select_related("scope"), pk=object_id)
        names = ("name", "feeds", "verbs", "requests_per_minute", "records_per_minute")
        initial = {name: _scope(token, name) for name in names}
        form = LimitsForm(request.POST or None, by=kit.person(request), initial=initial)
        if request.method == "POST" and form.is_valid():
            limits = form.limits()
            limit_token(token=token, name=form.cleaned_data["name"], limits=limits, by=kit.person(request))
            self.message_user(request, "Limited. It acts from the next request on.")
            return HttpResponseRedirect(self.object_url(token.pk))
        lead = "What the token may do of what its user may, from its next request on."
        return kit.form_page(self, request, form, title="Limit a token", button="Limit", lead=lead, target=token)


def _rate(limit: int) -> str:
    return marks.number(limit) if limit else "no limit"


def _scope(token: Any, name: str) -> Any:
    return getattr(getattr(token, "scope", None), name, None)
