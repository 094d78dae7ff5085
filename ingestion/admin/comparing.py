"""The page that holds a version of a profile against a past import: what would change, counted and listed."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from ingestion.models import UsageImport
from ingestion.services.comparing import MAX_RECORDS, UnableToCompare, compare_version
from mediation.admin import kit, marks, versions
from mediation.core.comparing import MOST_CHANGES, Comparison
from mediation.models import ProfileVersion
from mediation.services import seen

OFFERED = 100


class CompareForm(forms.Form):
    version = forms.ModelChoiceField(queryset=ProfileVersion.objects.none(), label="Version")
    usage_import = forms.ModelChoiceField(
        queryset=UsageImport.objects.none(),
        label="Past import",
        help_text=f"One of the newest {OFFERED} of feeds that use the profile.",
    )

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.by = by
        chosen = self._chosen()
        self.choices_of("version", chosen["version"])
        self.choices_of("usage_import", chosen["usage_import"])

    def _chosen(self) -> dict[str, QuerySet[Any]]:
        """Versions of the profile that is asked about, and the newest imports of its feeds that the person sees."""
        asked = {name: str(self.data.get(name, "")) for name in ("version", "usage_import")}
        versions_ = ProfileVersion.objects.select_related("profile").order_by("-pk")
        imports = seen(UsageImport.objects.select_related("feed"), self.by).order_by("-pk")
        profile_ids: list[int] = []
        if asked["version"].isdecimal():
            profile_ids = list(versions_.filter(pk=asked["version"]).values_list("profile_id", flat=True))
        elif asked["usage_import"].isdecimal():
            profile_ids = list(imports.filter(pk=asked["usage_import"]).values_list("feed__profile_id", flat=True))
        return {
            "version": versions_.filter(profile__in=profile_ids),
            "usage_import": imports.filter(feed__profile__in=profile_ids),
        }

    def choices_of(self, name: str, rows: QuerySet[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - so they are declared above
        field.queryset = rows
        field.choices = [("", "–"), *((row.pk, _label(row)) for row in rows[:OFFERED])]


def _label(row: Any) -> str:
    if isinstance(row, ProfileVersion):
        return f"{row} ({row.get_status_display()})"
    name = row.file_name or row.get_source_display()
    return f"{timezone.localtime(row.received_at):%Y-%m-%d %H:%M} {row.feed}: {name} ({row.record_count:,} records)"


def compare_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Choose a version and an import, and see what would change."""
    if not kit.person(request).has_perms(["ingestion.view_usageimport", "mediation.view_profileversion"]):
        raise PermissionDenied
    form = CompareForm(request.GET, by=kit.person(request))
    is_asked = bool(request.GET.get("version") and request.GET.get("usage_import"))
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": "Compare with a past import",
        "form": form,
        "most_records": f"{MAX_RECORDS:,}",
        "is_asked": is_asked,
    }
    if is_asked and form.is_valid():
        answers = form.cleaned_data
        try:
            comparison = compare_version(**answers, by=kit.person(request))
        except UnableToCompare as refusal:
            context["refusal"] = refusal
        else:
            context |= {"comparison": told_comparison(comparison), **answers}
    return TemplateResponse(request, "admin/ingestion/usageimport/comparison.html", context)


def told_comparison(comparison: Comparison) -> dict[str, Any]:
    """A comparison as its template takes it."""
    return {
        "record_count": marks.number(comparison.record_count),
        "is_cut": comparison.is_cut,
        "change_count": marks.number(comparison.change_count),
        "transitions": [
            (marks.badge(before), marks.badge(after), marks.number(count), before == after)
            for before, after, count in comparison.transitions
        ],
        "fields": [(name, marks.number(count)) for name, count in comparison.fields],
        "changes": [
            {
                "number": change.number,
                "before": marks.badge(change.before),
                "before_reason": change.before_reason,
                "after": marks.badge(change.after),
                "after_reason": change.after_reason,
                "fields": change.fields,
            }
            for change in comparison.changes
        ],
        "most_changes": MOST_CHANGES if comparison.change_count > MOST_CHANGES else None,
    }


def links_of_version(request: HttpRequest, version: ProfileVersion) -> list[tuple[str, str]]:
    """From a version's page to this one."""
    if not kit.person(request).has_perm("ingestion.view_usageimport"):
        return []
    return [("Compare with a past import", address_for(version=version.pk))]


def address_for(**asked: int) -> str:
    return f"{reverse('admin:ingestion_usageimport_compare')}?{urlencode(asked)}"


versions.VERSION_LINKS.append(links_of_version)
