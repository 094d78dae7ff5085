"""Pages around plan versions: in plain words, two side by side, activated, out as a document, in from one, tried."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.text import slugify

from mediation.admin import kit, marks
from mediation.admin.previews import page
from mediation.core.differences import MISSING, differences, side_by_side
from mediation.core.spec import Fault, FaultySpecError
from mediation.models import UsageClass
from rating import services
from rating.core.plans.describing import Section, describe_plan
from rating.core.plans.document import read_plan
from rating.core.plans.ordering import in_reading_order
from rating.models import PlanVersion, RatePlan
from rating.services.transferring import MAX_BYTES, document_text, parse_document

# Where one goes from a version to what other screens know of it, as (text, address); those screens add to it.
VERSION_LINKS: list[Callable[[HttpRequest, PlanVersion], list[tuple[str, str]]]] = []

CODE = {"class": "code", "spellcheck": "false"}
LINE = '<span class="fault"><code>{}</code> {}</span>'


class DocumentField(forms.JSONField):
    """A plan document as text. What was typed comes back letter for letter; decimals are kept as texts."""

    widget = forms.Textarea(attrs={"rows": 36, "cols": 80, **CODE, "class": "vLargeTextField code"})

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        try:
            return parse_document(value)
        except FaultySpecError as faulty:
            raise forms.ValidationError([fault.message for fault in faulty.faults]) from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        return None if data is None else InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, InvalidJSONInput) else document_text(value)


class VersionForm(forms.ModelForm):
    document = DocumentField(
        help_text="The plan as JSON. Numbers as texts, such as “0.05”; rating/README.md lists all keys."
    )

    class Meta:
        model = PlanVersion
        fields = ("plan", "note", "document")


def example_document(plan: RatePlan | None) -> dict[str, Any]:
    """What a plan's first draft starts from: one rate, one bucket, to be changed."""
    usage_class = UsageClass.objects.order_by("name").values_list("name", flat=True).first() or "calls"
    return {
        "name": plan.name if plan else "",
        "currency": plan.currency if plan else "EUR",
        "groups": [
            {
                "name": "Standard",
                "rates": [{"name": usage_class, "usage_class": usage_class, "model": "per_unit", "price": "0.05"}],
            }
        ],
        "buckets": [{"name": "Included", "size": "100", "usage_classes": [usage_class], "recurs": "period"}],
    }


# A version in words


def told(version: PlanVersion) -> dict[str, Any]:
    """What a version says in plain words, as sections; and of a draft, what keeps it from being activated."""
    is_draft = version.status == PlanVersion.Status.DRAFT
    faults = services.faults_of(document=version.document, plan=version.plan) if is_draft else []
    sections: tuple[Section, ...] = ()
    with suppress(FaultySpecError):
        sections = describe_plan(read_plan(version.document))
    return {"sections": sections, "faults": faults}


def faults_in_lines(said: str, faults: list[Fault]) -> Any:
    """A refusal with every fault on a line of its own, each at its place in the document."""
    return format_html("{}{}", said, format_html_join("", LINE, ((fault.pointer, fault.message) for fault in faults)))


# Two versions side by side


def difference_page(model_admin: kit.ModelAdmin, request: HttpRequest, version: PlanVersion) -> HttpResponse:
    """A version beside another of its plan: the one before, unless another is chosen."""
    if not model_admin.has_view_permission(request, version):
        raise PermissionDenied
    others = version.plan.versions.exclude(pk=version.pk).select_related("plan").order_by("-number")
    asked = request.GET.get("with", "")
    other = get_object_or_404(others, pk=int(asked)) if asked.isdecimal() else _nearest(version)
    context: dict[str, Any] = {"version": version, "other": other, "others": others, "original": version, "of": "plan"}
    if other is not None:
        before, after = in_reading_order(other.document), in_reading_order(version.document)
        context |= {
            "differences": [
                (one.kind, one.pointer, _shown(one.before), _shown(one.after)) for one in differences(before, after)
            ],
            "lines": side_by_side(document_text(before), document_text(after)),
        }
    title = f"{version} beside {other or 'another version'}"
    return page(model_admin, request, "admin/mediation/difference.html", title, context)


def _nearest(version: PlanVersion) -> PlanVersion | None:
    others = version.plan.versions.exclude(pk=version.pk).select_related("plan")
    before = others.filter(number__lt=version.number).order_by("-number").first()
    return before or others.order_by("number").first()


def _shown(value: Any) -> str:
    return "–" if value is MISSING else document_text(value)


# Activating


class ActivationForm(forms.Form):
    starts_at = forms.DateTimeField(
        label="Starts at",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"),
        help_text="Usage from this moment on is priced by it, by the date of the usage. Its commitments hold for the "
        "whole of a billing period at whose end it is the version in force.",
    )


