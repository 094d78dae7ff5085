"""Lookup tables as frames: rows found by exact value, by range or by longest prefix, each valid for its time.

A search answers with row numbers, so that one search serves every column. Whatever the kind, it comes down to two steps
over whole columns: the text finds a key (a join, or a place among sorted bounds), and where rows of one key differ by
time, the record's moment finds the row.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import polars as pl

from mediation.core.frames import MOMENT
from mediation.core.numbers import NUMBER_PATTERN

KINDS = ("exact", "range", "text_range", "prefix")
# A row of a table, before its values, which are text columns named `value:<column>`. line: where it stands in what was
# loaded. key: of an exact or prefix table. low, high: of a range, low belongs to it, high does not; null is open.
# valid_from belongs to the time, valid_to does not; null is open.
LOOKUP_ROWS: dict[str, pl.DataType | type[pl.DataType]] = {
    "line": pl.Int64,
    "key": pl.String,
    "low": pl.String,
    "high": pl.String,
    "valid_from": MOMENT,
    "valid_to": MOMENT,
}
ROW_FAULTS: dict[str, type[pl.DataType]] = {"line": pl.Int64, "message": pl.String}
BOUND = pl.Decimal(38, 11)  # a bound of a range: 27 digits before the point, 11 after
BOUND_DIGITS, BOUND_SCALE = 27, 11
# Ranges that cut each other at different times are kept in the parts between all bounds; more parts than this, and
# every worker would pay for it in memory.
MAX_RANGE_PARTS = 2_000_000
MAX_PREFIX = 64  # characters; each length that occurs costs a join
BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)
ROW = pl.UInt32


class LookupTable(Protocol):
    """A table that can be asked. rows: LOOKUP_ROWS and the values; `find` answers with places in it."""

    @property
    def rows(self) -> pl.DataFrame: ...

    def find(self, texts: pl.Series, moments: pl.Series) -> pl.Series:
        """The row of each text that is valid at its moment (MOMENT), null where there is none."""


def build_table(kind: str, rows: pl.DataFrame) -> LookupTable:
    """A table of `kind` over LOOKUP_ROWS that `faults_of_rows` finds no fault in."""
    rows = rows.sort("line", maintain_order=True)
    if kind == "prefix":
        return _PrefixTable.build(rows)
    if kind in ("range", "text_range"):
        return _RangeTable.build(rows, is_number=kind == "range")
    return _ExactTable(rows, _keys(rows), _Periods.build(_numbered(rows)))


@dataclass(frozen=True)
class _Periods:
    """Which row of a key is valid when. rows: key_id, row, valid_from, valid_to; sorted by valid_from where dated."""

    rows: pl.DataFrame
    is_dated: bool

    @classmethod
    def build(cls, rows: pl.DataFrame) -> "_Periods":
        periods = rows.select("key_id", "row", pl.col("valid_from").fill_null(BEFORE_ALL), "valid_to")
        is_dated = bool(rows["valid_from"].is_not_null().any() or rows["valid_to"].is_not_null().any())
        return cls(periods.sort("valid_from" if is_dated else "key_id"), is_dated)

    def find(self, key_ids: pl.Series, moments: pl.Series) -> pl.Series:
        asked = pl.DataFrame({"key_id": key_ids, "moment": moments})
        if not self.is_dated:
            rows = self.rows.select("key_id", "row")
            return asked.join(rows, on="key_id", how="left", maintain_order="left")["row"]
        # Rows of one key do not overlap, so only the last that began can still be valid.
        began = (
            asked.with_row_index("place")
            .sort("moment", nulls_last=True)
            .join_asof(self.rows, left_on="moment", right_on="valid_from", by="key_id", check_sortedness=False)
        )
        is_valid = pl.col("valid_to").is_null() | (pl.col("moment") < pl.col("valid_to"))
        return began.sort("place").select(row=pl.when(is_valid).then("row")).to_series()


def _keys(rows: pl.DataFrame) -> pl.DataFrame:
    """Each key once, with its number: key, key_id."""
    return rows.select(pl.col("key").unique(maintain_order=True)).with_row_index("key_id").select("key", "key_id")


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """LOOKUP_ROWS with their place and the number of their key."""
    return rows.with_row_index("row").join(_keys(rows), on="key", how="left", maintain_order="left")


@dataclass(frozen=True)
class _ExactTable:
    rows: pl.DataFrame
    keys: pl.DataFrame
    periods: _Periods

    def find(self, texts: pl.Series, moments: pl.Series) -> pl.Series:
        return self.periods.find(_join_keys(texts, self.keys), moments)


def _join_keys(texts: pl.Series, keys: pl.DataFrame) -> pl.Series:
    return pl.DataFrame({"key": texts}).join(keys, on="key", how="left", maintain_order="left")["key_id"]


@dataclass(frozen=True)
class _PrefixTable:
    """Prefixes by their length, longest first: one join each is three times as fast as searching sorted texts."""

    rows: pl.DataFrame
    by_length: tuple[tuple[int, pl.DataFrame], ...]
    periods: _Periods

    @classmethod
    def build(cls, rows: pl.DataFrame) -> "_PrefixTable":
        keys = _keys(rows)
        lengths = keys["key"].str.len_chars().unique().sort(descending=True).to_list()
        by_length = tuple((length, keys.filter(pl.col("key").str.len_chars() == length)) for length in lengths)
        return cls(rows, by_length, _Periods.build(_numbered(rows)))

    def find(self, texts: pl.Series, moments: pl.Series) -> pl.Series:
        """A prefix that is not valid at the moment gives way to a shorter one that is."""
        if self.by_length and not self.periods.is_dated:
            joined = (
                _join_keys(texts.str.slice(0, length), keys).alias(str(length)) for length, keys in self.by_length
            )
            longest = pl.DataFrame(list(joined)).select(key_id=pl.coalesce(pl.lit(None, ROW), pl.all()))
            return self.periods.find(longest["key_id"], moments)
        found = pl.DataFrame({"row": pl.Series([None], dtype=ROW).new_from_index(0, len(texts))}).to_series()
        for length, keys in self.by_length:
            key_ids = _join_keys(texts.str.slice(0, length), keys)
            found = found.zip_with(found.is_not_null(), self.periods.find(key_ids, moments))
        return found


@dataclass(frozen=True)
class _RangeTable:
    """Ranges in the parts between all bounds; part 0 lies before the first bound. A part is the key."""

    rows: pl.DataFrame
    is_number: bool
    bounds: pl.Series
    periods: _Periods

    @classmethod
    def build(cls, rows: pl.DataFrame, *, is_number: bool) -> "_RangeTable":
        bounds = _bounds(rows, is_number=is_number)
        return cls(rows, is_number, bounds, _Periods.build(_parts(rows, bounds, is_number=is_number)))

    def find(self, texts: pl.Series, moments: pl.Series) -> pl.Series:
        values = pl.DataFrame({"text": texts}).select(_floored(pl.col("text"))).to_series() if self.is_number else texts
        parts = self.bounds.search_sorted(values, side="right").cast(ROW)
        return self.periods.find(
            parts.zip_with(values.is_not_null(), parts.clear(1).new_from_index(0, len(parts))), moments
        )


def _floored(text: pl.Expr) -> pl.Expr:
    """A number's text at the scale of bounds, rounded down: no comparison changes its answer."""
    number = pl.when(text.str.contains(NUMBER_PATTERN)).then(text)
    is_long = number.str.extract(r"^[+-]?0*([0-9]*)", 1).str.len_chars() > BOUND_DIGITS
    cut = pl.when(~is_long).then(number).str.replace(r"(\.[0-9]{11})[0-9]+$", "$1").cast(BOUND, strict=False)
    is_cut_down = text.str.starts_with("-") & text.str.contains(r"\.[0-9]{11}[0-9]*[1-9]")
    least = pl.lit("0.00000000001").cast(BOUND)
    return pl.when(is_cut_down).then(cut - least).otherwise(cut)


