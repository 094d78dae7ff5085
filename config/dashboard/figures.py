"""Counting what is dear to count: by whom, over which rows, and how often.

Every kind of figure is counted by one worker at a time, and rests twenty times as long as counting took, so that it
never costs more than a twentieth of a processor, whatever the house holds. Charges and imports of days that are over
are read once; only the last days are read at every run.
"""

import time as clock
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db import connection, transaction

from config.dashboard import counting
from config.models import FigureRun

REST = 20  # times the length of a run lies between two
SHORTEST_REST = timedelta(seconds=2)
AT_ONCE_SECONDS = Decimal("0.1")  # what a reader may be made to wait for
SMALL = 50_000  # rows that are counted in less
KEPT_DAYS = 100
KEPT_DAYS_OF_HOURS = 57  # eight weeks of rhythm
# A transaction that began before midnight may bring its charges after it.
LATE = timedelta(hours=1)
RECENT_DAYS = 2
OLDER_DAYS = 5  # read again at each run in turn, for what was corrected or mediated again since


@dataclass(frozen=True)
class Kind:
    """A kind of figures: how it is counted (now, the run before) and by which table its size is judged."""

    count: Callable[[datetime, FigureRun], date | None]
    tables: tuple[str, ...]


def _count_arrivals(now: datetime, run: FigureRun) -> date:
    """Count the last days, and of the older ones the next few; returns where the next run goes on."""
    today = now.astimezone(UTC).date()
    hours_from = midnight(today - timedelta(days=KEPT_DAYS_OF_HOURS))
    first, recent = today - timedelta(days=KEPT_DAYS), today - timedelta(days=RECENT_DAYS - 1)
    if run.settled_until is None or is_small("ingestion_usageimport"):
        counting.count_arrivals(midnight(first), None, hours_from=hours_from)
        following = first
    else:
        older = max(run.settled_until, first)
        following = min(older + timedelta(days=OLDER_DAYS), recent)
        counting.count_arrivals(midnight(older), midnight(following), hours_from=hours_from)
        counting.count_arrivals(midnight(recent), None, hours_from=hours_from)
        following = first if following >= recent else following
    counting.forget_arrivals(days_before=midnight(first), hours_before=hours_from)
    return following


def _count_charges(now: datetime, run: FigureRun) -> date:
    """Count the days that are not over; what those before it came to is added to the months of accounts once."""
    open_from = (now - LATE).astimezone(UTC).date()
    today = now.astimezone(UTC).date()
    first = (today - timedelta(days=KEPT_DAYS)).replace(day=1)
    since = run.settled_until or first
    counting.count_charges(since)
    counting.count_accounts(since, open_from, starts_anew=run.settled_until is None)
    counting.forget_charges(before=first)
    counting.estimate_charges(since=today - timedelta(days=30))
    return open_from


def _count_open(now: datetime, run: FigureRun) -> None:
    counting.count_open_exceptions()


KINDS = {
    FigureRun.Key.ARRIVALS: Kind(_count_arrivals, ("ingestion_usageimport",)),
    FigureRun.Key.CHARGES: Kind(_count_charges, ("rating_charge",)),
    FigureRun.Key.OPEN: Kind(_count_open, ("ingestion_importexception", "rating_ratingexception")),
}


def count_due(*, now: datetime) -> list[str]:
    """Count every kind of figure that has rested long enough; returns which were counted."""
    return [key for key in KINDS if count_figures(key=key, now=now)]


def count_figures(*, key: str, now: datetime, anew: bool = False) -> bool:
    """Count one kind, unless it is counted right now or rests; returns whether it was. anew: whole and in any case."""
    FigureRun.objects.get_or_create(key=key)
    with transaction.atomic():
        run = FigureRun.objects.select_for_update(skip_locked=True).filter(key=key).first()
        if run is None or (rests(run, now) and not anew):
            return False
        run.settled_until = None if anew else run.settled_until
        began = clock.monotonic()
        run.settled_until = KINDS[FigureRun.Key(key)].count(now, run)
        run.as_of, run.took_seconds = now, Decimal(f"{clock.monotonic() - began:.3f}")
        run.save(update_fields=["settled_until", "as_of", "took_seconds"])
    return True


def count_anew(*, now: datetime) -> None:
    """Count everything from the ground up, once a night: what was missed by a hair does not stay missed."""
    for key in KINDS:
        count_figures(key=key, now=now, anew=True)
    counting.analyze()


def rests(run: FigureRun, now: datetime) -> bool:
    """Whether it is too early to count again."""
    if run.as_of is None:
        return False
    rest = max(timedelta(seconds=float(run.took_seconds)) * REST, SHORTEST_REST)
    return run.as_of <= now < run.as_of + rest


def freshen(*, now: datetime) -> dict[str, datetime | None]:
    """Count at once what is quickly counted and out of date; returns of when each kind of figure is, None of never."""
    runs = {run.key: run for run in FigureRun.objects.all()}
    for key, kind in KINDS.items():
        run = runs.get(key)
        if run is not None and rests(run, now):
            continue
        if _is_quick(run, kind) and count_figures(key=key, now=now):
            runs[key] = FigureRun(key=key, as_of=now)
    return {key: runs[key].as_of if key in runs else None for key in KINDS}


def _is_quick(run: FigureRun | None, kind: Kind) -> bool:
    if run is not None and run.as_of is not None:
        return run.took_seconds < AT_ONCE_SECONDS
    return all(is_small(table) for table in kind.tables)


def is_small(table: str) -> bool:
    """Whether the planner knows of so few rows that counting them takes no time; of none it knows that they are few."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_relation_size(c.oid)), 0) FROM pg_class c WHERE c.oid = %s::regclass"
            " OR c.oid IN (SELECT relid FROM pg_partition_tree(%s::regclass))",
            [table, table],
        )
        return int(cursor.fetchone()[0]) < SMALL * 200


def between(field: str, start: datetime, end: datetime) -> dict[str, str]:
    """The filter of a list by moments, which mean the same in every zone."""
    return {f"{field}__gte": f"{start:%Y-%m-%dT%H:%M:%SZ}", f"{field}__lt": f"{end:%Y-%m-%dT%H:%M:%SZ}"}


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
