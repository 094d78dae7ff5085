"""Pages around profile versions: two side by side, out as a document, in from one, and those that ship with Sluice."""

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify

from mediation.admin import kit
from mediation.admin.previews import page
from mediation.core.differences import MISSING, differences, side_by_side
from mediation.core.spec import FIELD_KINDS
from mediation.models import ProfileVersion
from mediation.services.profiles import UnableToActivate
from mediation.services.ready_made import ready_made_profile, ready_made_profiles
from mediation.services.transferring import (
    MAX_BYTES,
    UnableToImportProfile,
    export_profile,
    import_profile,
    parse_document,
)

# Set by rooms above: where one goes from a version to what they know of it, as (text, address).
VERSION_LINKS: list[Callable[[HttpRequest, ProfileVersion], list[tuple[str, str]]]] = []
# Set by rooms above: the names of what reads by a version's profile, such as feeds.
VERSION_USERS: list[Callable[[ProfileVersion], list[str]]] = []

# The order in which the parts of a spec are explained; the database keeps none.
SPEC_ORDER = (
    "format",
    "structure",
    "envelope",
    "skip",
    "fields",
    "validations",
    "uniqueness",
    "null_texts",
)


FORMAT_ORDER = ("kind", "encoding", "delimiter", "quote", "header_rows", "columns_by")


def in_reading_order(spec: Any) -> Any:
    """A spec with its parts, the members of its format and its UDR fields in the order in which people read them."""
    if not isinstance(spec, dict):
        return spec
    orders = {"format": FORMAT_ORDER, "fields": tuple(FIELD_KINDS)}
    parts = {
        name: _ordered(part, orders[name]) if name in orders and isinstance(part, dict) else part
        for name, part in spec.items()
    }
    return _ordered(parts, SPEC_ORDER)


def _ordered(members: dict[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    return {name: members[name] for name in sorted(members, key=lambda name: (*order, name).index(name))}


# Two versions side by side


def difference_page(model_admin: kit.ModelAdmin, request: HttpRequest, version: ProfileVersion) -> HttpResponse:
    """A version beside another of its profile: the one that is active, or the one before, unless another is chosen."""
    if not model_admin.has_view_permission(request, version):
        raise PermissionDenied
    others = version.profile.versions.exclude(pk=version.pk).order_by("-number")
    asked = request.GET.get("with", "")
    other = get_object_or_404(others, pk=int(asked)) if asked.isdecimal() else _nearest(version)
    context: dict[str, Any] = {"version": version, "other": other, "others": others, "original": version}
    if other is not None:
        before, after = _text(other.spec), _text(version.spec)
        context |= {
            "differences": [
                (one.kind, one.pointer, _shown(one.before), _shown(one.after))
                for one in differences(other.spec, version.spec)
            ],
            "lines": side_by_side(before, after),
        }
    title = f"{version} beside {other or 'another version'}"
    return page(model_admin, request, "admin/mediation/difference.html", title, context)


def _nearest(version: ProfileVersion) -> ProfileVersion | None:
    others = version.profile.versions.exclude(pk=version.pk)
    active = others.filter(status=ProfileVersion.Status.ACTIVE).first()
    before = others.filter(number__lt=version.number).order_by("-number").first()
    return active or before or others.order_by("number").first()


def _text(spec: Any) -> str:
    return json.dumps(_sorted(in_reading_order(spec)), indent=2, ensure_ascii=False)


def _sorted(value: Any, depth: int = 0) -> Any:
    """With members in one order below the fields and the format, since the database keeps none."""
    if isinstance(value, dict):
        names = value if depth < 2 else sorted(value)
        return {name: _sorted(value[name], depth + 1) for name in names}
    return [_sorted(item, depth + 1) for item in value] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    return "–" if value is MISSING else json.dumps(value, ensure_ascii=False)


# What activating does


def told_of_activation(version: ProfileVersion) -> str:
    """Which version it replaces, and whose usage it reads from then on; for the page that asks first."""
    active = version.profile.versions.filter(status=ProfileVersion.Status.ACTIVE).first()
    begins = f"{version} replaces {active}, which is retired" if active else f"{version} is the first to be active"
    names = [name for users in VERSION_USERS for name in users(version)]
    reads = f"It will read the usage of {', '.join(names)}" if names else "No feed uses this profile yet"
    return f"{begins}. {reads}. Once active it never changes; imports that came before keep what they have."


# Out and in


def export_page(model_admin: kit.ModelAdmin, request: HttpRequest, version: ProfileVersion) -> HttpResponse:
    """The version as one JSON document, to be saved."""
    if not model_admin.has_view_permission(request, version):
        raise PermissionDenied
    text = json.dumps(export_profile(version=version), indent=2, ensure_ascii=False) + "\n"
    name = f"{slugify(version.profile.name) or 'profile'}-v{version.number}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="application/json", headers=headers)


class ImportForm(forms.Form):
    file = forms.FileField(label="Profile document", help_text="As “Export” or export_profile wrote it.")
    name = forms.CharField(
        max_length=200,
        required=False,
        help_text="Another name than the document's. A profile that is there gets a draft.",
    )

    def clean_file(self) -> dict[str, Any]:
        upload = self.cleaned_data["file"]
        try:
            return parse_document(upload.read(MAX_BYTES + 1))
        except UnableToImportProfile as refusal:
            raise forms.ValidationError([f"{fault}" for fault in refusal.faults]) from None


def import_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Take a profile from a document as a draft."""
    _require_adding(request)
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        taken = _take(model_admin, request, form.cleaned_data["file"], form.cleaned_data["name"])
        if taken is not None:
            return taken
    lead = "The profile becomes a draft. Its golden samples, and the usage classes that it names itself, come with it."
    return kit.form_page(model_admin, request, form, title="Import a profile", button="Import", lead=lead)


def ready_made_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """The profiles that ship with Sluice, each to be taken as a draft."""
    _require_adding(request)
    if request.method == "POST":
        try:
            document = ready_made_profile(request.POST.get("profile", ""))
        except LookupError as refusal:
            model_admin.message_user(request, refusal.args[0], messages.ERROR)
        else:
            if (taken := _take(model_admin, request, document, "")) is not None:
                return taken
    context = {"profiles": ready_made_profiles().items()}
    return page(model_admin, request, "admin/mediation/ready_made.html", "New from a ready-made profile", context)


def _require_adding(request: HttpRequest) -> None:
    if not kit.person(request).has_perms(["mediation.add_dataprofile", "mediation.add_profileversion"]):
        raise PermissionDenied


def _take(
    model_admin: kit.ModelAdmin, request: HttpRequest, document: dict[str, Any], name: str
) -> HttpResponseRedirect | None:
    """To the new draft's page; None where the document is refused, which a message says."""
    try:
        version = import_profile(document=document, by=kit.person(request), now=timezone.now(), name=name)
    except (UnableToImportProfile, UnableToActivate) as refusal:
        model_admin.message_user(request, str(refusal), messages.ERROR)
        return None
    model_admin.message_user(request, f"{version} is a draft. Preview it, then activate it.")
    return HttpResponseRedirect(reverse("admin:mediation_profileversion_change", args=[version.pk]))