def activation_page(model_admin: kit.ModelAdmin, request: HttpRequest, version: PlanVersion) -> HttpResponse:
    """Ask from when on a draft prices usage, say what it replaces, and activate it."""
    if not kit.person(request).has_perm("rating.activate_planversion"):
        raise PermissionDenied
    address = model_admin.object_url(version.pk)
    faults = services.faults_of(document=version.document, plan=version.plan)
    if version.status != PlanVersion.Status.DRAFT or faults:
        said = f"{version} cannot be activated." if faults else f"{version} is active already; draft another from it."
        model_admin.message_user(request, faults_in_lines(said, faults), messages.ERROR)
        return HttpResponseRedirect(address)
    is_answered = "starts_at" in request.POST
    now = timezone.localtime().replace(microsecond=0)
    form = ActivationForm(request.POST if is_answered else None, initial={"starts_at": now})
    if is_answered and form.is_valid():
        return _activate(model_admin, request, version, form)
    zone = timezone.get_current_timezone_name()
    answer = kit.form_page(
        model_admin,
        request,
        form,
        title=f"Activate {version}",
        button="Activate",
        lead=f"{told_of_activation(version)} The moment is in {zone}.",
        target=version,
    )
    answer.context_data = {
        **(answer.context_data or {}),
        "form_action": reverse("admin:rating_planversion_activate", args=[version.pk]),
    }
    return answer


def _activate(
    model_admin: kit.ModelAdmin, request: HttpRequest, version: PlanVersion, form: ActivationForm
) -> HttpResponse:
    starts_at = form.cleaned_data["starts_at"]
    try:
        services.activate_version(version=version, starts_at=starts_at, by=kit.person(request), now=timezone.now())
    except services.UnableToActivatePlan as refusal:
        said = faults_in_lines(f"{version} cannot be activated.", refusal.faults)
        model_admin.message_user(request, said, messages.ERROR)
    else:
        since = timezone.localtime(starts_at)
        model_admin.message_user(request, f"{version} is active. It prices usage from {since:%Y-%m-%d %H:%M:%S} on.")
    return HttpResponseRedirect(model_admin.object_url(version.pk))


def told_of_activation(version: PlanVersion) -> str:
    """What it would replace, whose usage it would price, and what stays; for the page that asks first."""
    active = version.plan.versions.filter(status=PlanVersion.Status.ACTIVE).defer("document").order_by("starts_at")
    known = ", ".join(f"version {one.number} from {timezone.localtime(one.starts_at):%Y-%m-%d %H:%M}" for one in active)
    begins = f"It takes the place of the version before it from that moment on. Active are {known}."
    if not known:
        begins = "It is the plan's first active version; usage from before its start cannot be charged by this plan."
    plan = version.plan
    users = [
        kit.counted(count, noun)
        for count, noun in (
            (plan.accounts.count(), "account"),
            (plan.services.count(), "service"),
            (plan.packages.count(), "package"),
        )
        if count
    ]
    users += [f"every {plan.currency} account without a plan"] if plan.is_default else []
    prices = f"The plan is that of {', '.join(users)}." if users else "Nobody has the plan yet."
    kept = (
        "What was charged already stays; rerate it where the version starts in the past. Once active it never changes."
    )
    return f"{version} prices usage until the next version starts. {begins} {prices} {kept}"


# Out and in


def export_page(model_admin: kit.ModelAdmin, request: HttpRequest, version: PlanVersion) -> HttpResponse:
    """The version's document, to be saved."""
    if not model_admin.has_view_permission(request, version):
        raise PermissionDenied
    name = f"{slugify(version.plan.name) or 'plan'}-v{version.number}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(document_text(version.document) + "\n", content_type="application/json", headers=headers)


class ImportForm(forms.Form):
    file = forms.FileField(
        required=False, label="Plan document", help_text="JSON, as “Export” or export_plan wrote it."
    )
    text = forms.CharField(
        required=False, label="Or pasted", widget=forms.Textarea(attrs={"rows": 16, **CODE}), strip=False
    )

    def clean(self) -> dict[str, Any]:
        answers = super().clean() or {}
        upload = answers.get("file")
        text = upload.read(MAX_BYTES + 1) if upload else answers.get("text", "")
        if not text.strip():
            raise forms.ValidationError("Choose a file, or paste a document.")
        try:
            answers["document"] = parse_document(text)
        except FaultySpecError as faulty:
            raise forms.ValidationError([f"{fault}" for fault in faulty.faults]) from None
        return answers


def import_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Take a plan from a document as a draft: of the plan that it names, which is made where there is none."""
    if not kit.person(request).has_perm("rating.add_planversion"):
        raise PermissionDenied
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        document = form.cleaned_data["document"]
        try:
            version = services.import_plan(document=document, by=kit.person(request), now=timezone.now())
        except FaultySpecError as faulty:
            for fault in faulty.faults:
                form.add_error(None, str(fault))
        else:
            model_admin.message_user(request, f"{version} is a draft. Look it over, then activate it.")
            return HttpResponseRedirect(reverse("admin:rating_planversion_change", args=[version.pk]))
    lead = "The document becomes a draft version of the plan it names; where there is none of that name it is made."
    return kit.form_page(model_admin, request, form, title="Import a plan", button="Import", lead=lead)


# For the list of plans


def versions_now(plans: list[RatePlan]) -> dict[int, Any]:
    """By plan the version that prices usage of this moment, as a link."""
    active = PlanVersion.objects.filter(
        plan__in=plans, status=PlanVersion.Status.ACTIVE, starts_at__lte=timezone.now()
    ).defer("document")
    return {
        version.plan_id: marks.row_link(f"v{version.number}", "rating_planversion", version.pk)
        for version in active.order_by("starts_at")
    }
