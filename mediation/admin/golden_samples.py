"""Screens of golden samples: what a profile must go on reading as it does; changed only with a reason."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from mediation.admin import kit, marks
from mediation.models import GoldenSample, GoldenSampleChange, ProfileVersion
from mediation.services.golden_samples import UnableToKeepSample, change_golden_sample, remove_golden_sample
from mediation.services.previewing import UnableToPreview
from mediation.services.seeing import seen_by_profile


class ChangeForm(forms.Form):
    version = forms.ModelChoiceField(
        queryset=ProfileVersion.objects.none(),
        label="Read by",
        help_text="What this version makes of the rows is right.",
    )
    content = forms.CharField(
        label="Rows", strip=False, widget=forms.Textarea(attrs={"rows": 12, "class": "code", "spellcheck": "false"})
    )
    reason = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 2}), help_text="Why it changes.")


@admin.register(GoldenSample)
class GoldenSampleAdmin(kit.ReadOnlyAdmin):
    list_display = ("name", "profile_link", "record_count", "note", "created_by", kit.moment("created_at"))
    list_filter = ("profile",)
    list_select_related = ("profile", "created_by")
    search_fields = ("name", "note")
    actions = ("remove",)
    export_also = {"profile": "profile__name"}
    empty_text = "No golden sample yet. Preview a version of a Data Profile, and keep what it shows."
    fields: ClassVar[Any] = (
        ("profile_link", "created_by", kit.moment("created_at")),
        "note",
        "is_rows",
        "rows_shown",
        "expected_shown",
    )

    has_remove_permission = kit.permission("delete")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Samples are raw usage."""
        return seen_by_profile(super().get_queryset(request), kit.person(request))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.change_sample_view)
        return [path("<int:pk>/expect/", view, name="mediation_goldensample_expect"), *super().get_urls()]

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Data Profile", reverse("admin:mediation_dataprofile_change", args=[target.profile_id])),
            ("Earlier states", marks.list_url("mediation_goldensamplechange", profile__id__exact=target.profile_id)),
        ]
        if kit.person(request).has_perm("mediation.change_goldensample"):
            links.insert(0, ("Change on purpose", reverse("admin:mediation_goldensample_expect", args=[target.pk])))
        return links

    @admin.display(description="Data Profile")
    def profile_link(self, sample: GoldenSample) -> Any:
        return marks.row_link(sample.profile, "mediation_dataprofile", sample.profile_id)

    @admin.display(description="records")
    def record_count(self, sample: GoldenSample) -> str:
        return marks.number(len(sample.expected))

    @admin.display(description="rows")
    def rows_shown(self, sample: GoldenSample) -> Any:
        return marks.raw(sample.content)

    @admin.display(description="expected")
    def expected_shown(self, sample: GoldenSample) -> Any:
        return marks.pretty_json(sample.expected)

    @admin.action(description="Remove", permissions=["remove"])
    def remove(self, request: HttpRequest, samples: QuerySet[GoldenSample]) -> TemplateResponse | HttpResponse | None:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            return kit.ask_reason(
                self, request, samples, action="remove", question="Why is it removed?", button="Remove golden samples"
            )
        removed = list(samples)
        for sample in removed:
            remove_golden_sample(sample=sample, reason=reason, by=kit.person(request), now=timezone.now())
        kit.tell(self, request, len(removed), "golden sample", "removed")
        return HttpResponseRedirect(reverse("admin:mediation_goldensample_changelist"))

    def response_action(self, request: HttpRequest, queryset: QuerySet, *args: Any) -> HttpResponse | None:
        """What was removed has no page to lead back to."""
        if request.POST.get("action") == "remove" and request.POST.get("reason", "").strip():
            posted: Any = request.POST.copy()
            posted.pop("_from_object", None)
            request.POST = posted
        return super().response_action(request, queryset, *args)

    def change_sample_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not kit.person(request).has_perm("mediation.change_goldensample"):
            raise PermissionDenied
        sample = get_object_or_404(self.get_queryset(request).select_related("profile"), pk=pk)
        versions = sample.profile.versions.select_related("profile").order_by("-number")
        form = ChangeForm(request.POST or None, initial={"content": sample.content, "version": versions.first()})
        form.fields["version"].queryset = versions  # type: ignore[attr-defined]
        if request.method == "POST" and form.is_valid():
            try:
                self._change(request, sample, form.cleaned_data)
            except (UnableToKeepSample, UnableToPreview) as refusal:
                form.add_error(None, str(refusal))
            else:
                self.message_user(request, f"{sample} expects something else now.", messages.SUCCESS)
                return HttpResponseRedirect(self.object_url(sample.pk))
        lead = "What it was is kept with your name and reason. Versions are held to what it expects from now on."
        title = "Change on purpose"
        return kit.form_page(self, request, form, title=title, button="Change", lead=lead, target=sample)

    def _change(self, request: HttpRequest, sample: GoldenSample, answers: dict[str, Any]) -> None:
        change_golden_sample(
            sample=sample,
            content=answers["content"].replace("\r\n", "\n"),
            is_rows=sample.is_rows,
            spec=answers["version"].spec,
            reason=answers["reason"],
            by=kit.person(request),
            now=timezone.now(),
        )


@admin.register(GoldenSampleChange)
class GoldenSampleChangeAdmin(kit.ReadOnlyAdmin):
    list_display = ("name", "profile", "is_removal", "reason", "changed_by", kit.moment("changed_at"))
    list_filter = ("profile", "is_removal")
    list_select_related = ("profile", "changed_by")
    search_fields = ("name", "reason")
    export_also = {"profile": "profile__name"}
    empty_text = "No golden sample was ever changed or removed."
    fields: ClassVar[Any] = (
        ("profile", "is_removal"),
        ("changed_by", kit.moment("changed_at")),
        "reason",
        "rows_shown",
        "expected_shown",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return seen_by_profile(super().get_queryset(request), kit.person(request))

    @admin.display(description="rows before")
    def rows_shown(self, change: GoldenSampleChange) -> Any:
        return marks.raw(change.content)

    @admin.display(description="expected before")
    def expected_shown(self, change: GoldenSampleChange) -> Any:
        return marks.pretty_json(change.expected)