def _bound_values(rows: pl.DataFrame, *, is_number: bool) -> pl.DataFrame:
    kind = BOUND if is_number else pl.String
    return rows.with_columns(pl.col("low", "high").cast(kind))


def _bounds(rows: pl.DataFrame, *, is_number: bool) -> pl.Series:
    values = _bound_values(rows, is_number=is_number)
    return pl.concat([values["low"].alias("bound"), values["high"].alias("bound")]).drop_nulls().unique().sort()


def _part_spans(rows: pl.DataFrame, bounds: pl.Series, *, is_number: bool) -> pl.DataFrame:
    """Add first_part, end_part: the parts that each range is made of, half-open."""
    values = _bound_values(rows, is_number=is_number)
    first = bounds.search_sorted(values["low"], side="right").cast(pl.Int64)
    end = bounds.search_sorted(values["high"], side="right").cast(pl.Int64)
    return rows.with_columns(
        first_part=pl.when(pl.col("low").is_null()).then(0).otherwise(first),
        end_part=pl.when(pl.col("high").is_null()).then(len(bounds) + 1).otherwise(end),
    )


def _parts(rows: pl.DataFrame, bounds: pl.Series, *, is_number: bool) -> pl.DataFrame:
    """A row for each part of each range: LOOKUP_ROWS with row and key_id."""
    spans = _part_spans(rows, bounds, is_number=is_number).with_row_index("row")
    parts = spans.with_columns(key_id=pl.int_ranges("first_part", "end_part")).explode("key_id")
    return parts.filter(pl.col("key_id").is_not_null()).with_columns(pl.col("key_id").cast(ROW))


