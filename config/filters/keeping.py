"""Keeping the filter of a list, and taking it away again."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import QueryDict

from config.models import SavedFilter
from config.models.saved_filters import MAX_QUERY
from mediation.services.acting import acts

MOST_OF_ONE = 50  # of one person on one list: more are no help
# What an address says beside its filter: the page turned to, and how a window was opened.
NO_FILTER = ("p", "all", "e", "after", "before", "_popup", "_to_field", "_changelist_filters")


class UnableToSaveFilter(Exception):
    """A filter that cannot be kept; the message says why."""


def filter_in(query: str) -> str:
    """The part of an address's parameters that filters and sorts, "" where nothing does."""
    asked = QueryDict(query[: 4 * MAX_QUERY], mutable=True)
    for name in NO_FILTER:
        asked.pop(name, None)
    for name in [name for name, values in asked.lists() if not any(values)]:
        del asked[name]
    return asked.urlencode()


def filters_of(page: str, by: User) -> QuerySet[SavedFilter]:
    """What a person sees above a list: the own filters and the shared ones."""
    seen = SavedFilter.objects.filter(Q(created_by=by) | Q(is_shared=True), page=page)
    return seen.order_by("name", "pk")


@acts()
def save_filter(*, page: str, query: str, name: str, is_shared: bool, by: User, now: datetime) -> SavedFilter:
    """Keep a filter that the list understands, as its address says it. Raises UnableToSaveFilter."""
    said = filter_in(query)
    if not said:
        raise UnableToSaveFilter("Nothing is filtered. Choose a filter in the list first.")
    if len(said) > MAX_QUERY:
        raise UnableToSaveFilter(f"The filter is longer than {MAX_QUERY:,} characters. Choose fewer values.")
    if not name.strip():
        raise UnableToSaveFilter("A filter needs a name. Say what it shows.")
    if SavedFilter.objects.filter(page=page, created_by=by).count() >= MOST_OF_ONE:
        raise UnableToSaveFilter(f"You keep {MOST_OF_ONE} filters of this list. Take one away first.")
    try:
        with transaction.atomic():
            return SavedFilter.objects.create(
                page=page, name=name.strip(), query=said, is_shared=is_shared, created_at=now, created_by=by
            )
    except IntegrityError:
        raise UnableToSaveFilter(f"You keep a filter “{name.strip()}” of this list. Choose another name.") from None


@acts()
def delete_filter(*, kept: SavedFilter, by: User) -> None:
    """Take one's own filter away. Raises UnableToSaveFilter for another person's."""
    if not SavedFilter.objects.filter(pk=kept.pk, created_by=by).delete()[0]:
        raise UnableToSaveFilter(f"“{kept}” belongs to somebody else, who alone can take it away.")
