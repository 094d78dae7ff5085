"""What was spent by service and hour, for commitments that the lines of a statement are too coarse for."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import polars as pl

from rating.core.frames import MONEY
from rating.core.tariffs import PriceList

from .bills import Bill

# Windows are named by their start on the clock of the account's zone. The offset tells the two hours apart that are one
# on the clock when summer time ends; a day is the first ten letters of its hours.
HOUR = "%Y-%m-%dT%H%z"
DAY_LETTERS = 10


@dataclass(frozen=True, slots=True)
class Spent:
    """Amounts of usage of one rate by one service (in one hour), reversals taken off. used: before credit."""

    plan_id: int | None
    rate_key: int | None
    usage_class_id: int
    jurisdiction: str
    service_id: int
    hour: str
    used: Decimal
    owed: Decimal

    def window(self, within: Literal["hour", "day"] | None) -> str:
        """The name of its hour or day; "" for the period."""
        return {"hour": self.hour, "day": self.hour[:DAY_LETTERS], None: ""}[within]


def spending(charges: pl.DataFrame, bills: Sequence[Bill], prices: PriceList) -> dict[int, list[Spent]]:
    """What was spent, by period; empty where no plan has a commitment of services or windows.

    charges: SETTLED. What adjusts a closed statement is left out, and what came to nothing (a charge and its reversal).
    """
    fine = [
        each for version in prices.versions for each in version.plan.commitments if each.per == "service" or each.within
    ]
    found: dict[int, list[Spent]] = defaultdict(list)
    if not fine:
        return found
    zones: dict[str, list[int]] = defaultdict(list)
    for bill in bills:
        zones[bill.time_zone if any(each.within for each in fine) else ""].append(bill.period_id)
    usage = charges.filter(pl.col("adjusts").is_null())
    for zone, period_ids in zones.items():
        hour = pl.col("date").dt.convert_time_zone(zone).dt.strftime(HOUR) if zone else pl.lit("")
        for period_id, *values in _sums(usage.filter(pl.col("period_id").is_in(period_ids)).with_columns(hour=hour)):
            found[period_id].append(Spent(*values))
    return found


def _sums(charges: pl.DataFrame) -> list[tuple[Any, ...]]:
    by = ["period_id", "plan_id", "rate_key", "usage_class_id", "jurisdiction", "service_id", "hour"]
    sums = charges.group_by(by).agg(
        pl.when(pl.col("kind") == "reversal").then(-1).otherwise(1).sum().alias("records"),
        pl.col("amount").cast(MONEY).sum().alias("owed"),
        pl.col("credit").cast(MONEY).sum(),
    )
    some = sums.filter((pl.col("records") != 0) | (pl.col("owed") != 0) | (pl.col("credit") != 0)).sort(by)
    return some.select(*by, pl.col("owed") + pl.col("credit"), pl.col("owed").alias("due")).rows()
