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
    """The wall clock (`clock`) of each text and the offset beside it (`offset`)."""
    # Most sources name no offset, and looking for one costs as much as reading the date.
    frame, text = pl.DataFrame({"text": texts}), pl.col("text")
    beside = offset(text, formats) if _may_have_offsets(texts, formats) else pl.lit(None, pl.String)
    return frame.select(clock=wall_clock(text, formats), offset=beside)


def _may_have_offsets(texts: pl.Series, formats: Sequence[str]) -> bool:
    if any(format_ == "epoch" or names_offset(format_) for format_ in formats):
        return True
    return "iso" in formats and bool(texts.str.contains(OFFSET_PATTERN).any())


def wall_clock(text: pl.Expr, formats: Sequence[str]) -> pl.Expr:
    """The wall-clock moment of the first format that fits; null where none does or the date does not exist."""
    tries: list[pl.Expr] = []
    for format_ in formats:
        if format_ == "iso":
            tries.append(_in_iso(text))
        elif format_ == "epoch":
            # Scale 6 keeps the microseconds of the text exactly; the product is a whole number of them.
            seconds = pl.when(text.str.contains(EPOCH_PATTERN)).then(text).cast(pl.Decimal(18, 6), strict=False)
            tries.append((seconds * 1_000_000).cast(pl.Int64).cast(pl.Datetime("us")))
        else:
            tries.append(_in_format(text, format_))
    return pl.coalesce(tries)


def _in_iso(text: pl.Expr) -> pl.Expr:
    clock = text.str.replace(r" ?(?:Z|[+-]\d{2}(?::?\d{2})?)$", "").str.replace("T", " ", literal=True)
    # A date without a time is that day's midnight; its own trailing "-05" must not be taken for an offset.
    length = text.str.len_bytes()
    clock = pl.when(length == 10).then(text).otherwise(clock)
    # Filled up to one form, since polars reads a fixed count of decimals three times as fast as `%.f`.
    missing = pl.when(length == 10).then(pl.lit(" 00:00:00.")).otherwise(_missing(clock.str.len_bytes()))
    full = pl.concat_str(clock, missing).str.pad_end(26, "0").str.head(26)
    parsed = full.str.to_datetime("%Y-%m-%d %H:%M:%S.%6f", time_unit="us", strict=False)
    return pl.when(text.str.contains(ISO_PATTERN)).then(parsed)


def _missing(length: pl.Expr) -> pl.Expr:
    """What a date and time of `length` characters lacks before its decimals."""
    return pl.when(length == 16).then(pl.lit(":00.")).when(length == 19).then(pl.lit(".")).otherwise(pl.lit(""))


def _in_format(text: pl.Expr, format_: str) -> pl.Expr:
    """The wall clock of a text in `format_`; in UTC where the format names an offset."""
    if names_offset(format_):
        return text.str.to_datetime(format_, time_unit="us", strict=False, time_zone="UTC").dt.replace_time_zone(None)
    if any(sign in format_ for sign in ("%H", "%I", "%T", "%R")):
        return text.str.to_datetime(format_, time_unit="us", strict=False)
    return text.str.to_date(format_, strict=False).cast(pl.Datetime("us"))


def names_offset(format_: str) -> bool:
    return "%z" in format_ or "%:z" in format_


def offset(text: pl.Expr, formats: Sequence[str]) -> pl.Expr:
    """The offset of the wall clock that `wall_clock` gives, as `+02:00`; null where the date carries none.

    It is that of the format which the text was read by, so the formats are asked in the same order.
    """
    tries = pl.lit(None, pl.String)
    for format_ in reversed(formats):
        if format_ == "iso":
            tries = pl.when(text.str.contains(ISO_PATTERN)).then(_iso_offset(text)).otherwise(tries)
        elif format_ == "epoch":
            tries = pl.when(text.str.contains(EPOCH_PATTERN)).then(pl.lit("+00:00")).otherwise(tries)
        else:
            own = pl.lit("+00:00") if names_offset(format_) else pl.lit(None, pl.String)
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
