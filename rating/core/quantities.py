"""How much usage counts: rounded by minimum and increment, drawn from a bucket, laid along the tiers."""

from collections import defaultdict
from decimal import Decimal

import polars as pl

from mediation.core.numbers import QUANTITY

from .frames import TOTAL, Rated, Tariff, refuse

LARGEST = Decimal("999999999999999.999999")  # what a QUANTITY holds

BUCKET = ["period_id", "service_id", "bucket_id"]
CLIMB = ["period_id", "service_id", "rate_id"]
SERVICE = ["period_id", "service_id"]

DRAWS = (pl.col("model") == "per_unit") | (pl.col("model") == "graduated")
CLIMBS = pl.col("model") == "graduated"


def round_up(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Round the measured value: up to the minimum, and above it up to a whole number of increments. Exact.

    rated = minimum where value <= minimum, else minimum + ceil((value - minimum) / increment) x increment.
    """
    minimum, increment = pl.col("minimum").cast(TOTAL), pl.col("increment").cast(TOTAL)
    above = pl.col("value").cast(TOTAL) - minimum
    rest = above % increment
    stepped = pl.when(increment.is_null() | (rest == 0)).then(above).otherwise(above - rest + increment)
    udrs = udrs.with_columns(rated_quantity=pl.when(above <= 0).then(minimum).otherwise(minimum + stepped)).drop(
        "minimum", "increment"
    )
    fits = pl.col("rated_quantity") <= LARGEST
    message = pl.format(
        "The usage rounds up to {}, more than can be priced. Mend the rate's increment, then rerate.", "rated_quantity"
    )
    return Rated(
        udrs.filter(fits).with_columns(pl.col("rated_quantity").cast(QUANTITY)),
        refuse(udrs.filter(~fits), "system_error", message),
    )


def allot(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Draw on buckets and climb the tiers in order of date; usage above the last tier is refused.

    Adds bucket_id, bucket_quantity, billable_quantity and, for graduated rates, tier_position (before the UDR).
    A refused UDR draws nothing and moves nobody's position. Only usage that depends on other usage is put in order.
    """
    udrs = udrs.join(tariff.buckets, on=["plan_id", "usage_class_id"], how="left", maintain_order="left")
    depends = (DRAWS & pl.col("bucket_id").is_not_null()) | CLIMBS
    alone = udrs.filter(~depends).with_columns(
        bucket_id=pl.lit(None, pl.Int64),
        bucket_quantity=pl.lit(0, QUANTITY),
        billable_quantity="rated_quantity",
        tier_position=pl.lit(None, QUANTITY),
    )
    ordered = udrs.filter(depends).sort("date", "udr_id")
    allotted = _climb(_draw(ordered, tariff), tariff)
    over = allotted.filter(pl.col("tier_position") + pl.col("billable_quantity") > pl.col("last_unit"))
    refused = over
    if not over.is_empty():
        beyond = _beyond(allotted.join(over, on=SERVICE, how="semi", maintain_order="left"))
        refused = allotted.filter(pl.col("udr_id").is_in(pl.Series(beyond, dtype=pl.Int64).implode()))
        kept = ordered.join(refused, on="udr_id", how="anti", maintain_order="left")
        allotted = _climb(_draw(kept, tariff), tariff)
    message = pl.format(
        "The usage reaches above {}, where the last tier of the rate ends. Add a tier without end, then rerate.",
        "last_unit",
    )
    totals = ["bucket_quantity", "billable_quantity", "tier_position"]
    fitted = allotted.with_columns(pl.col(totals).cast(QUANTITY)).select(*alone.columns)
    return Rated(pl.concat([alone, fitted]).drop("size"), refuse(refused, "no_rate", message))


def _before(column: str, keys: list[str]) -> pl.Expr:
    """The running total of `column` before each row, within `keys`."""
    total = pl.col(column).cast(TOTAL)
    return total.cum_sum().over(keys) - total


def _draw(udrs: pl.DataFrame, tariff: Tariff) -> pl.DataFrame:
    """What each UDR takes from its plan's bucket: what it needs, as far as the allowance goes. In the rows' order."""
    draws = pl.col("bucket_id").is_not_null()
    drawing = udrs.filter(draws).join(tariff.balances, on=BUCKET, how="left", maintain_order="left")
    left = pl.col("size").cast(TOTAL) - pl.col("used").cast(TOTAL).fill_null(0) - _before("rated_quantity", BUCKET)
    drawing = drawing.with_columns(
        bucket_quantity=pl.min_horizontal(
            pl.max_horizontal(left, pl.lit(0, TOTAL)), pl.col("rated_quantity").cast(TOTAL)
        )
    )
    others = udrs.filter(~draws).with_columns(used=pl.lit(None, QUANTITY), bucket_quantity=pl.lit(0, TOTAL))
    drawn = pl.concat([drawing, others.select(drawing.columns)])
    return drawn.with_columns(billable_quantity=pl.col("rated_quantity").cast(TOTAL) - pl.col("bucket_quantity"))


def _climb(udrs: pl.DataFrame, tariff: Tariff) -> pl.DataFrame:
    """Where each UDR of a graduated rate starts, and where the rate's last tier ends. In the rows' order."""
    unbounded = pl.col("up_to").is_null().any()
    last_units = tariff.tiers.group_by("rate_id").agg(
        last_unit=pl.when(unbounded).then(pl.lit(LARGEST, QUANTITY)).otherwise(pl.col("up_to").max())
    )
    climbing = udrs.filter(CLIMBS).join(last_units, on="rate_id", how="left", maintain_order="left")
    climbing = climbing.join(tariff.positions, on=CLIMB, how="left", maintain_order="left").with_columns(
        tier_position=pl.col("quantity").cast(TOTAL).fill_null(0) + _before("billable_quantity", CLIMB)
    )
    others = udrs.filter(~CLIMBS).with_columns(
        last_unit=pl.lit(None, QUANTITY), quantity=pl.lit(None, QUANTITY), tier_position=pl.lit(None, TOTAL)
    )
    return pl.concat([climbing, others.select(climbing.columns)])


def _beyond(allotted: pl.DataFrame) -> list[int]:
    """The ids of the UDRs that reach above their last tier, found one by one: each depends on those refused before it.

    Only the services and periods where some UDR does come here, so the rest stays columnar.
    """
    drawn: dict[tuple[int, ...], Decimal] = defaultdict(Decimal)
    climbed: dict[tuple[int, ...], Decimal] = defaultdict(Decimal)
    refused = []
    for udr in allotted.sort("date", "udr_id").iter_rows(named=True):
        bucket, climb = tuple(udr[key] for key in BUCKET), tuple(udr[key] for key in CLIMB)
        draw = Decimal(0)
        if udr["bucket_id"] is not None:
            left = udr["size"] - (udr["used"] or 0) - drawn[bucket]
            draw = min(max(left, Decimal(0)), udr["rated_quantity"])
        if udr["last_unit"] is not None:
            reached = (udr["quantity"] or 0) + climbed[climb] + udr["rated_quantity"] - draw
            if reached > udr["last_unit"]:
                refused.append(udr["udr_id"])
                continue
            climbed[climb] += udr["rated_quantity"] - draw
        drawn[bucket] += draw
    return refused
