"""The workbench of rating exceptions: all groups, and one group with its UDRs."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from mediation import services as mediation
from mediation.admin import filters, kit, marks, reviewing, workbench
from mediation.admin.workbench import RATING_BENCH, Action
from mediation.models import UsageClass
from rating import selectors, services
from rating.admin.group_acts import ACTS, act_view
from rating.admin.group_names import (
    CAUSES,
    GROUP,
    GROUPS,
    asked_group,
    crumbs,
    group_of,
    group_url,
    number_in,
    words_of,
)
from rating.models import RatingException
from rating.models.exceptions import BY_IDENTIFIER
from rating.selectors import ExceptionGroup

AGES = {"1": "a day and older", "7": "a week and older", "30": "30 days and older"}
NO_IDENTIFIER = "no identifier"
RETRIED = "tried again by themselves"
MOST_SUBJECT = 110  # characters in the table of groups; the group's page says it all


def urls(model_admin: kit.ModelAdmin) -> list[URLPattern]:
    """The addresses of the workbench, under the list's own."""
    pages: tuple[tuple[str, str, Callable[..., HttpResponse]], ...] = (
        ("groups/", GROUPS, groups_view),
        ("group/", GROUP, group_view),
        ("group/do/<slug:verb>/", f"{GROUP}_act", act_view),
    )
    wrap = model_admin.admin_site.admin_view
    own = [path(address, wrap(partial(view, model_admin)), name=name) for address, name, view in pages]
    return [*own, *reviewing.urls(model_admin, REVIEW)]


# All groups


