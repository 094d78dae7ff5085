"""From priced usage to rows of charges and draws, and the rows that take them back."""

from datetime import datetime

import polars as pl

from mediation.core.numbers import assert_no_float

from .frames import CHARGES, DRAW_ROWS, ENTRY_BITS, MOMENT, empty
from .tariffs import PriceList

# A part has two entries, a charge and its reversal, so that a reversal's id is its charge's plus one.
ENTRIES = 2
MOST_ENTRIES = 1 << ENTRY_BITS

# What taking a charge back turns round.
SIGNED = ("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "credit", "cost", "amount")


def charges_of(
    rated: pl.DataFrame, prices: PriceList, now: datetime, *, entries: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The charges of priced usage (PRICED), schema CHARGES, ordered by period as its index wants them.

    Each is billed where it is counted. entries: udr_id, entry: the first that is free where a UDR was charged before.
    Raises OverflowError where a UDR has no entry left: the next number would be an id of the next UDR.
    """
    first = pl.lit(0, pl.Int64)
    if entries is not None:
        rated = rated.join(entries, on="udr_id", how="left", maintain_order="left")
        first = pl.col("entry").fill_null(0)
    numbered = rated.join(_numbers(prices), on="rate_key", how="left", maintain_order="left")
    placed = numbered.with_columns(_entry=first + pl.col("part") * ENTRIES)
    _require_room(placed)
    charges = placed.with_columns(
        id=pl.col("udr_id") * MOST_ENTRIES + pl.col("_entry"),
        rated_at=pl.lit(now, MOMENT),
        counting_period_id="period_id",
        quantity="value",
        amount="charged_amount",
        currency="account_currency",
        kind=pl.lit("charge"),
    ).select(*CHARGES)
    assert_no_float(charges)
    return charges.sort("period_id", maintain_order=True)


def _require_room(placed: pl.DataFrame) -> None:
    full = placed.filter(pl.col("_entry") > MOST_ENTRIES - ENTRIES)
    if not full.is_empty():
        raise OverflowError(
            f"UDR {full['udr_id'][0]} was charged so often that no number is left for another charge of it: a UDR has "
            f"{MOST_ENTRIES:,}, of which each charge and its reversal take two. Reprocess its import, which numbers "
            "its records anew."
        )


def _numbers(prices: PriceList) -> pl.DataFrame:
    rows = [(each.key, each.rate_id, each.version.version_id) for each in prices.rates]
    return pl.DataFrame(rows, schema={"rate_key": pl.Int64, "rate_id": pl.Int64, "version_id": pl.Int64}, orient="row")


def draw_rows_of(draws: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """The movements (DRAWS) that made these charges, as rows of the table: schema DRAW_ROWS."""
    if draws.is_empty():
        return empty(DRAW_ROWS)
    named = draws.join(charges.select("udr_id", "part", charge_id="id"), on=["udr_id", "part"], maintain_order="left")
    placed = named.with_columns(place=(pl.col("charge_id").cum_count().over("charge_id") - 1).cast(pl.Int64))
    return placed.select(*DRAW_ROWS)


def reversals_of(charges: pl.DataFrame, billed: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The rows that take charges back, each billed in the period that `billed` names for its charge.

    charges: schema CHARGES. billed: id (of the charge), billed_id. They are counted where their charge was.
    """
    moved = charges.join(billed, on="id", maintain_order="left")
    reversals = moved.with_columns(
        *(pl.col(name).neg().cast(CHARGES[name]) for name in SIGNED),
        id=pl.col("id") + 1,
        period_id="billed_id",
        kind=pl.lit("reversal"),
        rated_at=pl.lit(now, MOMENT),
    )
    return reversals.select(*CHARGES).sort("period_id", maintain_order=True)


def given_back(draws: pl.DataFrame, grants: pl.DataFrame) -> pl.DataFrame:
    """The rows that give back what the draws (DRAW_ROWS) of taken-back charges drew. grants: GRANTS before it."""
    moved = draws.filter(pl.col("kind") != "refill")
    if moved.is_empty():
        return empty(DRAW_ROWS)
    grant = ["account_id", "bucket_id", "service_id", "starts_at"]
    known = moved.join(grants.select(*grant, "granted", "used"), on=grant, how="left", maintain_order="left")
    back = known.with_columns(
        charge_id=pl.col("charge_id") + 1,
        kind=pl.lit("give_back"),
        quantity=pl.col("quantity").neg().cast(DRAW_ROWS["quantity"]),
        amount=pl.col("amount").neg().cast(DRAW_ROWS["amount"]),
    )
    used = pl.col("used") + pl.col("quantity").cum_sum().over(grant)
    return back.with_columns(left=(pl.col("granted") - used).cast(DRAW_ROWS["left"])).select(*DRAW_ROWS)
