"""Billing periods of accounts that owe something whether they use anything or not."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
from django.db import transaction

from rating import store
from rating.core.periods import month_bounds
from rating.core.tariffs import Version

INSTANT = timedelta(microseconds=1)  # what a moment lies before the end of the time that it is the last of
MONTHS: dict[str, pl.DataType | type[pl.DataType]] = {
    "account_id": pl.Int64,
    "time_zone": pl.String,
    "month": pl.Date,
}

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@transaction.atomic
def open_due_periods(*, now: datetime) -> int:
    """Make the billing periods, up to now, of accounts whose plan promises a minimum; returns how many were missing.

    Usage makes its periods by itself. Without one, what was promised would never be billed.
    """
    promising = [each for each in store.book().prices.versions if _promises(each)]
    if not promising:
        return 0
    plan_ids = sorted({each.plan_id for each in promising})
    first = min(each.starts_at or LONG_AGO for each in promising)
    due = [
        (account_id, time_zone, month)
        for account_id, time_zone, since, until in store.accounts_due(plan_ids, now).iter_rows()
        for month in _months(max(since, first), min(until - INSTANT, now) if until else now, time_zone)
    ]
    if not due:
        return 0
    months = pl.DataFrame(due, schema=MONTHS, orient="row")
    # Periods that are there already are left alone: locking them would make every worker that charges in them wait.
    lacking = store.periods_as_they_stand(months).filter(pl.col("period_id") < 0)
    missing = months.join(lacking, on=["account_id", "month"], how="semi")
    if missing.height:
        store.lock_open_periods(missing)
    return missing.height


def _promises(version: Version) -> bool:
    """Whether a version bills what is lacking to an amount."""
    return any(
        each.kind == "minimum" or (each.kind == "commitment" and each.true_up) for each in version.plan.commitments
    )


def _months(since: datetime, last: datetime, time_zone: str) -> list[date]:
    """The months of a zone that hold moments from `since` to `last`, which is one of them, by their first days."""
    months: list[date] = []
    month = since.astimezone(ZoneInfo(time_zone)).date().replace(day=1)
    while month_bounds(month, time_zone)[0] <= last:
        if month_bounds(month, time_zone)[1] > since:
            months.append(month)
        month = (month + timedelta(days=31)).replace(day=1)
    return months
