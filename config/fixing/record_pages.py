"""The page that mends a group of import exceptions at its source, and reprocesses it."""

import json
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.fixing import value_maps
from config.fixing.offers import Mend, mends_for_code
from config.fixing.reading import Sample, UnableToMend, sample_of
from config.fixing.record_forms import SECTIONS, Section, told_fault
from ingestion.admin.groups import asked_group, crumbs, group_url, words_of
from ingestion.models import ImportException
from ingestion.selectors import Group, exceptions_of_group
from ingestion.services import reprocess_exceptions
from mediation.admin import kit, marks, previews, workbench
from mediation.admin.workbench import Action
from mediation.core.differences import MISSING
from mediation.models import ProfileVersion
from mediation.services import UnableToActivate
from mediation.services.approving import NeedsSecondPerson

PAGE = "fix_records"
MAY = "ingestion.reprocess_importexception"


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """The address of the page."""
    return [path("fix/records/", site.admin_view(records_page), name=PAGE)]


def actions(request: HttpRequest, group: Group) -> list[Action]:
    """The way here from a group's page, where there is something to mend that the person may."""
    has = kit.person(request).has_perms
    sections = [SECTIONS[mend] for mend in _mends(group)]
    if not any(has((*section.permissions, MAY)) for section in sections):
        return []
    hint = "Change the profile, a lookup table or what is set up, so that no more records end here"
    return [Action("Fix it at the source…", group_url(group, PAGE), hint)]


def records_page(request: HttpRequest) -> HttpResponse:
    """Every mend that applies to the group, each with its form; the one that was sent is previewed or done."""
    person = kit.person(request)
    if not person.has_perm("ingestion.view_importexception") or not person.has_perm(MAY):
        raise PermissionDenied
    group, feed = asked_group(request)
    sample = sample_of(group, feed)
    wanted = request.POST.get("mend", "") if request.method == "POST" else ""
    shown: list[dict[str, Any]] = []
    for section in _sections(group, person) if sample else []:
        sent = request.POST if wanted == section.mend else None
        form = section.form(sample, sent)  # type: ignore[arg-type]
        if form is None:
            continue
        form.auto_id = f"id_{section.mend}_%s"  # several forms on one page name a field alike
        told: dict[str, Any] = {"section": section, "form": form}
        if sent is not None and form.is_valid():
            answer = _answer(request, sample, section, form, told)  # type: ignore[arg-type]
            if answer is not None:
                return answer
        shown.append(told)
    if wanted and not any(told["section"].mend == wanted for told in shown):
        raise PermissionDenied
    return _page(request, group, sample, shown)


def _mends(group: Group) -> tuple[Mend, ...]:
    """Those for the group's code; one entry or row mends one value, so there are none for a group of any value."""
    return mends_for_code(group.code) if group.value is not None else ()


def _sections(group: Group, person: User) -> list[Section]:
    sections = [SECTIONS[mend] for mend in _mends(group)]
    return [section for section in sections if person.has_perms(section.permissions)]


def _answer(
    request: HttpRequest, sample: Sample, section: Section, form: forms.Form, told: dict[str, Any]
) -> HttpResponse | None:
    """Do what was sent and go back to the group; None, with what is to be shown in `told`, where that is not all."""
    by, now = kit.person(request), timezone.now()
    try:
        if section.do is None:
            return _map_entry(request, sample, section.mend, form, told, by, now)
        said = section.do(sample, form, by, now)
    except UnableToMend as refusal:
        told["refusal"] = told_fault(refusal)
        return None
    count = reprocess_exceptions(exceptions=exceptions_of_group(sample.group), by=by, now=now)
    return _back(request, sample.group, said, count)


def _map_entry(
    request: HttpRequest,
    sample: Sample,
    mend: Mend,
    form: forms.Form,
    told: dict[str, Any],
    by: User,
    now: datetime,
) -> HttpResponse | None:
    """First what the entry would change is shown; asked for again, it is drafted, activated and the group mediated."""
    entry = {"key": form.cleaned_data["key"], "to": form.cleaned_data["to"]}
    if "_activate" not in request.POST:
        told["proposal"] = _told_proposal(value_maps.propose_entry(sample=sample, mend=mend, **entry))
        return None
    version = value_maps.draft_entry(sample=sample, mend=mend, by=by, **entry)
    link = marks.row_link(version, "mediation_profileversion", version.pk)
    try:
        count = value_maps.activate_and_reprocess(version=version, sample=sample, by=by, now=now)
    except NeedsSecondPerson:
        messages.info(request, format_html("{} was drafted. Reprocess the group once it is active.", link))
        raise
    except UnableToActivate as refusal:
        messages.error(request, format_html("{} was drafted, but not activated. {}", link, str(refusal)))
        return HttpResponseRedirect(group_url(sample.group))
    return _back(request, sample.group, format_html("{} is active", link), count)


def _told_proposal(proposal: value_maps.Proposal) -> dict[str, Any]:
    return {
        "differences": [(one.pointer, _shown(one.before), _shown(one.after)) for one in proposal.differences],
        "preview": previews.told(proposal.preview) if proposal.preview else None,
        "broken": proposal.broken,
    }


def _shown(value: Any) -> str:
    return marks.NOTHING if value is MISSING else json.dumps(value, ensure_ascii=False)


def _back(request: HttpRequest, group: Group, said: SafeString, count: int) -> HttpResponse:
    records = kit.counted(count, "record")
    link = marks.list_link("See what becomes of them", "ingestion_importexception", feed__id__exact=group.feed_id)
    messages.success(request, format_html("{}; {} will be mediated again. {}.", said, records, link))
    return HttpResponseRedirect(group_url(group))


def _page(request: HttpRequest, group: Group, sample: Sample | None, shown: list[dict[str, Any]]) -> HttpResponse:
    context = {
        "words": words_of(group),
        "count": marks.number(exceptions_of_group(group).count()),
        "facts": _facts(sample),
        "sections": shown,
        "group_url": group_url(group),
        "empty": _empty(sample),
        "noun": "open records",
    }
    model_admin: Any = admin.site._registry[ImportException]
    template = "admin/fixing/page.html"
    title = "Fix it at the source"
    return workbench.page(model_admin, request, template, title=title, crumbs=crumbs(group), context=context)


def _facts(sample: Sample | None) -> list[tuple[str, Any]]:
    if sample is None:
        return []
    version: ProfileVersion = sample.version
    mapping = sample.mapping
    return [
        ("feed", marks.row_link(sample.feed, "ingestion_feed", sample.feed.pk)),
        ("read by", marks.row_link(version, "mediation_profileversion", version.pk)),
        ("field", sample.group.field or marks.NOTHING),
        ("comes from", ", ".join(mapping.sources) if mapping else marks.NOTHING),
    ]


def _empty(sample: Sample | None) -> str:
    if sample is None:
        return "The feed's profile has no active version that can be read. Activate one, then reprocess the group."
    if sample.group.value is None:
        return "Each value is mended apart. Go back to the groups, and choose one with a single value."
    return "Nothing outside of these records would mend them. Correct them, or change the profile's document."
