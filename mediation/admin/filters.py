"""Filters of the lists: a range of days, and numbers that another room has names for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from django.contrib.admin import FieldListFilter, RelatedFieldListFilter, SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from mediation.core.codes import Code
from mediation.models import UdrBatch
from mediation.services.seeing import feeds_seen


@dataclass(frozen=True)
class Naming:
    """What a number stands for: the names by number, and the admin model that shows one of them."""

    names: Callable[[], dict[int, str]]
    model: str


# The UDR carries numbers of things that mediation does not know, such as its feed. The room that owns the thing says
# here what they are called, so that the waist need not import it.
NAMINGS: dict[str, Naming] = {}


def names_seen(field: str, request: HttpRequest) -> dict[int, str]:
    """The names of the numbers in `field`; of feeds only those that the person may see."""
    naming = NAMINGS.get(field)
    names = naming.names() if naming else {}
    feeds = feeds_seen(cast(User, request.user)) if field == "feed_id" else None
    return names if feeds is None else {number: name for number, name in names.items() if number in feeds}


class FeedFilter(RelatedFieldListFilter):
    """Filters by feed, offering those that the person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        feeds = feeds_seen(cast(User, request.user))
        narrowed = {} if feeds is None else {"pk__in": feeds}
        return list(field.get_choices(include_blank=False, ordering=("name",), limit_choices_to=narrowed))


class NamedNumberFilter(FieldListFilter):
    """Filters by a number, offering the names that its room gave it; without names it only shows what a link chose."""

    def __init__(
        self, field: Any, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any, field_path: str
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = self.field_path.removesuffix("_id").replace("_", " ")
        chosen: Any = self.used_parameters.get(self.field_path)
        self.chosen: str | None = chosen[-1] if isinstance(chosen, list) else chosen
        self.names = names_seen(self.field_path, request)

    @property
    def number(self) -> int | None:
        return int(self.chosen) if self.chosen is not None and self.chosen.isdecimal() else None

    def expected_parameters(self) -> list[Any]:
        return [self.field_path]

    def has_output(self) -> bool:
        return bool(self.names) or self.chosen is not None

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield {
            "selected": self.chosen is None,
            "query_string": changelist.get_query_string(remove=[self.field_path]),
            "display": "All",
        }
        choices = {str(value): name for value, name in self.names.items()}
        if self.chosen is not None:
            choices.setdefault(self.chosen, f"{self.title} {self.chosen}")
        for value, name in sorted(choices.items(), key=lambda pair: pair[1]):
            yield {
                "selected": self.chosen == value,
                "query_string": changelist.get_query_string({self.field_path: value}),
                "display": name,
            }


class BatchIdFilter(NamedNumberFilter):
    """Filters by import through the ids of its batches: ids begin with the batch, and there is no index by import."""

    id_bits: int

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        if self.number is None:
            return super().queryset(request, queryset)
        batches = UdrBatch.objects.filter(import_id=self.number).aggregate(first=Min("pk"), last=Max("pk"))
        if batches["first"] is None:
            return queryset.none()
        first, end = batches["first"] << self.id_bits, (batches["last"] + 1) << self.id_bits
        return queryset.filter(import_id=self.number, pk__gte=first, pk__lt=end)


class DayRangeFilter(FieldListFilter):
    """From one day to another, both included, in the current time zone; with three usual ranges as links."""

    template = "admin/day_range_filter.html"

    def __init__(
        self, field: Any, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.from_name, self.to_name = f"{field_path}__from", f"{field_path}__to"
        super().__init__(field, request, params, model, model_admin, field_path)
        self.others = [
            (name, value)
            for name, values in request.GET.lists()
            for value in values
            if name not in (self.from_name, self.to_name, "p")
        ]
        self.from_text, self.to_text = (self._text(name) for name in (self.from_name, self.to_name))

    def _text(self, name: str) -> str:
        value: Any = self.used_parameters.get(name, "")
        return value[-1] if isinstance(value, list) else value

    def expected_parameters(self) -> list[Any]:
        return [self.from_name, self.to_name]

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        today = timezone.localdate()
        ranges = {
            "Any day": ("", ""),
            "Today": (today.isoformat(), today.isoformat()),
            "Past 7 days": ((today - timedelta(days=6)).isoformat(), today.isoformat()),
            "This month": (today.replace(day=1).isoformat(), today.isoformat()),
        }
        for display, (first, last) in ranges.items():
            yield {
                "selected": (self.from_text, self.to_text) == (first, last),
                "query_string": changelist.get_query_string(
                    {self.from_name: first or None, self.to_name: last or None}
                ),
                "display": display,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.from_text:
            queryset = queryset.filter(**{f"{self.field_path}__gte": start_of(self.from_text)})
        if self.to_text:
            queryset = queryset.filter(**{f"{self.field_path}__lt": start_of(self.to_text, days_later=1)})
        return queryset


def start_of(day: str, *, days_later: int = 0) -> datetime:
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(day) + timedelta(days=days_later), time.min))
    except (ValueError, OverflowError) as fault:
        raise IncorrectLookupParameters(fault) from fault


class CodeFilter(SimpleListFilter):
    """Filters by one of the known exception codes; asking the table which it holds would read all of it."""

    title = parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code.value, code.value.replace("_", " ")) for code in Code]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(code=self.value()) if self.value() else queryset
