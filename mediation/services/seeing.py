"""Whose usage a person sees: every feed, or those that were granted; every room narrows what it shows by this."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

EVERY_FEED = "ingestion.every_feed"
# Who was granted which feeds: ingestion keeps them, and the roof says so. Called with a person, gives numbers of feeds.
GRANTED: list[Callable[[User], frozenset[int]]] = []
# Which Data Profiles read the usage of these feeds and of no others: ingestion knows, and says so.
PROFILES_OF_FEEDS: list[Callable[[frozenset[int]], Iterable[int]]] = []


def feeds_seen(by: User | None) -> frozenset[int] | None:
    """The numbers of the feeds whose usage `by` may see; None where that is every feed, also of feeds to come.

    The house itself sees every feed. What was found stays with the person at hand, who lives for one request.
    """
    if by is None or by.has_perm(EVERY_FEED):
        return None
    if not hasattr(by, "_feeds_seen"):
        by._feeds_seen = _granted(by)  # type: ignore[attr-defined]
    return by._feeds_seen  # type: ignore[attr-defined]


def _granted(by: User) -> frozenset[int]:
    return frozenset[int]().union(*(granted(by) for granted in GRANTED))


def narrow(by: User, *, permissions: frozenset[str] | None, feeds: frozenset[int] | None) -> None:
    """Let `by` do and see less than the user may, as long as this object lives: never more, superusers included.

    permissions, feeds: what is left, as app.codename and as numbers; None leaves them as they are.
    """
    full = by.has_perm

    def has_perm(permission: str, obj: Any = None) -> bool:
        # Which feeds are seen is said by `feeds` alone: no list of permissions has to name every feed.
        is_left = feeds is None if permission == EVERY_FEED else permissions is None or permission in permissions
        return is_left and full(permission, obj)

    def get_all_permissions(obj: Any = None) -> set[str]:
        return {one for one in type(by).get_all_permissions(by, obj) if has_perm(one, obj)}

    if feeds is not None:
        by._feeds_seen = feeds if full(EVERY_FEED) else feeds & _granted(by)  # type: ignore[attr-defined]
    by.has_perm = has_perm  # type: ignore[method-assign, assignment]
    by.get_all_permissions = get_all_permissions  # type: ignore[method-assign, assignment]


def seen(rows: QuerySet[Any], by: User | None, path: str = "feed_id") -> QuerySet[Any]:
    """Those of `rows` that belong to feeds which `by` may see; path: the lookup that leads to the feed's number."""
    feeds = feeds_seen(by)
    return rows if feeds is None else rows.filter(**{f"{path}__in": feeds})


def seen_by_profile(rows: QuerySet[Any], by: User | None) -> QuerySet[Any]:
    """Those of `rows` whose Data Profile reads feeds that `by` may see, and no others.

    For what holds usage and knows its profile alone; of a profile without feeds it may be anybody's.
    """
    feeds = feeds_seen(by)
    if feeds is None:
        return rows
    return rows.filter(profile_id__in={pk for profiles in PROFILES_OF_FEEDS for pk in profiles(feeds)})


def require_feeds(by: User | None, feed_ids: Iterable[int]) -> None:
    """Raise PermissionDenied unless `by` may see each of the feeds."""
    feeds = feeds_seen(by)
    if feeds is not None and not feeds.issuperset(feed_ids):
        raise PermissionDenied(f"{by} was not granted this feed")
