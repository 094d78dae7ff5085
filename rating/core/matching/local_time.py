"""Usage in the time of its account's zone: what the clock on its wall reads."""

import polars as pl

WALL_CLOCK = pl.Datetime("us")


def wall_clock(usage: pl.DataFrame) -> pl.Series:
    """What the clock of each row's zone reads at its date, without a zone. usage: date, time_zone."""
    zones = usage["time_zone"].unique(maintain_order=True).to_list()
    if len(zones) == 1:
        return _in_zone(usage["date"], zones[0])
    rows = usage.select("date", "time_zone").with_row_index("row")
    read = [
        part.select("row", wall_clock=_in_zone(part["date"], zone))
        for (zone,), part in rows.partition_by("time_zone", as_dict=True).items()
    ]
    return pl.concat(read).sort("row")["wall_clock"] if read else pl.Series("wall_clock", [], WALL_CLOCK)


def _in_zone(moments: pl.Series, zone: str) -> pl.Series:
    return moments.dt.convert_time_zone(zone).dt.replace_time_zone(None).alias("wall_clock")


def add_months(usage: pl.DataFrame) -> pl.DataFrame:
    """Add `month`, the first day of the month in which each row lies in its zone. usage: date, time_zone."""
    return usage.with_columns(wall_clock(usage).dt.date().dt.month_start().alias("month"))
