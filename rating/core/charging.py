"""The walk of UDRs through the passes, the charges that come of it, and what they leave in the balances."""

from collections.abc import Callable
from datetime import datetime

import polars as pl

from mediation.core.numbers import QUANTITY, assert_no_float

from .frames import BALANCES, CHARGES, ENTRY_BITS, MOMENT, POSITIONS, TOTAL, Rated, Tariff
from .payers import choose_identifiers, find_payers, refuse_final_billed, require_plan
from .periods import assign_periods, find_months
from .prices import price
from .quantities import BUCKET, CLIMB, allot, round_up
from .rates import find_rates, require_amount, require_tiers

Pass = Callable[[pl.DataFrame, Tariff], Rated]

# Whose identifier counts: needs the classes only.
CHOOSING: tuple[Pass, ...] = (choose_identifiers,)

# Who pays, by which rate, for how much: needs configuration only.
MATCHING: tuple[Pass, ...] = (
    find_payers,
    refuse_final_billed,
    require_plan,
    find_rates,
    require_amount,
    require_tiers,
    round_up,
    find_months,
)

# In which period, after which usage, for what amount: needs periods, balances and positions, under lock.
PRICING: tuple[Pass, ...] = (assign_periods, allot, price)


def walk(passes: tuple[Pass, ...], udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Take UDRs through passes; what one refuses, the next does not see."""
    refused = []
    for each in passes:
        passed = each(udrs, tariff)
        udrs = passed.rated
        refused.append(passed.refused)
    return Rated(udrs, pl.concat(refused))


def charges_of(priced: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The first charges of priced UDRs, schema CHARGES, ordered by period as its index wants them."""
    charges = priced.with_columns(
        id=pl.col("udr_id") * (1 << ENTRY_BITS),
        rated_at=pl.lit(now, MOMENT),
        quantity="value",
        currency="account_currency",
        kind=pl.lit("charge"),
    ).select(*CHARGES)
    assert_no_float(charges)
    return charges.sort("period_id")


def reversals_of(charges: pl.DataFrame, periods: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The rows that take charges back, each in the period that `periods` names for its charge.

    charges: schema CHARGES. periods: id (of the charge), period_id. In another period than its charge's a reversal
    moves neither bucket nor tiers, and names none.
    """
    taken = ["quantity", "rated_quantity", "bucket_quantity"]
    stays = pl.col("period_id") == pl.col("charged_period_id")
    moved = charges.rename({"period_id": "charged_period_id"}).join(periods, on="id")
    reversals = moved.with_columns(
        pl.col(taken).neg().cast(QUANTITY),
        bucket_id=pl.when(stays).then("bucket_id"),
        tier_position=pl.when(stays).then("tier_position"),
        id=pl.col("id") + 1,
        amount=pl.col("amount").neg().cast(CHARGES["amount"]),
        kind=pl.lit("reversal"),
        rated_at=pl.lit(now, MOMENT),
    )
    return reversals.select(*CHARGES).sort("period_id")


def positions_after(charges: pl.DataFrame) -> pl.DataFrame:
    """How far each graduated rate is used up after `charges`, schema POSITIONS."""
    reached = pl.col("tier_position") + pl.col("rated_quantity") - pl.col("bucket_quantity")
    climbed = charges.filter(pl.col("tier_position").is_not_null())
    return climbed.group_by(CLIMB).agg(quantity=reached.max().cast(QUANTITY)).select(*POSITIONS).sort(CLIMB)


def balances_after(charges: pl.DataFrame, tariff: Tariff) -> pl.DataFrame:
    """How much of each bucket is used up after `charges`, schema BALANCES."""
    drawn = _sums(charges.filter(pl.col("bucket_quantity") > 0), BUCKET, pl.col("bucket_quantity"))
    used = drawn.join(tariff.balances, on=BUCKET, how="left", maintain_order="left").with_columns(
        used=(pl.col("sum") + pl.col("used").cast(TOTAL).fill_null(0)).cast(QUANTITY)
    )
    return used.select(*BALANCES)


def climbed_by(charges: pl.DataFrame) -> pl.DataFrame:
    """How far `charges` moved the positions: the keys of POSITIONS, sum."""
    billable = pl.col("rated_quantity") - pl.col("bucket_quantity")
    return _sums(charges.filter(pl.col("tier_position").is_not_null()), CLIMB, billable)


def drawn_by(charges: pl.DataFrame) -> pl.DataFrame:
    """How much `charges` drew on the buckets: the keys of BALANCES, sum."""
    return _sums(charges.filter(pl.col("bucket_quantity") != 0), BUCKET, pl.col("bucket_quantity"))


def _sums(charges: pl.DataFrame, keys: list[str], quantity: pl.Expr) -> pl.DataFrame:
    # A group's sum wraps only above 38 digits: with 27 for a quantity that takes 10^11 charges, batches have 131,071.
    return charges.group_by(keys).agg(sum=quantity.cast(TOTAL).sum()).sort(keys)
