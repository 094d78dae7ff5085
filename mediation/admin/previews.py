"""The page that previews pasted rows or a sample by a profile version, and the table that any preview is shown in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from mediation.admin import kit, marks
from mediation.core.previewing import Preview, PreviewedRecord
from mediation.core.reading.unpacking import UnpackError, unpack_sample
from mediation.core.spec import FIELD_KINDS
from mediation.models import ProfileVersion
from mediation.services import golden_samples
from mediation.services.previewing import MAX_BYTES, MAX_RECORDS, UnableToPreview, preview

MOST_DETAILS = 200  # records whose steps are written out; the page would grow beyond what a browser likes
MOST_SHOWN_CHARS = 200_000  # of an uploaded sample, put where it can be edited


@dataclass(frozen=True)
class Price:
    """What a UDR would cost: an amount and who would pay by which plan, or no amount and why."""

    amount: Decimal | None
    currency: str
    words: str


# Set by the roof, which sees rating: UDRS of a preview and the time -> the price of each by record number.
PRICING: list[Callable[[pl.DataFrame, datetime], dict[int, Price]]] = []


class PreviewForm(forms.Form):
    rows = forms.CharField(
        required=False,
        strip=False,
        label="Rows",
        widget=forms.Textarea(attrs={"rows": 8, "class": "code", "spellcheck": "false"}),
        help_text=f"As a file holds them, with its header. At most {MAX_RECORDS:,} records are looked at.",
    )
    file = forms.FileField(
        required=False,
        label="Or a sample file",
        help_text="At most 1 MiB, unpacked; it may be packed as gz, zip or zst.",
    )
    as_rows = forms.BooleanField(
        required=False, label="Each line is a record, as in a request: no header", initial=False
    )

    def clean(self) -> dict[str, Any]:
        answers = super().clean() or {}
        if not answers.get("rows", "").strip() and not answers.get("file"):
            raise forms.ValidationError("Paste some rows, or choose a file.")
        if answers.get("file") and answers["file"].size > MAX_BYTES:
            raise forms.ValidationError("The file is larger than 1 MiB. Take its first rows.")
        return answers


class KeepForm(forms.Form):
    name = forms.CharField(max_length=200, help_text="What it guards, such as: calls across midnight.")
    note = forms.CharField(max_length=500, required=False)


def preview_page(model_admin: kit.ModelAdmin, request: HttpRequest, version: ProfileVersion) -> HttpResponse:
    """Preview a version's reading of a sample; keep what it shows as a golden sample."""
    if not model_admin.has_view_permission(request, version):
        raise PermissionDenied
    form = PreviewForm(request.POST or None, request.FILES or None)
    # Only of a draft may anything be changed.
    can_activate = model_admin.has_change_permission(request, version)
    context: dict[str, Any] = {"form": form, "version": version, "can_activate": can_activate}
    if request.method == "POST" and form.is_valid():
        try:
            content = _sample(form, version)
            shown = preview(spec=version.spec, content=content, as_rows=form.cleaned_data["as_rows"])
        except UnableToPreview as refusal:
            context["refusal"] = refusal
        else:
            is_kept = "_keep" in request.POST and isinstance(content, str)
            if is_kept and (kept := _keep(model_admin, request, version, str(content), form.cleaned_data["as_rows"])):
                return kept
            can_keep = isinstance(content, str) and _may_keep(request)
            context |= {"preview": told(shown), "keep_form": KeepForm() if can_keep else None}
    title = f"Preview of {version}"
    return page(model_admin, request, "admin/mediation/preview.html", title, context | {"original": version})


def _may_keep(request: HttpRequest) -> bool:
    return kit.person(request).has_perm("mediation.add_goldensample")


def _sample(form: PreviewForm, version: ProfileVersion) -> bytes | str:
    """The sample's text, put where it can be edited; its bytes where it is too long, or not in the encoding."""
    upload = form.cleaned_data["file"]
    if not upload:
        return str(form.cleaned_data["rows"]).replace("\r\n", "\n")
    try:
        content = unpack_sample(upload.read(), MAX_BYTES)
    except UnpackError as refusal:
        raise UnableToPreview(str(refusal)) from None
    encoding = version.spec.get("format", {}).get("encoding", "utf-8") if isinstance(version.spec, dict) else "utf-8"
    try:
        text = content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return content
    if len(text) > MOST_SHOWN_CHARS or "\0" in text:
        return content
    edited: Any = form.data
    form.data = edited = edited.copy()
    edited["rows"] = text
    return text


