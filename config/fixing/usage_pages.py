"""The page that mends what a group of rating exceptions lacks, and rates it again."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode

from config.fixing import identifiers
from config.fixing.offers import Mend, mends_for_cause
from config.fixing.reading import UnableToMend
from mediation.admin import kit, marks, workbench
from mediation.admin.workbench import Action
from mediation.models import UsageClass
from rating.admin.groups import asked_group, crumbs, facts_of, group_url, words_of
from rating.models import Account, PlanVersion, RatePlan, RatingException, Service
from rating.selectors import ExceptionGroup, exceptions_of_group
from rating.services import UnableToRerate, ask_rerate

PAGE = "fix_usage"
MAY = "rating.rerate_ratingexception"
MOST_LINKS = 10
PLAN_NAMED = re.compile(r"^Plan “(.*?)” ")

Link = tuple[Any, str]


@dataclass(frozen=True)
class Section:
    """A mend as its page shows it: what it says, what it takes, and where it leads or what it asks."""

    mend: Mend
    title: str
    lead: str
    button: str
    permissions: tuple[str, ...]
    links: Callable[[HttpRequest, ExceptionGroup], list[Link]]


class GiveForm(forms.Form):
    """To which service, and from when to when."""

    service = forms.ModelChoiceField(queryset=Service.objects.none(), widget=forms.RadioSelect, empty_label=None)
    identifier = forms.CharField(strip=False)
    starts_at = forms.DateTimeField(label="Owned from", help_text="As a rule the first usage of the group.")
    ends_at = forms.DateTimeField(label="Owned before", required=False, help_text="Empty: no end.")

    def __init__(self, *args: Any, term: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["service"]
        field.queryset = identifiers.services_found(term)
        field.label_from_instance = _service_told


def _service_told(service: Service) -> str:
    return f"{service} of {service.account}, {_span_of(service)}"


def _span_of(service: Service) -> str:
    until = f" to {timezone.localtime(service.ends_at):%Y-%m-%d}" if service.ends_at else ""
    return f"since {timezone.localtime(service.starts_at):%Y-%m-%d}{until}"


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """The address of the page."""
    return [path("fix/usage/", site.admin_view(usage_page), name=PAGE)]


def actions(request: HttpRequest, group: ExceptionGroup) -> list[Action]:
    """The way here from a group's page, where there is something to mend that the person may."""
    has = kit.person(request).has_perms
    if not any(has((*SECTIONS[mend].permissions, MAY)) for mend in mends_for_cause(group.cause)):
        return []
    return [
        Action("Fix it at the source…", group_url(group, PAGE), "Set up what is missing, then rate the group again")
    ]


def usage_page(request: HttpRequest) -> HttpResponse:
    """What is missing, and how it is set up; the identifier can be given to a service here."""
    person = kit.person(request)
    if not person.has_perm("rating.view_ratingexception") or not person.has_perm(MAY):
        raise PermissionDenied
    group = asked_group(request)
    offered = [SECTIONS[mend] for mend in mends_for_cause(group.cause)]
    sections = [section for section in offered if person.has_perms(section.permissions)]
    told = [_told(request, group, section) for section in sections]
    if request.method == "POST":
        giving = next((one for one in told if one["form"] is not None), None)
        if giving is None:
            raise PermissionDenied
        if giving["form"].is_valid() and (answer := _give(request, group, giving)):
            return answer
    context = {
        "words": words_of(group),
        "count": marks.number(exceptions_of_group(group).count()),
        "facts": facts_of(exceptions_of_group(group)),
        "sections": told,
        "group_url": group_url(group),
        "empty": "Nothing that could be set up here would charge this usage. Look at the message of its exceptions.",
        "noun": "open UDRs",
    }
    model_admin: Any = admin.site._registry[RatingException]
    template = "admin/fixing/page.html"
    title = "Fix it at the source"
    return workbench.page(model_admin, request, template, title=title, crumbs=crumbs(group), context=context)


def _told(request: HttpRequest, group: ExceptionGroup, section: Section) -> dict[str, Any]:
    told: dict[str, Any] = {"section": section, "links": section.links(request, group), "form": None}
    if section.mend == Mend.PLAN:
        told["snippet"] = _snippet(group)
    identifier = identifiers.identifier_of(group) if section.mend == Mend.IDENTIFIER else ""
    if not identifier:
        return told
    term = request.GET.get("q", "")[:200]
    sent = request.POST if request.method == "POST" else None
    initial = {"identifier": identifier, "starts_at": identifiers.earliest_usage(group)}
    form = GiveForm(sent, term=term, initial=initial, auto_id=f"id_{section.mend}_%s")
    found = form.fields["service"].queryset.count()  # type: ignore[attr-defined]
    told["search"] = {"q": term, "kept": _kept(request), "told": _found(found) if term else ""}
    told["form"] = form if term and found else None
    return told


def _kept(request: HttpRequest) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in request.GET.items() if name != "q"]


def _found(count: int) -> str:
    if not count:
        return "Nothing was found. Services are made inside an account."
    most = f"The first {count} are below; say more to find others." if count == identifiers.MOST_SERVICES else ""
    return most or f"{kit.counted(count, 'service')} found."


