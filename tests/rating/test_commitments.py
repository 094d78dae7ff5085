"""Promises of spending: true-up, maximum and overage lines, by account, service and window, and prorated."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.plans.spec import Commitment, Rate
from rating.core.settling import Bill, Subscription, TableTax, TaxCode, TaxPart, settle

from .test_settling import APRIL, BILL, MARCH, PER_UNIT, charges, listed, shown

D = Decimal
VOICE = Rate("Calls", "Voice", "per_unit", price=D(1))


def promised(drawn, *commitments, bill=BILL, rates=(PER_UNIT, VOICE), categories=None, **options):
    """The statement of drawn charges under a plan with the commitments."""
    drawn = charges(drawn) if isinstance(drawn, str) else drawn
    prices = listed(*rates, commitments=commitments)
    (statement,) = settle(drawn, bills=[bill], prices=prices, categories=categories or {}, **options)
    return statement


def added(statement):
    return [(line.kind, line.line_amount) for line in statement.lines if line.commitment]


def used(amount):
    return f"rated_quantity amount\n1 {amount}"


MINIMUM = Commitment("Floor", "minimum", D(100))
MAXIMUM = Commitment("Cap", "maximum", D(100))
COMMITMENT = Commitment("Promise", "commitment", D(1000), overage_factor=D("1.5"))


@pytest.mark.parametrize(
    ("case", "amount", "commitment", "lines", "subtotal"),
    [
        ("fp-tru-01", "750", replace(COMMITMENT, amount=D(1000)), [("true_up", D(250))], "1000"),
        ("lago-min-01", "30", replace(MINIMUM, amount=D(50)), [("true_up", D(20))], "50"),
        ("om-grad-04", "100", replace(MINIMUM, amount=D(1000)), [("true_up", D(900))], "1000"),
        ("om-unit-03, om-pkg-05, om-dyn-03", "0", MINIMUM, [("true_up", D(100))], "100"),
        ("om-vol-09", "100", replace(MINIMUM, amount=D(150)), [("true_up", D(50))], "150"),
        ("om-grad-07", "187", replace(MAXIMUM, amount=D(170)), [("maximum", D(-17))], "170"),
        ("om-vol-13, om-unit-04", "100", MAXIMUM, [], "100"),
        ("om-pkg-06", "15", MAXIMUM, [], "15"),
        ("om-dyn-02", "159.9996", MAXIMUM, [("maximum", D(-60))], "100"),
        ("om-max-01", "10000", replace(MAXIMUM, amount=D(10000)), [], "10000"),
        ("om-delta-26", "120", MAXIMUM, [("maximum", D(-20))], "100"),
        ("the field's own", "1500", COMMITMENT, [("overage", D(250))], "1750"),
        ("nothing to be made up", "900", replace(COMMITMENT, true_up=False), [], "900"),
        ("used amounts are rounded first", "99.995", MINIMUM, [], "100"),
    ],
)
def test_worked_commitments(case, amount, commitment, lines, subtotal):
    statement = promised(used(amount), commitment)
    assert added(statement) == lines
    assert statement.subtotal == D(subtotal)


@pytest.mark.parametrize(("day", "owed"), [(1, "100"), (4, "90.32"), (31, "3.23")])
def test_a_commitment_is_prorated_by_the_days_it_was_had(day, owed):
    bill = replace(BILL, subscriptions=(Subscription(1, 7, datetime(2026, 3, day, 10, tzinfo=UTC)),))
    assert promised(used(0), replace(MINIMUM, prorate=True), bill=bill).subtotal == D(owed)
    assert promised(used(0), MINIMUM, bill=bill).subtotal == D(100)


def test_25_of_28_days_owe_their_part_of_the_minimum():
    """lago-min-02: 10.00 x 25/28 = 8.93 less 8.00 used."""
    february = Bill(
        1, "EUR", "Europe/Paris", datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 2, 28, 23, tzinfo=UTC),
        (Subscription(1, 7, datetime(2026, 2, 3, 23, tzinfo=UTC)),),
    )  # fmt: skip
    minimum = Commitment("Floor", "minimum", D(10), prorate=True)
    assert added(promised(used(8), minimum, bill=february)) == [("true_up", D("0.93"))]


def test_days_of_several_subscriptions_count_once_and_the_last_day_ends_before_midnight():
    bill = replace(
        BILL,
        subscriptions=(
            Subscription(1, 7, MARCH - timedelta(days=90), datetime(2026, 3, 11, tzinfo=UTC)),
            Subscription(1, 8, datetime(2026, 3, 6, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC)),
        ),
    )
    minimum = replace(MINIMUM, amount=D(310), prorate=True)
    assert promised(used(0), minimum, bill=bill).subtotal == D(150)


def test_services_without_usage_owe_their_minimum_and_each_has_its_line():
    bill = replace(BILL, subscriptions=(Subscription(1, 7, MARCH), Subscription(1, 8, MARCH)))
    statement = promised("service_id rated_quantity amount\n7 1 30", replace(MINIMUM, per="service"), bill=bill)
    assert shown(statement, "kind", "service_id", "line_amount") == [
        ("usage", None, 30),
        ("true_up", 7, 70),
        ("true_up", 8, 100),
    ]


def test_a_subscription_outside_the_period_owes_nothing():
    ended = replace(BILL, subscriptions=(Subscription(2, 7, MARCH - timedelta(days=9), MARCH),))
    assert promised("period_id rated_quantity amount\n9 1 1", MINIMUM, bill=ended).lines == ()


ENDED = Subscription(1, 7, MARCH - timedelta(days=90), MARCH)
NOT_BEGUN = Subscription(1, 7, APRIL)
NOTHING = charges(used(0)).clear()


@pytest.mark.parametrize("subscription", [ENDED, NOT_BEGUN])
@pytest.mark.parametrize("more", [{}, {"prorate": True}, {"per": "service"}])
def test_a_service_that_ended_or_has_not_begun_owes_no_minimum(subscription, more):
    bill = replace(BILL, subscriptions=(subscription,))
    assert promised(NOTHING, replace(MINIMUM, **more), bill=bill).lines == ()


def test_late_usage_of_a_service_that_ended_owes_no_minimum_but_is_capped():
    bill = replace(BILL, subscriptions=(ENDED,))
    late = used(30).replace("amount\n", "amount service_id\n") + " 7"
    for minimum in (MINIMUM, replace(MINIMUM, per="service")):
        assert added(promised(late, minimum, bill=bill)) == []
        assert added(promised(late, replace(minimum, kind="maximum", amount=D(20)), bill=bill)) == [("maximum", -10)]


def test_a_service_that_ended_owes_nothing_beside_one_that_goes_on():
    bill = replace(BILL, subscriptions=(ENDED, replace(ENDED, service_id=8, until=None)))
    statement = promised("service_id rated_quantity amount\n7 1 30", replace(MINIMUM, per="service"), bill=bill)
    assert shown(statement, "kind", "service_id", "line_amount") == [("usage", None, 30), ("true_up", 8, 100)]


def test_what_only_corrects_closed_statements_makes_no_promise_of_a_plan_that_nobody_has():
    statement = promised("adjusts rated_quantity amount\nS-1 1 5", MINIMUM)
    assert [line.kind for line in statement.lines] == ["adjustment"]


@pytest.mark.parametrize(
    ("commitment", "lacking"),
    [
        (MINIMUM, 60),
        (replace(MINIMUM, usage_classes=("Voice",)), 90),
        (replace(MINIMUM, rates=("National / Usage",)), 70),
    ],
)
def test_a_commitment_is_about_the_usage_that_it_names(commitment, lacking):
    drawn = """
        rate_key usage_class_id rated_quantity amount
        0        1              1              30
        1        2              1              10
        """
    assert added(promised(drawn, commitment)) == [("true_up", lacking)]


def test_usage_windows_are_held_against_the_commitment_one_by_one():
    """fp-com-01: 2 and 8 units at 2, commitment 10, overage twice: 10 + (10 + 6 x 2) = 32."""
    hourly = Commitment("Promise", "commitment", D(10), D(2), within="hour")
    statement = promised(
        """
        date                  rated_quantity amount
        2026-03-02T09:10:00Z  2              4
        2026-03-02T10:10:00Z  3              6
        2026-03-02T10:50:00Z  5              10
        """,
        hourly,
    )
    assert added(statement) == [("true_up", D(6)), ("overage", D(6))]
    assert statement.subtotal == D(32)


def test_commitments_by_time_of_day_are_commitments_about_rates():
    """fp-com-03: mornings commit to 5 without true-up, the rest of the day to 10 with it."""
    statement = promised(
        """
        date                  rate_key rated_quantity amount
        2026-03-02T09:00:00Z  0        10             20
        2026-03-02T10:00:00Z  0        1              2
        2026-03-02T18:00:00Z  1        3              3
        """,
        Commitment("Mornings", "commitment", D(5), D(2), true_up=False, rates=("National / Usage",), within="hour"),
        Commitment("Else", "commitment", D(10), D(2), rates=("National / Calls",), within="hour"),
    )
    assert added(statement) == [("true_up", D(7)), ("overage", D(15))]
    assert statement.subtotal == D(47)


def test_days_are_those_of_the_account_and_hours_of_the_changing_clock_are_two():
    daily = Commitment("Cap", "maximum", D(10), within="day")
    auckland = replace(BILL, time_zone="Pacific/Auckland")
    drawn = """
        date                  rated_quantity amount
        2026-03-02T10:30:00Z  1              8
        2026-03-02T11:30:00Z  1              8
        """
    assert added(promised(drawn, daily, bill=auckland)) == []
    assert added(promised(drawn, daily)) == [("maximum", D(-6))]
    # On 25 October the hour from 2 to 3 comes twice in Vienna.
    autumn = Bill(
        1, "EUR", "Europe/Vienna", datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
    )
    twice = drawn.replace("2026-03-02T10:30", "2026-10-25T00:30").replace("2026-03-02T11:30", "2026-10-25T01:30")
    assert added(promised(twice, replace(daily, within="hour"), bill=autumn)) == []


def test_a_window_whose_usage_was_reversed_owes_nothing():
    drawn = """
        date                  kind     rated_quantity amount
        2026-03-02T09:10:00Z  charge   2              4
        2026-03-02T09:10:00Z  reversal -2             -4
        """
    assert promised(drawn, replace(MINIMUM, within="hour")).lines == ()


def test_what_was_prepaid_was_spent_and_a_cap_never_pays_back_more_than_is_owed():
    paid = "rated_quantity amount credit\n1 20 80"
    assert added(promised(paid, MINIMUM)) == []
    assert added(promised(paid, replace(MAXIMUM, amount=D(90)))) == [("maximum", D(-10))]
    assert promised(paid, replace(MAXIMUM, amount=D(50))).subtotal == D(0)


def test_adjustments_of_closed_statements_count_for_no_commitment():
    statement = promised("adjusts rated_quantity amount\nS-1 1 500\n- 1 40", MINIMUM, MAXIMUM)
    assert added(statement) == [("true_up", D(60))]


def test_an_accounts_statement_keeps_the_promise_to_the_cent_though_lines_are_rounded():
    rates = [replace(PER_UNIT, name=name) for name in "abc"]
    drawn = "rate_key rated_quantity amount\n0 1 33.333\n1 1 33.333\n2 1 33.334"
    statement = promised(drawn, MINIMUM, rates=rates)
    assert (added(statement), statement.subtotal) == ([("true_up", D("0.01"))], D(100))


def tax(*percents):
    codes = (TaxCode(name, name, "AT", (TaxPart("VAT", D(percent)),)) for name, percent in percents)
    return TableTax(tuple(codes))


TWO_KINDS = """
    rate_key jurisdiction usage_class_id rated_quantity amount
    0        AT           1              1              100.01
    1        AT           2              1              50
    """


def test_what_is_over_is_taken_off_as_the_usage_is_taxed():
    statement = promised(
        TWO_KINDS,
        MAXIMUM,
        bill=replace(BILL, jurisdiction="AT"),
        categories={1: "data", 2: "voice"},
        tax=tax(("data", 20), ("voice", 10)),
    )
    assert shown(statement, "kind", "tax_category", "line_amount")[2:] == [
        ("maximum", "data", D("-33.34")),
        ("maximum", "voice", D("-16.67")),
    ]
    assert (statement.subtotal, statement.tax_total, statement.faults) == (D(100), D("16.66"), ())


def test_what_is_lacking_is_taxed_as_the_usage_that_counts_or_said_to_be_unclear():
    minimum = replace(MINIMUM, amount=D(200))
    taxed = {"categories": {1: "data", 2: "voice"}, "tax": tax(("data", 20), ("voice", 10))}
    bill = replace(BILL, jurisdiction="AT")
    unclear = promised(TWO_KINDS, minimum, bill=bill, **taxed)
    assert unclear.faults == (
        "Line 3 (Floor) is about usage of several tax categories: “data”, “voice”. Set the “Mixed category” of "
        "jurisdiction AT, or let the commitment name usage classes of one category.",
    )
    clear = promised(TWO_KINDS, replace(minimum, usage_classes=("Voice",)), bill=bill, **taxed)
    assert clear.faults == ()
    assert [each.amount for each in clear.tax_amounts] == [D("20.00"), D("5.00"), D("15.00")]


@settings(max_examples=30, deadline=None)
@given(
    amounts=st.lists(st.decimals(0, 80, places=4), min_size=1, max_size=5),
    minimum=st.decimals(0, 150, places=2),
    above=st.decimals(0, 100, places=2),
    seed=st.integers(0, 99),
)
def test_a_statement_lies_between_minimum_and_maximum_whatever_the_order(amounts, minimum, above, seed):
    drawn = pl.concat(
        charges(f"rate_key usage_class_id rated_quantity amount\n{n % 2} {n % 2 + 1} 1 {amount}")
        for n, amount in enumerate(amounts)
    )
    floor, cap = replace(MINIMUM, amount=minimum), replace(MAXIMUM, amount=minimum + above)
    statement = promised(drawn, floor, cap)
    assert minimum <= statement.subtotal <= minimum + above
    assert promised(drawn.sample(fraction=1, shuffle=True, seed=seed), floor, cap) == statement
    assert statement.subtotal == sum(line.line_amount for line in statement.lines)


def test_the_version_of_the_last_moment_says_what_was_promised():
    bill = replace(BILL, subscriptions=(Subscription(1, 7, MARCH, APRIL),))
    prices = listed(PER_UNIT, commitments=(MINIMUM,))
    (older,) = prices.versions
    newer = replace(
        older, version_id=2, starts_at=datetime(2026, 3, 20, tzinfo=UTC), plan=replace(older.plan, commitments=())
    )
    both = replace(prices, versions=(replace(older, ends_at=newer.starts_at), newer))
    (statement,) = settle(charges(used(1)), bills=[bill], prices=both, categories={})
    assert added(statement) == []
