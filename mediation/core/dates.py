"""Reading dates: the wall clock that a text names in one of several formats, and the offset it names beside it."""

import re
from collections.abc import Sequence

import polars as pl

# What a date format may say, in the letters of chrono. `%f` is not among them: it would read .25 as 25 nanoseconds.
DATE_DIRECTIVES = re.compile(r"%(?:[YymbBhdejFDHIMSpPTRzaA%]|:z|\.f|\.?[369]f)")
DATE_FORMAT_HINT = "write for example %Y-%m-%d %H:%M:%S%.f"
ISO_PATTERN = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)? ?(?:Z|[+-]\d{2}(?::?\d{2})?)?$"
EPOCH_PATTERN = r"^[0-9]{1,11}(?:\.[0-9]{1,6})?$"
OFFSET_PATTERN = r"\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)? ?(Z|[+-]\d{2}(?::?\d{2})?)$"


def read_dates(texts: pl.Series, formats: Sequence[str]) -> pl.DataFrame:
    """The wall clock of each text (`clock`), and the offset that it names beside it (`offset`), as `+02:00`.

    Both are those of the first format that fits; null where none does, the date does not exist, or it has no offset.
    """
    frame, text = pl.DataFrame({"text": texts}), pl.col("text")
    # Most sources name no offset, and looking for one costs as much as reading the date.
    has_iso_offsets = "iso" in formats and bool(texts.str.contains(OFFSET_PATTERN).any())
    if "iso" in formats:
        frame = frame.with_columns(_in_iso(texts, has_offsets=has_iso_offsets).alias("iso"))
    has_offsets = has_iso_offsets or any(format_ == "epoch" or _names_offset(format_) for format_ in formats)
    beside = _offset(text, formats) if has_offsets else pl.lit(None, pl.String)
    return frame.select(clock=_wall_clock(text, formats), offset=beside)


def _wall_clock(text: pl.Expr, formats: Sequence[str]) -> pl.Expr:
    """The wall clock, beside a column `iso` of what ISO 8601 makes of the text."""
    tries: list[pl.Expr] = []
    for format_ in formats:
        if format_ == "iso":
            tries.append(pl.col("iso"))
        elif format_ == "epoch":
            # Scale 6 keeps the microseconds of the text exactly; the product is a whole number of them.
            seconds = pl.when(text.str.contains(EPOCH_PATTERN)).then(text).cast(pl.Decimal(18, 6), strict=False)
            tries.append((seconds * 1_000_000).cast(pl.Int64).cast(pl.Datetime("us")))
        else:
            tries.append(_in_format(text, format_))
    return pl.coalesce(tries)


def _in_iso(texts: pl.Series, *, has_offsets: bool) -> pl.Series:
    """The wall clock in ISO 8601, in steps, since polars computes an expression for each of its uses."""
    text, clock, length = pl.col("text"), pl.col("clock"), pl.col("text").str.len_bytes()
    without = text.str.replace(r" ?(?:Z|[+-]\d{2}(?::?\d{2})?)$", "") if has_offsets else text
    # A date without a time is that day's midnight; its own trailing "-05" must not be taken for an offset.
    without = pl.when(length == 10).then(text).otherwise(without) if has_offsets else without
    frame = pl.DataFrame({"text": texts}).with_columns(clock=without.str.replace("T", " ", literal=True))
    # Filled up to one form, since polars reads a fixed count of decimals three times as fast as `%.f`.
    missing = pl.when(length == 10).then(pl.lit(" 00:00:00.")).otherwise(_missing(clock.str.len_bytes()))
    frame = frame.with_columns(clock=pl.concat_str(clock, missing).str.pad_end(26, "0").str.head(26))
    # Hardly two records have one moment, so that remembering them costs more than reading them.
    read = clock.str.to_datetime("%Y-%m-%d %H:%M:%S.%6f", time_unit="us", strict=False, cache=False)
    # A space before no offset is none of a date; behind many decimals it would be cut off unseen.
    is_iso = text.str.contains(ISO_PATTERN) & ~text.str.ends_with(" ")
    return frame.select(clock=pl.when(is_iso).then(read)).to_series()


def _missing(length: pl.Expr) -> pl.Expr:
    """What a date and time of `length` characters lacks before its decimals."""
    return pl.when(length == 16).then(pl.lit(":00.")).when(length == 19).then(pl.lit(".")).otherwise(pl.lit(""))


def _in_format(text: pl.Expr, format_: str) -> pl.Expr:
    """The wall clock of a text in `format_`; in UTC where the format names an offset."""
    if _names_offset(format_):
        return text.str.to_datetime(format_, time_unit="us", strict=False, time_zone="UTC").dt.replace_time_zone(None)
    if any(sign in format_ for sign in ("%H", "%I", "%T", "%R")):
        return text.str.to_datetime(format_, time_unit="us", strict=False)
    return text.str.to_date(format_, strict=False).cast(pl.Datetime("us"))


def _names_offset(format_: str) -> bool:
    return "%z" in format_ or "%:z" in format_


def _offset(text: pl.Expr, formats: Sequence[str]) -> pl.Expr:
    """The offset of the wall clock that `_wall_clock` gives, as `+02:00`; null where the date carries none.

    It is that of the format which the text was read by, so the formats are asked in the same order.
    """
    tries = pl.lit(None, pl.String)
    for format_ in reversed(formats):
        if format_ == "iso":
            tries = pl.when(text.str.contains(ISO_PATTERN)).then(_iso_offset(text)).otherwise(tries)
        elif format_ == "epoch":
            tries = pl.when(text.str.contains(EPOCH_PATTERN)).then(pl.lit("+00:00")).otherwise(tries)
        else:
            own = pl.lit("+00:00") if _names_offset(format_) else pl.lit(None, pl.String)
            tries = pl.when(_in_format(text, format_).is_not_null()).then(own).otherwise(tries)
    return tries


def _iso_offset(text: pl.Expr) -> pl.Expr:
    found = text.str.extract(OFFSET_PATTERN)
    digits = found.str.replace("Z", "+0000", literal=True).str.replace(":", "", literal=True)
    padded = pl.when(digits.str.len_chars() == 3).then(digits + "00").otherwise(digits)
    return padded.str.slice(0, 3) + ":" + padded.str.slice(3, 2)


def fault_of_date_format(text: str) -> str | None:
    """What keeps a date format from being read exactly; None where nothing does."""
    if text in ("iso", "epoch"):
        return None
    found = {directive.removeprefix("%") for directive in DATE_DIRECTIVES.findall(text)}
    if "%" in DATE_DIRECTIVES.sub("", text):
        return "holds a directive that is not read"
    has_month_day = found & {"d", "e"} and found & {"m", "b", "B", "h"}
    if not (found & {"F", "D"} or (found & {"Y", "y"} and ("j" in found or has_month_day))):
        return "does not name the day: year, month and day"
    if found & {"H", "I", "M", "S"} and not (found & {"H", "I"} and "M" in found):
        return "must name both hours and minutes, or neither"
    if found & {"z", ":z"} and not found & {"H", "I", "T", "R"}:
        return "names an offset but no time"
    return None
