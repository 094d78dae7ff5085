"""Correcting all of a group by a rule: the rule's form, what it would come to, and asking for it."""

import hashlib
import json
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from ingestion import selectors, services
from ingestion.admin.corrections import rule_words
from ingestion.admin.groups import asked_group, crumbs, group_url, named, words_of
from ingestion.admin.rule_forms import FORMS, KINDS, MapForm, RuleForm
from ingestion.selectors import Group
from mediation.admin import kit, marks, workbench

RULE = "ingestion_importexception_group_rule"
SHOWN = 20
CHANGED = "The rule was changed since it was previewed. Look at what it comes to now, then ask for it."


class AskForm(forms.Form):
    """Why, beside the rule itself. previewed: of which rule the outcome was seen; told_last: up to which exception."""

    reason = forms.CharField(
        max_length=2000, widget=forms.TextInput(attrs={"size": 60}), help_text="Kept with each of the corrections."
    )
    previewed = forms.CharField(required=False, widget=forms.HiddenInput)
    told_last = forms.IntegerField(required=False, widget=forms.HiddenInput)


def rule_view(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """The form of a rule for a group; previewed as often as one likes, then asked for."""
    if not kit.person(request).has_perm("ingestion.correct_importexception"):
        raise PermissionDenied
    group, feed = asked_group(request)
    kind = request.GET.get("kind", next(iter(KINDS)))
    if kind not in FORMS:
        raise Http404("There is no such kind of rule.")
    rows = selectors.exceptions_of_group(group)
    first = rows.select_related("usage_import", "feed").order_by("pk").first()
    if first is None:
        return HttpResponseRedirect(group_url(group))
    form = _form(kind, request, group, services.read_of(exception=first), services.sources_of_feed(feed=feed))
    ask = AskForm(request.POST if "_ask" in request.POST else None)
    told: dict[str, Any] = {}
    if request.method == "POST" and "_more" not in request.POST and form.is_valid():
        answer = _answer(model_admin, request, group, form, ask)
        if isinstance(answer, HttpResponse):
            return answer
        told = answer
    context = {
        "form": form,
        "ask": told.get("ask", ask),
        "is_map": isinstance(form, MapForm),
        "tabs": workbench.tabs(request, "kind", KINDS),
        "count_text": kit.counted(rows.count(), "record"),
        "feed": feed,
        "group_url": group_url(group),
        "group_words": words_of(group),
    }
    return workbench.page(
        model_admin,
        request,
        "admin/ingestion/importexception/rule.html",
        title="Correct all by a rule",
        crumbs=crumbs(group),
        context=context | told,
    )


def _form(kind: str, request: HttpRequest, group: Group, reading: services.Reading, sources: list[str]) -> RuleForm:
    """The form as sent, or begun with what the group is about."""
    begun = {"field": next(iter(reading.faulted_sources), None), "from_0": group.value or ""}
    return FORMS[kind](request.POST or None, sources=sources, initial=begun)


def _answer(
    model_admin: kit.ModelAdmin, request: HttpRequest, group: Group, form: RuleForm, ask: AskForm
) -> HttpResponse | dict[str, Any]:
    """Ask for a correction whose outcome was seen; or what a rule would come to, for the page."""
    rule = form.document()
    try:
        if "_ask" in request.POST and ask.is_valid():
            last_id = ask.cleaned_data["told_last"]
            if ask.cleaned_data["previewed"] == digest(rule) and last_id is not None:
                return _asked(model_admin, request, group, rule, ask.cleaned_data["reason"], last_id)
            return {**_previewed(group, rule, ask), "refusal": CHANGED}
        return _previewed(group, rule, ask)
    except services.FaultyRuleError as refusal:
        form.blame(refusal.faults)
        return {}
    except (services.UnableToFix, services.UnableToPreviewRule) as refusal:
        return {"refusal": str(refusal)}


def digest(rule: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest()


def _asked(
    model_admin: kit.ModelAdmin, request: HttpRequest, group: Group, rule: dict[str, Any], reason: str, last_id: int
) -> HttpResponse:
    by, now = kit.person(request), timezone.now()
    correction = services.ask_correction(group=group, rule=rule, reason=reason, by=by, now=now, last_id=last_id)
    said = f"{kit.counted(correction.record_count, 'record')} will be corrected and mediated again."
    model_admin.message_user(request, said)
    return HttpResponseRedirect(reverse("admin:ingestion_groupcorrection_change", args=[correction.pk]))


# What a rule would come to


def _previewed(group: Group, rule: dict[str, Any], ask: AskForm) -> dict[str, Any]:
    """The preview, and the form that asks for just this rule."""
    # Before the preview: what comes while it is made is not in it for sure.
    last_id = selectors.exceptions_of_group(group).order_by().aggregate(last=Max("pk"))["last"]
    shown = services.preview_rule(group=group, rule=rule, limit=SHOWN)
    seen = {"previewed": digest(rule), "told_last": last_id}
    again = AskForm({"reason": ask.data.get("reason", ""), **seen} if ask.is_bound else None, initial=seen)
    changed = shown.sample_count - shown.outcomes.get("unchanged", 0)
    return {"preview": told(shown, rule), "ask": again, "can_ask": changed > 0}


LOOKS = (
    ("imported", "imported", "would be imported"),
    ("exception", "exceptions", "still exceptions"),
    ("skipped", "skipped", "skipped"),
    ("duplicate", "duplicates", "duplicates"),
    ("unchanged", "waiting", "unchanged by the rule"),
)


def told(shown: services.RulePreview, rule: dict[str, Any]) -> dict[str, Any]:
    """A preview as its page takes it."""
    parts = [(look, name, shown.outcomes.get(outcome, 0)) for outcome, look, name in LOOKS]
    if shown.sample_count == shown.group_count:
        words = f"{kit.counted(shown.group_count, 'record')}, each looked at."
    else:
        words = (
            f"One of every {shown.every:,} was looked at: {shown.sample_count:,} of "
            f"{kit.counted(shown.group_count, 'record')}."
        )
    return {
        "rule": rule_words(rule),
        "words": words,
        "bar": workbench.bar(parts),
        "counts": [(look, name, marks.number(count)) for look, name, count in parts],
        "codes": [(named(code), marks.number(count)) for code, count in shown.still],
        "shown_words": f"The first {len(shown.records)} of them, before and after",
        "records": [_sampled(one) for one in shown.records],
    }


def _sampled(one: services.Sampled) -> dict[str, Any]:
    before, after = workbench.difference(one.before, one.after)
    return {
        "link": marks.row_link(f"record {one.record_number:,}", "ingestion_importexception", one.exception_id),
        "before": before,
        "after": after,
        "badge": marks.badge(one.outcome),
        "message": workbench.cut(f"{named(one.code)}: {one.message}" if one.code else one.message, 300),
    }