# What is wrong with rows


def faults_of_rows(kind: str, rows: pl.DataFrame) -> pl.DataFrame:
    """ROW_FAULTS: every row that a table of `kind` cannot hold; then, where there is none, rows that overlap."""
    own = [_faulty(rows, broken, message) for broken, message in _rules(kind)]
    faults = pl.concat([pl.DataFrame(schema=ROW_FAULTS), *own]).sort("line", maintain_order=True)
    return faults if faults.height else _overlaps(kind, rows)


def _faulty(rows: pl.DataFrame, broken: pl.Expr, message: pl.Expr) -> pl.DataFrame:
    return rows.filter(broken).select("line", message=message).cast(ROW_FAULTS)  # type: ignore[arg-type]


def _rules(kind: str) -> list[tuple[pl.Expr, pl.Expr]]:
    key, low, high = pl.col("key"), pl.col("low"), pl.col("high")
    times = (pl.col("valid_to") <= pl.col("valid_from"), pl.lit("valid_to must lie after valid_from"))
    if kind in ("exact", "prefix"):
        rules = [(key.fill_null("") == "", pl.lit("the key is empty")), times]
        is_long = key.str.len_chars() > MAX_PREFIX
        message = pl.format("the prefix “{}” is longer than {} characters", key, pl.lit(MAX_PREFIX))
        return [*rules, (is_long, message)] if kind == "prefix" else rules
    message = pl.format("high “{}” must lie above low “{}”; high itself is no part of the range", high, low)
    if kind == "text_range":
        return [(high <= low, message), times]
    numbers = [
        (_is_no_bound(bound), pl.format("“{}” is no number with at most 27 digits and 11 decimals", bound))
        for bound in (low, high)
    ]
    return [*numbers, (_number(high) <= _number(low), message), times]


def _is_no_bound(bound: pl.Expr) -> pl.Expr:
    return bound.is_not_null() & ~bound.str.contains(r"^[+-]?[0-9]{1,27}(?:\.[0-9]{1,11})?$")


def _number(bound: pl.Expr) -> pl.Expr:
    return pl.when(~_is_no_bound(bound)).then(bound).cast(BOUND, strict=False)


def _overlaps(kind: str, rows: pl.DataFrame) -> pl.DataFrame:
    """ROW_FAULTS of rows that are valid for the same key, or part of a range, at the same time as another."""
    if kind in ("exact", "prefix"):
        keyed = _numbered(rows)
    else:
        bounds = _bounds(rows, is_number=kind == "range")
        spans = _part_spans(rows, bounds, is_number=kind == "range")
        if int(spans.select((pl.col("end_part") - pl.col("first_part")).sum()).item() or 0) > MAX_RANGE_PARTS:
            too_often = "the ranges cut each other too often; use the same bounds at all times, or several tables"
            return pl.DataFrame({"line": [rows["line"][0]], "message": [too_often]}, schema=ROW_FAULTS)
        keyed = _parts(rows, bounds, is_number=kind == "range")
    ordered = keyed.with_columns(pl.col("valid_from").fill_null(BEFORE_ALL)).sort("key_id", "valid_from", "line")
    before = ordered.with_columns(
        before_line=pl.col("line").shift().over("key_id"), before_to=pl.col("valid_to").shift().over("key_id")
    )
    overlapping = before.filter(
        pl.col("before_line").is_not_null()
        & (pl.col("before_to").is_null() | (pl.col("before_to") > pl.col("valid_from")))
    ).select(line=pl.max_horizontal("line", "before_line"), other=pl.min_horizontal("line", "before_line"))
    # Line 0 is a row that the table held before.
    other = pl.when(pl.col("other") > 0).then(pl.format("line {}", "other")).otherwise(pl.lit("a row of the table"))
    message = pl.format("is valid at the same time for the same value as {}", other)
    first = overlapping.unique("line", keep="first").sort("line")
    return first.select("line", message=message).cast(ROW_FAULTS)  # type: ignore[arg-type]