def groups_view(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """The table of groups of open rating exceptions, the largest first."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    rows = selectors.open_rating_exceptions(feeds=mediation.feeds_seen(kit.person(request)), **_asked(request))
    found, more = selectors.rating_exception_groups(rows)
    feeds = filters.names_seen("feed_id", request)
    classes = dict(UsageClass.objects.order_by("name").values_list("pk", "name"))
    class_choices = {str(pk): name for pk, name in classes.items()}
    return workbench.groups_page(
        model_admin,
        request,
        title="Rating exceptions by group",
        lead="Usage that could not be charged because the same is missing: set that up once, rate the group again, and "
        "all of it is charged. Open exceptions only.",
        columns=("what is missing", "feed", "usage class", "quantity"),
        rows=_rows(found, feeds, classes),
        more=more,
        choices=[
            workbench.choice(request, "feed", "feed", {str(pk): name for pk, name in feeds.items()}),
            workbench.choice(request, "cause", "cause", CAUSES),
            workbench.choice(request, "class", "usage class", class_choices),
            workbench.choice(request, "assigned", "assigned to", {"me": "me", "nobody": "nobody"}),
            workbench.choice(request, "age", "age", AGES),
        ],
        empty="Nothing stands uncharged. UDRs that find no payer, plan or rate are gathered here by what is missing.",
        links=[
            Action("One by one", marks.list_url("rating_ratingexception", status__exact="open")),
            Action("Rerates", marks.list_url("rating_exceptionrerate")),
        ],
    )


def _asked(request: HttpRequest) -> dict[str, Any]:
    """The filters of the address as the selector takes them; what is not understood filters nothing out."""
    asked = request.GET
    age = asked.get("age", "")
    return {
        "feed": number_in(asked.get("feed", "")),
        "cause": asked.get("cause", ""),
        "usage_class": number_in(asked.get("class", "")),
        "assigned_to": {"me": kit.person(request).pk, "nobody": 0}.get(asked.get("assigned", "")),
        "before": timezone.now() - timedelta(days=int(age)) if age in AGES else None,
    }


def _rows(
    found: Sequence[selectors.GroupFigures], feeds: dict[int, str], classes: dict[int, str]
) -> list[workbench.GroupRow]:
    usage = [(one.group.usage_class_id, one.count, one.quantity) for one in found]
    values = RATING_BENCH.values.of_groups(usage) if RATING_BENCH.values and found else [""] * len(found)
    people = User.objects.in_bulk({one.assigned_id for one in found if one.assigned_id})
    return [
        workbench.GroupRow(
            url=group_url(one.group),
            cells=(
                _missing(one.group),
                marks.clipped(feeds.get(one.group.feed_id, str(one.group.feed_id))),
                marks.clipped(classes.get(one.group.usage_class_id, str(one.group.usage_class_id))),
                marks.exact(one.quantity),
            ),
            count=one.count,
            first_at=one.first_at,
            last_at=one.last_at,
            value=value,
            assigned=_assigned(one, people),
        )
        for one, value in zip(found, values, strict=True)
    ]


def _missing(group: ExceptionGroup) -> SafeString | str:
    cause = CAUSES[group.cause]
    if group.cause in BY_IDENTIFIER:
        subject = workbench.cut(group.subject or NO_IDENTIFIER, MOST_SUBJECT)
        return format_html('<span class="lacking">{}: <span class="value">{}</span></span>', cause, subject)
    return format_html('<span class="lacking">{}</span>', workbench.cut(group.subject or cause, MOST_SUBJECT))


def _assigned(one: selectors.GroupFigures, people: dict[int, User]) -> str:
    if one.assigned_id is None:
        return ""
    name = "several people" if one.is_shared else str(people.get(one.assigned_id, "somebody who is gone"))
    return name if one.assigned_count == one.count else f"{name}: {one.assigned_count:,} of them"


# One group


def group_view(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """What a group is, how large it is, what can be done with it, and its UDRs."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    group = asked_group(request)
    rows = selectors.exceptions_of_group(group)
    pages = workbench.page_by_key(request, rows)
    facts = facts_of(rows)
    is_retried = any(name == RETRIED for name, _ in facts)
    context = {
        "words": _told(request, group, pages.rows),
        "facts": facts,
        "actions": actions_for(request, group, is_retried=is_retried) if pages.rows else [],
        "panels": [panel(request, group) for panel in RATING_BENCH.panels],
        "pages": pages,
        "records": [_record(exception) for exception in pages.rows],
    }
    template = "admin/rating/ratingexception/group.html"
    title = capfirst(words_of(group))
    return workbench.page(model_admin, request, template, title=title, crumbs=crumbs(), context=context)


def _told(request: HttpRequest, group: ExceptionGroup, rows: Sequence[RatingException]) -> Any:
    """What the group is, as a sentence, and what its latest message says."""
    feeds = filters.names_seen("feed_id", request)
    feed = marks.row_link(feeds.get(group.feed_id, group.feed_id), "ingestion_feed", group.feed_id)
    name = UsageClass.objects.filter(pk=group.usage_class_id).values_list("name", flat=True).first()
    said = rows[0].message if rows else group.subject
    return format_html(
        "UDRs of {} in class <strong>{}</strong> that could not be charged. {}",
        feed,
        name or group.usage_class_id,
        workbench.cut(said, 600),
    )


def facts_of(rows: QuerySet[RatingException]) -> list[tuple[str, Any]]:
    """How much usage waits, since when, and what it may be worth."""
    counted = rows.order_by().aggregate(
        count=Count("pk"),
        quantity=Sum("value"),
        first=Min("created_at"),
        last=Max("created_at"),
        earliest=Min("udr_date"),
        latest=Max("udr_date"),
        retried=Count("next_try_at"),
        asked=Count("rerate"),
    )
    facts = [
        ("open UDRs", marks.number(counted["count"])),
        ("quantity", marks.exact(counted["quantity"])),
        ("usage from", marks.moment(counted["earliest"])),
        ("usage to", marks.moment(counted["latest"])),
        ("first seen", marks.moment(counted["first"])),
        ("last seen", marks.moment(counted["last"])),
    ]
    value = RATING_BENCH.values.of_rows(rows) if RATING_BENCH.values and counted["count"] else ""
    more = (
        ("value at risk, estimated", value),
        (RETRIED, marks.number(counted["retried"]) if counted["retried"] else ""),
        ("waiting for a rerate", marks.number(counted["asked"]) if counted["asked"] else ""),
    )
    return [*facts, *((name, said) for name, said in more if said)]


def _record(exception: RatingException) -> dict[str, Any]:
    return {
        "link": marks.row_link(f"exception {exception.pk}", "rating_ratingexception", exception.pk),
        "udr": marks.row_link(exception.udr_id, "mediation_udr", exception.udr_id),
        "date": marks.moment(exception.udr_date),
        "identifier": exception.identifier or marks.NOTHING,
        "value": marks.exact(exception.value),
        "message": workbench.cut(exception.message, 160),
        "import": marks.row_link(f"import {exception.import_id}", "ingestion_usageimport", exception.import_id),
        "attempts": exception.attempts,
    }


def actions_for(request: HttpRequest, group: ExceptionGroup, *, is_retried: bool) -> list[Action]:
    """What this person may do with all of a group; what others add stands first: it mends the cause."""
    has = kit.person(request).has_perm
    offered: list[Action] = []
    for others in RATING_BENCH.actions:
        offered += others(request, group)
    offered += [
        Action(act.text, group_url(group, f"{GROUP}_act", verb), act.hint, is_main=verb == "rerate")
        for verb, act in ACTS.items()
        if has(act.permission) and (is_retried or verb != "stop-retrying")
    ]
    return offered + reviewing.group_actions(REVIEW, request, group)


REVIEW = reviewing.Review(
    model="rating_ratingexception",
    may_review="rating.review_ratingexception",
    may_clear="rating.rerate_ratingexception",
    assign=services.assign_exceptions,
    comment_one=services.comment_exception,
    comment_all=services.comment_group,
    asked=asked_group,
    group_of=group_of,
    rows_of=selectors.exceptions_of_group,
    comments_on=selectors.comments_on_group,
    url_for=group_url,
    words_of=words_of,
    crumbs=crumbs,
)
RATING_BENCH.panels.append(partial(reviewing.group_panel, REVIEW))
RATING_BENCH.record_panels.append(partial(reviewing.record_panel, REVIEW))
