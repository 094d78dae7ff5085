"""What a repricing comes to by account: old and new sum, records that cost something else, what cannot be charged."""

from decimal import Decimal

import polars as pl

from rating.core.frames import MONEY
from rating.core.repricing import totals_by_account

OLD, NEW = "amount", "charged_amount"


def charges(column, *rows):
    """Of account, UDR and amount."""
    schema = {"account_id": pl.Int64, "udr_id": pl.Int64, column: MONEY}
    return pl.DataFrame([(account, udr, Decimal(amount)) for account, udr, amount in rows], schema=schema, orient="row")


def totals(before, rated, refused=()):
    refusals = pl.DataFrame({"udr_id": list(refused)}, schema={"udr_id": pl.Int64})
    told = totals_by_account(charges(OLD, *before), charges(NEW, *rated), refusals)
    assert told.columns == ["account_id", "before", "after", "changed", "refused"]
    return [tuple(row) for row in told.rows()]


def test_a_record_at_the_same_amount_is_not_changed_and_one_at_another_is():
    assert totals([(1, 10, "5"), (1, 11, "7")], [(1, 10, "5.00"), (1, 11, "7.01")]) == [(1, 12, Decimal("12.01"), 1, 0)]


def test_parts_of_a_record_count_as_one_by_their_sum():
    assert totals([(1, 10, "2"), (1, 10, "3"), (1, 11, "4")], [(1, 10, "4"), (1, 10, "1"), (1, 11, "1")]) == [
        (1, 9, 6, 1, 0)
    ]


def test_a_record_that_moves_changes_both_accounts():
    assert totals([(1, 10, "5")], [(2, 10, "5")]) == [(1, 5, 0, 1, 0), (2, 0, 5, 1, 0)]


def test_a_record_that_is_charged_for_the_first_time_is_changed_even_at_nothing():
    assert totals([], [(1, 10, "0")]) == [(1, 0, 0, 1, 0)]


def test_what_cannot_be_charged_any_more_is_refused_and_not_changed():
    assert totals([(1, 10, "5"), (1, 11, "7")], [(1, 11, "7")], refused=[10, 10]) == [(1, 12, 7, 0, 1)]


def test_nothing_looked_at_comes_to_nothing():
    assert totals([], []) == []
