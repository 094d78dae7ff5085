"""How much counts of a record: its counter before and after it, rounded, less what the rate leaves free."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rating.core.plans.spec import Rate

from .quantities import ZERO


class NoCount(Exception):
    """What the rate counts is missing in the record, or is no number; the message says which field."""


@dataclass(slots=True)
class Counter:
    """How far a counter has come (COUNTERS, SEEN). A new one has come nowhere; a rate that restarts with each record
    gets a new one for each.

    level: what the aggregation has come to: of `each` the rated quantity so far; of weighted sums quantity x seconds;
    with windows their joined result. held: of weighted sums, the sum of what was counted. position: units priced, or
    the base of which a share was priced. records: those priced. at: the date of the latest. credit: paid from buckets
    of money. members: of unique counts. windows: a counter for each window (`within`), by its start as a text that
    sorts by time.

    Where the aggregation carries over, a period begins with `records` 0 and the last period's level (latest), held
    (weighted_sum) or members (unique_count); nothing else.
    """

    level: Decimal = ZERO
    position: Decimal = ZERO
    records: int = 0
    at: datetime | None = None
    held: Decimal = ZERO
    credit: Decimal = ZERO
    members: set[str] = field(default_factory=set)
    windows: dict[str, Counter] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """What pricing reads of one record (a UDR, or a part of one), as in MATCHED.

    counted: null where the field is missing. starts_at, ends_at: bounds of the time that the counter covers: the
    billing period, or the hour or day with which it restarts; only weighted sums read them. window: the start of the
    hour or day (`within`) as a text that sorts by time.
    """

    date: datetime
    counted: Decimal | None
    amount: Decimal | None = None
    cost: Decimal | None = None
    member: str | None = None
    part: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    window: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What a record does to its counter. rated_quantity = free_quantity + what buckets and prices are for.

    quantity: the record's own (each) or the counter's, before any rounding. total: the counter's rated quantity with
    the record. Falling aggregations (latest, weighted_sum) make rated and free quantities below zero.
    """

    quantity: Decimal
    rated_quantity: Decimal
    free_quantity: Decimal
    total: Decimal
    level: Decimal
    held: Decimal
    window: Counted | None = None

    @property
    def remaining(self) -> Decimal:
        """What is left for buckets and prices."""
        return self.rated_quantity - self.free_quantity


def count(rate: Rate, counter: Counter, record: Record) -> Counted:
    """What the record counts; the counter stays as it is. Raises NoCount."""
    raise NotImplementedError


def advance(counter: Counter, record: Record, counted: Counted, used: Decimal, credit: Decimal = ZERO) -> None:
    """Move the counter on by a record that was priced. used: `Cost.used`. credit: paid from money, or given back (-)."""
    raise NotImplementedError


def priced_quantity(rate: Rate, quantity: Decimal) -> Decimal:
    """A quantity after transform and rounding rule, to 6 decimals."""
    raise NotImplementedError
