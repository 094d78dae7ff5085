"""How much counts of a record: rounding rules, transforms, aggregations, windows, free units."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.costs import Counter, NoCount, advance, count, priced_quantity, round_away, rounded, transformed
from rating.core.plans.spec import Transform

from .counters import JUNE, MAY, d, rate, record

QUANTITIES = st.decimals(min_value=0, max_value=10**15, places=6, allow_nan=False).filter(lambda q: q < 10**15)


def run(priced_by, *records, counter=None):
    """Count records one after the other as if each were priced; what each was rated at."""
    counter = Counter() if counter is None else counter
    rated = []
    for at, each in enumerate(records):
        one = each if hasattr(each, "counted") else record(each, minute=at)
        counted = count(priced_by, counter, one)
        advance(counter, one, counted, counted.remaining)
        rated.append(counted)
    return rated


def quantities(counted):
    return [each.rated_quantity for each in counted]


def total(counted):
    return sum(quantities(counted))


@pytest.mark.parametrize(
    ("measured", "minimum", "increment", "expected"),
    [
        ("10", "30", "6", "30"),  # 30/6
        ("31", "30", "6", "36"),
        ("61", "60", "6", "66"),  # 60/6
        ("60", "60", "6", "60"),
        ("60.000001", "60", "6", "66"),
        ("27", "0", "6", "30"),  # per started six seconds
        ("0", "0", "6", "0"),
        ("0", "60", "60", "60"),
        ("61", "60", None, "61"),
        ("59", "60", None, "60"),
        ("0.000001", "0", "0.000001", "0.000001"),
        ("999999999999999.999999", "0", "1", "1000000000000000"),
        ("-4", "0", None, "0"),
    ],
)
def test_a_quantity_is_raised_to_the_minimum_and_then_in_steps(measured, minimum, increment, expected):
    assert rounded(d(measured), d(minimum), d(increment)) == d(expected)


@pytest.mark.parametrize(
    ("measured", "transform", "expected"),
    [
        ("150", Transform(divide_by=Decimal(60), rounding="up"), "3"),
        ("48900", Transform(divide_by=Decimal(500), rounding="nearest"), "98"),
        ("1400", Transform(divide_by=Decimal(1000), rounding="up"), "2"),
        ("7400", Transform(divide_by=Decimal(1000), rounding="up"), "8"),
        ("7400", Transform(divide_by=Decimal(1000), rounding="down"), "7"),
        ("10", Transform(multiply_by=Decimal("1.2")), "12"),
        ("1", Transform(divide_by=Decimal(3)), "0.333333"),
        ("2", Transform(divide_by=Decimal(3)), "0.666667"),
        ("1", Transform(multiply_by=Decimal(3), divide_by=Decimal(3), rounding="up"), "1"),  # 3 x (1 / 3) would be 2
        ("0.5", Transform(rounding="nearest"), "1"),  # half away from zero, not to even
        ("2.5", Transform(rounding="nearest"), "3"),
        ("123.456", Transform(rounding="nearest", decimals=2), "123.46"),
        ("123.451", Transform(rounding="up", decimals=2), "123.46"),
        ("0.0000005", Transform(), "0.000001"),
    ],
)
def test_a_quantity_is_multiplied_divided_and_rounded_once(measured, transform, expected):
    assert transformed(d(measured), transform) == d(expected)


@pytest.mark.parametrize(
    ("exact", "places", "expected"),
    [
        ("10.278798", 2, "10.28"),
        ("0.005", 2, "0.01"),
        ("-0.005", 2, "-0.01"),
        ("0.0049999999999999999999999", 2, "0"),
        ("2.5", 0, "3"),
        ("0." + "4" + "9" * 110, 0, "1"),  # the noise of a quotient is no amount
    ],
)
def test_an_amount_is_rounded_once_half_away_from_zero(exact, places, expected):
    assert round_away(d(exact), places) == d(expected)


def test_a_record_is_transformed_before_its_rounding_rule():
    minutes = rate("per_unit", transform=Transform(divide_by=Decimal(60)), minimum="1", increment="0.5")
    assert priced_quantity(minutes, Decimal(61)) == d("1.5")


@settings(max_examples=50)
@given(QUANTITIES, QUANTITIES, st.integers(1, 10**9))
def test_rounding_up_never_loses_and_stays_within_one_step(quantity, minimum, step):
    increment = Decimal(step).scaleb(-6)
    answer = rounded(quantity, minimum, increment)
    assert answer >= max(quantity, minimum)
    assert answer == minimum or (answer - quantity < increment and (answer - minimum) % increment == 0)


@pytest.mark.parametrize(
    ("function", "records", "expected"),
    [
        ("sum", ["20", "10"], "30"),
        ("sum", ["12", "12", "12", "12"], "48"),
        ("sum", ["1.5", "1.5", "1"], "4"),
        ("count", ["1", "1", "1", "1"], "4"),
        ("count", [None, None], "2"),
        ("max", ["14.2"], "14.2"),
        ("max", ["1", "6", "3"], "6"),
        ("latest", ["5", "7", "6"], "6"),
        ("latest", ["18", "18", "18", "18", "14"], "14"),
        ("each", ["20", "10"], "30"),
    ],
)
def test_the_function_says_what_a_counter_comes_to(function, records, expected):
    assert total(run(rate("per_unit", function=function), *records)) == d(expected)


def test_each_record_is_rated_by_how_much_it_raises_the_counter():
    assert quantities(run(rate("per_unit", function="max"), "3", "5", "4", "9")) == [3, 2, 0, 4]
    assert quantities(run(rate("per_unit", function="latest"), "10", "4", "7")) == [10, -6, 3]


def test_the_counter_is_rounded_not_its_records():
    hours = rate("per_unit", function="sum", transform=Transform(divide_by=Decimal(60), rounding="up"))
    assert quantities(run(hours, "50", "5", "10", "60")) == [1, 0, 1, 1]
    minimum = rate("per_unit", function="sum", minimum="60", increment="6")
    assert quantities(run(minimum, "10", "51", "0")) == [60, 6, 0]


def test_a_record_dated_earlier_than_the_latest_changes_nothing():
    latest = rate("per_unit", function="latest")
    late = [record("8", minute=3), record("9", minute=5)]
    counted = run(latest, record("5", minute=10), *late, record("6", minute=10))
    assert quantities(counted) == [5, 0, 0, 1]


@pytest.mark.parametrize(
    ("members", "expected"),
    [("a a a b b", 2), ("ID_1 ID_1 ID_1 ID_2 ID_3", 3), ("a", 1), ("foo bar foo bar", 2)],
)
def test_a_unique_count_counts_each_member_once(members, expected):
    unique = rate("per_unit", function="unique_count", of="Extensions.user")
    assert total(run(unique, *(record(member=member) for member in members.split()))) == expected


def test_members_of_the_last_period_count_again_once_the_period_is_used():
    unique = rate("per_unit", function="unique_count")
    carried = Counter(members={"a"})
    assert quantities(run(unique, record(member="b"), record(member="a"), counter=carried)) == [2, 0]


def test_a_level_held_before_the_period_counts_from_its_start():
    weighted = rate("per_unit", function="weighted_sum")
    carried = Counter(held=Decimal(10))
    half = MAY + (JUNE - MAY) / 2
    assert total(run(weighted, record("10", date=half), counter=carried)) == 15
    assert carried.held == 20


def test_a_weighted_sum_is_a_level_by_the_time_for_which_it_was_held():
    weighted = rate("per_unit", function="weighted_sum")
    storage = run(weighted, record("20", date=MAY + timedelta(days=15)), record("10", date=MAY + timedelta(days=16)))
    assert storage[-1].quantity.quantize(Decimal("0.0001")) == d("15.1613")
    assert total(storage) == d("15.161290")


def test_a_weighted_sum_of_changes_up_and_down_agrees_with_a_public_example():
    changes = ["00:00 2", "01:00 3", "01:30 1", "02:00 -4", "04:00 -2", "05:00 10", "05:30 -10"]
    starts_at, ends_at = datetime(2023, 8, 1, tzinfo=UTC), datetime(2023, 9, 1, tzinfo=UTC)
    records = []
    for change in changes:
        time, value = change.split()
        one = record(value, date=datetime.fromisoformat(f"2023-08-01T{time}:00+00:00"))
        one.starts_at, one.ends_at = starts_at, ends_at
        records.append(one)
    counted = run(rate("per_unit", function="weighted_sum"), *records)
    assert counted[-1].quantity.quantize(Decimal("0.00001")) == d("0.02218")


def window(drawn):
    """Records from "1:5 1:7 2:3": the window and what is counted in it."""
    made = []
    for at, word in enumerate(drawn.split()):
        day, value = word.split(":")
        made.append(record(value, minute=at, window=f"2026-05-{int(day):02}", member=value))
    return made


@pytest.mark.parametrize(
    ("function", "then", "drawn", "expected"),
    [
        ("sum", "max", "1:5 1:7 2:3", "12"),
        ("sum", "max", "1:5 2:20 1:7 1:9", "21"),
        ("max", "sum", "1:5 1:7 2:3", "10"),
        ("max", "sum", "1:9 2:10", "19"),
        ("count", "max", "1:5 1:7 2:3", "2"),
        ("latest", "sum", "1:5 1:2 2:3 2:4", "6"),  # the newest of each day
        ("latest", "max", "1:5 2:8 2:3", "5"),  # the highest fell
        ("latest", "max", "1:8 1:3", "3"),
        ("sum", "latest", "1:5 2:1 1:7 2:2", "3"),
        ("sum", "latest", "1:5 2:1 1:7", "1"),
        ("unique_count", "sum", "1:5 1:5 2:5 2:6", "3"),
        ("max", "max", "1:0.56 2:0.98 3:1.12 4:1.09 5:0.89", "1.12"),  # high watermark
    ],
)
def test_windows_are_counted_by_the_function_and_joined_by_then(function, then, drawn, expected):
    by_day = rate("per_unit", function=function, within="day", then=then)
    assert total(run(by_day, *window(drawn))) == d(expected)


@pytest.mark.parametrize(
    ("function", "records", "free", "expected"),
    [
        ("each", ["5", "15"], "10", [5, 5]),
        ("each", ["20", "1"], "5", [5, 0]),
        ("each", ["3"], "0", [0]),
        ("sum", ["5", "15"], "10", [5, 5]),
        ("latest", ["20", "4", "6"], "5", [5, -1, 1]),
    ],
)
def test_free_units_are_the_first_of_the_counter(function, records, free, expected):
    counted = run(rate("per_unit", function=function, free_units=free), *records)
    assert [each.free_quantity for each in counted] == expected


def test_free_units_come_off_the_rounded_quantity():
    thousands = Transform(divide_by=Decimal(1000), rounding="up")
    (counted,) = run(rate("per_unit", transform=thousands, free_units="0.5"), "1400")
    assert counted.remaining == d("1.5")


def test_counting_leaves_the_counter_as_it_is():
    counter = Counter(members={"a"}, level=Decimal(1), records=1)
    for function in ("each", "sum", "count", "max", "latest", "unique_count", "weighted_sum"):
        count(rate("per_unit", function=function), counter, record("7", member="b"))
    assert counter == Counter(members={"a"}, level=Decimal(1), records=1)


@pytest.mark.parametrize("function", ["each", "sum", "max", "latest", "weighted_sum", "unique_count"])
def test_a_record_without_what_is_counted_says_which_field_is_missing(function):
    with pytest.raises(NoCount, match=r"Extensions\.size"):
        count(rate("per_unit", function=function, of="Extensions.size"), Counter(), record())


@settings(max_examples=50)
@given(st.lists(QUANTITIES, min_size=1, max_size=6), st.sampled_from(["sum", "count", "max", "latest"]))
def test_the_rated_quantities_of_a_counter_add_up_to_its_rounded_level(records, function):
    counted = run(rate("per_unit", function=function, minimum="3", increment="0.7"), *records)
    level = {"sum": sum(records), "count": len(records), "max": max(records), "latest": records[-1]}[function]
    assert total(counted) == rounded(Decimal(level), Decimal(3), d("0.7"))


@settings(max_examples=50)
@given(st.lists(QUANTITIES, min_size=1, max_size=6), st.sampled_from(["sum", "count", "max"]))
def test_rising_functions_never_rate_below_zero(records, function):
    assert min(quantities(run(rate("per_unit", function=function, minimum="3"), *records))) >= 0
