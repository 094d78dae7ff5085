"""Open exceptions by what is wrong with them."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Count, Max, Min, Q, QuerySet, Window

from ingestion.models import ExceptionComment, ImportException

MOST_GROUPS = 200  # on one page


@dataclass(frozen=True)
class Group:
    """Open exceptions alike: of a feed, with the same code, UDR field at fault and offending value (clipped).

    A value of None is any: where each record has another text, such as 1,5 and 2,5, one rule still mends them all.
    """

    feed_id: int
    code: str
    field: str
    value: str | None


@dataclass(frozen=True)
class CountedGroup:
    """A group with how many open exceptions it has, and when the first and the last of them were met."""

    group: Group
    count: int
    first_created_at: datetime
    last_created_at: datetime


@dataclass(frozen=True)
class Groups:
    """The largest groups first; more_count: how many smaller ones there are beside them."""

    groups: tuple[CountedGroup, ...]
    more_count: int


GROUP_FIELDS = ("feed_id", "code", "field", "value")


def exception_groups(
    *,
    feeds: frozenset[int] | None,
    feed: int | None = None,
    code: str | None = None,
    field: str | None = None,
    assigned_to: int | None = None,
    before: datetime | None = None,
    any_value: bool = False,
    most: int = MOST_GROUPS,
) -> Groups:
    """Open exceptions by what is wrong with them, the largest groups first, at most `most` of them.

    feeds: those that may be seen, None is every feed. assigned_to: the number of a person, 0 is nobody. before: only
    exceptions that were met before then. any_value: whatever the offending value, so that there are fewer groups.
    """
    rows = ImportException.objects.filter(status=ImportException.Status.OPEN)
    rows = rows if feeds is None else rows.filter(feed_id__in=feeds)
    rows = rows if feed is None else rows.filter(feed_id=feed)
    rows = rows if code is None else rows.filter(code=code)
    rows = rows if field is None else rows.filter(field=field)
    rows = rows if before is None else rows.filter(created_at__lt=before)
    if assigned_to is not None:
        rows = rows.filter(assigned_to=assigned_to or None)
    names = GROUP_FIELDS[:-1] if any_value else GROUP_FIELDS
    counted = (
        rows.order_by()
        .values(*names)
        .annotate(count=Count("pk"), first=Min("created_at"), last=Max("created_at"), groups=Window(Count("*")))
    )
    found = list(counted.order_by("-count", *names)[:most])
    groups = tuple(
        CountedGroup(Group(*(row.get(name) for name in GROUP_FIELDS)), row["count"], row["first"], row["last"])
        for row in found
    )
    return Groups(groups, found[0]["groups"] - len(groups) if found else 0)


def exceptions_of_group(group: Group) -> QuerySet[ImportException]:
    """The open exceptions of a group."""
    rows = ImportException.objects.filter(
        status=ImportException.Status.OPEN, feed_id=group.feed_id, code=group.code, field=group.field
    )
    return rows if group.value is None else rows.filter(value=group.value)


def comments_on_group(group: Group) -> QuerySet[ExceptionComment]:
    """What was said about a group as a whole, or about those with any value of its field, the latest first."""
    of_value = Q(value=None) if group.value is None else Q(value=None) | Q(value=group.value)
    said = ExceptionComment.objects.filter(
        of_value, exception=None, feed_id=group.feed_id, code=group.code, field=group.field
    )
    return said.select_related("created_by").order_by("-pk")


def holders_of_groups(feeds: frozenset[int] | None, *, any_value: bool = False) -> dict[Group, str]:
    """Who has open exceptions of each group that anybody has: a name, or "several people"."""
    names_of_key = GROUP_FIELDS[:-1] if any_value else GROUP_FIELDS
    held = ImportException.objects.filter(status=ImportException.Status.OPEN, assigned_to__isnull=False)
    held = held if feeds is None else held.filter(feed_id__in=feeds)
    rows = held.order_by().values(*names_of_key).annotate(first=Min("assigned_to"), last=Max("assigned_to"))
    found = {Group(*(row.get(name) for name in GROUP_FIELDS)): (row["first"], row["last"]) for row in rows}
    names = dict(User.objects.filter(pk__in={first for first, _ in found.values()}).values_list("pk", "username"))
    return {
        group: names.get(first, "somebody who is gone") if first == last else "several people"
        for group, (first, last) in found.items()
    }
