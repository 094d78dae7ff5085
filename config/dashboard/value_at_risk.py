"""What exceptions and uncharged usage may be worth: an estimate, by what records like them were charged of late."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from django.db.models import Count, QuerySet, Sum

from config.models import ChargeEstimate

HOW = (
    "Estimated: each record at the average charge of its feed, or its quantity at the average price of its class, "
    "over what was charged in the last 30 days."
)
NOTHING = Decimal(0)
CENT, WIDE = Decimal("0.01"), Context(prec=60)  # sums of charges have up to 38 digits


@dataclass(frozen=True)
class Estimate:
    """What records of a feed or a class were charged in all, in the currency that most charges are in.

    quantity: in the unit of the class; of a feed it adds up units of several classes and says nothing.
    """

    currency: str
    record_count: int
    quantity: Decimal
    amount: Decimal

    def of_records(self, count: int) -> Decimal:
        """What so many records would come to, unrounded."""
        return self.amount * count / self.record_count if self.record_count else NOTHING

    def of_usage(self, quantity: Decimal, count: int) -> Decimal:
        """What a quantity would come to; where none was ever charged for, as many records as it came in."""
        return self.amount * quantity / self.quantity if self.quantity > 0 else self.of_records(count)


@dataclass(frozen=True)
class Estimates:
    """All that is known to estimate by; every value is in its currency, None where nothing was charged of late."""

    by_feed: Mapping[int, Estimate]
    by_class: Mapping[int, Estimate]

    @property
    def currency(self) -> str | None:
        return next((one.currency for one in (*self.by_feed.values(), *self.by_class.values())), None)

    def value_of_records(self, counts: Mapping[int, int]) -> Decimal | None:
        """What records may be worth, to the cent. counts: how many by feed. None: of none of the feeds is it known."""
        known = self.by_feed
        return _sum([known[feed].of_records(count) for feed, count in counts.items() if feed in known])

    def knows_records(self, counts: Mapping[int, int]) -> bool:
        """Whether the records of each of these feeds can be estimated, so that the value leaves none out."""
        return all(feed in self.by_feed and self.by_feed[feed].record_count > 0 for feed in counts)

    def knows_usage(self, usage: Mapping[int, tuple[int, Decimal]]) -> bool:
        """The same of usage classes."""
        return all(kind in self.by_class and self.by_class[kind].record_count > 0 for kind in usage)

    def value_of_usage(self, usage: Mapping[int, tuple[int, Decimal]]) -> Decimal | None:
        """The same of UDRs. usage: by class, how many and their quantity in the unit of the class."""
        known = self.by_class
        return _sum(
            [known[kind].of_usage(quantity, count) for kind, (count, quantity) in usage.items() if kind in known]
        )


def estimates() -> Estimates:
    """What was charged by feed and by class over the last 30 days, as workers counted it last."""
    by_feed, by_class = {}, {}
    for row in ChargeEstimate.objects.all():
        known = Estimate(row.currency, row.record_count, row.quantity, row.amount)
        if row.feed_id is not None:
            by_feed[row.feed_id] = known
        elif row.usage_class_id is not None:
            by_class[row.usage_class_id] = known
    return Estimates(by_feed, by_class)


def average_charge_by_feed() -> Mapping[int, Estimate]:
    """What is known of each feed that was charged for in the last 30 days, by its number."""
    return estimates().by_feed


def average_charge_by_class() -> Mapping[int, Estimate]:
    """What is known of each usage class that was charged for in the last 30 days, by its number."""
    return estimates().by_class


def currency_of_estimates() -> str | None:
    """The currency of every value here; None where nothing was charged to estimate by."""
    return ChargeEstimate.objects.values_list("currency", flat=True).first()


def value_of_import_exceptions(queryset: QuerySet[Any]) -> Decimal | None:
    """What the records of these import exceptions may be worth, to the cent; their class is unknown, their feed counts.

    None where nothing was charged to estimate by. It counts the rows of `queryset`: of whole groups, whose counts are
    known already, ask `values_of_groups`.
    """
    return values_of_groups([_counts_by_feed(queryset)])[0]


def value_of_rating_exceptions(queryset: QuerySet[Any]) -> Decimal | None:
    """What the UDRs of these rating exceptions may be worth, to the cent: their quantity at their class's price."""
    return values_of_usage([_usage_by_class(queryset)])[0]


def whole_value_of_import_exceptions(queryset: QuerySet[Any]) -> Decimal | None:
    """The same for whoever decides by it: None as soon as of one of the feeds nothing is known.

    A sum without what is unknown is less than the rows may be worth: what nobody knows would count as nothing.
    """
    known, counts = estimates(), _counts_by_feed(queryset)
    return known.value_of_records(counts) if known.knows_records(counts) else None


def whole_value_of_rating_exceptions(queryset: QuerySet[Any]) -> Decimal | None:
    """The same of rating exceptions: None as soon as of one of the usage classes nothing is known."""
    known, usage = estimates(), _usage_by_class(queryset)
    return known.value_of_usage(usage) if known.knows_usage(usage) else None


def _counts_by_feed(queryset: QuerySet[Any]) -> dict[int, int]:
    return dict(queryset.order_by().values("feed_id").annotate(n=Count("pk")).values_list("feed_id", "n"))


def _usage_by_class(queryset: QuerySet[Any]) -> dict[int, tuple[int, Decimal]]:
    rows = queryset.order_by().values("usage_class_id").annotate(n=Count("pk"), quantity=Sum("value"))
    return {row["usage_class_id"]: (row["n"], row["quantity"]) for row in rows}


def values_of_groups(counts_by_feed: Iterable[Mapping[int, int]]) -> list[Decimal | None]:
    """What the records of each group may be worth, to the cent. Of each group: feed to how many records.

    None for a group none of whose feeds was charged for.
    """
    known = estimates()
    return [known.value_of_records(counts) for counts in counts_by_feed]


def values_of_usage(usage_by_class: Iterable[Mapping[int, tuple[int, Decimal]]]) -> list[Decimal | None]:
    """The same of groups of UDRs. Of each group: usage class to how many records and their quantity."""
    known = estimates()
    return [known.value_of_usage(usage) for usage in usage_by_class]


def _sum(values: list[Decimal]) -> Decimal | None:
    return sum(values, NOTHING).quantize(CENT, context=WIDE) if values else None
