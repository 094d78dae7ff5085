"""One exception at the desk: the record beside what was read from it, corrected by form or in the raw text."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from ingestion import selectors, services
from ingestion.admin.groups import crumbs, group_of, group_url, named, words_of
from ingestion.models import ImportException
from ingestion.selectors import Group
from mediation import services as mediation
from mediation.admin import kit, marks, workbench
from mediation.admin.meanings import meaning_of

MOST_FIELDS = 400
RAW_SHOWN = 8_000
INPUT = "source:"
BY_FORM, IN_RAW = "form", "raw"
OF, ANY = "of", "any"
LONG_TEXT = 120
UNREAD = "The row cannot be read, so there are no fields to show."
NO_VERSION = "Its Data Profile has no active version that can be read. Activate one."


class ReasonForm(forms.Form):
    """What is sent was filled in over what the record said at its revision `seen`."""

    seen = forms.IntegerField(min_value=0, required=False, widget=forms.HiddenInput)
    reason = forms.CharField(max_length=2000, widget=forms.TextInput(attrs={"size": 60}))


class RawForm(ReasonForm):
    raw = forms.CharField(
        label="Record",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "cols": 100, "class": "vLargeTextField code", "spellcheck": "false"}),
    )
    field_order = ("raw", "seen", "reason")

    def clean_raw(self) -> str:
        """Browsers send every line end as CR LF; a record that came without CR keeps none."""
        return as_before(self.cleaned_data["raw"], self.initial.get("raw") or "")


def as_before(text: str, before: str) -> str:
    return text if "\r\n" in before else text.replace("\r\n", "\n")


def changes_of(posted: Mapping[str, str], reading: services.Reading) -> dict[str, str | None]:
    """The source fields that were filled in otherwise than they were read; an emptied one has no value."""
    changes: dict[str, str | None] = {}
    for name, before in reading.sources[:MOST_FIELDS]:
        sent = posted.get(INPUT + name)
        if sent is not None and _plain(sent) != _plain(before or ""):
            changes[name] = as_before(sent, before or "") or None
    return changes


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


# The page


def desk_of(
    request: HttpRequest,
    exception: ImportException,
    *,
    form: forms.Form | None = None,
    preview: services.CorrectionPreview | None = None,
    refusal: str = "",
) -> dict[str, Any]:
    """Everything that the desk shows of an exception. form: as it was sent; preview: what it would come to."""
    is_open = exception.status == ImportException.Status.OPEN
    may_correct = is_open and kit.person(request).has_perm("ingestion.correct_importexception")
    reading = services.read_of(exception=exception)
    way = way_of(request, reading)
    sent = request.POST if request.method == "POST" else {}
    group = group_at(request, exception)
    return {
        "exception": exception,
        "meaning": meaning_of(exception.code),
        "code": named(exception.code),
        "message": workbench.cut(exception.message, 1_000),
        "raw": _raw_shown(exception, reading),
        "is_corrected": reading.raw != exception.raw,
        "rows": [_row(one, reading, exception, sent) for one in reading.sources[:MOST_FIELDS]]
        if reading.fields
        else [],
        "fields_left": max(len(reading.sources) - MOST_FIELDS, 0),
        "others": _others(reading),
        "unread": UNREAD if reading.version else NO_VERSION,
        "may_correct": may_correct,
        "has_inputs": may_correct and way == BY_FORM,
        "tabs": _tabs(request, way) if takes_changes(reading) else [],
        "form": (form or form_of(way, reading, exception)) if may_correct else None,
        "correct_url": _correct_url(request, exception, way),
        "preview": _previewed(preview) if preview else None,
        "refusal": refusal,
        "steps": _steps(request, exception) if is_open else None,
        "group_url": group_url(group),
        "group_words": words_of(group),
    }


def group_at(request: HttpRequest, exception: ImportException) -> Group:
    """The group that a person works through: of the record's value, or of any, whichever the way here was."""
    group = group_of(exception)
    return replace(group, value=None) if request.GET.get(OF) == ANY else group


def way_of(request: HttpRequest, reading: services.Reading) -> str:
    """By form where there are fields to fill in; in the raw text where that was chosen, or is all that there is."""
    is_raw = request.GET.get("as") == IN_RAW or "raw" in request.POST
    return BY_FORM if takes_changes(reading) and not is_raw else IN_RAW


def takes_changes(reading: services.Reading) -> bool:
    """Whether single source fields can be corrected: the row can be read, and is a record by itself."""
    return bool(reading.fields) and reading.version is not None and mediation.window_of(version=reading.version) is None


def form_of(
    way: str, reading: services.Reading, exception: ImportException, posted: Mapping[str, Any] | None = None
) -> forms.Form:
    seen = {"seen": exception.revision_count}
    if way == IN_RAW:
        return RawForm(posted, initial={"raw": reading.raw, **seen})
    return ReasonForm(posted, initial=seen)


def _raw_shown(exception: ImportException, reading: services.Reading) -> Any:
    raw = reading.raw
    record = workbench.marked(raw, reading.span, RAW_SHOWN)
    shown = format_html('<div class="raw-whole" tabindex="0" role="region" aria-label="The record">{}</div>', record)
    if len(raw) <= RAW_SHOWN:
        return shown
    whole = marks.link("see the whole", reverse("admin:ingestion_importexception_raw", args=[exception.pk]))
    told = f"{RAW_SHOWN:,} of {len(raw):,} characters; "
    return format_html('{}<p class="quiet">{}{}</p>', shown, told, whole)


