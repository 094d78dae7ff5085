"""The page of one group of import exceptions: its records, and what is done with all of it after it was asked."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html

from ingestion import selectors, services
from ingestion.admin.groups import GROUP, asked_group, crumbs, group_url, value_shown, values_of_groups, words_of
from ingestion.models import Feed, ImportException
from ingestion.selectors import Group
from mediation.admin import kit, marks, workbench
from mediation.admin.meanings import meaning_of
from mediation.admin.workbench import IMPORT_BENCH, Act, Action, url_of

RAW_SHOWN = 240
MOST_VALUES = 10


def group_view(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """What a group is, how large it is, what can be done with it, and its records."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    group, feed = asked_group(request)
    rows = selectors.exceptions_of_group(group)
    pages = workbench.page_by_key(request, rows.select_related("usage_import"))
    context = {
        "words": _told(group, feed),
        "meaning": meaning_of(group.code),
        "wider_url": group_url(replace(group, value=None)) if group.value is not None and group.field else "",
        "values": _values_of(group) if group.value is None and group.field else [],
        "facts": _facts(rows, group),
        "actions": actions_for(request, group) if pages.rows else [],
        "panels": [panel(request, group) for panel in IMPORT_BENCH.panels],
        "pages": pages,
        "records": [_record(exception, group) for exception in pages.rows],
        "shows_rest": bool(pages.before_url or pages.after_url),
    }
    return workbench.page(
        model_admin,
        request,
        "admin/ingestion/importexception/group.html",
        title=words_of(group),
        crumbs=crumbs(),
        context=context,
    )


def _told(group: Group, feed: Feed) -> Any:
    """What the group is, as one sentence."""
    link = marks.row_link(feed.name, "ingestion_feed", feed.pk)
    means = meaning_of(group.code)[0]
    if not group.field:
        return format_html("Each of these records of {} {}.", link, means)
    said = format_html(", which reads <code>“{}”</code>", workbench.visible(group.value)) if group.value else ""
    return format_html(
        "Each of these records of {} {}; the field is <strong>{}</strong>{}.", link, means, group.field, said
    )


def _values_of(group: Group) -> list[tuple[Any, str, str]]:
    """The commonest values of a group of any value: each with the group of its own, and how many it has."""
    found = selectors.exception_groups(
        feeds=frozenset([group.feed_id]), code=group.code, field=group.field, most=MOST_VALUES
    )
    return [(value_shown(one.group), group_url(one.group), marks.number(one.count)) for one in found.groups]


def _facts(rows: QuerySet[ImportException], group: Group) -> list[tuple[str, Any]]:
    counted = rows.order_by().aggregate(count=Count("pk"), first=Min("created_at"), last=Max("created_at"))
    retried = rows.filter(next_try_at__isnull=False).count()  # apart: few have a next try, and an index of their own
    of_feed = ImportException.objects.filter(feed_id=group.feed_id, status=ImportException.Status.OPEN).count()
    share = f"{100 * counted['count'] / of_feed:.0f} % of {of_feed:,}" if of_feed else marks.NOTHING
    facts = [
        ("open records", marks.number(counted["count"])),
        ("of the feed's open exceptions", share),
        ("first seen", marks.moment(counted["first"])),
        ("last seen", marks.moment(counted["last"])),
    ]
    value = values_of_groups([(group.feed_id, counted["count"])])[0] if counted["count"] else ""
    more = (("value at risk, estimated", value), ("tried again by themselves", marks.number(retried)))
    return [*facts, *((name, said) for name, said in more if said not in ("", "0"))]


def _record(exception: ImportException, group: Group) -> dict[str, Any]:
    """A line of the group's table: the text around the first place of the offending value."""
    at = exception.raw.find(exception.value) if exception.value else -1
    span = (at, at + len(exception.value)) if at >= 0 else None
    of = {"of": "any"} if group.value is None else {}
    return {
        "link": marks.link(
            f"record {exception.record_number:,}", url_of("ingestion_importexception_change", exception.pk, **of)
        ),
        "import": marks.row_link(
            marks.clipped(exception.usage_import.file_name or f"import {exception.usage_import_id}"),
            "ingestion_usageimport",
            exception.usage_import_id,
        ),
        "raw": workbench.marked(exception.raw, span, RAW_SHOWN),
        "message": exception.message,
        "created": marks.moment(exception.created_at),
        "revisions": exception.revision_count,
    }


