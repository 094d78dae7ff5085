"""Which billing period charges a moment: the calendar month in the account's zone, unless it is closed."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from .frames import MOMENT


def month_bounds(month: date, time_zone: str) -> tuple[datetime, datetime]:
    """The moments, in UTC, at which the month that starts on `month` starts and ends in a zone.

    Where the clocks jump over that midnight, the month starts at the jump.
    """
    zone = ZoneInfo(time_zone)
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    starts_at, ends_at = (datetime(day.year, day.month, 1, tzinfo=zone).astimezone(UTC) for day in (month, following))
    return starts_at, ends_at


def span_of(dates: pl.Series) -> tuple[datetime, datetime]:
    """The earliest and the latest of moments, of which there is at least one."""
    earliest, latest = dates.min(), dates.max()
    if not isinstance(earliest, datetime) or not isinstance(latest, datetime):
        raise ValueError("there is no moment to begin with")
    return earliest, latest


def add_months(udrs: pl.DataFrame) -> pl.DataFrame:
    """Add `month` to rows with date and time_zone."""
    local = [
        part.with_columns(month=pl.col("date").dt.convert_time_zone(zone).dt.date().dt.month_start())
        for (zone,), part in udrs.partition_by("time_zone", as_dict=True, maintain_order=True).items()
    ]
    return pl.concat(local) if local else udrs.with_columns(month=pl.lit(None, pl.Date))


def periods_for(months: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """The bounds of the period that charges each month of usage: its own, or the first after what is closed.

    months: account_id, time_zone, month. closed: account_id, closed_until (the end of the last closed period).
    Returns months with starts_at and ends_at.
    """
    own = _with_bounds(months.join(closed, on="account_id", how="left", maintain_order="left"), "month")
    in_zone = [
        part.with_columns(first_open=pl.col("closed_until").dt.convert_time_zone(zone).dt.date().dt.month_start())
        for (zone,), part in own.partition_by("time_zone", as_dict=True).items()
    ]
    if not in_zone:
        return own.drop("closed_until")
    placed = pl.concat(in_zone).with_columns(
        charged_month=pl.when(pl.col("starts_at") < pl.col("closed_until")).then("first_open").otherwise("month")
    )
    return _with_bounds(placed.drop("starts_at", "ends_at"), "charged_month").select(
        *months.columns, "starts_at", "ends_at"
    )


def _with_bounds(months: pl.DataFrame, column: str) -> pl.DataFrame:
    """Add starts_at and ends_at of the month in `column`, in each row's zone."""
    distinct = months.select(column, "time_zone").unique()
    bounds = [month_bounds(*row) for row in distinct.iter_rows()]
    known = distinct.with_columns(
        starts_at=pl.Series([start for start, _ in bounds], dtype=MOMENT),
        ends_at=pl.Series([end for _, end in bounds], dtype=MOMENT),
    )
    return months.join(known, on=[column, "time_zone"], how="left", maintain_order="left")
