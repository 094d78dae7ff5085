"""Billing periods of accounts that owe something whether they use anything or not."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
from django.db import transaction

from rating import store
from rating.core.periods import month_bounds
from rating.core.tariffs import Version

MONTHS: dict[str, pl.DataType | type[pl.DataType]] = {
    "account_id": pl.Int64,
    "time_zone": pl.String,
    "month": pl.Date,
}


@transaction.atomic
def open_due_periods(*, now: datetime) -> int:
    """Make the billing periods, up to now, of accounts whose plan promises a minimum; returns how many were missing.

    Usage makes its periods by itself. Without one, what was promised would never be billed.
    """
    promising = {each.plan_id for each in store.book().prices.versions if _promises(each)}
    if not promising:
        return 0
    rows = [
        (account_id, time_zone, month)
        for account_id, time_zone, since, until in store.accounts_due(sorted(promising), now).iter_rows()
        for month in _months(since, min(until or now, now), time_zone)
    ]
    if rows:
        store.lock_open_periods(pl.DataFrame(rows, schema=MONTHS, orient="row"))
    return len(rows)


def _promises(version: Version) -> bool:
    """Whether a version bills what is lacking to an amount."""
    return any(
        each.kind == "minimum" or (each.kind == "commitment" and each.true_up) for each in version.plan.commitments
    )


def _months(since: datetime, until: datetime, time_zone: str) -> list[date]:
    """The months of a zone that hold moments from `since` to `until`, by their first days."""
    months: list[date] = []
    month = since.astimezone(ZoneInfo(time_zone)).date().replace(day=1)
    while month_bounds(month, time_zone)[0] <= until:
        if month_bounds(month, time_zone)[1] > since:
            months.append(month)
        month = (month + timedelta(days=31)).replace(day=1)
    return months
