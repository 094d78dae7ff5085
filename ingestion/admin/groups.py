"""The groups of import exceptions: how one is called and found, and the table of all of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html

from ingestion import selectors
from ingestion.models import Feed, ImportException
from ingestion.selectors import Group
from mediation import services as mediation
from mediation.admin import kit, marks, workbench
from mediation.admin.workbench import IMPORT_BENCH, Action, url_of
from mediation.core.codes import Code

NO_VALUE, ANY_VALUE = "no value", "any value"
BY_VALUE, BY_FIELD = "value", "field"
AGES = {"1": "a day and older", "7": "a week and older", "30": "30 days and older"}
GROUPS = "ingestion_importexception_groups"
GROUP = "ingestion_importexception_group"


def group_url(group: Group, name: str = GROUP, *args: Any) -> str:
    """The address of a group's page, or of another page about the group."""
    value = {} if group.value is None else {"value": group.value}
    return url_of(name, *args, feed=group.feed_id, code=group.code, field=group.field, **value)


def group_of(exception: ImportException) -> Group:
    return Group(exception.feed_id, exception.code, exception.field, exception.value)


def asked_group(request: HttpRequest) -> tuple[Group, Feed]:
    """The group that the address names, and its feed; 404 where there is no such feed for this person."""
    asked = request.GET
    number = asked.get("feed", "")
    feeds = mediation.seen(Feed.objects.select_related("profile"), kit.person(request), "pk")
    feed = feeds.filter(pk=number).first() if number.isdecimal() and len(number) < 18 else None
    if feed is None or not asked.get("code") or any("\0" in text for text in asked.values()):
        raise Http404("There is no such group.")
    return Group(feed.pk, asked["code"], asked.get("field", ""), asked.get("value")), feed


def words_of(group: Group) -> str:
    """A group in a few words, for headings and links."""
    where = f" in {group.field}" if group.field else ""
    value = ", any value" if group.value is None and group.field else ""
    return f"{named(group.code)}{where}" + (f": “{workbench.visible(group.value)}”" if group.value else value)


def named(code: str) -> str:
    return code.replace("_", " ")


def crumbs(group: Group | None = None) -> list[tuple[str, str]]:
    """The way back from a page of the workbench."""
    way = [("By group", url_of(GROUPS))]
    return way if group is None else [*way, (words_of(group), group_url(group))]


# All groups


def groups_view(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """The table of groups of open exceptions, the largest first."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    person = kit.person(request)
    feeds, seen = feed_names(person), mediation.feeds_seen(person)
    any_value = request.GET.get("by") == BY_FIELD
    found = selectors.exception_groups(feeds=seen, any_value=any_value, **_asked(request))
    holders = selectors.holders_of_groups(seen, any_value=any_value)
    return workbench.groups_page(
        model_admin,
        request,
        title="Import exceptions by group",
        lead="Records that failed for the same reason: mend one group, and all of its records go through.",
        columns=("why", "offending value", "feed"),
        rows=_rows(found.groups, feeds, holders),
        more=found.more_count,
        choices=[
            workbench.choice(request, "feed", "feed", {str(pk): name for pk, name in feeds.items()}),
            workbench.choice(request, "code", "code", {code.value: named(code.value) for code in Code}),
            workbench.choice(request, "assigned", "assigned to", {"me": "me", "nobody": "nobody"}),
            workbench.choice(request, "age", "age", AGES),
        ],
        empty="No open exceptions. Records that cannot become a UDR are gathered here by what is wrong with them, so "
        "that one correction clears them all.",
        links=[
            Action("One by one", marks.list_url("ingestion_importexception", status__exact="open")),
            Action("Group corrections", marks.list_url("ingestion_groupcorrection")),
        ],
        context={
            "tabs": workbench.tabs(
                request, "by", {BY_VALUE: "Each offending value apart", BY_FIELD: "All values of a field together"}
            )
        },
    )


def feed_names(by: User) -> dict[int, str]:
    return dict(mediation.seen(Feed.objects.order_by("name"), by, "pk").values_list("pk", "name"))


def _asked(request: HttpRequest) -> dict[str, Any]:
    """The filters of the address as the selector takes them; what is not understood filters nothing out."""
    asked = request.GET
    number, age = asked.get("feed", ""), asked.get("age", "")
    assigned = {"me": kit.person(request).pk, "nobody": 0}.get(asked.get("assigned", ""))
    return {
        "feed": int(number) if number.isdecimal() and len(number) < 18 else None,
        "code": asked.get("code") or None,
        "assigned_to": assigned,
        "before": timezone.now() - timedelta(days=int(age)) if age in AGES else None,
    }


def _rows(
    groups: Sequence[selectors.CountedGroup], feeds: dict[int, str], holders: dict[Group, str]
) -> list[workbench.GroupRow]:
    values = values_of_groups([(counted.group.feed_id, counted.count) for counted in groups])
    return [
        workbench.GroupRow(
            url=group_url(counted.group),
            cells=(
                _why(counted.group),
                value_shown(counted.group),
                marks.clipped(feeds.get(counted.group.feed_id, str(counted.group.feed_id))),
            ),
            count=counted.count,
            first_at=counted.first_created_at,
            last_at=counted.last_created_at,
            value=value,
            assigned=holders.get(counted.group, ""),
        )
        for counted, value in zip(groups, values, strict=True)
    ]


def values_of_groups(counts: Sequence[tuple[int, int]]) -> Sequence[str]:
    """What groups may be worth, of each its feed and how many records it has."""
    return IMPORT_BENCH.values.of_groups(counts) if IMPORT_BENCH.values and counts else [""] * len(counts)


def _why(group: Group) -> str:
    return f"{named(group.code)} in {group.field}" if group.field else named(group.code)


def value_shown(group: Group) -> Any:
    if not group.value:
        return format_html('<span class="quiet">{}</span>', ANY_VALUE if group.value is None else NO_VALUE)
    return format_html('<span class="value value-cell">{}</span>', workbench.visible(group.value))
