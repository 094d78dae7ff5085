"""How much counts of a record: its counter before and after it, rounded, less what the rate leaves free."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from rating.core.plans.spec import Rate

from .quantities import EXACT, ZERO, exactly, rounded, transformed


class NoCount(Exception):
    """What the rate counts is missing in the record, or is no number; the message says which field."""


@dataclass(slots=True)
class Counter:
    """How far a counter has come (COUNTERS, SEEN). A new one has come nowhere.

    A rate that restarts with each record gets a new counter for each.

    level: what the aggregation has come to: of `each` the rated quantity so far; of weighted sums quantity x seconds;
    with windows their joined result. held: of weighted sums, the sum of what was counted. position: units priced, or
    the base of which a share was priced. records: those priced. at: the date of the latest. credit: paid from buckets
    of money. members: of unique counts. windows: a counter for each window (`within`), by its start as a text that
    sorts by time.

    Where the aggregation carries over, a period begins with `records` 0 and the last period's level and at (latest),
    held (weighted_sum) or members (unique_count); nothing else.
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


class Counted(NamedTuple):
    """What a record does to its counter. rated_quantity = free_quantity + what buckets and prices are for.

    quantity: the record's own (each) or the counter's, before any rounding. total: the rated quantity of the record
    (each) or of the counter with it. Falling aggregations (latest, weighted_sum) make rated and free quantities below
    zero. level, held, window_level: what the counter and its window come to.
    """

    quantity: Decimal
    total: Decimal
    rated_quantity: Decimal
    free_quantity: Decimal
    level: Decimal
    held: Decimal = ZERO
    window_level: Decimal | None = None

    @property
    def remaining(self) -> Decimal:
        """What is left for buckets and prices."""
        return EXACT.subtract(self.rated_quantity, self.free_quantity)


@exactly
def count(rate: Rate, counter: Counter, record: Record) -> Counted:
    """What the record counts; the counter stays as it is. Raises NoCount.

    each: by itself. Other functions: by how much the record raises the rounded quantity of the counter, which is zero
    before the first record. Free units are the part of the counter's rated quantity up to `free_units`.
    """
    if rate.aggregation.function == "each":
        quantity = _number(rate, record)
        total = priced_quantity(rate, quantity)
        return Counted(quantity, total, total, _free(rate, counter.level, counter.level + total), counter.level + total)
    level, held, window_level = _levels(rate, counter, record)
    quantity = measured(rate, level, record)
    total = priced_quantity(rate, quantity)
    before = priced_quantity(rate, measured(rate, counter.level, record)) if counter.records else ZERO
    return Counted(quantity, total, total - before, _free(rate, before, total), level, held, window_level)


@exactly
def advance(counter: Counter, record: Record, counted: Counted, used: Decimal, credit: Decimal = ZERO) -> None:
    """Move the counter on by a record that was priced. used: `Cost.used`. credit: paid from money; given back: below 0.

    A refused record is not told here: it uses up nothing.
    """
    counter.level = counted.level
    counter.held = counted.held
    counter.position += used
    counter.credit += credit
    _pass(counter, record)
    if record.window is None:
        seen = counter
    else:
        seen = counter.windows.setdefault(record.window, Counter())
        seen.level = ZERO if counted.window_level is None else counted.window_level
        _pass(seen, record)
    if record.member is not None:
        seen.members.add(record.member)


def priced_quantity(rate: Rate, quantity: Decimal) -> Decimal:
    """A quantity after transform and rounding rule, to 6 decimals; never below the rate's minimum."""
    return rounded(transformed(quantity, rate.transform), rate.minimum, rate.increment)


@exactly
def measured(rate: Rate, level: Decimal, record: Record) -> Decimal:
    """The quantity that a counter's level stands for: of weighted sums the mean over the time that it covers."""
    if rate.aggregation.function != "weighted_sum":
        return level
    return level / _seconds(*_bounds(record))


def _free(rate: Rate, before: Decimal, after: Decimal) -> Decimal:
    if not rate.free_units:
        return ZERO
    return min(after, rate.free_units) - min(before, rate.free_units)


def _levels(rate: Rate, counter: Counter, record: Record) -> tuple[Decimal, Decimal, Decimal | None]:
    """What the counter's level, what it holds, and the level of the record's window come to with the record."""
    if rate.aggregation.within is None or record.window is None:
        level, held = _level(rate, counter, record)
        return level, held, None
    window = counter.windows.get(record.window) or Counter()
    level, _ = _level(rate, window, record)
    return _joined(rate, counter, record.window, level), ZERO, level


def _level(rate: Rate, counter: Counter, record: Record) -> tuple[Decimal, Decimal]:
    """What the function makes of a counter's level and of what it holds."""
    match rate.aggregation.function:
        case "count":
            return counter.level + 1, ZERO
        case "unique_count":
            if record.member is None:
                raise NoCount(f"The rate counts the different values of {rate.aggregation.of}; the record has none.")
            return Decimal(len(counter.members) + (record.member not in counter.members)), ZERO
        case "weighted_sum":
            return _weighted(counter, _number(rate, record), record)
    number = _number(rate, record)
    match rate.aggregation.function:
        case "max":
            return max(counter.level, number), ZERO
        case "latest":
            # What is dated alike comes in the order of its content: the one that comes now is the later.
            return counter.level if counter.at and record.date < counter.at else number, ZERO
    return counter.level + number, ZERO


def _weighted(counter: Counter, number: Decimal, record: Record) -> tuple[Decimal, Decimal]:
    """Quantity x seconds to the end: what changes the level held changes it from its date on."""
    starts_at, ends_at = _bounds(record)
    level = counter.level if counter.records else counter.held * _seconds(starts_at, ends_at)
    # A part of a record may start after the period that counts it, in which its change is then held no second.
    return level + number * _seconds(min(record.date, ends_at), ends_at), counter.held + number


def _joined(rate: Rate, counter: Counter, window: str, level: Decimal) -> Decimal:
    """The results of all windows joined by `then`, with the one of `window` come to `level`."""
    old = counter.windows.get(window)
    match rate.aggregation.then:
        case "max":
            if old and level < old.level:  # only a falling function makes another window the highest
                others = (each.level for start, each in counter.windows.items() if start != window)
                return max(level, *others, level)
            return max(counter.level, level)
        case "latest":
            return level if window >= max(counter.windows, default=window) else counter.level
    return counter.level + level - (old.level if old else ZERO)


def _pass(counter: Counter, record: Record) -> None:
    counter.records += 1
    counter.at = record.date if counter.at is None else max(counter.at, record.date)


def _number(rate: Rate, record: Record) -> Decimal:
    if record.counted is None:
        raise NoCount(f"The rate counts {rate.aggregation.of}, and the record has no number there.")
    return record.counted


def _bounds(record: Record) -> tuple[datetime, datetime]:
    if record.starts_at is None or record.ends_at is None:
        raise ValueError("a weighted sum needs the bounds of the time that it covers")
    return record.starts_at, record.ends_at


def _seconds(start: datetime, end: datetime) -> Decimal:
    """Seconds between two moments, exact to the microsecond."""
    return Decimal((end - start) // timedelta(microseconds=1)).scaleb(-6)
