"""Lookup tables: what a text finds by value, range and longest prefix, at which time, and which rows are refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.frames import MOMENT
from mediation.core.lookups import LOOKUP_ROWS, build_table, faults_of_rows

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number):
    return None if number is None else START + timedelta(days=number)


def rows(*given, kind="exact"):
    """Rows of (key, from day, to day), or of ((low, high), from day, to day)."""
    spelled = []
    for line, (what, *days) in enumerate(given, 1):
        begin, end = days or (None, None)
        bounds = (None, *what) if "range" in kind else (what, None, None)
        spelled.append((line, *bounds, day(begin), day(end)))
    return pl.DataFrame(spelled, schema=LOOKUP_ROWS, orient="row")


def found(kind, given, asked, days=None):
    table = build_table(kind, rows(*given, kind=kind))
    moments = pl.Series([day(number) for number in days or [0] * len(asked)], dtype=MOMENT)
    return table.find(pl.Series(asked, dtype=pl.String), moments).to_list()


def faults(kind, *given):
    return [(line, message) for line, message in faults_of_rows(kind, rows(*given, kind=kind)).iter_rows()]


def test_an_exact_table_finds_the_same_text_only():
    assert found("exact", [("a",), ("B",)], ["a", "b", "B", " a", None]) == [0, None, 1, None, None]


def test_a_row_counts_from_its_first_moment_until_before_its_last():
    given = [("a", None, 10), ("a", 10, 20), ("a", 25, None)]
    days = [-5, 9, 10, 19, 20, 24, 25, 999, None]
    assert found("exact", given, ["a"] * 9, days) == [0, 0, 1, 1, None, None, 2, 2, None]


def test_a_range_holds_its_low_bound_and_not_its_high_one():
    given = [(("0", "10"),), (("10", "20.5"),), (("-5", "-1"),)]
    asked = [
        "0",
        "9.99999999999",
        "10",
        "20.49",
        "20.5",
        "-1",
        "-5",
        "-1.0000000000000001",
        "-5.00000000000001",
        "x",
        None,
    ]
    assert found("range", given, asked) == [0, 0, 1, 1, None, None, 2, 2, None, None, None]


def test_numbers_finer_than_a_bound_stay_on_their_side_of_it():
    given = [(("0", "1"),), (("1", None),)]
    assert found("range", given, ["0.99999999999999", "1.00000000000001", "-0.00000000000001"]) == [0, 1, None]


def test_a_range_may_be_open_at_either_end():
    assert found("range", [((None, "0"),), (("0", None),)], ["-1000000", "0", "99999999999999999999999999"]) == [
        0,
        1,
        1,
    ]
    assert found("text_range", [((None, "m"),), (("m", None),)], ["", "lz", "m", "ž"]) == [0, 0, 1, 1]


def test_ranges_may_lie_differently_at_different_times():
    given = [(("0", "10"), None, 10), (("0", "5"), 10, None), (("5", "10"), 10, None)]
    assert found("range", given, ["7", "7", "3", "3"], [9, 10, 9, 10]) == [0, 2, 0, 1]


def test_the_longest_prefix_that_is_valid_wins():
    given = [("43",), ("431", 10, 20), ("4316", 15, None), ("1",)]
    asked = ["4316", "4316", "4316", "4316", "4", "1", "2", None, ""]
    assert found("prefix", given, asked, [5, 12, 15, 25, 0, 0, 0, 0, 0]) == [0, 1, 2, 2, None, 3, None, None, None]


def test_an_empty_table_finds_nothing():
    for kind in ("exact", "range", "text_range", "prefix"):
        assert found(kind, [], ["a", None]) == [None, None]


def test_rows_that_say_two_things_at_once_are_refused():
    assert faults("exact", ("a",), ("b",), ("a",)) == [(3, "is valid at the same time for the same value as line 1")]
    assert [line for line, _ in faults("prefix", ("43", None, 10), ("43", 9, None), ("4",))] == [2]
    assert [line for line, _ in faults("range", (("0", "10"),), (("9.5", "11"),), (("20", "30"),))] == [2]
    assert [line for line, _ in faults("text_range", (("a", "c"),), (("b", None),))] == [2]
    assert faults("range", (("0", "10"), None, 5), (("9.5", "11"), 5, None)) == []


def test_rows_that_no_record_could_find_are_refused_with_their_line():
    assert faults("exact", ("a", 5, 5), ("",)) == [(1, "valid_to must lie after valid_from"), (2, "the key is empty")]
    assert "longer than 64" in faults("prefix", ("4" * 65,))[0][1]
    assert "must lie above low" in faults("range", (("10", "10"),))[0][1]
    assert "must lie above low" in faults("text_range", (("b", "a"),))[0][1]
    assert "is no number" in faults("range", (("1,5", "3"),))[0][1]
    assert "is no number" in faults("range", (("1", "0.000000000001"),))[0][1]


def test_ranges_that_cut_each_other_without_end_are_refused():
    given = [((str(place), str(100_000 - place)), place, place + 1) for place in range(2_000)]
    assert "too often" in faults("range", *given)[0][1]


keys = st.text("012", min_size=1, max_size=4)
periods = st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(6, 9)) | st.just((None, None))


@settings(deadline=None)
@given(
    st.lists(st.tuples(keys, periods), max_size=12),
    st.lists(st.tuples(st.text("0123", max_size=6), st.integers(-1, 10)), max_size=12),
)
def test_prefixes_are_found_as_by_reading_every_row(given_rows, asked):
    given = [(key, *period) for key, period in given_rows]
    if faults("prefix", *given):
        return
    expected = []
    for text, number in asked:
        fitting = [
            (len(key), place)
            for place, (key, begin, end) in enumerate(given)
            if text.startswith(key) and (begin is None or begin <= number) and (end is None or number < end)
        ]
        expected.append(max(fitting)[1] if fitting else None)
    assert found("prefix", given, [text for text, _ in asked], [number for _, number in asked]) == expected


bounds = st.none() | st.integers(-3, 9).map(lambda number: str(Decimal(number) / 2))


@settings(deadline=None)
@given(
    st.lists(st.tuples(bounds, bounds, periods), max_size=8),
    st.lists(st.tuples(st.integers(-5, 12), st.integers(-1, 10)), max_size=12),
)
def test_ranges_are_found_as_by_reading_every_row_and_never_two_at_once(given_rows, asked):
    given = [((low, high), *period) for low, high, period in given_rows]
    is_refused = bool(faults("range", *given))
    expected = []
    for number, moment in asked:
        value = Decimal(number) / 2
        expected.append(
            [
                place
                for place, ((low, high), begin, end) in enumerate(given)
                if (low is None or Decimal(low) <= value)
                and (high is None or value < Decimal(high))
                and (begin is None or begin <= moment)
                and (end is None or moment < end)
            ]
        )
    if is_refused:
        return
    assert all(len(places) <= 1 for places in expected)
    numbers, moments = [str(Decimal(number) / 2) for number, _ in asked], [moment for _, moment in asked]
    assert found("range", given, numbers, moments) == [places[0] if places else None for places in expected]
