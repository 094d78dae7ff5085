"""Moments in columns, as microseconds since 1970 in UTC; outside the years 1 to 9999 there is no moment."""

import polars as pl

from mediation.core.expressions.column_numbers import decimal, from_units, rescaled
from mediation.core.expressions.moments import MOMENT_PATTERN
from mediation.core.expressions.rules import MICROSECONDS

INSTANT = pl.Datetime("us", "UTC")
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999 in microseconds since 1970
STEPS = {
    "year": "1y", "quarter": "1q", "month": "1mo", "week": "1w", "day": "1d", "hour": "1h", "minute": "1m",
    "second": "1s",
}  # fmt: skip


def within_years(moment: pl.Expr) -> pl.Expr:
    """The moment, null outside the years 1 to 9999."""
    return pl.when(moment.to_physical().is_between(FIRST, LAST)).then(moment)


def shifted(moment: pl.Expr, amount: pl.Expr, scale: int, unit: str) -> pl.Expr:
    """Moved by Int128 units of 10^-scale of a time unit."""
    moved = amount * pl.lit(MICROSECONDS[unit] // 10**scale, pl.Int128)
    bounded = pl.when(moved.abs() <= LAST - FIRST).then(moved).cast(pl.Int64)
    return within_years((moment.to_physical() + bounded).cast(INSTANT))


def seconds_between(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Seconds with six decimals."""
    return from_units((end.to_physical() - start.to_physical()).cast(pl.Int128), 6)


def extracted(moment: pl.Expr, part: str) -> pl.Expr:
    if part == "epoch":
        return from_units(moment.to_physical().cast(pl.Int128), 6)
    if part == "second":
        second = rescaled(moment.dt.second().cast(pl.Int128), 6) + moment.dt.microsecond().cast(pl.Int128)
        return from_units(second, 6)
    if part == "dow":
        return (moment.dt.weekday() % 7).cast(pl.Int128).cast(decimal(0))
    number: pl.Expr = getattr(moment.dt, part)()
    return number.cast(pl.Int128).cast(decimal(0))  # twice as fast as at once


def truncated(moment: pl.Expr, unit: str) -> pl.Expr:
    return within_years(moment.dt.truncate(STEPS[unit]))


def read_moments(text: pl.Expr) -> pl.Expr:
    """Text of the one grammar as moments; null where it is none, or no day of the calendar."""
    part = text.str.extract_groups(MOMENT_PATTERN).struct
    offset = part.field("4").fill_null("+00") + part.field("5").fill_null("00")
    spelled = pl.concat_str(
        part.field("1"), pl.lit("T"), part.field("2").fill_null("00:00"), pl.lit(":"),
        part.field("3").fill_null("00"), offset,
    )  # fmt: skip
    return within_years(spelled.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False))


def write_moments(moment: pl.Expr) -> pl.Expr:
    """ISO 8601 in UTC, with microseconds where there are any."""
    whole, fine = moment.dt.to_string("%Y-%m-%dT%H:%M:%SZ"), moment.dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ")
    return pl.when(moment.dt.microsecond() == 0).then(whole).otherwise(fine)
