"""A new profile from a sample: upload, look at what is proposed and why, mend it, save it."""

import base64
import binascii
import json
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from mediation.admin import kit, marks
from mediation.admin.previews import page, told
from mediation.core.previewing import Preview
from mediation.core.reading.unpacking import UnpackError, unpack_sample
from mediation.core.spec import FIELD_KINDS
from mediation.core.suggesting import (
    MAX_SAMPLE_BYTES,
    Question,
    Suggestion,
    UnableToSuggestError,
    answer,
    feed_field,
    missing_of,
    open_questions,
    previewable,
    settle_uniqueness,
    suggest,
)
from mediation.models import DataProfile, ProfileVersion
from mediation.services.previewing import UnableToPreview, preview
from mediation.services.profiles import UnableToActivate
from mediation.services.transferring import import_profile

SHOWN_RECORDS = 20
MAX_NEW_CLASSES = 200
AS_WRITTEN = "="  # the choice of a mapping that is neither a column nor a fixed text


class SampleForm(forms.Form):
    file = forms.FileField(
        label="Sample file",
        help_text="Its first mebibyte is looked at; packed as gz, zip or zst, it is unpacked. Nothing is stored.",
    )


class NameForm(forms.Form):
    name = forms.CharField(max_length=200, label="Name of the new Data Profile")
    add_classes = forms.BooleanField(required=False)

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if DataProfile.objects.filter(name=name).exists():
            raise forms.ValidationError("There is a Data Profile of that name. Choose another.")
        return name


def suggest_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """The first page asks for the sample; the second shows the proposal until it is saved."""
    if not kit.person(request).has_perms(["mediation.add_dataprofile", "mediation.add_profileversion"]):
        raise PermissionDenied
    if "sample" in request.POST:
        return _second_page(model_admin, request)
    form = SampleForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            content = unpack_sample(upload.read(MAX_SAMPLE_BYTES + 1), MAX_SAMPLE_BYTES)
            suggestion = suggest(content)
        except (UnableToSuggestError, UnpackError) as refusal:
            form.add_error("file", str(refusal))
        else:
            name = _name_of(PurePath(upload.name))
            wizard = _Wizard(content, suggestion, suggestion.document, NameForm(initial={"name": name}))
            return wizard.show(model_admin, request)
    lead = "Sluice proposes how its records are read and mapped, and shows what becomes of them. You decide."
    return kit.form_page(model_admin, request, form, title="New from a sample", button="Suggest", lead=lead)


def _name_of(file: PurePath) -> str:
    """A profile's name after its sample: of `calls_of_may.csv.gz` it is `calls of may`."""
    plain = PurePath(file.stem) if file.suffix.lower() in (".gz", ".zip", ".zst") else file
    return plain.stem.replace("_", " ")[:200]


def _second_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    try:
        content = base64.b64decode(request.POST["sample"], validate=True)
        suggestion = suggest(content)
    except (binascii.Error, ValueError):
        messages.error(request, "The sample was lost on its way. Choose it again.")
        return HttpResponseRedirect(request.path)
    wizard = _Wizard(content, suggestion, suggestion.document, NameForm(request.POST))
    wizard.take_answers(request)
    if "_preview" not in request.POST and (version := wizard.save(model_admin, request)):
        return HttpResponseRedirect(reverse("admin:mediation_profileversion_change", args=[version.pk]))
    return wizard.show(model_admin, request)


