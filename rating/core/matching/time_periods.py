"""When a time period holds, by the clock on the account's wall, and until when it goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, reduce
from zoneinfo import ZoneInfo

import polars as pl

from rating.core.plans.spec import Band, Plan, TimePeriod

DAY = timedelta(days=1)
MIDNIGHT = time(0)
# A week's bands that held for so many days, after the last holiday, hold for ever.
ROUND_THE_CLOCK = 9

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Hours:
    """A time period with the days of its calendar.

    A band belongs to the day on which it starts, so that with `exclude` the morning after a holiday's night band is
    not held either, and a band that runs into a holiday holds on until it ends. `include` adds the whole day, from
    midnight to midnight. On days when clocks are changed the reading of the clock counts.
    """

    period: TimePeriod
    holidays: frozenset[date]

    def bands_of(self, day: date) -> Iterator[Band]:
        """The bands that start on a day."""
        is_holiday = day in self.holidays
        if not (is_holiday and self.period.on_holidays == "exclude"):
            yield from (band for band in self.period.bands if day.weekday() in band.days)
        if is_holiday and self.period.on_holidays == "include":
            yield Band(frozenset(range(7)))


def hours_of(plan: Plan, name: str) -> Hours:
    """The time period of a plan by its name, with its calendar."""
    period = next(each for each in plan.time_periods if each.name == name)
    days = next((each.days for each in plan.calendars if each.name == period.calendar), frozenset())
    return Hours(period, days)


def in_hours(hours: Hours) -> pl.Expr:
    """Whether the time period holds at `wall_clock`, a moment without zone; in columns."""
    clock, today = pl.col("wall_clock"), pl.col("wall_clock").dt.date()
    at, yesterday = clock.dt.time(), today.dt.offset_by("-1d")
    asked: list[pl.Expr] = []
    for band in hours.period.bands:
        starts_today = _is_day_of(hours, band, today)
        if band.ends == MIDNIGHT:
            asked.append(starts_today & (at >= band.starts))
        elif band.starts < band.ends:
            asked.append(starts_today & (at >= band.starts) & (at < band.ends))
        else:
            asked.append((starts_today & (at >= band.starts)) | (_is_day_of(hours, band, yesterday) & (at < band.ends)))
    if hours.period.on_holidays == "include":
        asked.append(_is_holiday(hours, today))
    return reduce(lambda a, b: a | b, asked) if asked else clock.is_null()


def _is_day_of(hours: Hours, band: Band, day: pl.Expr) -> pl.Expr:
    is_day = day.dt.weekday().is_in([each + 1 for each in sorted(band.days)])
    return is_day & ~_is_holiday(hours, day) if hours.period.on_holidays == "exclude" else is_day


def _is_holiday(hours: Hours, day: pl.Expr) -> pl.Expr:
    return day.is_in(pl.lit(sorted(hours.holidays), pl.List(pl.Date)))


def held_until(hours: Hours, zone: str, days: pl.Series, moments: pl.Series) -> pl.Series:
    """The moment at which the time period that holds at each of `moments` ends; null where it never does.

    days: the local date of each moment. Where one band begins as another ends the time period goes on.
    """
    distinct = days.unique().drop_nulls().to_list()
    spans = sorted({span for day in distinct for span in _long_spans(hours, zone, day)})
    starts = pl.Series([start for start, _ in spans], dtype=moments.dtype)
    ends = pl.Series([end if end.year < FOREVER.year else None for _, end in spans], dtype=moments.dtype)
    place = starts.to_physical().search_sorted(moments.to_physical(), side="right").cast(pl.Int64) - 1
    return ends.gather(pl.select(pl.when(place >= 0).then(place)).to_series())


def begins_after(hours: Hours, zone: str, days: pl.Series, moments: pl.Series) -> pl.Series:
    """The first moment after each of `moments` at which the time period begins to hold; null where it never does.

    days: the local date of each moment.
    """
    distinct = days.unique().drop_nulls().to_list()
    begins = sorted({start for day in distinct for start in (*_starts(hours, zone, day), *_next(hours, zone, day))})
    place = pl.Series(begins, dtype=moments.dtype).to_physical().search_sorted(moments.to_physical(), side="right")
    return pl.Series([*begins, None], dtype=moments.dtype).gather(place)


FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def _starts(hours: Hours, zone: str, day: date) -> list[datetime]:
    """When the period begins on a day; what goes on from the day before does not."""
    ended = {end for _, end in spans_of(hours, zone, day - DAY)}
    return [start for start, _ in spans_of(hours, zone, day) if start not in ended]


@lru_cache(maxsize=20_000)
def _next(hours: Hours, zone: str, day: date) -> list[datetime]:
    """When the period begins on the next day on which it does; nothing where there is none."""
    for ahead in range((max([day, *hours.holidays]) - day).days + ROUND_THE_CLOCK):
        if starts := _starts(hours, zone, day + (ahead + 1) * DAY):
            return starts[:1]
    return []


@lru_cache(maxsize=20_000)
def _long_spans(hours: Hours, zone: str, day: date) -> tuple[Span, ...]:
    """The spans of a day, each up to where the time period ends, on whichever day that is."""
    return tuple((start, _end_of(hours, zone, day, end)) for start, end in spans_of(hours, zone, day))


def _end_of(hours: Hours, zone: str, day: date, end: datetime) -> datetime:
    last = max([day, *hours.holidays]) + ROUND_THE_CLOCK * DAY
    while True:
        day += DAY
        following = next((span for span in spans_of(hours, zone, day) if span[0] <= end < span[1]), None)
        if following is None:
            return end
        if day > last:
            return FOREVER
        end = following[1]


@lru_cache(maxsize=20_000)
def spans_of(hours: Hours, zone: str, day: date) -> tuple[Span, ...]:
    """The moments, in UTC, at which the clock reads `day` and the time period holds, as half-open spans in order."""
    wall = _merged(_wall_spans(hours, day))
    return tuple(_merged(moments for part in _offsets(zone, day) for moments in _within(part, wall)))


def _wall_spans(hours: Hours, day: date) -> Iterator[Span]:
    """What the bands of the day and of the night before hold of the day, by its clock."""
    start = datetime.combine(day, MIDNIGHT)
    for band in hours.bands_of(day):
        runs_on = band.ends <= band.starts
        yield datetime.combine(day, band.starts), start + DAY if runs_on else datetime.combine(day, band.ends)
    for band in hours.bands_of(day - DAY):
        if MIDNIGHT < band.ends <= band.starts:
            yield start, datetime.combine(day, band.ends)


def _within(part: tuple[datetime, datetime, timedelta], wall: list[Span]) -> Iterator[Span]:
    starts_at, ends_at, offset = part
    for start, end in wall:
        first, last = start.replace(tzinfo=UTC) - offset, end.replace(tzinfo=UTC) - offset
        if max(first, starts_at) < min(last, ends_at):
            yield max(first, starts_at), min(last, ends_at)


def _offsets(zone: str, day: date) -> list[tuple[datetime, datetime, timedelta]]:
    """The stretches of the time around a day in which the zone keeps its distance from UTC: one, or two."""
    local = ZoneInfo(zone)
    start = datetime.combine(day, MIDNIGHT, tzinfo=UTC) - DAY
    end = start + 3 * DAY
    before, after = _offset(start, local), _offset(end, local)
    if before == after:
        return [(start, end, before)]
    low, high = start, end  # the clocks are changed between them
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (middle, high) if _offset(middle, local) == before else (low, middle)
    return [(start, high, before), (high, end, after)]


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _merged(spans: Iterator[Span]) -> list[Span]:
    """Spans in order, those that touch or overlap as one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
