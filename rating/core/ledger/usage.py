"""A record as the ledger reads it, whose it is, and by which billing period it is charged."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from .windows import Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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
    since: int | None  # microseconds since 1970: few buckets ask for it
    time_zone: str
    plan_id: int
    rate_key: int
    matrix_price: Decimal | None
    barred: list[int] | None
    cost: Decimal | None
    period: int  # the place of its billing period
    family_period: int


class Period(NamedTuple):
    period_id: int
    window: Window


@dataclass(frozen=True)
class Owners:
    """Who shares what: a service by itself, an account, or a family of accounts.

    periods: by their place in BOUNDS. earliest: when the first service of an account or a family started, by (shared,
    account_id), in microseconds.
    """

    periods: dict[int, Period]
    earliest: dict[tuple[str, int], int]

    def owner(self, shared: str, usage: Usage) -> Owner:
        if shared == "service":
            return usage.account_id, usage.service_id
        return (usage.family_id if shared == "family" else usage.account_id), 0

    def period(self, shared: str, usage: Usage) -> Period:
        """The billing period that charges the usage: of the account, or of the topmost account."""
        return self.periods[usage.family_period if shared == "family" else usage.period]

    def since(self, shared: str, usage: Usage) -> datetime | None:
        since = usage.since if shared == "service" else self.earliest.get((shared, self.owner(shared, usage)[0]))
        return None if since is None else EPOCH + timedelta(microseconds=since)


def owners_of(usage: pl.DataFrame, *, shared: Iterable[str]) -> Owners:
    """The owners of usage (see `with_periods`). shared: whose buckets ask since when the owner's services ran."""
    periods: dict[int, Period] = {}
    is_alike = usage["family_period"].equals(usage["period"])
    for prefix in ("",) if is_alike else ("", "family_"):
        met = usage.select(f"{prefix}{name}" for name in ("period", "period_id", "starts_at", "ends_at")).unique()
        periods |= {row[0]: Period(row[1], Window(row[2], row[3])) for row in met.iter_rows()}
    earliest = {
        (kind, owner_id): since
        for kind in set(shared) - {"service"}
        for owner_id, since in usage.group_by(f"{kind}_id").agg(pl.col("since").min().to_physical()).iter_rows()
        if since is not None
    }
    return Owners(periods, earliest)


def with_periods(matched: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Add the account's and the topmost account's billing period to MATCHED; where the latter has none, the former.

    periods: BOUNDS, of the accounts' months, and of the topmost accounts' where families share anything. Adds
    period_id, starts_at, ends_at and `period`, the place in BOUNDS; the same with `family_` before them.
    """
    added = ["period_id", "starts_at", "ends_at", "period"]
    placed = periods.with_row_index("period")
    joined = matched.join(placed, on=["account_id", "month"], how="left", maintain_order="left")
    if matched["family_id"].equals(matched["account_id"]):
        return joined.with_columns(pl.col(name).alias(f"family_{name}") for name in added)
    of_family = placed.rename({"account_id": "family_id"} | {name: f"family_{name}" for name in added})
    joined = joined.join(of_family, on=["family_id", "month"], how="left", maintain_order="left")
    return joined.with_columns(pl.col(f"family_{name}").fill_null(pl.col(name)) for name in added)


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
    columns = [name for name in Usage._fields if name not in ("row", "since")]
    rows = ordered.with_row_index("row").select("row", *columns, pl.col("since").to_physical())
    return map(Usage._make, rows.select(*Usage._fields).iter_rows())
