"""Transforms of dates and times: to ISO 8601, to seconds of the day, and durations to seconds."""

from dataclasses import dataclass

import polars as pl

from mediation.core.codes import Code
from mediation.core.dates import read_dates
from mediation.core.transforms.frames import Around, Otherwise, Ran, of
from mediation.core.transforms.options import Options
from mediation.core.wording import quoted

# Forms of a time of the day and of a duration; the groups are hours, minutes, seconds and what follows the point.
CLOCK_PATTERN = r"^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,6}))?)?$"
PACKED_PATTERN = r"^([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9])?$"
DURATION_PATTERN = r"^(?:([0-9]{1,7}):([0-5]?[0-9])|([0-9]{1,9})):([0-5]?[0-9])(?:\.([0-9]{1,6}))?$"


@dataclass(frozen=True)
class Date:
    """A date in one of the formats, to ISO 8601: the wall clock, and the offset where the text names one."""

    formats: tuple[str, ...]
    otherwise: Otherwise
    sources: frozenset[str] = frozenset()

    def run(self, text: pl.Series, around: Around) -> Ran:
        # In two steps, since an expression that two columns use would be computed for each.
        parts = read_dates(text, self.formats)
        clock = pl.col("clock").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        made = parts.select(text=pl.concat_str(clock, pl.col("offset").fill_null("")))["text"]
        formats = " or ".join("ISO 8601" if format_ == "iso" else format_ for format_ in self.formats)
        message = pl.format("{} is no existing date in {}", quoted(pl.col("text")), pl.lit(formats))
        return self.otherwise.settle(text, made, around, code=Code.BAD_DATE, message=message)


def parse_date(options: Options) -> Date:
    """Read a date in the first format that fits."""
    return Date(options.date_formats("formats"), options.otherwise())


@dataclass(frozen=True)
class Time:
    """A time of the day (HH:MM, HH:MM:SS, HHMM, HHMMSS) or a duration ([h:]mm:ss), to seconds."""

    is_clock: bool
    otherwise: Otherwise
    sources: frozenset[str] = frozenset()

    def run(self, text: pl.Series, around: Around) -> Ran:
        made = of(text, _of_day(pl.col("text")) if self.is_clock else _duration(pl.col("text")))
        form = "time of the day such as 23:59:59 or 2359" if self.is_clock else "duration such as 1:02:03 or 62:03"
        message = pl.format("{} is no {}", quoted(pl.col("text")), pl.lit(form))
        return self.otherwise.settle(text, made, around, code=Code.BAD_TIME, message=message)


def parse_time(options: Options) -> Time:
    """Read a time of the day, or a duration."""
    return Time(options.choice("as", ("clock", "duration"), "clock") == "clock", options.otherwise())


def _of_day(text: pl.Expr) -> pl.Expr:
    parts = [text.str.extract(CLOCK_PATTERN, group) for group in (1, 2, 3, 4)]
    packed = [text.str.extract(PACKED_PATTERN, group) for group in (1, 2, 3)]
    hours, minutes, seconds = (pl.coalesce(a, b) for a, b in zip(parts, packed, strict=False))
    return _seconds(hours, minutes, seconds.fill_null("0"), parts[3])


def _duration(text: pl.Expr) -> pl.Expr:
    hours, past_hour, alone, seconds, fraction = (text.str.extract(DURATION_PATTERN, group) for group in range(1, 6))
    return _seconds(hours.fill_null("0"), pl.coalesce(past_hour, alone), seconds, fraction)


def _seconds(hours: pl.Expr, minutes: pl.Expr, seconds: pl.Expr, fraction: pl.Expr) -> pl.Expr:
    """The whole seconds as text, with the fraction as it was written."""
    counted = hours.cast(pl.Int64) * 3600 + minutes.cast(pl.Int64) * 60 + seconds.cast(pl.Int64)
    return pl.concat_str(counted.cast(pl.String), pl.coalesce(pl.lit(".") + fraction, pl.lit("")))
