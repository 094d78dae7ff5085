"""From when to when a bucket's grants run, which came before, and how much of one a late starter gets."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from rating.core.plans.spec import Bucket

# Where a grant starts that has no start: a moment that every database and every screen can hold.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "year": 12}
MONDAY = datetime(1970, 1, 5)  # noqa: DTZ001 - the clock on the wall, wherever it hangs


@dataclass(frozen=True, slots=True)
class Window:
    """From `starts_at` to before `ends_at`; None: no end."""

    starts_at: datetime
    ends_at: datetime | None

    def holds(self, moment: datetime) -> bool:
        return self.starts_at <= moment and (self.ends_at is None or moment < self.ends_at)


def window_of(bucket: Bucket, moment: datetime, time_zone: str, period: Window) -> Window | None:
    """The window of the grant that usage of a moment draws on; None where the bucket gives nothing then.

    period: the billing period that charges the usage. Days, weeks, months and years are those of the clock on the wall
    in `time_zone`, counted from the bucket's `starts_at`, or else those of the calendar (weeks from Monday).
    """
    starts_at, ends_at = bucket.starts_at, bucket.ends_at
    if (starts_at and moment < starts_at) or (ends_at and moment >= ends_at):
        return None
    if bucket.recurs == "period":
        return period
    if bucket.recurs == "once":
        return Window(starts_at or BEGINNING, ends_at)
    return _stretch(bucket.recurs, starts_at, ends_at, moment, time_zone)


def day_of(moment: datetime, time_zone: str) -> Window:
    """The day that holds a moment, by the clock on the wall."""
    return _stretch("day", None, None, moment, time_zone)


def hour_of(moment: datetime, time_zone: str) -> Window:
    """The hour that holds a moment, by the clock on the wall; the two hours of a clock put back are two."""
    local = moment.astimezone(ZoneInfo(time_zone))
    start = moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return Window(start, start + timedelta(hours=1))


def window_before(bucket: Bucket, window: Window, time_zone: str) -> Window | None:
    """The window that ends where `window` starts; None where there is none. A billing period is taken as a month."""
    start = window.starts_at
    if bucket.recurs == "once" or (bucket.starts_at and bucket.starts_at >= start):
        return None
    if bucket.recurs == "period":
        local = _on_the_wall(start, ZoneInfo(time_zone))
        return Window(_moment(_months_later(local, -1), ZoneInfo(time_zone)), start)
    return _stretch(bucket.recurs, bucket.starts_at, bucket.ends_at, start - timedelta(microseconds=1), time_zone)


def part_from(window: Window, since: datetime | None, time_zone: str) -> tuple[int, int]:
    """Which part of a window is left from `since` on, by days of the zone: (days left, days of the window)."""
    if since is None or window.ends_at is None or since <= window.starts_at:
        return 1, 1
    zone = ZoneInfo(time_zone)
    first, last = _on_the_wall(window.starts_at, zone).date(), _on_the_wall(window.ends_at, zone).date()
    days = (last - first).days
    if days <= 0:
        return 1, 1
    return max((last - _on_the_wall(since, zone).date()).days, 0), days


def prorated(size: Decimal, part: tuple[int, int]) -> Decimal:
    """The part of a size, exact but for the division, which the caller rounds."""
    return size if part[0] == part[1] else size * part[0] / part[1]


def _stretch(
    recurs: str, starts_at: datetime | None, ends_at: datetime | None, moment: datetime, time_zone: str
) -> Window:
    """The day, week, month or year that holds a moment, cut where the bucket ends."""
    day = _on_the_wall(moment, ZoneInfo(time_zone)).date()
    # Where it starts at an hour of the day, the stretch of the day before may still run.
    for place in (0, -1, 1):
        found = _numbered(recurs, starts_at, time_zone, day.toordinal(), place)
        if found.holds(moment):
            break
    if ends_at and found.ends_at and found.ends_at > ends_at:
        return Window(found.starts_at, ends_at)
    return found


@lru_cache(maxsize=4096)
def _numbered(recurs: str, starts_at: datetime | None, time_zone: str, ordinal: int, place: int) -> Window:
    """The stretch that starts on a day or is the latest before it, or its neighbour at `place`."""
    zone = ZoneInfo(time_zone)
    day = datetime.fromordinal(ordinal)
    if recurs in DAYS:
        anchor = _on_the_wall(starts_at, zone) if starts_at else MONDAY
        length = DAYS[recurs]
        count = ((day - anchor.replace(hour=0, minute=0, second=0, microsecond=0)).days // length + place) * length
        first, following = (anchor + timedelta(days=days) for days in (count, count + length))
    else:
        anchor = _on_the_wall(starts_at, zone) if starts_at else datetime(1970, 1, 1)  # noqa: DTZ001
        length = MONTHS[recurs]
        months = (day.year - anchor.year) * 12 + day.month - anchor.month
        count = (months // length + place) * length
        if _months_later(anchor, count - place * length).date() > day.date():
            count -= length
        first, following = (_months_later(anchor, months) for months in (count, count + length))
    return Window(_moment(first, zone), _moment(following, zone))


def _months_later(local: datetime, months: int) -> datetime:
    """So many months on, on the same day, or on the last of a month that is shorter."""
    years, month = divmod(local.month - 1 + months, 12)
    year = local.year + years
    return local.replace(year=year, month=month + 1, day=min(local.day, monthrange(year, month + 1)[1]))


def _on_the_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _moment(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)
