"""The largest, the smallest and what lies halfway: in columns and in the ledger, to the last digit."""

from decimal import Decimal

import pytest

from mediation.core.numbers import sum_exact
from rating.core.money import round_to_minor_unit
from rating.core.plans.spec import Rate

from .metered import column, d, graduated, owed, per_unit, plan, priced, prices

MODES = pytest.mark.parametrize("only_ledger", [False, True])
PASSED_THROUGH = Rate(name="Rate", usage_class="Class", model="pass_through")
FIXED = Rate(name="Rate", usage_class="Class", model="fixed", price=d("0.25"))


@MODES
@pytest.mark.parametrize(
    ("value", "minimum", "increment", "rated"),
    [
        ("0", "0", None, "0"),
        ("60.000001", "60", "6", "66"),
        ("66.000001", "60", "6", "72"),
        ("61.5", "60", None, "61.5"),
        ("1", "0", "0.000003", "1.000002"),
        ("999999999999999", "0", "0.000007", "999999999999999.000002"),
        ("999999999999999.999999", "0", "0.000001", "999999999999999.999999"),
        ("999999999999998.5", "0", "1", "999999999999999"),
    ],
)
def test_usage_is_rounded_up_by_minimum_and_increment(value, minimum, increment, rated, only_ledger):
    rate = per_unit(minimum=d(minimum), increment=None if increment is None else d(increment))
    result = priced(f"value\n{value}", prices(plan(rate)), only_ledger=only_ledger)
    assert column(result, "rated_quantity") == [rated]


@MODES
def test_the_largest_quantity_at_the_largest_price_is_exact(only_ledger):
    tariff = prices(plan(per_unit("999999.99999999999")))
    result = priced("value\n999999999999999.999999\n0.000001\n0", tariff, only_ledger=only_ledger)
    assert owed(result) == ["999999999999999989999", "1", "0"]


@MODES
@pytest.mark.parametrize(
    ("precision", "amount"), [(11, "0.12345678905"), (2, "0.12"), (5, "0.12346"), (0, "0"), (10, "0.1234567891")]
)
def test_an_amount_is_rounded_once_to_the_groups_precision(precision, amount, only_ledger):
    tariff = prices(plan(per_unit("0.12345678905"), precision=precision))
    assert owed(priced("value\n1", tariff, only_ledger=only_ledger)) == [amount]


@MODES
def test_half_is_rounded_away_from_zero(only_ledger):
    tariff = prices(plan(PASSED_THROUGH, precision=2))
    drawn = "udr_id amount currency\n1 0.125 EUR\n2 -0.125 EUR\n3 0.135 EUR"
    assert owed(priced(drawn, tariff, only_ledger=only_ledger)) == ["0.13", "-0.13", "0.14"]


@MODES
def test_the_largest_amounts_are_added_exactly(only_ledger):
    drawn = "amount currency\n" + "999999999999999999999 EUR\n" * 3
    result = priced(drawn, prices(plan(PASSED_THROUGH)), only_ledger=only_ledger)
    assert sum_exact(result.rated["charged_amount"]) == Decimal("2999999999999999999997")


@MODES
def test_a_fixed_rate_charges_the_record_whatever_it_measured(only_ledger):
    assert (
        owed(priced("value\n0\n999999999999999.999999", prices(plan(FIXED)), only_ledger=only_ledger)) == ["0.25"] * 2
    )


@MODES
@pytest.mark.parametrize(
    ("quantities", "expected"),
    [
        (["100"], ["30"]),
        (["100.5"], ["30.1"]),
        (["0", "100", "0.000001"], ["0", "30", "0.0000002"]),
        (["600"], ["120"]),
        (["50", "100", "400", "50"], ["15", "25", "75", "5"]),
    ],
)
def test_graduated_tiers_have_inclusive_bounds_on_the_real_line(quantities, expected, only_ledger):
    tariff = prices(plan(graduated((100, "0.3"), (500, "0.2"), (None, "0.1"))))
    rows = "".join(f"2026-05-{day:02} {value}\n" for day, value in enumerate(quantities, 1))
    assert owed(priced(f"date value\n{rows}", tariff, only_ledger=only_ledger)) == expected


@MODES
def test_tiers_go_on_beyond_what_one_record_can_measure(only_ledger):
    tariff = prices(plan(graduated((None, 1))))
    rows = "2026-05-01 999999999999999\n2026-05-02 999999999999999.999999\n2026-05-03 0.000001"
    result = priced(f"date value\n{rows}", tariff, only_ledger=only_ledger)
    assert column(result, "tier_position") == ["0", "999999999999999", "1999999999999998.999999"]
    assert result.refused.is_empty()


@MODES
def test_refusals_above_the_last_tier_leave_what_fits_to_those_after_them(only_ledger):
    tariff = prices(plan(graduated((1000, 1), bounded=True)))
    rows = "".join(f"2026-05-01T00:{n // 60:02}:{n % 60:02}Z {600 - n}\n" for n in range(500))
    result = priced(f"date value\n{rows}", tariff, only_ledger=only_ledger)
    assert result.rated.height + result.refused.height == 500
    position = Decimal(0)
    for row in result.rated.sort("date").iter_rows(named=True):
        assert row["tier_position"] == position
        position += row["rated_quantity"]
    assert 1000 - 101 <= position <= 1000


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("1.005", "EUR", "1.01"),
        ("-1.005", "EUR", "-1.01"),
        ("0.5", "JPY", "1"),
        ("1.0005", "KWD", "1.001"),
        ("123456789012345678901234567.005", "USD", "123456789012345678901234567.01"),
    ],
)
def test_money_is_rounded_to_the_minor_unit_of_its_currency(amount, currency, rounded):
    assert str(round_to_minor_unit(Decimal(amount), currency)) == rounded
