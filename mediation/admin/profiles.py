"""Screens of what records mean: Data Profiles and their versions, usage classes, identifier types."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode

from mediation import services
from mediation.admin import kit, marks, versions
from mediation.admin.previews import preview_page
from mediation.admin.suggesting import suggest_page
from mediation.admin.versions import in_reading_order
from mediation.models import DataProfile, IdentifierType, ProfileVersion, UsageClass, UsageClassType


class IndentedEncoder(json.JSONEncoder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2, "ensure_ascii": False})


class VersionInline(kit.ReadOnlyInline):
    model = ProfileVersion
    fields: ClassVar[Any] = (
        kit.status_badge(),
        "note",
        kit.moment("created_at"),
        "created_by",
        kit.moment("activated_at"),
    )
    ordering = ("-number",)
    verbose_name_plural = "versions (open one to see it, or to change a draft)"


@admin.register(DataProfile)
class DataProfileAdmin(kit.ModelAdmin):
    list_display = ("name", "active_version", "description")
    search_fields = ("name", "description")
    ordering = ("name",)
    fields = ("name", "description")
    inlines = (VersionInline,)
    empty_text = "No Data Profile yet. Add one, then make a version of it that says how rows are read and mapped."

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "from-sample": ("suggest", suggest_page),
            "ready-made": ("ready_made", versions.ready_made_page),
            "import": ("import", versions.import_page),
        }
        own = [
            path(f"{place}/", self.admin_site.admin_view(partial(view, self)), name=f"mediation_dataprofile_{name}")
            for place, (name, view) in pages.items()
        ]
        return [*own, *super().get_urls()]

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        if not kit.person(request).has_perms(["mediation.add_dataprofile", "mediation.add_profileversion"]):
            return []
        return [
            ("New from a sample", reverse("admin:mediation_dataprofile_suggest")),
            ("Ready-made", reverse("admin:mediation_dataprofile_ready_made")),
            ("Import", reverse("admin:mediation_dataprofile_import")),
        ]

    @admin.display(description="active version")
    def active_version(self, profile: Any) -> Any:
        version = profile.active
        return marks.row_link(f"v{version.number}", "mediation_profileversion", version.pk) if version else "none yet"

    def dress_rows(self, rows: list[Any]) -> None:
        versions = ProfileVersion.objects.filter(profile__in=rows, status=ProfileVersion.Status.ACTIVE).defer("spec")
        active = {version.profile_id: version for version in versions}
        for row in rows:
            row.active = active.get(row.pk)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Feeds that use it", marks.list_url("ingestion_feed", profile=target.pk)),
            ("Golden samples", marks.list_url("mediation_goldensample", profile__id__exact=target.pk)),
        ]
        if kit.person(request).has_perm("mediation.add_profileversion"):
            links.append(("New draft", reverse("admin:mediation_profileversion_add") + f"?profile={target.pk}"))
        return links


class VersionForm(forms.ModelForm):
    spec = forms.JSONField(
        encoder=IndentedEncoder,
        widget=forms.Textarea(attrs={"rows": 32, "cols": 100, "class": "vLargeTextField code", "spellcheck": "false"}),
        help_text="Format, fields, skip filters and uniqueness, as JSON; see the README of mediation.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "spec" in self.initial:
            self.initial["spec"] = in_reading_order(self.initial["spec"])

    class Meta:
        model = ProfileVersion
        fields = ("profile", "note", "spec")


FACTS = ("status_mark", kit.moment("created_at"), "created_by", kit.moment("activated_at"))
LINE = '<span class="fault"><code>{}</code> {}</span>'


@admin.register(ProfileVersion)
class ProfileVersionAdmin(kit.ModelAdmin):
    form = VersionForm
    list_display = (
        "__str__",
        kit.status_badge(),
        "note",
        "created_by",
        kit.moment("created_at"),
        kit.moment("activated_at"),
    )
    list_filter = ("status", "profile")
    list_select_related = ("profile", "created_by")
    actions = ("activate",)
    empty_text = "No version yet. Open a Data Profile and make a draft."
    export_also = {"profile": "profile__name"}

    has_activate_permission = kit.ModelAdmin.has_change_permission

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"mediation_profileversion_{name}")
            for name, view in (
                ("preview", self._page(preview_page)),
                ("difference", self._page(versions.difference_page)),
                ("document", self._page(versions.export_page)),
            )
        ]
        return [*own, *super().get_urls()]

    def _page(self, page: Callable[[kit.ModelAdmin, HttpRequest, ProfileVersion], HttpResponse]) -> Any:
        """A page of one version as a view of its number."""

        def view(request: HttpRequest, pk: int) -> HttpResponse:
            return page(self, request, get_object_or_404(ProfileVersion.objects.select_related("profile"), pk=pk))

        return view

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("profile", "note", "spec")})]
        spec = "spec" if self.has_change_permission(request, obj) else "spec_shown"
        return [(None, {"fields": (FACTS, "note", spec)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*FACTS, "spec_shown") if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_open = obj is None or obj.status == ProfileVersion.Status.DRAFT
        return is_open and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_open = obj is not None and obj.status == ProfileVersion.Status.DRAFT
        return is_open and super().has_delete_permission(request, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A new draft starts from the version in `from`, or from the profile's newest."""
        versions = ProfileVersion.objects.order_by("-number")
        source = None
        if request.GET.get("from", "").isdecimal():
            source = versions.filter(pk=request.GET["from"]).first()
        elif request.GET.get("profile", "").isdecimal():
            source = versions.filter(profile_id=int(request.GET["profile"])).first()
        if source is None:
            return {"profile": request.GET.get("profile", "")}
        return {"profile": source.profile_id, "spec": source.spec}

    def save_model(self, request: HttpRequest, obj: Any, form: forms.Form, change: bool) -> None:
        try:
            if change:
                services.update_draft(version=obj, spec=obj.spec, note=obj.note, by=kit.person(request))
            else:
                draft = services.create_draft(profile=obj.profile, spec=obj.spec, note=obj.note, by=kit.person(request))
                obj.__dict__.update(draft.__dict__)
        except services.UnableToActivate as refusal:
            self.message_user(request, _all_faults(obj, refusal), messages.ERROR)

    def offers(self, action: str, target: Any) -> bool:
        return target.status == ProfileVersion.Status.DRAFT

    @admin.action(description="Activate…", permissions=["activate"])
    def activate(self, request: HttpRequest, chosen: QuerySet[ProfileVersion]) -> HttpResponse | None:
        if "is_confirmed" not in request.POST:
            lines = [versions.told_of_activation(version) for version in chosen.select_related("profile")]
            return kit.ask_first(self, request, chosen, action="activate", lines=lines, button="Activate")
        for version in chosen.select_related("profile"):
            try:
                services.activate_version(version=version, by=kit.person(request), now=timezone.now())
            except services.UnableToActivate as refusal:
                self.message_user(request, _all_faults(version, refusal), messages.ERROR)
            else:
                self.message_user(request, f"{version} is active. Imports from now on are read by it.")
        return None

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Preview", reverse("admin:mediation_profileversion_preview", args=[target.pk])),
            ("Beside another version", reverse("admin:mediation_profileversion_difference", args=[target.pk])),
            ("Data Profile", reverse("admin:mediation_dataprofile_change", args=[target.profile_id])),
            ("Feeds that use it", marks.list_url("ingestion_feed", profile=target.profile_id)),
            ("Golden samples", marks.list_url("mediation_goldensample", profile__id__exact=target.profile_id)),
            ("Export", reverse("admin:mediation_profileversion_document", args=[target.pk])),
        ]
        if self.has_add_permission(request):
            address = reverse("admin:mediation_profileversion_add")
            links.append(("New draft from this", f"{address}?{urlencode({'from': target.pk})}"))
        for more in versions.VERSION_LINKS:
            links += more(request, target)
        return links

    @admin.display(description="status")
    def status_mark(self, version: Any) -> Any:
        return marks.badge(version.status)

    @admin.display(description="spec")
    def spec_shown(self, version: Any) -> Any:
        return marks.pretty_json(in_reading_order(version.spec))


