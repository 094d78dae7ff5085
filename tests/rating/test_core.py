"""The passes of rating, by drawn tables: no database."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from rating.core.quantities import round_up

from rating.core import charging
from rating.core.charging import CHOOSING, MATCHING, PRICING, walk
from rating.core.frames import MOMENT
from rating.core.money import round_to_minor_unit
from rating.core.periods import month_bounds, periods_for

from .tables import frame, tariff, udrs

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def rate(usage, prices):
    """The charges, in order of UDR, and what was refused."""
    rated = walk(CHOOSING + MATCHING + PRICING, usage, prices)
    return charging.charges_of(rated.rated, NOW).sort("udr_id"), rated.refused.sort("udr_id")


def amounts(usage, prices):
    charges, refused = rate(usage, prices)
    assert refused.is_empty(), refused["message"].to_list()
    return [str(amount.normalize()) for amount in charges["amount"]]


def values(*numbers):
    return udrs("udr_id value\n" + "\n".join(f"{n} {value}" for n, value in enumerate(numbers, 1)))


# Rounding


@pytest.mark.parametrize(
    ("value", "minimum", "increment", "rated"),
    [
        ("0", "0", "-", "0"),
        ("0", "60", "6", "60"),
        ("60", "60", "6", "60"),
        ("60.000001", "60", "6", "66"),
        ("66", "60", "6", "66"),
        ("66.000001", "60", "6", "72"),
        ("61.5", "60", "-", "61.5"),
        ("1", "0", "0.000003", "1.000002"),
        ("999999999999999", "0", "0.000007", "999999999999999.000002"),
        ("999999999999999.999999", "0", "0.000001", "999999999999999.999999"),
        ("999999999999998.5", "0", "1", "999999999999999"),
    ],
)
def test_usage_is_rounded_up_by_minimum_and_increment(value, minimum, increment, rated):
    rows = frame(f"value minimum increment\n{value} {minimum} {increment}", ROUNDING)
    assert round_up(rows, tariff()).rated["rated_quantity"].to_list() == [Decimal(rated)]


ROUNDING = {
    "udr_id": pl.Int64,
    "value": pl.Decimal(21, 6),
    "minimum": pl.Decimal(21, 6),
    "increment": pl.Decimal(21, 6),
}


def test_what_rounds_up_to_more_than_fits_is_refused():
    usage = values("999999999999999.5", "1")
    charges, refused = rate(usage, tariff(rates="price increment\n1 10"))
    assert charges["udr_id"].to_list() == [2]
    assert refused["cause"].to_list() == ["system_error"]


# Prices


def test_per_unit_prices_are_exact_to_the_last_digit():
    usage = values("999999999999999.999999", "0.000001", "0")
    prices = tariff(rates="price\n999999.99999999999")
    charges, _ = rate(usage, prices)
    exact = [Decimal("999999999999999989999.00000000000"), Decimal("1.00000000000"), Decimal(0)]
    assert charges["amount"].to_list() == exact


@pytest.mark.parametrize(
    ("precision", "amount"), [(11, "0.12345678905"), (2, "0.12"), (5, "0.12346"), (0, "0"), (10, "0.1234567891")]
)
def test_an_amount_is_rounded_once_to_the_groups_precision(precision, amount):
    prices = tariff(rates="price\n0.12345678905", groups=f"amount_precision\n{precision}")
    assert rate(values(1), prices)[0]["amount"].to_list() == [Decimal(amount)]


def test_half_is_rounded_away_from_zero():
    usage = udrs("udr_id amount currency\n1 0.125 EUR\n2 -0.125 EUR\n3 0.135 EUR")
    prices = tariff(rates="model price\npass_through -", groups="amount_precision\n2")
    assert amounts(usage, prices) == ["0.13", "-0.13", "0.14"]


def test_a_fixed_rate_charges_the_record_whatever_it_measured():
    assert amounts(values(0, 5), tariff(rates="model price\nfixed 0.25")) == ["0.25", "0.25"]


TIERS = "rate_id up_to tier_price\n1 100 0.3\n1 500 0.2\n1 - 0.1"


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
def test_graduated_tiers_have_inclusive_bounds_on_the_real_line(quantities, expected):
    prices = tariff(rates="model price\ngraduated -", tiers=TIERS)
    assert [Decimal(amount) for amount in amounts(values(*quantities), prices)] == [Decimal(each) for each in expected]


def test_tiers_start_from_the_stored_position():
    prices = tariff(
        rates="model price\ngraduated -", tiers=TIERS, positions="period_id service_id rate_id quantity\n5 1 1 90"
    )
    charges, _ = rate(values(20), prices)
    assert charges["amount"].to_list() == [Decimal(5)]
    assert charges["tier_position"].to_list() == [90]
    assert charging.positions_after(charges)["quantity"].to_list() == [110]


def test_a_position_beyond_what_fits_is_refused():
    prices = tariff(rates="model price\ngraduated -", tiers="up_to tier_price\n- 1")
    charges, refused = rate(values("999999999999999", "0.999999", "0.000001"), prices)
    assert charges["udr_id"].to_list() == [1, 2]
    assert refused["cause"].to_list() == ["no_rate"]


def test_usage_refused_by_the_last_tier_leaves_bucket_and_tiers_to_those_after_it():
    usage = udrs("udr_id usage_class_id value\n1 1 9\n2 1 20\n3 2 4\n4 1 6\n5 1 1")
    prices = tariff(
        classes="usage_class_id usage_class\n1 Data\n2 Roaming",
        rates="rate_id usage_class_id model price\n1 1 graduated -\n2 2 per_unit 1",
        tiers="rate_id up_to tier_price\n1 10 1",
        buckets="usage_class_id size\n1 5\n2 5",
    )
    charges, refused = rate(usage, prices)
    assert refused["udr_id"].to_list() == [2, 5]
    assert "above 10" in refused["message"][0]
    assert charges["bucket_quantity"].to_list() == [5, 0, 0]
    assert charges["tier_position"].to_list() == [0, None, 4]


def test_usage_refused_everywhere_is_found_in_one_pass_each():
    prices = tariff(rates="model price\ngraduated -", tiers="up_to tier_price\n1000 1")
    usage = values(*(600 - n for n in range(500)))
    charges, refused = rate(usage, prices)
    assert charges.height + refused.height == 500
    position = Decimal(0)
    for row in charges.sort("udr_id").iter_rows(named=True):
        assert row["tier_position"] == position
        position += row["rated_quantity"]
    assert position <= 1000


# Buckets


def test_a_bucket_is_drawn_in_order_of_date_not_of_arrival():
    usage = udrs("udr_id date value\n1 2026-05-03T00:00:00Z 60\n2 2026-05-01T00:00:00Z 60")
    charges, _ = rate(usage, tariff(buckets="size\n100"))
    assert charges["bucket_quantity"].to_list() == [40, 60]


def test_a_bucket_takes_up_where_the_last_batch_left_it():
    prices = tariff(buckets="size\n100", balances="period_id service_id bucket_id used\n5 1 1 70")
    charges, _ = rate(values(20, 20), prices)
    assert charges["bucket_quantity"].to_list() == [20, 10]
    assert charging.balances_after(charges, prices)["used"].to_list() == [100]


def test_a_bucket_that_was_made_smaller_gives_nothing_and_takes_nothing():
    prices = tariff(buckets="size\n50", balances="period_id service_id bucket_id used\n5 1 1 70")
    charges, _ = rate(values(20), prices)
    assert charges["bucket_quantity"].to_list() == [0]


def test_fixed_and_passed_through_usage_draws_no_bucket():
    charges, _ = rate(values(20), tariff(buckets="size\n100", rates="model price\nfixed 1"))
    assert charges["bucket_quantity"].to_list() == [0]
    assert charges["bucket_id"].to_list() == [None]


# Payers


def test_the_first_fault_in_the_walk_names_the_exception():
    usage = udrs("udr_id udr_usage_identifier\n1 555\n2 666\n3 777\n4 888")
    prices = tariff(
        payers="""
            identifier service_id account_plan_id is_final_billed ends_at
            666        2          -               true            -
            777        3          -               false           -
            888        4          1               true            2026-01-01T00:00:00Z
        """
    )
    assert rate(usage, prices)[1]["cause"].to_list() == [
        "no_identifier_match",
        "final_bill_issued",
        "no_rate_plan",
        "identifier_not_valid_at_date",
    ]


# Periods


@pytest.mark.parametrize(
    ("month", "zone", "starts_at", "ends_at"),
    [
        (date(2026, 3, 1), "Europe/Vienna", "2026-02-28T23:00", "2026-03-31T22:00"),
        (date(2026, 12, 1), "UTC", "2026-12-01T00:00", "2027-01-01T00:00"),
        # The clocks of Asunción went from 0:00 to 1:00 on 1 October 2017.
        (date(2017, 10, 1), "America/Asuncion", "2017-10-01T04:00", "2017-11-01T03:00"),
    ],
)
def test_a_month_is_a_calendar_month_of_the_zone(month, zone, starts_at, ends_at):
    expected = tuple(datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (starts_at, ends_at))
    assert month_bounds(month, zone) == expected


def test_what_is_before_the_last_closed_period_goes_to_the_one_after_it():
    months = frame(
        "account_id time_zone month\n1 UTC 2026-01-01\n1 UTC 2026-03-01\n2 UTC 2026-01-01",
        {"account_id": pl.Int64, "time_zone": pl.String, "month": pl.Date},
    )
    closed = frame("account_id closed_until\n1 2026-03-01T00:00:00Z", {"account_id": pl.Int64, "closed_until": MOMENT})
    placed = periods_for(months, closed).sort("account_id", "month")
    assert [moment.month for moment in placed["starts_at"]] == [3, 3, 1]
    assert placed["month"].to_list() == [date(2026, 1, 1), date(2026, 3, 1), date(2026, 1, 1)]


# Reversal and money


def test_a_reversal_negates_every_quantity_and_the_amount():
    charges, _ = rate(values("7.5"), tariff(buckets="size\n2"))
    periods = charges.select("id", period_id=pl.lit(9, pl.Int64))
    (reversal,) = charging.reversals_of(charges, periods, NOW).iter_rows(named=True)
    assert (reversal["id"], reversal["kind"], reversal["period_id"]) == (4097, "reversal", 9)
    assert (reversal["quantity"], reversal["rated_quantity"]) == (Decimal("-7.5"), Decimal("-7.5"))
    assert (reversal["bucket_quantity"], reversal["amount"]) == (Decimal(-2), Decimal("-0.55"))


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
def test_a_statement_line_is_rounded_to_the_minor_unit(amount, currency, rounded):
    assert str(round_to_minor_unit(Decimal(amount), currency)) == rounded
