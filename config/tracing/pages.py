"""The pages that find a record and tell its life; the box in the header of every page leads to them."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from config.tracing.finding import Place, Record, record_at
from config.tracing.life import Life, Step, life_of
from config.tracing.searching import MOST, SECONDS, SPANS, Found, Group, Match, may_search, search
from ingestion.models import UsageImport
from mediation.admin import kit, marks
from mediation.services.seeing import seen
from rating.admin.explaining import told, told_fact
from rating.core.explaining import Fact

LARGEST = 2**63 - 1


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """The addresses of the search and of a record's life."""
    return [
        path("trace/", site.admin_view(search_page), name="trace"),
        path("trace/<int:import_id>/<int:number>/", site.admin_view(record_page), name="trace_record"),
    ]


def search_page(request: HttpRequest) -> HttpResponse:
    """What a term names, by kind; straight to the record where it names one."""
    person = kit.person(request)
    if not may_search(person):
        raise PermissionDenied
    term, months = request.GET.get("q", "").strip(), _months(request)
    found = search(term, by=person, now=timezone.now(), months=months)
    only = found.only
    if only is not None and (address := _address(request, only)):
        return redirect(address)
    context = {
        **admin.site.each_context(request),
        "title": f"Find “{term[:80]}”" if term else "Find a record",
        "term": term,
        "months": months,
        "spans": SPANS,
        "groups": [_told_group(request, group) for group in found.groups],
        "most": MOST,
        "searched": _searched(found) if term else "",
    }
    return TemplateResponse(request, "admin/trace/search.html", context)


def _months(request: HttpRequest) -> int:
    asked = request.GET.get("months", "")
    return int(asked) if asked in map(str, SPANS) else SPANS[0]


def _searched(found: Found) -> str:
    """How far back usage was searched by identifier, in words."""
    if found.searched_since is None:
        return ""
    since = f"Usage was searched by identifier back to {found.searched_since:%Y-%m-%d} (UTC)"
    if found.searched_since == found.since:
        return f"{since}."
    why = "no more fit on the page" if any(group.has_more for group in found.groups) else f"{SECONDS} seconds were over"
    return f"{since} and not to {found.since:%Y-%m-%d}, as {why}. A tracking id, UDR or file line is found at once."


def _told_group(request: HttpRequest, group: Group) -> dict[str, Any]:
    return {
        "title": group.title,
        "has_more": group.has_more,
        "matches": [
            {
                "text": match.text,
                "detail": match.detail,
                "at": marks.moment(match.at),
                "url": _address(request, match),
            }
            for match in group.matches
        ],
    }


def _address(request: HttpRequest, match: Match) -> str:
    """The record's life, else the page of what was found, where the reader may see that."""
    if match.place is not None:
        return _address_of(match.place)
    return str(told_fact(request, Fact("found", "", about=match.about))["url"]) if match.about else ""


def _address_of(place: Place) -> str:
    return reverse("admin:trace_record", args=place)


def record_page(request: HttpRequest, import_id: int, number: int) -> HttpResponse:
    """A record's whole life."""
    person = kit.person(request)
    if not may_search(person):
        raise PermissionDenied
    if max(import_id, number) > LARGEST:
        raise Http404("There is no such record.")
    record = record_at(Place(import_id, number), seen(UsageImport.objects.all(), person))
    if record is None:
        raise Http404("There is no such record, or it came by a feed that you were not granted.")
    life = life_of(record, person)
    context = {
        **admin.site.each_context(request),
        "title": f"Record {number:,} of {record.usage_import.file_name or record.usage_import.tracking_id}",
        "record": record,
        "standing": [marks.badge(status, words) for status, words in life.standing],
        "steps": [_told_step(request, step) for step in life.steps],
        "withheld": life.withheld,
        "links": _links(request, record, life),
    }
    return TemplateResponse(request, "admin/trace/record.html", context)


def _told_step(request: HttpRequest, step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "title": step.title,
        "at": marks.moment(step.at) if step.at else "",
        "badge": marks.badge(step.status),
        "tone": marks.TONE_OF.get(step.status, "neutral"),
        "facts": [told_fact(request, fact) for fact in step.facts],
        "chapters": [told(request, chapter) for chapter in step.chapters],
        "records": [
            (f"record {place.number:,} of import {place.import_id}", _address_of(place)) for place in step.records
        ],
    }


def _links(request: HttpRequest, record: Record, life: Life) -> list[tuple[str, str]]:
    """The neighbours, and the import's own page."""
    may = kit.person(request).has_perm
    links = []
    if may("ingestion.view_usageimport"):
        links.append(("Import", reverse("admin:ingestion_usageimport_change", args=[record.usage_import.pk])))
    if record.number > 1:
        links.append(("Record before", _address_of(Place(record.usage_import.pk, record.number - 1))))
    links.append(("Record after", _address_of(Place(record.usage_import.pk, record.number + 1))))
    if may("ingestion.correct_importexception"):
        still_open = [one for one in record.exceptions if one.status == "open"]
        links += [("Correct", reverse("admin:ingestion_importexception_correct", args=[one.pk])) for one in still_open]
    return links