def _all_faults(version: ProfileVersion, refusal: services.UnableToActivate) -> Any:
    """The refusal with every fault on a line of its own, each at its place in the spec."""
    places = ((fault.pointer, fault.message) for fault in refusal.faults)
    return format_html("{} was refused.{}", version, format_html_join("", LINE, places))


@admin.register(UsageClass)
class UsageClassAdmin(kit.KeptByDatabase, kit.ModelAdmin):
    list_display = ("name", "usage_class_type", "unit", "paid_by")
    list_filter = ("usage_class_type", "unit", "paid_by")
    list_select_related = ("usage_class_type",)
    search_fields = ("name",)
    ordering = ("name",)
    empty_text = "No usage class yet. Records that name a class that is not here become exceptions."
    export_also = {"usage_class_type": "usage_class_type__name"}


@admin.register(UsageClassType)
class UsageClassTypeAdmin(kit.ModelAdmin):
    list_display = ("name",)
    search_fields = ("name",)
    ordering = ("name",)
    empty_text = "No usage class type yet. They group usage classes, for reports and for reading records."


@admin.register(IdentifierType)
class IdentifierTypeAdmin(kit.ModelAdmin):
    list_display = ("name",)
    search_fields = ("name",)
    ordering = ("name",)
    empty_text = "No identifier type yet. Records that name a type that is not here become exceptions."
