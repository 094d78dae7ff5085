"""Busy periods counted beforehand, so that what an account used in a year is told at once."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from mediation import services as mediation
from rating import selectors, store
from rating.store.counted_usage import NO_END

COUNTING = "rating_counting"  # what one worker at a time does
LATEST = timedelta(days=1)  # usage of then comes in still, and would disturb again and again what is counted


def find_busy_periods() -> int:
    """List the periods that have so many charges that they are worth counting; returns how many were new."""
    return store.find_busy_periods()


def count_next_period(*, now: datetime) -> bool:
    """Count a busy period that is not counted, or not far enough; whether there was one.

    The transaction holds the period's lock, which whoever writes a charge in it holds too: none is left out. How it is
    best counted is asked before, since they wait meanwhile.
    """
    with mediation.sole(COUNTING) as is_alone:
        waiting = selectors.periods_to_count(now).first() if is_alone else None
        if waiting is not None:
            [period] = store.periods_known([waiting.period_id]).to_dicts()
            _count(period["period_id"], has_lines=store.has_few_lines(**_reach(period, now)), now=now)
        return waiting is not None


@transaction.atomic
def _count(period_id: int, *, has_lines: bool, now: datetime) -> None:
    [period] = store.lock_periods([period_id]).to_dicts()
    store.count_period(**_reach(period, now), has_lines=has_lines, now=now)


def _reach(period: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Which usage of a period is counted: all of one that is over, else what is older than LATEST."""
    today = now.astimezone(ZoneInfo(period["time_zone"])).replace(hour=0, minute=0, second=0, microsecond=0)
    is_over = period["ends_at"] + LATEST < now
    return {
        "period_id": period["period_id"],
        "time_zone": period["time_zone"],
        "before": NO_END if is_over else today - LATEST,
    }