def _correct_url(request: HttpRequest, exception: ImportException, way: str) -> str:
    address = reverse("admin:ingestion_importexception_correct", args=[exception.pk])
    return address + workbench.query_with(request, **{"as": IN_RAW if way == IN_RAW else ""})


def _tabs(request: HttpRequest, way: str) -> list[tuple[str, str, bool]]:
    return [
        ("Field by field", workbench.query_with(request, **{"as": ""}), way == BY_FORM),
        ("In the raw text", workbench.query_with(request, **{"as": IN_RAW}), way == IN_RAW),
    ]


def _steps(request: HttpRequest, exception: ImportException) -> workbench.Steps:
    rows = selectors.exceptions_of_group(group_at(request, exception))
    query = workbench.query_with(request)

    def url_for(pk: int) -> str:
        return reverse("admin:ingestion_importexception_change", args=[pk]) + query

    return workbench.steps_of(exception, rows, url_for)


def _row(
    one: tuple[str, str | None], reading: services.Reading, exception: ImportException, sent: Any
) -> dict[str, Any]:
    """A source field: its name, its text, what the UDR made of it, and its input."""
    name, text = one
    shown = sent.get(INPUT + name, text or "")
    is_at_fault = name in reading.faulted_sources
    return {
        "name": name,
        "input": INPUT + name,
        "text": workbench.cut(workbench.visible(text)) if text is not None else marks.NOTHING,
        "shown": shown,
        "is_long": len(shown) > LONG_TEXT or "\n" in shown,
        "is_changed": _plain(shown) != _plain(text or ""),
        "fields": [(field, workbench.cut(value or marks.NOTHING)) for field, value in reading.fields_of(name)],
        "is_at_fault": is_at_fault,
        "fault": f"{named(exception.code)}: {exception.message}" if is_at_fault else "",
    }


def _others(reading: services.Reading) -> list[tuple[str, Any]]:
    """UDR fields that come from no source field, such as fixed texts."""
    return [
        (field.name, workbench.cut(field.value or marks.NOTHING))
        for field in reading.fields
        if not reading.origins.get(field.name)
    ]


OUTCOMES = {
    "imported": ("verdict-good", "It would be imported."),
    "exception": ("verdict-bad", "It would still be an exception:"),
    "skipped": ("", "It would be skipped:"),
    "duplicate": ("", "It would be a duplicate:"),
}


def _previewed(preview: services.CorrectionPreview) -> dict[str, Any]:
    look, words = OUTCOMES[preview.outcome]
    where = f" in {preview.field}" if preview.field else ""
    code = f"{named(preview.code)}{where}" if preview.code else ""
    return {
        "look": look,
        "words": words,
        "message": workbench.cut(" – ".join(text for text in (code, preview.message) if text), 1_000),
        "fields": [(field.name, workbench.cut(field.value or marks.NOTHING)) for field in preview.fields],
    }


# Views


def correct_view(model_admin: kit.ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Preview a correction as often as one likes, then keep it and have the record mediated again."""
    if not kit.person(request).has_perm("ingestion.correct_importexception"):
        raise PermissionDenied
    exception = get_object_or_404(model_admin.get_queryset(request).select_related("usage_import", "feed"), pk=pk)
    form, preview, refusal = None, None, ""
    if request.method == "POST":
        reading = services.read_of(exception=exception)
        form = form_of(way_of(request, reading), reading, exception, request.POST)
        try:
            if "_preview" in request.POST:
                preview = _preview(request, exception, form, reading)
            elif form.is_valid():
                return _correct(model_admin, request, exception, form, reading)
        except services.UnableToCorrect as fault:
            refusal = str(fault)
    desk = desk_of(request, exception, form=form, preview=preview, refusal=refusal)
    return workbench.page(
        model_admin,
        request,
        "admin/ingestion/importexception/correct.html",
        title=f"Correct record {exception.record_number:,}",
        crumbs=[*crumbs(group_at(request, exception)), (str(exception), model_admin.object_url(pk))],
        context={"desk": desk},
    )


def _said(request: HttpRequest, form: forms.Form, reading: services.Reading) -> dict[str, Any]:
    """The correction as the services take it."""
    if isinstance(form, RawForm):
        return {"raw": form.cleaned_data["raw"]}
    return {"changes": changes_of(request.POST, reading)}


def _preview(
    request: HttpRequest, exception: ImportException, form: forms.Form, reading: services.Reading
) -> services.CorrectionPreview | None:
    """A preview needs no reason yet."""
    form.fields["reason"].required = False
    return (
        services.preview_correction(exception=exception, **_said(request, form, reading)) if form.is_valid() else None
    )


def _correct(
    model_admin: kit.ModelAdmin,
    request: HttpRequest,
    exception: ImportException,
    form: forms.Form,
    reading: services.Reading,
) -> HttpResponse:
    steps = _steps(request, exception)
    services.correct_exception(
        exception=exception,
        reason=form.cleaned_data["reason"],
        known_revision=form.cleaned_data["seen"],
        by=kit.person(request),
        now=timezone.now(),
        **_said(request, form, reading),
    )
    link = marks.row_link(f"Record {exception.record_number:,}", "ingestion_importexception", exception.pk)
    said = "The correction is kept and the record will be mediated again."
    model_admin.message_user(request, format_html("{}: {}", link, said))
    on = steps.after_url or steps.before_url
    return HttpResponseRedirect(on if "_next" in request.POST and on else model_admin.object_url(exception.pk))


def raw_view(model_admin: kit.ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The whole of a record as received, as plain text."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    exception = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    return HttpResponse(exception.raw, content_type="text/plain; charset=utf-8")
