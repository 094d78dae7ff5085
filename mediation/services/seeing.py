"""Whose usage a person sees: every feed, or those that were granted; every room narrows what it shows by this."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

EVERY_FEED = "ingestion.every_feed"
# Who was granted which feeds: ingestion keeps them, and the roof says so. Called with a person, gives numbers of feeds.
GRANTED: list[Callable[[User], frozenset[int]]] = []


def feeds_seen(by: User | None) -> frozenset[int] | None:
    """The numbers of the feeds whose usage `by` may see; None where that is every feed, also of feeds to come.

    The house itself sees every feed. What was found stays with the person at hand, who lives for one request.
    """
    if by is None or by.has_perm(EVERY_FEED):
        return None
    if not hasattr(by, "_feeds_seen"):
        by._feeds_seen = frozenset[int]().union(*(granted(by) for granted in GRANTED))  # type: ignore[attr-defined]
    return by._feeds_seen  # type: ignore[attr-defined]


def seen(rows: QuerySet[Any], by: User | None, path: str = "feed_id") -> QuerySet[Any]:
    """Those of `rows` that belong to feeds which `by` may see; path: the lookup that leads to the feed's number."""
    feeds = feeds_seen(by)
    return rows if feeds is None else rows.filter(**{f"{path}__in": feeds})


def require_feeds(by: User | None, feed_ids: Iterable[int]) -> None:
    """Raise PermissionDenied unless `by` may see each of the feeds."""
    feeds = feeds_seen(by)
    if feeds is not None and not feeds.issuperset(feed_ids):
        raise PermissionDenied(f"{by} was not granted this feed")