def actions_for(request: HttpRequest, group: Group) -> list[Action]:
    """What this person may do with all of a group; what others add stands after the correction by a rule."""
    has = kit.person(request).has_perm
    offered: list[Action] = []
    if has("ingestion.correct_importexception"):
        hint = "Set, map, substitute or compute a field of each record, with a preview"
        offered.append(Action("Correct all by a rule…", group_url(group, f"{GROUP}_rule"), hint, is_main=True))
    for others in IMPORT_BENCH.actions:
        offered += others(request, group)
    is_on_schedule = selectors.exceptions_of_group(group).filter(next_try_at__isnull=False).exists()
    left_out = set() if is_on_schedule else {"stop-retrying"}
    return offered + [
        Action(act.text, group_url(group, f"{GROUP}_act", verb), act.hint)
        for verb, act in ACTS.items()
        if has(act.permission) and verb not in left_out
    ]


# What is done with all of a group


ACTS = {
    "reprocess": Act(
        text="Reprocess all…",
        hint="Mediate each record again, after what was wrong has been set right elsewhere",
        permission="ingestion.reprocess_importexception",
        do=services.reprocess_exceptions,
        lines=(
            "Each is mediated again as it stands, with the Data Profile that is active now.",
            "Those that still fail stay open, with the reason of today.",
        ),
        button="Reprocess",
        done="will be mediated again",
    ),
    "retry-later": Act(
        text="Retry later…",
        hint="Try again by itself, with growing gaps, for two weeks",
        permission="ingestion.review_importexception",
        do=services.retry_later,
        lines=(
            "Each is tried again by itself: after 1, 5 and 15 minutes, 1 and 4 hours, then once a day for two weeks.",
            "Those that go through leave the schedule; the others stay open.",
        ),
        button="Retry later",
        done="will be tried again by itself",
    ),
    "stop-retrying": Act(
        text="Stop retrying…",
        hint="End the schedule of tries",
        permission="ingestion.review_importexception",
        do=services.stop_retrying,
        lines=("They stay open and are not tried again by themselves.",),
        button="Stop retrying",
        done="will not be tried again by itself",
    ),
    "write-off": Act(
        text="Write off all…",
        hint="Give the records up, with a reason",
        permission="ingestion.writeoff_importexception",
        do=services.write_off_exceptions,
        lines=(
            "These records are given up: they will not be charged. The reason is kept with each.",
            "What was written off can be opened again from the list of exceptions.",
        ),
        button="Write off",
        done="written off",
        needs_reason=True,
    ),
}
REFUSALS = (
    services.UnableToReprocess,
    services.UnableToWriteOff,
    services.UnableToRetryLater,
    workbench.RowsMoved,
)


def act_view(model_admin: kit.ModelAdmin, request: HttpRequest, verb: str) -> HttpResponse:
    """Ask before something is done with all of a group, then do it."""
    act = ACTS.get(verb)
    if act is None:
        raise Http404("There is no such thing to do.")
    if not kit.person(request).has_perm(act.permission):
        raise PermissionDenied
    group, feed = asked_group(request)
    rows = selectors.exceptions_of_group(group)
    sent = act.form(request.POST) if request.method == "POST" else None
    refusal = ""
    if sent is not None and sent.is_valid():
        try:
            count = _do(act, sent.rows_told(rows), sent.cleaned_data, kit.person(request), timezone.now())
        except REFUSALS as fault:
            refusal = str(fault)
        else:
            _say(model_admin, request, act, count, group)
            return HttpResponseRedirect(group_url(group))
    lines = [_size(rows, feed), *act.lines]
    return workbench.ask_page(
        model_admin,
        request,
        act.form.asking(request, rows),
        title=act.text.rstrip("…"),
        button=act.button,
        lines=lines,
        cancel_url=group_url(group),
        crumbs=crumbs(group),
        refusal=refusal,
    )


def _do(act: Act, rows: QuerySet[ImportException], answers: dict[str, Any], by: User, now: datetime) -> int:
    count: int = act.do(exceptions=rows, by=by, now=now, **act.reason_of(answers))
    return count


def _size(rows: QuerySet[ImportException], feed: Feed) -> Any:
    count = rows.count()
    value = values_of_groups([(feed.pk, count)])[0] if count else ""
    told = format_html("<strong>{}</strong> of {}", kit.counted(count, "open record"), feed.name)
    if not value:
        return format_html("{}.", told)
    return format_html("{}; value at risk, estimated: <strong>{}</strong>.", told, value)


def _say(model_admin: kit.ModelAdmin, request: HttpRequest, act: Act, count: int, group: Group) -> None:
    if not count:
        said = "None of these records is open any more, or its import is being mediated again; nothing was changed."
        model_admin.message_user(request, said, messages.WARNING)
        return
    link = marks.list_link("See them", "ingestion_importexception", feed__id__exact=group.feed_id, code=group.code)
    model_admin.message_user(request, format_html("{} {}. {}.", kit.counted(count, "record"), act.done, link))
