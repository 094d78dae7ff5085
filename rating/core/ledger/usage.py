"""A record as the ledger reads it, whose it is, and by which billing period it is charged."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from .windows import Window

Owner = tuple[int, int]  # account_id, and service_id or 0

# Usage is put in order by its date and then by what it says, so that equal usage gives an equal bill whatever order
# it arrived in; only what cannot be told apart is left in the order of its number.
CONTENT = (
    "date",
    "usage_class_id",
    "service_id",
    "value",
    "amount",
    "counted",
    "member",
    "counter_key",
    "rate_key",
    "matrix_price",
    "cost",
)


class Usage(NamedTuple):
    """One row of MATCHED with its billing periods."""

    row: int
    udr_id: int
    part: int
    date: datetime
    import_id: int
    amount: Decimal | None
    counted: Decimal | None
    member: str | None
    counter_key: str
    service_id: int
    account_id: int
    family_id: int
    since: datetime | None
    time_zone: str
    plan_id: int
    rate_key: int
    matrix_price: Decimal | None
    barred: list[int] | None
    cost: Decimal | None
    period_id: int
    starts_at: datetime
    ends_at: datetime
    family_period_id: int
    family_starts_at: datetime
    family_ends_at: datetime


class Period(NamedTuple):
    period_id: int
    window: Window


@dataclass(frozen=True)
class Owners:
    """Who shares what: a service by itself, an account, or a family of accounts.

    earliest: when the first service of an account or a family started, by (shared, account_id).
    """

    earliest: dict[tuple[str, int], datetime]

    def owner(self, shared: str, usage: Usage) -> Owner:
        if shared == "service":
            return usage.account_id, usage.service_id
        return (usage.family_id if shared == "family" else usage.account_id), 0

    def period(self, shared: str, usage: Usage) -> Period:
        """The billing period that charges the usage: of the account, or of the topmost account."""
        if shared == "family":
            return Period(usage.family_period_id, Window(usage.family_starts_at, usage.family_ends_at))
        return Period(usage.period_id, Window(usage.starts_at, usage.ends_at))

    def since(self, shared: str, usage: Usage) -> datetime | None:
        if shared == "service":
            return usage.since
        return self.earliest.get((shared, self.owner(shared, usage)[0]))


def with_periods(matched: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Add the account's and the topmost account's billing period to MATCHED; where the latter has none, the former.

    periods: BOUNDS, of the accounts' months, and of the topmost accounts' where families share anything.
    """
    bounds = ["period_id", "starts_at", "ends_at"]
    on = ["account_id", "month"]
    joined = matched.join(periods, on=on, how="left", maintain_order="left")
    of_family = periods.rename({"account_id": "family_id"} | {name: f"family_{name}" for name in bounds})
    joined = joined.join(of_family, on=["family_id", "month"], how="left", maintain_order="left")
    return joined.with_columns(pl.col(f"family_{name}").fill_null(pl.col(name)) for name in bounds)


def in_order(usage: pl.DataFrame) -> pl.DataFrame:
    """Usage in the order in which it is priced; the parts of a record follow each other at the record's date.

    usage: MATCHED with more columns; `barred` tells apart what is otherwise equal.
    """
    barred = pl.col("barred").cast(pl.List(pl.String)).list.join(",")
    if not (usage["part"] > 0).any():
        keyed = usage.with_columns(_barred=barred) if usage["barred"].null_count() < usage.height else usage
        keys = [*CONTENT, *(["_barred"] if "_barred" in keyed.columns else []), "udr_id", "part"]
        return keyed.sort(keys).drop("_barred", strict=False)
    first = usage.sort("udr_id", "part").with_columns(_barred=barred)
    whole = first.group_by("udr_id").agg(
        *(pl.col(name).first().alias(f"_{name}") for name in (*CONTENT, "_barred")),
        _parts=pl.col("value").cast(pl.Decimal(38, 6)).sum(),
    )
    names = [f"_{name}" for name in (*CONTENT, "_barred")]
    keyed = usage.join(whole, on="udr_id", how="left", maintain_order="left")
    return keyed.sort(*names, "_parts", "udr_id", "part").select(usage.columns)


def read(ordered: pl.DataFrame) -> Iterator[Usage]:
    """The rows of a frame in order, each with its place."""
    columns = list(Usage._fields[1:])
    return map(Usage._make, ordered.with_row_index("row").select("row", *columns).iter_rows())