class _Wizard:
    """The state of the second page, all of which travels with it: the sample, the document, the answers."""

    def __init__(self, content: bytes, suggestion: Suggestion, document: Any, form: NameForm) -> None:
        self.content, self.suggestion, self.document, self.form = content, suggestion, document, form
        self.typed = ""  # a document that is no JSON, as it was typed
        self.refusal: Any = None
        self.answers: dict[str, int] = {}
        self.chosen: set[str] = set()  # fields whose column or fixed text differs from what the page showed
        self.adds_classes = not form.is_bound or bool(form.data.get("add_classes"))

    # What was posted

    def take_answers(self, request: HttpRequest) -> None:
        """The document as typed, with the choices of the page on top of it."""
        try:
            self.document = json.loads(request.POST.get("document", ""))
        except (ValueError, RecursionError) as error:
            self.typed, self.refusal = request.POST.get("document", ""), f"The document is no JSON: {error}."
            return
        if not isinstance(self.document, dict) or not isinstance(self.document.get("fields", {}), dict):
            self.refusal = "The document must be an object, and its fields one too."
            self.typed, self.document = request.POST["document"], self.suggestion.document
            return
        fields = self.document.setdefault("fields", {})
        for name in {*FIELD_KINDS, *fields}:
            self._take_field(request, name, fields)
        if "UniquenessIdentifier" in self.chosen:
            settle_uniqueness(self.document)
        for column in request.POST.getlist("keep"):
            if column in {one.name for one in self.suggestion.columns}:
                fields.setdefault(f"Extensions.{column}", {"source": column})
        for question in open_questions(self.document, self.suggestion):
            self._take_answer(request, question)

    def _take_field(self, request: HttpRequest, name: str, fields: dict[str, Any]) -> None:
        """A column or a fixed text that differs from what the page showed; else the document holds."""
        source, text = request.POST.get(f"source:{name}"), request.POST.get(f"text:{name}", "")
        if source is None:
            return
        shown_text = request.POST.get(f"text-was:{name}", "")
        is_other_source = source != request.POST.get(f"source-was:{name}")
        if text and (text != shown_text or (is_other_source and source == "")):
            fields[name] = {"literal": text}
        elif is_other_source:
            fields.pop(name, None)
            if source not in ("", AS_WRITTEN):
                fields[name] = feed_field(name, source, self.suggestion)
        elif not text and shown_text and fields.get(name, {}).keys() == {"literal"}:
            fields.pop(name)
        else:
            return
        self.chosen.add(name)

    def _take_answer(self, request: HttpRequest, question: Question) -> None:
        """An answer, unless it stood there already: then the document holds it, or what was typed in its place."""
        name = f"answer:{question.pointer}"
        choice = request.POST.get(name, "")
        if not choice.isdecimal() or int(choice) >= len(question.choices):
            return
        is_new = choice != request.POST.get(f"{name}-was")
        if is_new or question.pointer.removeprefix("/fields/") in self.chosen:
            answer(self.document, question, int(choice))
        self.answers[question.pointer] = int(choice)

    # What is saved

    def save(self, model_admin: kit.ModelAdmin, request: HttpRequest) -> ProfileVersion | None:
        """The new profile's version; None where something keeps it from being made, which the page then says."""
        unanswered = [one for one in self._questions() if one.pointer not in self.answers]
        if self.refusal or not self.form.is_valid():
            return None
        if unanswered:
            self.refusal = "Answer the questions first: the sample does not tell."
            return None
        is_activated = "_activate" in request.POST
        _, fresh = self._preview()
        classes = [{"name": name} for name in fresh] if self.adds_classes else []
        try:
            version = import_profile(
                document={
                    "name": self.form.cleaned_data["name"],
                    "spec": self.document,
                    "note": "Proposed from a sample.",
                    "usage_classes": classes,
                },
                by=kit.person(request),
                now=timezone.now(),
                activate=is_activated,
            )
        except UnableToActivate as refusal:
            self.refusal = UnableToPreview("The profile cannot be activated like this.", refusal.faults)
            return None
        except PermissionDenied:
            self.refusal = "You may not add usage classes. Leave them out, and ask somebody who may."
            return None
        added = f" {kit.counted(len(classes), 'usage class')} added." if classes else ""
        state = "a draft; activate it once it reads as you want"
        if is_activated:
            is_active = version.status == ProfileVersion.Status.ACTIVE
            state = "active" if is_active else "a draft: to activate it needs a second person, asked for on its page"
        model_admin.message_user(request, f"{version} is {state}.{added}")
        return version

    # What is shown

    def show(self, model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
        shown, fresh = self._preview()
        context = {
            "form": self.form,
            "wizard": self,
            "refusal": self.refusal,
            "sample": base64.b64encode(self.content).decode(),
            "document": self.typed or json.dumps(self.document, indent=2, ensure_ascii=False),
            "document_rows": 24,
            "record_count": marks.number(self.suggestion.record_count),
            "missing": self._missing(),
            "questions": [self._question(question) for question in self._questions()],
            "format_reasons": [one for one in self.suggestion.reasons if not one.pointer.startswith("/fields")],
            "fields": list(self._field_rows()),
            "unused": self._unused(),
            "fresh_classes": fresh,
            "adds_classes": self.adds_classes,
            "preview": told(shown, SHOWN_RECORDS) if shown else None,
        }
        return page(model_admin, request, "admin/mediation/suggestion.html", "New from a sample", context)

    def _preview(self) -> tuple[Preview | None, list[str]]:
        """What the document makes of the sample, with the classes that are to be added taken for known."""
        content = previewable(self.content)
        try:
            shown = preview(spec=self.document, content=content)
            fresh = _unknown_classes(shown)
            if fresh and self.adds_classes:
                shown = preview(spec=self.document, content=content, assumed_classes=fresh)
        except UnableToPreview as refusal:
            self.refusal = self.refusal or refusal
            return None, []
        return shown, fresh

    def _questions(self) -> list[Question]:
        return open_questions(self.document, self.suggestion)

    def _question(self, question: Question) -> dict[str, Any]:
        chosen = self.answers.get(question.pointer)
        choices = [(place, words, place == chosen) for place, (_, words) in enumerate(question.choices)]
        name = f"answer:{question.pointer}"
        return {"name": name, "was": "" if chosen is None else chosen, "text": question.text, "choices": choices}

    def _missing(self) -> list[str]:
        """What was missing and still is."""
        now = missing_of(self.document.get("fields", {}))
        return [text for text in self.suggestion.missing if text in now]

    def _field_rows(self) -> Iterable[dict[str, Any]]:
        fields = self.document.get("fields", {})
        reasons: dict[str, list[Any]] = {}
        for reason in self.suggestion.reasons:
            if reason.pointer.startswith("/fields/"):
                reasons.setdefault(reason.pointer.split("/")[2], []).append(reason)
        for name in [*FIELD_KINDS, *(name for name in fields if name not in FIELD_KINDS)]:
            mapping = fields.get(name)
            mapping = mapping if isinstance(mapping, dict) else {}
            source = mapping.get("source", "" if not mapping or "literal" in mapping else AS_WRITTEN)
            options = [(column.name, column.name == source, ", ".join(column.examples)) for column in self._columns()]
            is_as_proposed = mapping == self.suggestion.document["fields"].get(name)
            yield {
                "name": name,
                "source": source,
                "options": options,
                "as_written": source == AS_WRITTEN or (source and source not in {one[0] for one in options}),
                "text": mapping.get("literal", ""),
                "reasons": reasons.get(name, []) if is_as_proposed else [],
                "is_mapped": bool(mapping),
            }

    def _columns(self) -> list[Any]:
        return list(self.suggestion.columns)

    def _unused(self) -> list[tuple[str, str]]:
        used = {one.get("source") for one in self.document.get("fields", {}).values() if isinstance(one, dict)}
        return [(column.name, ", ".join(column.examples)) for column in self._columns() if column.name not in used]


def _unknown_classes(shown: Preview) -> list[str]:
    """The usage classes that records name and nobody has made; none where they are too many to be kinds of usage."""
    named = {
        field.value
        for record in shown.records
        if record.reason == "unknown_usage_class"
        for field in record.fields
        if field.name == "UsageClassName" and field.value
    }
    return sorted(named) if len(named) <= MAX_NEW_CLASSES else []