def _keep(
    model_admin: kit.ModelAdmin, request: HttpRequest, version: ProfileVersion, content: str, as_rows: bool
) -> HttpResponse | None:
    answers = KeepForm(request.POST)
    if not answers.is_valid():
        model_admin.message_user(request, "A golden sample needs a name. Say what it guards.", messages.ERROR)
        return None
    try:
        sample = golden_samples.keep_golden_sample(
            profile=version.profile,
            name=answers.cleaned_data["name"],
            content=content,
            is_rows=as_rows,
            spec=version.spec,
            note=answers.cleaned_data["note"],
            by=kit.person(request),
            now=timezone.now(),
        )
    except golden_samples.UnableToKeepSample as refusal:
        model_admin.message_user(request, str(refusal), messages.ERROR)
        return None
    model_admin.message_user(request, f"{sample} is kept. Versions that read it otherwise cannot be activated.")
    return HttpResponseRedirect(reverse("admin:mediation_goldensample_change", args=[sample.pk]))


def page(
    model_admin: kit.ModelAdmin, request: HttpRequest, template: str, title: str, context: dict[str, Any]
) -> TemplateResponse:
    """A page of our own that belongs to a model."""
    frame = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": title}
    return TemplateResponse(request, template, {**frame, **context})


# What is shown of a preview


def told(shown: Preview, most: int = MAX_RECORDS) -> dict[str, Any]:
    """A preview as its template takes it: counts and reasons of all records, and a row for each of the first `most`."""
    prices = PRICING[0](shown.udrs, timezone.now()) if PRICING else {}
    counts = shown.counts
    bar = {
        "imported": counts["imported"],
        "exceptions": counts["exception"],
        "skipped": counts["skipped"],
        "duplicates": counts["duplicate"],
    }
    return {
        "bar": marks.outcome_bar(bar),
        "counts": [(name, marks.number(count)) for name, count in bar.items()],
        "record_count": marks.number(len(shown.records)),
        "is_cut": shown.is_cut,
        "reasons": [_reason(*reason) for reason in shown.reasons],
        "totals": _totals(prices),
        "records": list(_records(shown, prices, most)),
        "has_prices": bool(prices),
        "most_rows": most if len(shown.records) > most else None,
        "most_details": MOST_DETAILS if min(most, len(shown.records)) > MOST_DETAILS else None,
    }


def _reason(outcome: str, reason: str, count: int) -> dict[str, Any]:
    """A filter or code with its count; a code leads to the open exceptions of that code."""
    address = ""
    if outcome == "exception":
        try:
            address = marks.list_url("ingestion_importexception", code__exact=reason)
        except NoReverseMatch:
            address = ""
    return {"outcome": outcome, "name": reason, "count": marks.number(count), "url": address}


def _totals(prices: dict[int, Price]) -> list[str]:
    sums: dict[str, Decimal] = {}
    for price in prices.values():
        if price.amount is not None:
            sums[price.currency] = sums.get(price.currency, Decimal(0)) + price.amount
    return [f"{marks.exact(amount)} {currency}" for currency, amount in sorted(sums.items())]


def _records(shown: Preview, prices: dict[int, Price], most: int) -> Iterator[dict[str, Any]]:
    for place, record in enumerate(shown.records[:most]):
        price = prices.get(record.number)
        yield {
            "number": marks.number(record.number),
            "badge": marks.badge(record.outcome),
            "words": _words(record),
            "raw": marks.raw(record.raw),
            "raw_short": marks.raw(record.raw, 80),
            "price": price and (f"{marks.exact(price.amount)} {price.currency}" if price.amount is not None else "–"),
            "price_words": price.words if price else "",
            "is_refused": price is not None and price.amount is None,
            "details": list(_fields(record)) if place < MOST_DETAILS else None,
        }


def _words(record: PreviewedRecord) -> str:
    if record.outcome == "skipped":
        return f"by the filter {record.reason}"
    where = f"{record.field}: " if record.field else ""
    return f"{record.reason} – {where}{record.message}" if record.outcome == "exception" else record.message


def _fields(record: PreviewedRecord) -> Iterator[dict[str, Any]]:
    """In the order of the UDR; the database keeps none of a profile's own."""
    order = list(FIELD_KINDS)
    for field in sorted(record.fields, key=lambda one: order.index(one.name) if one.name in order else len(order)):
        yield {
            "name": field.name,
            "origin": field.origin,
            "is_at_fault": record.outcome == "exception" and record.field == field.name,
            "steps": [(step.name, "–" if step.text is None else step.text) for step in field.steps],
            "value": "–" if field.value is None else field.value,
        }
