"""What usage costs us, by the cost groups of its plan: shown beside the price, never billed."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import polars as pl

from mediation.core.numbers import AMOUNT, PRICE, multiply, round_half_away
from rating.core.costs import Counter, NoCount, NoPrice, Record, cost_of, count, round_away
from rating.core.plans.spec import Aggregation, Rate, Transform
from rating.core.tariffs import PricedRate

from .book import Book
from .describing import describe_matched
from .searching import find_costs


def add_costs(usage: pl.DataFrame, book: Book) -> pl.DataFrame:
    """Add `cost` by the cost groups: of each row by itself, whatever was used before; null where none fits.

    usage: schema KNOWN. A rate that counts over records prices each by itself here, a count as one; amounts are
    rounded once, half away from zero, to the precision of their group. What the cost rate asks of the usage and does
    not find leaves the cost unknown, it refuses nothing.
    """
    versions = pl.DataFrame(
        [(key, book.prices.rates[key].version.version_id) for key in usage["rate_key"].unique().sort().to_list()],
        schema={"rate_key": pl.Int64, "version_id": pl.Int64},
        orient="row",
    )
    met = set(versions["version_id"].to_list())
    rates = [rate for rate in book.prices.rates if rate.is_cost and rate.version.version_id in met]
    if not rates:
        return usage.with_columns(cost=pl.lit(None, AMOUNT))
    dated = usage.drop("version_id", strict=False).join(versions, on="rate_key", how="left", maintain_order="left")
    if "usage_class" not in dated.columns:
        classes = book.classes.select("usage_class_id", "usage_class")
        dated = dated.join(classes, on="usage_class_id", how="left", maintain_order="left")
    keys = find_costs(dated, rates)
    found = dated.with_columns(keys.alias("rate_key")).filter(keys.is_not_null())
    costs = _costs(describe_matched(found.drop("cost", strict=False), book).rated, book.prices.rates)
    return usage.drop("cost", strict=False).join(costs, on=["udr_id", "part"], how="left", maintain_order="left")


def _costs(described: pl.DataFrame, rates: Sequence[PricedRate]) -> pl.DataFrame:
    """udr_id, part and cost of rows matched with rates of costs."""
    plain = [key for key in described["rate_key"].unique().to_list() if _is_plain(rates[key].rate)]
    is_plain = described["rate_key"].is_in(plain)
    found = [
        described.filter(is_plain & (described["rate_key"] == key)).select(
            "udr_id", "part", cost=_plain_cost(rates[key])
        )
        for key in sorted(plain)
    ]
    found.append(_each_cost(described.filter(~is_plain), rates))
    return pl.concat(found)


def _is_plain(rate: Rate) -> bool:
    """Whether quantity x price is all there is to it; the rest is reckoned one by one."""
    usual = Rate(rate.name, rate.usage_class, "per_unit", price=rate.price, transform=Transform())
    searched = replace(rate, condition=None, time_period=None, zone=None, counting=usual.counting)
    return searched == usual


def _plain_cost(priced: PricedRate) -> pl.Expr:
    exact = multiply(pl.col("value"), pl.lit(priced.rate.price, PRICE))
    return round_half_away(exact, priced.group.amount_precision).cast(AMOUNT)


def _each_cost(described: pl.DataFrame, rates: Sequence[PricedRate]) -> pl.DataFrame:
    asked = described.select("udr_id", "part", "date", "rate_key", "counted", "amount", "matrix_price")
    known: dict[tuple[Any, ...], Decimal | None] = {}
    costs: list[Decimal | None] = []
    for _, part, date, *what in asked.iter_rows():
        key = (part == 0, *what)
        if key not in known:
            known[key] = _cost(rates[what[0]], Record(date, what[1], what[2], part=part), what[3])
        costs.append(known[key])
    return asked.select("udr_id", "part", pl.Series("cost", costs, dtype=AMOUNT))


def _cost(priced: PricedRate, record: Record, matrix_price: Decimal | None) -> Decimal | None:
    """What the rate costs for a record by itself; None where the rate has no price for it."""
    rate = _by_itself(priced.rate)
    if priced.rate.aggregation.function in ("count", "unique_count"):
        record = replace(record, counted=Decimal(1))
    try:
        counted = count(rate, Counter(), record)
        cost = cost_of(rate, Counter(), counted, record, billable=counted.remaining, matrix_price=matrix_price)
    except (NoCount, NoPrice):
        return None
    return round_away(cost.amount, priced.group.amount_precision)


@lru_cache(maxsize=1_000)
def _by_itself(rate: Rate) -> Rate:
    return replace(rate, aggregation=Aggregation(of=rate.aggregation.of))
