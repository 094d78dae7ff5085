"""The five rules of exact numbers, each where polars alone would be inexact, wrap or turn to float."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediation.core.numbers import (
    AMOUNT,
    PRICE,
    PRODUCT,
    QUANTITY,
    assert_no_float,
    multiply,
    round_half_away,
    sum_exact,
)

LARGEST = Decimal("999999999999999.999999")
DEAREST = Decimal("999999.99999999999")

quantities = st.decimals(-LARGEST, LARGEST, places=6)
prices = st.decimals(-DEAREST, DEAREST, places=11)


def exact(number):
    with localcontext(prec=60):
        return number()


def test_1_what_lies_outside_the_bounds_does_not_fit_the_type():
    assert pl.Series([LARGEST]).cast(QUANTITY).to_list() == [LARGEST]
    with pytest.raises(pl.exceptions.PolarsError):
        pl.Series(["1000000000000000"]).cast(pl.Decimal(38, 6)).cast(QUANTITY)
    with pytest.raises(pl.exceptions.PolarsError):
        pl.Series(["1000000"]).cast(pl.Decimal(38, 11)).cast(PRICE)


@given(quantities, prices)
def test_2_a_product_is_exact_to_the_last_digit(quantity, price):
    frame = pl.DataFrame({"q": [quantity], "p": [price]}, schema={"q": QUANTITY, "p": PRICE})
    product = frame.select(product=multiply(pl.col("q"), pl.col("p")))["product"]
    assert product.dtype == PRODUCT
    assert product.to_list() == [exact(lambda: quantity * price)]


@given(st.decimals(-DEAREST, DEAREST, places=11), st.integers(0, 10))
def test_3_half_is_rounded_away_from_zero(value, scale):
    rounded = pl.Series([value], dtype=AMOUNT).to_frame("v").select(round_half_away(pl.col("v"), scale))["v"]
    assert rounded.to_list() == [value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)]


@pytest.mark.parametrize(("value", "rounded"), [("0.125", "0.13"), ("-0.125", "-0.13"), ("0.135", "0.14")])
def test_3_neither_to_even_nor_down(value, rounded):
    series = pl.Series([Decimal(value)], dtype=AMOUNT)
    assert series.to_frame("v").select(round_half_away(pl.col("v"), 2))["v"].to_list() == [Decimal(rounded)]


def test_4_a_sum_that_could_wrap_is_refused():
    wide = pl.Series(["9999999999999999999999999999"] * 40).cast(pl.Decimal(38, 10))
    with pytest.raises(OverflowError, match="more than 38 digits"):
        sum_exact(wide)


def test_4_a_sum_that_fits_is_exact():
    amounts = pl.Series([Decimal("0.00000000001")] * 3 + [Decimal("999999999999999999999.99999999999")], dtype=AMOUNT)
    assert sum_exact(amounts) == Decimal("1000000000000000000000.00000000002")


@pytest.mark.parametrize("values", [[], [None, None]])
def test_4_a_sum_of_nothing_is_no_error(values):
    assert sum_exact(pl.Series(values, dtype=AMOUNT)) in (0, None)


def test_5_a_float_is_refused_by_name():
    assert_no_float(pl.DataFrame({"a": [Decimal(1)], "b": [1]}))
    with pytest.raises(TypeError, match="price"):
        assert_no_float(pl.DataFrame({"price": [0.1]}))
