"""Screens of who may come in: people and their groups as Django has them, and tokens that are shown once."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from knox.models import AuthToken
from knox.settings import knox_settings

from config.dashboard import notice_screens  # noqa: F401 - its screen registers itself
from config.exporting import screens as export_screens  # noqa: F401 - its screen registers itself
from ingestion.models import FeedGrant
from mediation.admin import kit, marks

User = get_user_model()


class FeedGrantInline(kit.EditInline):
    """The feeds whose usage a person or service user may see and send."""

    model = FeedGrant
    verbose_name_plural = "granted feeds"


class SuperusersOnly(admin.ModelAdmin):
    """Only a superuser changes who comes in and as what: who could make people could be his own second person."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).is_superuser


class PersonAdmin(SuperusersOnly, kit.ModelAdmin, UserAdmin):
    ordering = ("username",)
    export_without = ("password",)
    inlines = (FeedGrantInline,)

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        """A person is made first; what he may see is said on the page that follows."""
        return self.inlines if obj else ()


class RoleAdmin(SuperusersOnly, kit.ModelAdmin, GroupAdmin):
    ordering = ("name",)
    empty_text = "No role yet. The usual ones come with the migrations."


class TokenForm(forms.Form):
    user = forms.ModelChoiceField(
        queryset=User.objects.none(),
        help_text="Requests with the token act as this user. Give each source a user of its own.",
    )
    days = forms.IntegerField(min_value=1, max_value=3650, help_text="For how many days the token is good.")

    def __init__(self, *args: Any, by: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["user"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - so it is declared above
        field.queryset = tokens_may_act_as(by)


def tokens_may_act_as(by: Any) -> QuerySet[Any]:
    """Whom `by` may issue tokens for: service users; a token of a person would do all that the person may do."""
    users = User.objects.filter(is_active=True).order_by("username")
    return users if by.is_superuser else users.filter(is_staff=False, is_superuser=False)


class TokenAdmin(kit.ReadOnlyAdmin):
    """Tokens can be issued and taken back, never read again: only their hash is kept."""

    list_display = ("token_start", "user", kit.moment("created"), kit.moment("expiry"), "state")
    list_filter = ("user",)
    list_select_related = ("user",)
    ordering: ClassVar[Any] = ("-created", "digest")
    fields = ("token_start", "user", "created", "expiry")
    export_without = ("digest",)
    export_also = {"user": "user__username"}
    empty_text = "No token yet. Issue one for the user that an integrator's requests act as."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm("knox.add_authtoken")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return kit.person(request).has_perm("knox.delete_authtoken")

    @admin.display(description="begins with")
    def token_start(self, token: Any) -> str:
        return f"{token.token_key}…"

    @admin.display(description="state")
    def state(self, token: Any) -> Any:
        is_good = token.expiry is None or token.expiry > timezone.now()
        return marks.badge("active") if is_good else marks.badge("failed", "expired")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The token stands on the page that answers, which no cache keeps; neither messages nor logs hold it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = TokenForm(request.POST or None, by=kit.person(request), initial={"days": knox_settings.TOKEN_TTL.days})
        if request.method == "POST" and form.is_valid():
            return never_cache(self._issue)(request, form.cleaned_data)
        lead = "The token is shown once, on the next page. Only its hash is kept."
        return kit.form_page(self, request, form, title="Issue a token", button="Issue", lead=lead)

    def _issue(self, request: HttpRequest, answers: dict[str, Any]) -> HttpResponse:
        lifetime = timedelta(days=answers["days"])
        issued, token = AuthToken.objects.create(user=answers["user"], expiry=lifetime)
        self.log_addition(request, issued, f"Issued for {answers['user']}")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Token issued",
            "token": token,
            "owner": answers["user"],
            "expires": marks.moment(issued.expiry),
        }
        return TemplateResponse(request, "admin/token_issued.html", context)


def put_on_site() -> None:
    """Replace the screens that the packages registered for these models."""
    for model, screen in ((User, PersonAdmin), (Group, RoleAdmin), (AuthToken, TokenAdmin)):
        admin.site.unregister(model)
        admin.site.register(model, screen)
