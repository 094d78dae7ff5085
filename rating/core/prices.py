"""What usage costs: per unit, fixed, passed through or by graduated tiers, rounded once."""

from decimal import Decimal

import polars as pl

from mediation.core.numbers import AMOUNT, PRODUCT, QUANTITY, multiply, round_half_away

from .frames import Rated, Tariff, refuse
from .quantities import CLIMBS, LARGEST

# A passed-through amount above this could round up to 22 digits.
LARGEST_AMOUNT = Decimal(10) ** 21 - 1


def price(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Price the billable quantity and round the amount once, half away from zero, to the group's amount precision.

    udrs: as `quantities.allot` leaves them. Units: quantities of the class's unit, amounts of the account's currency.
    """
    too_large = (pl.col("model") == "pass_through") & (pl.col("amount").abs() > LARGEST_AMOUNT)
    message = pl.lit("The record's amount is too large to be rounded. Correct it at its source.")
    refused = refuse(udrs.filter(too_large.fill_null(False)), "system_error", message)
    if not refused.is_empty():
        udrs = udrs.filter(~too_large.fill_null(False))
    model = pl.col("model")
    flat = udrs.filter(~CLIMBS).with_columns(
        exact=pl.when(model == "per_unit")
        .then(multiply(pl.col("billable_quantity"), pl.col("price")))
        .when(model == "fixed")
        .then(pl.col("price").cast(PRODUCT))
        .otherwise(pl.col("amount").cast(PRODUCT))
    )
    priced = pl.concat([flat, _along_tiers(udrs.filter(CLIMBS), tariff)])
    return Rated(priced.with_columns(amount=_rounded(priced)).drop("exact"), refused)


def _along_tiers(udrs: pl.DataFrame, tariff: Tariff) -> pl.DataFrame:
    """Price each UDR by the stretch that it covers in every tier; bounds are inclusive, on the real line.

    exact = sum over tiers of max(0, min(end, up_to) - max(start, up_to of the tier before)) x the tier's price.
    """
    start, end = pl.col("tier_position"), pl.col("tier_position") + pl.col("billable_quantity")
    tiers = tariff.tiers.with_columns(pl.col("up_to").fill_null(LARGEST).cast(QUANTITY)).sort("rate_id", "up_to")
    tiers = tiers.with_columns(
        above=pl.col("up_to").shift(1).over("rate_id").fill_null(0).cast(QUANTITY),
        place=pl.col("up_to").cum_count().over("rate_id"),
    )
    udrs = udrs.with_columns(exact=pl.lit(0, PRODUCT))
    for _, layer in sorted(tiers.partition_by("place", include_key=False, as_dict=True).items()):
        covered = pl.max_horizontal(
            pl.min_horizontal(end.cast(QUANTITY), "up_to") - pl.max_horizontal(start, "above"), pl.lit(0, QUANTITY)
        )
        part = multiply(covered.cast(QUANTITY), pl.col("tier_price")).fill_null(0)
        udrs = udrs.join(layer, on="rate_id", how="left", maintain_order="left")
        udrs = udrs.with_columns(exact=pl.col("exact") + part).drop("up_to", "above", "tier_price")
    return udrs


def _rounded(priced: pl.DataFrame) -> pl.Expr:
    """The exact amount at each row's own precision."""
    precisions = priced["amount_precision"].unique().to_list()
    rounded = (
        pl.coalesce(
            pl.when(pl.col("amount_precision") == precision).then(round_half_away(pl.col("exact"), precision))
            for precision in precisions
        )
        if precisions
        else pl.col("exact")
    )
    return rounded.cast(AMOUNT)
