"""Cutting records at the boundaries of time periods: what is beyond is matched anew."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

import polars as pl

from mediation.core.numbers import AMOUNT, AMOUNT_SCALE, QUANTITY
from rating.core.frames import REFUSED, empty
from rating.core.tariffs import PricedRate

from .local_time import wall_clock
from .refusing import refuse
from .time_periods import Hours, begins_after, held_until, hours_of

# A charge's id has room for 4,096 entries: three times as many as this many parts and their reversals take.
MOST_PARTS = 600

# The share of an amount is rounded once: 76 digits cannot turn a quotient of 32 by 21 digits into a tie.
EXACT = Context(prec=76)
SMALLEST = Decimal(1).scaleb(-AMOUNT_SCALE)


@dataclass(frozen=True)
class Cut:
    """whole: rows that end where they should, or were cut to; rest: what is left of those, to be matched anew."""

    whole: pl.DataFrame
    rest: pl.DataFrame


def cut_at_boundaries(matched: pl.DataFrame, rates: Sequence[PricedRate]) -> Cut:
    """Cut the rows whose group splits records where, while they last, the time period of their group or rate ends, or
    that of one begins which is tried before theirs.

    matched: USAGE, time_zone and rate_key; the value of a row in such a group is seconds from its date. The rest
    begins at the boundary, as the next part. Every part has the whole amount until `share_amounts`.
    """
    splitting = _splitting(matched, rates)
    if not splitting:
        return Cut(matched, matched.clear())
    seconds = _seconds_left(matched, splitting)
    is_cut = (matched["value"] > seconds).fill_null(False)
    if not is_cut.any():
        return Cut(matched, matched.clear())
    dated = matched.with_columns(seconds.alias("seconds")).filter(is_cut)
    head = dated.with_columns(value="seconds")
    rest = dated.with_columns(
        part=pl.col("part") + 1,
        date=pl.col("date") + pl.duration(microseconds=(pl.col("seconds") * 1_000_000).cast(pl.Int64)),
        value=(pl.col("value") - pl.col("seconds")).cast(QUANTITY),
    )
    return Cut(pl.concat([matched.filter(~is_cut), head.drop("seconds")]), rest.drop("seconds"))


def refuse_crumbs(rest: pl.DataFrame) -> pl.DataFrame:
    """Refuse records that would fall into more than the most parts, schema REFUSED."""
    if rest.is_empty():
        return empty(REFUSED)
    message = pl.lit(
        f"The record would be split at the boundaries of time periods into more than {MOST_PARTS:,} parts, which is "
        "the most there can be. Check its value, which the rate group takes for seconds, or let the group rate records "
        "at their start; then rerate."
    )
    return refuse(rest, "system_error", message)


@dataclass(frozen=True)
class Bounds:
    """The time periods at whose ends, and those at whose starts, records of a rate are cut."""

    ends: tuple[Hours, ...]
    starts: tuple[Hours, ...]


def _splitting(matched: pl.DataFrame, rates: Sequence[PricedRate]) -> dict[Bounds, list[int]]:
    """The keys of the rates met that cut records, by where."""
    splitting: dict[Bounds, list[int]] = {}
    for key in matched["rate_key"].unique().sort().to_list():
        if rates[key].group.at_boundary == "split":
            own = _hours(rates[key])
            before = dict.fromkeys(hours for each in _before(rates, key) for hours in _hours(each))
            splitting.setdefault(Bounds(own, tuple(each for each in before if each not in own)), []).append(key)
    return {bounds: keys for bounds, keys in splitting.items() if bounds.ends or bounds.starts}


def _hours(rate: PricedRate) -> tuple[Hours, ...]:
    names = (rate.group.time_period, rate.rate.time_period)
    return tuple(hours_of(rate.version.plan, name) for name in names if name is not None)


def _before(rates: Sequence[PricedRate], key: int) -> Iterator[PricedRate]:
    """The rates of the same class that are tried before one; those of a version stand together."""
    found = rates[key]
    for earlier in range(key - 1, -1, -1):
        if rates[earlier].version is not found.version:
            return
        if rates[earlier].usage_class_id == found.usage_class_id:
            yield rates[earlier]


def _seconds_left(matched: pl.DataFrame, splitting: dict[Bounds, list[int]]) -> pl.Series:
    """The seconds from each row's date to its next boundary; null where there is none."""
    rows = matched.select("date", "time_zone", "rate_key").with_row_index("row")
    rows = rows.with_columns(wall_clock(rows).dt.date().alias("day"))
    found = []
    for bounds, keys in splitting.items():
        own = rows.filter(pl.col("rate_key").is_in(keys))
        for (zone,), part in own.partition_by("time_zone", as_dict=True).items():
            moments = [held_until(each, str(zone), part["day"], part["date"]) for each in bounds.ends]
            moments += [begins_after(each, str(zone), part["day"], part["date"]) for each in bounds.starts]
            named = [each.alias(str(place)) for place, each in enumerate(moments)]
            found.append(part.select("row", "date", end=pl.select(pl.min_horizontal(*named)).to_series()))
    left = pl.concat(found).select("row", seconds=_quantity((pl.col("end") - pl.col("date")).to_physical()))
    return rows.select("row").join(left, on="row", how="left", maintain_order="left")["seconds"]


