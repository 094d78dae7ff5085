"""Screens of who may come in: people and their groups as Django has them, and tokens, all by our own screens."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from knox.models import AuthToken

from config.access.braking import let_in_again
from config.access.screens import TokenAdmin
from config.dashboard import notice_screens  # noqa: F401 - its screen registers itself
from config.exporting import screens as export_screens  # noqa: F401 - its screen registers itself
from config.webhooks import screens as webhook_screens  # noqa: F401 - its screens register themselves
from ingestion.models import FeedGrant
from mediation.admin import kit

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
    actions = ("let_in_again",)
    inlines = (FeedGrantInline,)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may not change a person is shown nothing of the password, which leads to changing it."""
        told = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return told
        return [
            (title, {**options, "fields": tuple(name for name in options["fields"] if name != "password")})
            for title, options in told
        ]

    @admin.action(description="Let in again", permissions=["change"])
    def let_in_again(self, request: HttpRequest, people: QuerySet[Any]) -> None:
        """Forget the wrong passwords for which these people would have to wait."""
        count = let_in_again(people=people, by=kit.person(request))
        kit.tell(self, request, count, "person", "can sign in at once")

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        """A person is made first; what he may see is said on the page that follows."""
        return self.inlines if obj else ()


class RoleAdmin(SuperusersOnly, kit.ModelAdmin, GroupAdmin):
    ordering = ("name",)
    empty_text = "No role yet. The usual ones come with the migrations."


def put_on_site() -> None:
    """Replace the screens that the packages registered for these models."""
    for model, screen in ((User, PersonAdmin), (Group, RoleAdmin), (AuthToken, TokenAdmin)):
        admin.site.unregister(model)
        admin.site.register(model, screen)
