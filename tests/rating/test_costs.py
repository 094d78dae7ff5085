"""What records cost by each model: worked numbers, zero units, bounds, and what must hold whatever the numbers."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.costs import EXACT, Counter, NoBase, NoPrice, NoTier, cost_of, count
from rating.core.plans.spec import MatrixPrice, Tier, Transform

from .counters import charges, d, rate, record

STEPS = "5 7 | 10 6.5 | - 6"
UNITS = st.decimals(min_value=0, max_value=10**6, places=6, allow_nan=False)
BOUNDED = st.lists(UNITS, min_size=1, max_size=5)


def cost(priced_by, *records, **context):
    with localcontext(EXACT):
        return sum(charges(priced_by, *records, **context))


@pytest.mark.parametrize(
    ("fields", "units", "expected"),
    [
        ({"price": "0.05"}, "1000", "50"),
        ({"price": "0.01", "minimum": "60", "increment": "6"}, "66", "0.66"),
        ({"price": "0.001"}, "100000", "100"),
        ({"price": "5.12345"}, "10", "51.2345"),
        ({"price": "0.1", "per": "60"}, "60", "0.1"),
        ({"price": "0.0000004"}, "2", "0.0000008"),
        ({"price": "0.05", "per": "6", "increment": "6"}, "27", "0.25"),
        ({"price": "0.25", "transform": Transform(divide_by=Decimal(500), rounding="nearest")}, "48900", "24.5"),
        ({"price": "10", "transform": Transform(divide_by=Decimal(60), rounding="up")}, "150", "30"),
        ({"price": "10", "transform": Transform(divide_by=Decimal(1000), rounding="up")}, "1400", "20"),
        ({"price": "999999.99999999999"}, "999999999999999.999999", "999999999999999989999"),
        ({"price": "123456.12345678901"}, "999999999999999.999999", "123456123456789009999.87654387654"),
        ({"price": "0.00000000001"}, "0.000001", "0"),
        ({"price": "0.00001", "per": "2"}, "0.000001", "0.00000000001"),  # 5e-12, half away from zero
        ({"price": "1", "per": "3"}, "1", "0.33333333333"),
        ({"price": "5"}, "0", "0"),
    ],
)
def test_units_cost_their_price(fields, units, expected):
    assert cost(rate("per_unit", **fields), units) == d(expected)


def test_each_record_of_a_fixed_rate_costs_its_price_whatever_its_quantity():
    assert charges(rate("fixed", price="5"), "0", "1", "1000") == [5, 5, 5]
    assert charges(rate("fixed", price="5", function="sum"), "0", "1", "1000") == [5, 5, 5]


@pytest.mark.parametrize(
    ("drawn", "units", "expected"),
    [
        ("100 2 | 200 1.5 | - 1", "250", "400"),
        ("5 5 | 10 4 | - 4", "6", "29"),
        ("5 5 | 10 4 | - 4", "5", "25"),
        (STEPS, "1", "7"),
        (STEPS, "5", "35"),
        (STEPS, "6", "41.5"),
        (STEPS, "20", "127.5"),
        ("100 1 | 200 0.5 | - 0.25", "150", "125"),
        ("50 0 | - 0.01", "100", "0.5"),
        ("10 50 | 20 40 | - 30", "5", "250"),
        ("100 2 | - 1", "100", "200"),
        ("100 2 | - 1", "100.000001", "200.000001"),
        ("5 0 flat=100 | 10 0 flat=50 | 15 5 | - 1", "22", "182"),
        ("5 10 flat=100 | - 5 flat=50", "3", "130"),
        ("5 10 flat=100 | - 5 flat=50", "5", "150"),
        ("5 10 flat=100 | - 5 flat=50", "5.000001", "200.000005"),
        ("9 0 | 20 1 | 30 flat=2 | - 3", "45", "58"),
        ("10 1.5 | 110 1 | 1110 0.5", "111", "115.5"),
        ("1000000 1.25 per=1000000 increment=1000000 | - 1.25 per=1000000 increment=1000000", "1500000", "2.5"),
        ("- 1 maximum=3", "5", "3"),
        ("10 1 maximum=3 flat=1 | - 2", "12", "8"),
        ("20 0.111111 | - 1", "21", "3.22222"),
    ],
)
def test_each_unit_of_a_graduated_rate_costs_what_its_tier_says(drawn, units, expected):
    assert cost(rate("graduated", tiers=drawn), units) == d(expected)


@pytest.mark.parametrize(
    ("drawn", "units", "expected"),
    [
        ("100 2 | 200 1.5 | - 1", "250", "250"),
        (STEPS, "1", "7"),
        (STEPS, "5", "35"),
        (STEPS, "6", "39"),
        ("100 0.5 | - 0.4", "101", "40.4"),
        ("100 0.5 | - 0.4", "100", "50"),
        ("100 0.5 | - 0.4", "100.000001", "40.0000004"),
        ("10000 0.001 | 50000 0.0008 | - 0.0006 flat=10", "65000", "49"),
        ("100 1 | 200 0.5 | - 0.25", "150", "75"),
        ("10 5 flat=100 | - 2 flat=50", "5", "125"),
        ("10 0 flat=100 | - 0 flat=150", "0", "0"),
        ("- 2 increment=10", "11", "40"),
    ],
)
def test_all_units_of_a_volume_rate_cost_what_the_tier_of_their_total_says(drawn, units, expected):
    assert cost(rate("volume", tiers=drawn), units) == d(expected)


@pytest.mark.parametrize(
    ("units", "expected"), [("0", "0"), ("1", "100"), ("1000", "100"), ("1200", "500"), ("9999", "900")]
)
def test_a_step_costs_its_flat_price_for_all_units(units, expected):
    assert cost(rate("stairstep", tiers="1000 flat=100 | 2000 flat=500 | - flat=900"), units) == d(expected)


@pytest.mark.parametrize("model", ["graduated", "volume", "stairstep"])
def test_the_first_flat_fee_is_charged_at_zero_units_only_if_the_rate_says_so(model):
    drawn = "10 flat=2 | 20 flat=3 | - flat=4"
    assert charges(rate(model, tiers=drawn), "0", "0", "1") == [0, 0, 2]
    assert charges(rate(model, tiers=drawn, flat_at_zero=True), "0", "0", "1") == [2, 0, 0]


@pytest.mark.parametrize("model", ["volume", "stairstep"])
def test_another_class_can_choose_the_tier(model):
    priced_by = rate(model, tiers="100 2 flat=10 | 200 1 | - 0.5 flat=50", tier_by="Other")
    full = {"volume": "149.3", "stairstep": "50"}[model]
    assert cost(priced_by, "198.6", tier_total=Decimal(300)) == d(full)
    assert cost(priced_by, "0", tier_total=Decimal(300)) == 0
    first = {"volume": "12", "stairstep": "10"}[model]
    assert cost(priced_by, "1", tier_total=None) == d(first)


@pytest.mark.parametrize("model", ["graduated", "volume", "stairstep", "graduated_percentage"])
def test_above_a_bounded_last_tier_there_is_no_price_and_the_bound_is_named(model):
    priced_by = rate(model, tiers="10 500", of_share="quantity")
    assert charges(priced_by, "10")
    with pytest.raises(NoTier, match=r"ends at 10, and the usage comes to 10\.000001") as refused:
        charges(priced_by, "4", "6.000001")
    assert refused.value.bound == 10


@pytest.mark.parametrize(
    ("fields", "units", "expected"),
    [
        ({"size": "20", "price": "10"}, "98", "50"),
        ({"size": "20", "price": "10"}, "20", "10"),
        ({"size": "20", "price": "10"}, "20.1", "20"),
        ({"size": "20", "price": "5"}, "45", "15"),
        ({"size": "10", "price": "50"}, "25", "150"),
        ({"size": "10", "price": "100"}, "121", "1300"),
        ({"size": "100", "price": "5", "free_units": "100"}, "201", "10"),
        ({"size": "10", "price": "15"}, "0", "0"),
        ({"size": "0.000003", "price": "1"}, "999999999999999.999999", "333333333333333333333"),
        ({"size": "10", "price": "1", "rounding": "down"}, "19", "1"),
        ({"size": "10", "price": "1", "rounding": "nearest"}, "14.9", "1"),
        ({"size": "10", "price": "1", "rounding": "nearest"}, "15", "2"),
    ],
)
def test_a_started_package_costs_its_price(fields, units, expected):
    assert cost(rate("package", **fields), units) == d(expected)


def test_a_package_begun_by_one_record_serves_the_next():
    assert charges(rate("package", size="10", price="15"), "17", "3", "5", "0") == [30, 0, 15, 0]


@pytest.mark.parametrize(
    ("fields", "amounts", "expected"),
    [
        ({"percent": "1.2", "fixed": "0.1", "free_records": 3}, ["50", "50", "50", "50"], ["0", "0", "0", "0.7"]),
        (
            {"percent": "2.99", "minimum_charge": "1.75", "maximum_charge": "12"},
            ["10", "80", "10000"],
            ["1.75", "2.392", "12"],
        ),
        ({"percent": "1", "fixed": "5", "free_records": 3}, ["10", "10", "10", "10"], ["0", "0", "0", "5.1"]),
        ({"percent": "1", "fixed": "1", "minimum_charge": "1.75"}, ["100"], ["2"]),
        (  # running totals 50, 150, 400, 500: both limits must last
            {"percent": "1", "fixed": "2", "free_records": 3, "free_amount": "250"},
            ["50", "100", "250", "100"],
            ["0", "0", "3.5", "3"],
        ),
        ({"percent": "10", "fixed": "1", "free_amount": "100"}, ["60", "60", "60"], ["0", "3", "7"]),
        ({"percent": "10", "fixed": "1", "free_amount": "100"}, ["100"], ["1"]),  # the free amount is used up by it
        ({"percent": "10", "free_records": 1, "minimum_charge": "3"}, ["5", "5"], ["0", "3"]),
        ({"percent": "1.3", "fixed": "2"}, ["0"], ["2"]),
    ],
)
def test_a_percentage_is_taken_of_what_is_not_free(fields, amounts, expected):
    records = [record("1", amount=amount, minute=at) for at, amount in enumerate(amounts)]
    assert charges(rate("percentage", **fields), *records) == [d(each) for each in expected]


@pytest.mark.parametrize(
    ("drawn", "amounts", "expected"),
    [
        ("1000 percent=1 flat=200 | 10000 percent=2 flat=300 | - percent=3 flat=400", ["500"], ["205"]),
        ("1000 percent=1 flat=200 | 10000 percent=2 flat=300 | - percent=3", ["500", "1000"], ["205", "315"]),
        ("100 percent=5 | - percent=2 flat=10", ["50"], ["2.5"]),
        ("100 percent=5 | - percent=2 flat=10", ["100", "0.01"], ["5", "10.0002"]),
    ],
)
def test_a_graduated_percentage_is_taken_by_the_running_total(drawn, amounts, expected):
    records = [record("1", amount=amount, minute=at) for at, amount in enumerate(amounts)]
    assert charges(rate("graduated_percentage", tiers=drawn), *records) == [d(each) for each in expected]


def test_a_graduated_percentage_has_its_flat_fee_at_zero_if_the_rate_says_so():
    drawn = "10 percent=1 flat=200 | - percent=2 flat=300"
    assert cost(rate("graduated_percentage", tiers=drawn), record("0", amount="0")) == 0
    assert cost(rate("graduated_percentage", tiers=drawn, flat_at_zero=True), record("0", amount="0")) == 200


def test_basis_points_are_hundredths_of_a_percent_up_to_a_cap():
    capped = rate("basis_points", points="25", maximum_charge="25")
    assert charges(capped, record(amount="8000", counted="1"), record(amount="20000", counted="1")) == [20, 25]
    assert cost(rate("basis_points", points="25", of_share="quantity"), "20000") == 50


@pytest.mark.parametrize(
    ("fields", "amount", "expected"),
    [
        ({"factor": "1.5"}, "80", "120"),
        ({"factor": "1.33333"}, "10", "13.3333"),
        ({}, "0.402", "0.402"),
        ({"fixed": "0.3"}, "2", "2.3"),
        ({"price": "0.1", "per": "2"}, "2", "2.2"),  # and what is rated: 4 units
        ({"factor": "0", "fixed": "1"}, "2", "1"),
        ({}, "-5", "-5"),
        ({"factor": "2"}, "-0.000000000005", "-0.00000000001"),
        ({"of_share": "cost", "factor": "1.5"}, "9", "0.03"),
        ({"of_share": "quantity", "factor": "0.5"}, "9", "2"),
    ],
)
def test_an_amount_is_passed_through_with_its_markup(fields, amount, expected):
    assert cost(rate("pass_through", **fields), record("4", amount=amount, cost="0.02")) == d(expected)


@pytest.mark.parametrize("model", ["percentage", "graduated_percentage", "basis_points", "pass_through"])
@pytest.mark.parametrize(("share", "words"), [("amount", "brings none"), ("cost", "no cost group")])
def test_a_share_of_nothing_is_no_price(model, share, words):
    with pytest.raises(NoBase, match=words):
        cost(rate(model, of_share=share, tiers="- percent=1"), record("1"))


@pytest.mark.parametrize("model", ["percentage", "graduated_percentage", "basis_points"])
def test_only_passed_through_amounts_may_be_below_zero(model):
    with pytest.raises(NoBase, match="below zero"):
        cost(rate(model, tiers="- percent=1"), record("1", amount="-1"))


def test_a_matrix_price_is_a_price_of_units():
    matrix = rate("matrix", prices=(MatrixPrice(("eu",), Decimal(2)),), per="10")
    assert cost(matrix, "25", matrix_price=Decimal(2)) == 5
    with pytest.raises(NoPrice, match="no price"):
        cost(matrix, "25")


@pytest.mark.parametrize(
    ("fields", "records", "expected"),
    [
        ({"price": "1", "connect_fee": "0.5"}, [record("2"), record("2", part=1), record("0")], ["2.5", "2", "0"]),
        ({"price": "1", "connect_fee": "1", "factor": "0.9"}, [record("9")], ["9"]),
        ({"price": "1", "factor": "0"}, [record("9")], ["0"]),
        (
            {"price": "0.1", "minimum_charge": "1", "maximum_charge": "2"},
            ["0", "1", "15", "50"],
            ["0", "1", "1.5", "2"],
        ),
        ({"price": "0", "minimum_charge": "1"}, ["5", "0"], ["1", "0"]),
        ({"price": "0.05", "per": "60", "connect_fee": "0.15"}, ["24"], ["0.17"]),
        ({"price": "10", "factor": "0.5", "minimum_charge": "7"}, ["1"], ["7"]),
    ],
)
def test_connection_fee_then_factor_then_least_and_most(fields, records, expected):
    assert charges(rate("per_unit", **fields), *records) == [d(each) for each in expected]


def test_a_connection_fee_is_for_units_rated_even_if_they_are_free():
    assert cost(rate("per_unit", price="1", connect_fee="0.5", free_units="10"), "2") == d("0.5")


@pytest.mark.parametrize(
    ("model", "fields", "records", "expected"),
    [
        ("per_unit", {"price": "10"}, ["3", "2"], [30, 20]),
        ("graduated", {"tiers": "10 1 | 20 2 | - 3"}, ["3", "4"], [3, 4]),
        ("graduated", {"tiers": "5 0 flat=100 | 10 0 flat=50 | 15 5 | - 1"}, ["12", "10"], [160, 22]),
        ("package", {"size": "10", "price": "15"}, ["0", "1"], [0, 15]),
        ("volume", {"tiers": "15 10 | - 5"}, ["12", "2", "2"], [120, 20, -60]),
        ("volume", {"tiers": "15 10 | - 5", "free_units": "5"}, ["20", "1"], [150, -70]),
        ("stairstep", {"tiers": "10 flat=1 | - flat=11"}, ["10", "1", "1"], [1, 10, 0]),
        ("graduated", {"tiers": "3 0 | - 100", "function": "max"}, ["1", "6", "3"], [0, 300, 0]),
        ("graduated", {"tiers": "5 1 | - 2", "function": "latest"}, ["8", "4", "6"], [11, -7, 3]),
        ("graduated", {"tiers": "3 0 | - 1", "restarts": "record"}, ["4", "4"], [1, 1]),
        ("per_unit", {"price": "0.10", "function": "max"}, ["9", "10"], ["0.9", "0.1"]),
    ],
)
def test_the_next_record_costs_what_the_total_costs_more(model, fields, records, expected):
    assert charges(rate(model, **fields), *records) == [d(each) for each in expected]


@pytest.mark.parametrize(
    ("model", "function", "expected"),
    [
        ("per_unit", "sum", ["0.33", "0.34", "0.33"]),
        ("graduated", "sum", ["0.33", "0.34", "0.33"]),
        ("volume", "each", ["0.33", "0.34", "0.33"]),
        ("per_unit", "each", ["0.33", "0.33", "0.33"]),  # each record is rounded by itself
        ("graduated", "each", ["0.33", "0.33", "0.33"]),
    ],
)
def test_charges_of_a_counted_total_add_up_to_its_price_rounded_once(model, function, expected):
    priced_by = rate(model, function=function, price="1", per="3", tiers="- 1 per=3")
    assert charges(priced_by, "1", "1", "1", places=2) == [d(each) for each in expected]


def test_a_tie_between_inexact_quotients_is_still_a_tie():
    priced_by = rate("graduated", tiers="- 0.00000000001 per=6")
    assert charges(priced_by, "1", "3") == [0, d("0.00000000001")]  # 4/6 - 1/6 is a half of the last decimal


def test_pricing_leaves_the_counter_as_it_is():
    counter = Counter(records=1, level=Decimal(3), position=Decimal(3))
    priced_by = rate("graduated", tiers=STEPS)
    counted = count(priced_by, counter, record("4"))
    answer = cost_of(priced_by, counter, counted, record("4"), billable=Decimal(4))
    assert (answer.amount, answer.used) == (d("27.0"), 4)  # 2 at 7, 2 at 6.5
    assert counter == Counter(records=1, level=Decimal(3), position=Decimal(3))


@settings(max_examples=50)
@given(UNITS, UNITS)
def test_a_graduated_price_never_falls_with_quantity(less, more):
    priced_by = rate("graduated", tiers="100 3 flat=1 | 1000.5 0 | 5000 2 per=7 maximum=50 | - 0.00001 increment=3")
    assert cost(priced_by, min(less, more)) <= cost(priced_by, max(less, more))


def test_a_volume_price_may_fall_with_quantity():
    priced_by = rate("volume", tiers="10 50 | - 1")
    assert cost(priced_by, "10") > cost(priced_by, "11")


@settings(max_examples=50)
@given(BOUNDED, st.sampled_from(["graduated", "volume", "stairstep", "package"]))
def test_cutting_usage_into_records_costs_the_same(records, model):
    priced_by = rate(model, tiers="100 3 flat=1 | 1000.5 0.25 | - 0.1 flat=2", size="7", price="3")
    assert cost(priced_by, *records) == cost(priced_by, sum(records))


@settings(max_examples=50)
@given(UNITS, st.integers(1, 10**9))
def test_packages_are_the_ceiling(units, size):
    size = Decimal(size).scaleb(-6)
    packages = cost(rate("package", size=size, price="1"), units)
    assert (packages - 1) * size < units <= packages * size or units == packages == 0


@settings(max_examples=50)
@given(BOUNDED, st.sampled_from(["per_unit", "graduated", "volume", "package", "stairstep"]), st.integers(0, 4))
def test_whatever_is_summed_first_costs_its_price_rounded_once(records, model, places):
    fields = {"tiers": "100 0.333 flat=1 per=7 | - 0.1 per=11", "size": "7", "price": "0.123", "per": "13"}
    summed = rate(model, function="sum", **fields)
    assert cost(summed, *records, places=places) == cost(summed, sum(records), places=places)


def fractional(bounds, total):
    """The price of a total in graduated tiers by fractions: bound, price, per, flat and most of each tier."""
    price, lower = Fraction(0), Fraction(0)
    for bound, unit, per, flat, most in bounds:
        if total > lower:
            top = total if bound is None else min(total, bound)
            price += min((top - lower) * unit / per, most) + flat
        lower = bound
    return price


TIER = st.tuples(
    st.decimals(min_value=0, max_value=10, places=11, allow_nan=False),
    st.sampled_from([1, 3, 7, 60, 999983]),
    st.sampled_from([0, 1, d("0.5")]),
    st.sampled_from([10**9, 5]),
)


@settings(max_examples=100)
@given(st.lists(TIER, min_size=1, max_size=4), BOUNDED, st.integers(0, 11))
def test_charges_are_what_fractions_give_rounded_half_away(drawn, records, places):
    bounds = [None if place == len(drawn) - 1 else 250000 * (place + 1) for place in range(len(drawn))]
    made = tuple(
        Tier(None if bound is None else Decimal(bound), price, Decimal(per), flat=Decimal(flat), maximum=Decimal(most))
        for bound, (price, per, flat, most) in zip(bounds, drawn, strict=True)
    )
    exact = [(bound, *map(Fraction, tier)) for bound, tier in zip(bounds, drawn, strict=True)]
    total = Fraction(0)
    for units, charged in zip(records, charges(rate("graduated", tiers=made), *records, places=places), strict=True):
        amount = fractional(exact, total + Fraction(units)) - fractional(exact, total)
        assert charged == Decimal(int(amount * 10**places + Fraction(1, 2))).scaleb(-places)
        total += Fraction(units)
