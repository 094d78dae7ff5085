"""Screens of feeds, and the upload of a usage file into one."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from ingestion import services
from ingestion.admin import pickup
from ingestion.admin.backfills import MAY as MAY_BACKFILL
from ingestion.admin.backfills import open_ones, said_of
from ingestion.models import Feed, FeedGrant, ImportException, PickupState, UsageImport
from mediation.admin import filters, kit, marks, versions
from mediation.models import ProfileVersion
from mediation.services import seeing


def feed_names() -> dict[int, str]:
    return dict(Feed.objects.values_list("pk", "name"))


filters.NAMINGS["feed_id"] = filters.Naming(feed_names, "ingestion_feed")


def profiles_of_feeds(feeds: frozenset[int]) -> set[int]:
    """The Data Profiles of these feeds that no other feed uses."""
    others = Feed.objects.exclude(pk__in=feeds).values("profile_id")
    return set(Feed.objects.filter(pk__in=feeds).exclude(profile__in=others).values_list("profile_id", flat=True))


seeing.PROFILES_OF_FEEDS.append(profiles_of_feeds)


class UploadForm(forms.Form):
    file = forms.FileField(label="Usage file")
    allow_repeat = forms.BooleanField(
        required=False, label="Take it even if this feed has had the same file before", initial=False
    )

    def into(self, backfills: Any, chosen: str | None) -> None:
        """Ask which open backfill the file goes into, where there are some."""
        self.fields["backfill"] = BackfillChoice(
            queryset=backfills, required=False, empty_label="none: it is new usage", initial=chosen
        )


class BackfillChoice(forms.ModelChoiceField):
    """An open backfill, by its window."""

    def label_from_instance(self, obj: Any) -> str:
        return said_of(obj)


class GrantInline(kit.EditInline):
    """Who sends to the feed and sees its usage, beside those who may see every feed."""

    model = FeedGrant
    autocomplete_fields = ("user",)
    verbose_name_plural = "granted to"


@admin.register(Feed)
class FeedAdmin(kit.ModelAdmin):
    form = pickup.LocationForm
    feed_path = "pk"
    list_display = ("name", "api_name", "profile", "is_enabled", "last_import", "open_exceptions", "upload_link")
    list_filter = ("is_enabled", "profile")
    list_select_related = ("profile",)
    search_fields = ("name", "api_name")
    ordering = ("name",)
    autocomplete_fields = ("profile",)
    readonly_fields = ("pickup_told",)
    export_also = {"profile": "profile__name"}
    inlines = (GrantInline,)
    empty_text = "No feed yet. Make a Data Profile with an active version first, then add a feed that uses it."
    fieldsets = (
        (None, {"fields": ("name", "api_name", "is_enabled", "profile", "description")}),
        ("How old and how early usage may be", {"fields": ("max_age_days", "max_future_minutes")}),
        ("Pick-up", {"fields": ("pickup_location", "pickup_credentials", "pickup_pattern", "pickup_told")}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.upload_view)
        look = self.admin_site.admin_view(partial(pickup.try_page, self))
        return [
            path("<int:pk>/upload/", view, name="ingestion_feed_upload"),
            path("<int:pk>/pick-up/", look, name="ingestion_feed_pickup"),
            *super().get_urls(),
        ]

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return columns if self.has_upload_permission(request) else [name for name in columns if name != "upload_link"]

    def has_upload_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm("ingestion.add_usageimport")

    def dress_rows(self, rows: list[Any]) -> None:
        latest = dict(
            UsageImport.objects.filter(feed__in=rows).values_list("feed").annotate(at=Max("received_at")).order_by()
        )
        still_open = dict(
            ImportException.objects.filter(feed__in=rows, status=ImportException.Status.OPEN)
            .values_list("feed")
            .annotate(count=Count("pk"))
            .order_by()
        )
        troubled = set(PickupState.objects.filter(feed__in=rows, failures__gt=0).values_list("feed", flat=True))
        for row in rows:
            row.has_pickup_trouble = row.pk in troubled and bool(row.pickup_location)
            row.last_received_at, row.open_count = latest.get(row.pk), still_open.get(row.pk, 0)

    @admin.display(description="last import")
    def last_import(self, feed: Any) -> Any:
        told = "none yet"
        if feed.last_received_at is not None:
            moment = marks.moment(feed.last_received_at)
            told = marks.list_link(moment, "ingestion_usageimport", feed__id__exact=feed.pk)
        if not feed.has_pickup_trouble:
            return told
        return format_html('{}<br><span class="quiet">pick-up fails</span>', told)

    @admin.display(description="how it goes")
    def pickup_told(self, feed: Any) -> Any:
        return pickup.told(feed)

    @admin.display(description="open exceptions")
    def open_exceptions(self, feed: Any) -> Any:
        if not feed.open_count:
            return "0"
        return marks.list_link(
            f"{feed.open_count:,}", "ingestion_importexception", feed__id__exact=feed.pk, status__exact="open"
        )

    @admin.display(description="")
    def upload_link(self, feed: Any) -> Any:
        return marks.link("Upload usage file", reverse("admin:ingestion_feed_upload", args=[feed.pk]))

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Imports", marks.list_url("ingestion_usageimport", feed__id__exact=target.pk)),
            (
                "Open exceptions",
                marks.list_url("ingestion_importexception", feed__id__exact=target.pk, status__exact="open"),
            ),
            ("UDRs", marks.list_url("mediation_udr", feed_id=target.pk)),
        ]
        if self.has_upload_permission(request):
            links.insert(0, ("Upload usage file", reverse("admin:ingestion_feed_upload", args=[target.pk])))
        if kit.person(request).has_perm(MAY_BACKFILL):
            links.append(("Open a backfill…", reverse("admin:ingestion_feed_backfill", args=[target.pk])))
        if target.pickup_location and self.has_change_permission(request, target):
            links.append(("Test the pick-up location", reverse("admin:ingestion_feed_pickup", args=[target.pk])))
        return links

    def upload_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_upload_permission(request):
            raise PermissionDenied
        feed = get_object_or_404(self.get_queryset(request), pk=pk)
        form = UploadForm(request.POST or None, request.FILES or None)
        backfills = open_ones(feed)
        if kit.person(request).has_perm(MAY_BACKFILL) and backfills.exists():
            form.into(backfills, request.GET.get("backfill"))
        if request.method == "POST" and form.is_valid():
            try:
                usage_import = self._receive(request, feed, form.cleaned_data)
            except services.UnableToReceive as refusal:
                form.add_error(None, _with_earlier(refusal))
            except services.UnableToBackfill as refusal:
                form.add_error("backfill", str(refusal))
            else:
                self.message_user(request, f"The file {usage_import.file_name} is received.")
                return redirect("admin:ingestion_usageimport_change", usage_import.pk)
        lead = f"The file goes into {feed.name} and is read by its Data Profile, {feed.profile}."
        return kit.form_page(self, request, form, title="Upload usage file", button="Upload", lead=lead, target=feed)

    def _receive(self, request: HttpRequest, feed: Feed, answers: dict[str, Any]) -> UsageImport:
        backfill = answers.get("backfill")
        receive = partial(services.receive_file_into, backfill=backfill) if backfill else services.receive_file
        return receive(
            feed=feed,
            stream=answers["file"],
            file_name=answers["file"].name,
            source=UsageImport.Source.UPLOAD,
            by=kit.person(request),
            now=timezone.now(),
            allow_repeat=answers["allow_repeat"],
        )


def _with_earlier(refusal: services.UnableToReceive) -> str:
    """The refusal, with a link to the import that took the same file before."""
    if refusal.earlier is None:
        return str(refusal)
    return format_html("{} {}", refusal, marks.row_link("See it.", "ingestion_usageimport", refusal.earlier.pk))


def feeds_of_version(version: ProfileVersion) -> list[str]:
    """The feeds whose usage an active version of this profile reads."""
    return [str(feed) for feed in Feed.objects.filter(profile_id=version.profile_id).order_by("name")]


versions.VERSION_USERS.append(feeds_of_version)
