"""Exact decimals in columns: the one place that knows where polars rounds, wraps or turns to float.

Five rules, each with a test in `tests/mediation/test_numbers.py`:
1. Every number is bounded at the door by its type here, so that a product of a quantity and a price fits 38 digits.
2. A product is made by `multiply`: both sides are widened to the scale of the exact product first.
3. Rounding happens once, by `round_half_away`, never by polars' default (half to even).
4. A sum is made by `sum_exact`, which proves that it cannot wrap before it adds.
5. No float: `assert_no_float` guards every frame that leaves a core.
"""

from decimal import Decimal

import polars as pl

QUANTITY_SCALE = 6
PRICE_SCALE = 11
AMOUNT_SCALE = 11
PRODUCT_SCALE = QUANTITY_SCALE + PRICE_SCALE

QUANTITY = pl.Decimal(21, QUANTITY_SCALE)  # numeric(21,6): |quantity| < 10^15
PRICE = pl.Decimal(17, PRICE_SCALE)  # numeric(17,11): |price| < 10^6
AMOUNT = pl.Decimal(32, AMOUNT_SCALE)  # numeric(32,11): |amount| < 10^21
PRODUCT = pl.Decimal(38, PRODUCT_SCALE)  # |quantity x price| < 10^21, exact to 17 decimals

# The one grammar for numbers in every door: ASCII, a sign, digits, a point and digits.
NUMBER_PATTERN = r"^[+-]?[0-9]+(?:\.[0-9]+)?$"


def multiply(quantity: pl.Expr, price: pl.Expr) -> pl.Expr:
    """The exact product of a QUANTITY and a PRICE as PRODUCT; polars alone would round to the wider scale."""
    return quantity.cast(PRODUCT) * price.cast(PRODUCT)


def round_half_away(value: pl.Expr, scale: int) -> pl.Expr:
    """Round to `scale` decimals, half away from zero (commercial rounding)."""
    return value.round(scale, mode="half_away_from_zero")


def sum_exact(values: pl.Series) -> Decimal:
    """The exact sum of a decimal series; raises OverflowError where 38 digits could not hold it."""
    absolute: list[Decimal] = values.abs().drop_nulls().top_k(1).to_list()
    if not absolute:
        return Decimal(0)
    scale = getattr(values.dtype, "scale", 0)
    if absolute[0] * len(values) >= Decimal(10) ** (38 - scale):
        raise OverflowError(f"the sum of {len(values)} values up to {absolute[0]} needs more than 38 digits")
    return Decimal(values.sum())


def assert_no_float(frame: pl.DataFrame) -> None:
    """Raise TypeError where a column of `frame` is a float."""
    floats = [name for name, kind in frame.schema.items() if kind in (pl.Float32, pl.Float64)]
    if floats:
        raise TypeError(f"float columns have no place near money: {', '.join(floats)}")