def rejoin(parts: pl.DataFrame) -> pl.DataFrame:
    """Parts that follow each other and have the same rate as one: the boundary between them was none for them.

    parts: as `cut_at_boundaries` leaves them, all of each record. Parts are numbered anew.
    """
    ordered = parts.sort("udr_id", "part")
    begins = ordered.select(
        (pl.col("udr_id").ne_missing(pl.col("udr_id").shift()))
        | (pl.col("rate_key").ne_missing(pl.col("rate_key").shift()))
    ).to_series()
    if begins.all():
        return parts
    joined = (
        ordered.with_columns(begins.cum_sum().alias("run"))
        .group_by("run", maintain_order=True)
        .agg(
            pl.exclude("run", "value").first(),
            # Parts add up to the record that they were cut from, so that no sum is larger than it was.
            pl.col("value").sum().cast(QUANTITY),
        )
    )
    return joined.with_columns(part=pl.int_range(pl.len(), dtype=pl.Int64).over("udr_id")).select(parts.columns)


def _quantity(microseconds: pl.Expr) -> pl.Expr:
    """Seconds as QUANTITY: a product of scales 0 and 6 has six decimals, so nothing is rounded."""
    millionth = pl.lit(Decimal("0.000001"), pl.Decimal(38, 6))
    return (microseconds.cast(pl.Decimal(38, 0)) * millionth).cast(QUANTITY)


def share_amounts(parts: pl.DataFrame) -> pl.DataFrame:
    """The amount of each record that was split, shared by its parts in their order: of what is left, to the share of
    the seconds that are left, rounded half away from zero to 11 decimals; the last part takes the rest.

    parts: udr_id, part, value, and amount, the record's whole one in every part; all parts of each record.
    """
    split = parts.filter(pl.col("part") > 0)["udr_id"].unique().implode()
    rows = parts.select("udr_id", "part", "value", "amount").with_row_index("row")
    shared = rows.filter(pl.col("udr_id").is_in(split) & pl.col("amount").is_not_null()).sort("udr_id", "part")
    if shared.is_empty():
        return parts
    shares: list[Decimal] = []
    for (_,), own in shared.partition_by("udr_id", as_dict=True, maintain_order=True).items():
        shares += _shares(own["amount"][0], own["value"].to_list())
    return parts.with_columns(parts["amount"].scatter(shared["row"], pl.Series(shares, dtype=AMOUNT)))


def _shares(amount: Decimal, values: list[Decimal]) -> list[Decimal]:
    """An amount shared by values in turn."""
    seconds, left, shares = sum(values, Decimal(0)), amount, []
    for value in values[:-1]:
        exact = EXACT.divide(EXACT.multiply(left, value), seconds)
        shares.append(exact.quantize(SMALLEST, ROUND_HALF_UP, EXACT))
        left, seconds = EXACT.subtract(left, shares[-1]), seconds - value
    return [*shares, left]