def _give(request: HttpRequest, group: ExceptionGroup, told: dict[str, Any]) -> HttpResponse | None:
    """Give the identifier, rate the group again, and go back to it; None where it cannot be given."""
    by, now = kit.person(request), timezone.now()
    try:
        given = identifiers.give_identifier(**told["form"].cleaned_data, by=by, now=now)
    except UnableToMend as refusal:
        told["refusal"] = str(refusal)
        return None
    link = marks.row_link(given, "rating_serviceidentifier", given.pk)
    said = format_html("{} belongs to {} now", link, given.service)
    try:
        asked = ask_rerate(exceptions=exceptions_of_group(group), group=group, by=by, now=now)
    except UnableToRerate as refusal:
        messages.warning(request, format_html("{}. {}", said, str(refusal)))
        return HttpResponseRedirect(group_url(group))
    follow = marks.row_link("Follow it", "rating_exceptionrerate", asked.pk)
    count = kit.counted(asked.exception_count, "UDR")
    messages.success(request, format_html("{}; {} will be rated again. {}.", said, count, follow))
    return HttpResponseRedirect(group_url(group))


# Where one goes to set up what is missing


def _holders(request: HttpRequest, group: ExceptionGroup) -> list[Link]:
    """Who had the identifier before and after: whose validity could be widened."""
    found = []
    for one in identifiers.holders_of(identifiers.identifier_of(group))[: identifiers.MOST_HOLDERS]:
        until = timezone.localtime(one.ends_at).strftime("%Y-%m-%d %H:%M:%S") if one.ends_at else "no end"
        since = timezone.localtime(one.starts_at).strftime("%Y-%m-%d %H:%M:%S")
        link = marks.row_link(f"{one.service} of {one.service.account}", "rating_serviceidentifier", one.pk)
        found.append((link, f"had it from {since} to {until}; its service is there {_span_of(one.service)}"))
    return found


def _payers(request: HttpRequest, group: ExceptionGroup) -> list[Link]:
    """The services and accounts of the group, to be given a plan."""
    of_group = exceptions_of_group(group).order_by()
    services = Service.objects.filter(pk__in=of_group.values("service_id")).select_related("account")[:MOST_LINKS]
    accounts = _accounts(request, group)
    plans: list[Link] = [(marks.list_link("Rate plans", "rating_rateplan"), "one of them may become the default plan")]
    told = [(marks.row_link(one, "rating_service", one.pk), f"service of {one.account}") for one in services]
    return [*accounts, *told, *plans]


def _accounts(request: HttpRequest, group: ExceptionGroup) -> list[Link]:
    of_group = exceptions_of_group(group).order_by()
    accounts = Account.objects.filter(pk__in=of_group.values("account_id")).order_by("number")[:MOST_LINKS]
    return [(marks.row_link(one, "rating_account", one.pk), "account") for one in accounts]


def _plan_versions(request: HttpRequest, group: ExceptionGroup) -> list[Link]:
    """The plan's drafts, or the way to draft one from the version that is active."""
    plan = _plan_of(group)
    if plan is None:
        return _accounts(request, group)
    drafts = plan.versions.filter(status=PlanVersion.Status.DRAFT).order_by("-number")[:MOST_LINKS]
    links: list[Link] = [
        (marks.row_link(one, "rating_planversion", one.pk), "draft: add what is missing, activate it") for one in drafts
    ]
    newest = plan.versions.exclude(status=PlanVersion.Status.DRAFT).order_by("-number").first()
    if newest is not None and kit.person(request).has_perm("rating.add_planversion"):
        address = f"{reverse('admin:rating_planversion_add')}?{urlencode({'from': newest.pk})}"
        links.append((marks.link(f"New draft from {newest}", address), "add what is missing, activate it"))
    return [*links, (marks.row_link(plan, "rating_rateplan", plan.pk), "the plan")]


def _plan_of(group: ExceptionGroup) -> RatePlan | None:
    """The plan that the message names: the exception itself does not keep it."""
    message: Iterable[str] = exceptions_of_group(group).values_list("message", flat=True)[:1]
    named = next((PLAN_NAMED.match(said) for said in message), None)
    return RatePlan.objects.filter(name=named.group(1)).first() if named else None


def _snippet(group: ExceptionGroup) -> Any:
    """The rate that is missing, as a plan's document would have it; nothing where a group or a zone is."""
    if group.cause != RatingException.Cause.NO_RATE or "none has a rate for class" not in group.subject:
        return None
    name = UsageClass.objects.filter(pk=group.usage_class_id).values_list("name", flat=True).first()
    return format_html(
        '<pre class="raw">{}</pre>',
        json.dumps({"usage_class": name, "model": "per_unit", "price": "0.00"}, indent=2, ensure_ascii=False),
    )


CHANGE_PLAN = ("rating.change_planversion",)
SECTIONS = {
    section.mend: section
    for section in (
        Section(
            mend=Mend.IDENTIFIER,
            title="Give the identifier to a service",
            lead="Usage with it is charged to the account of the service, from the moment that you say.",
            button="Give it and rate the group again",
            permissions=("rating.add_serviceidentifier",),
            links=lambda request, group: [],
        ),
        Section(
            mend=Mend.HOLDERS,
            title="Who had the identifier, and when",
            lead="Widen the validity of one, or of its service, then rerate the group; or give the identifier to "
            "another service below.",
            button="",
            permissions=("rating.view_serviceidentifier",),
            links=_holders,
        ),
        Section(
            mend=Mend.PAYER_PLAN,
            title="Give the account or the service a rate plan",
            lead="Set the plan of one of these, then rerate the group.",
            button="",
            permissions=("rating.change_account",),
            links=_payers,
        ),
        Section(
            mend=Mend.PLAN,
            title="Add what the rate plan lacks",
            lead="A plan is changed by a new version: draft it, add what is missing, activate it from the date of the "
            "usage on, then rerate the group.",
            button="",
            permissions=CHANGE_PLAN,
            links=_plan_versions,
        ),
        Section(
            mend=Mend.ACCOUNT,
            title="The account had its final bill",
            lead="Reopen the account by taking its closing away, or give the identifier to another account; then "
            "rerate the group.",
            button="",
            permissions=("rating.change_account",),
            links=_accounts,
        ),
    )
}
