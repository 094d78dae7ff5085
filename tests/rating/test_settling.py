"""Statement lines: charges summed by class, rate and tier, adjustments beside them, and no digit lost."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.plans.spec import Counting, Group, Plan, Rate, Tier
from rating.core.settling import SETTLED, Bill, name_of, settle
from rating.core.tariffs import PriceList, Version, price_list

from .tables import frame

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
BILL = Bill(1, "EUR", "UTC", MARCH, APRIL)
ZEROES = ("free_quantity", "bucket_quantity", "credit")


def charges(text):
    """Drawn charges; what is not drawn is nothing, and of the first class, plan, rate and service."""
    drawn = frame(text, SETTLED)
    given = text.split("\n")[1].split() if text.startswith("\n") else text.split("\n")[0].split()
    missing = {"kind": "charge", "jurisdiction": "", "rate_key": 0, "quantity": None, **dict.fromkeys(ZEROES, 0)}
    return drawn.with_columns(
        pl.col(name).fill_null(pl.col("rated_quantity") if name == "quantity" else pl.lit(value, dtype=SETTLED[name]))
        for name, value in missing.items()
        if name not in given
    )


def listed(*rates, currency="EUR", **plan):
    """A price list of one version of a plan with the rates in one group."""
    return version_of(Plan("Gold", currency, (Group("National", rates),), **plan))


def version_of(*plans: Plan) -> PriceList:
    versions = [
        Version(
            version_id=number,
            plan_id=1,
            starts_at=None if number == 1 else MARCH.replace(day=number),
            ends_at=None if number == len(plans) else MARCH.replace(day=number + 1),
            plan=plan,
            rate_ids={
                (group.name, rate.name): place for group in plan.groups for place, rate in enumerate(group.rates)
            },
            bucket_ids={bucket.name: place for place, bucket in enumerate(plan.buckets, start=1)},
        )
        for number, plan in enumerate(plans, start=1)
    ]
    return price_list(versions, {"Data": 1, "Voice": 2})


def settled(drawn, prices, bill=BILL, **options):
    (statement,) = settle(drawn, bills=[bill], prices=prices, categories={}, **options)
    return statement


def shown(statement, *names):
    return [tuple(getattr(line, name) for name in names) for line in statement.lines]


D = Decimal
PER_UNIT = Rate("Usage", "Data", "per_unit", price=D("0.10"))
GRADUATED = Rate(
    "Steps",
    "Data",
    "graduated",
    tiers=(Tier(D(100), D("0.10")), Tier(D(200), D("0.05"), flat=D(3)), Tier(None, D("0.01"))),
)


def test_charges_of_one_rate_come_to_one_line_without_the_service():
    statement = settled(
        charges("""
        service_id rated_quantity amount
        1          10             1.004
        2          20             2.004
        1          5              0.5
        """),
        listed(PER_UNIT),
    )
    assert shown(statement, "rate", "record_count", "rated_quantity", "amount", "line_amount") == [
        ("Usage", 3, D(35), D("3.508"), D("3.51"))
    ]
    assert (statement.amount, statement.subtotal, statement.total) == (D("3.508"), D("3.51"), D("3.51"))


def test_each_line_is_rounded_and_the_subtotal_adds_rounded_lines():
    rates = [replace(PER_UNIT, name=name) for name in "abc"]
    statement = settled(
        charges("""
        rate_key rated_quantity amount
        0        1              10.333333
        1        1              10.333333
        2        1              10.333333
        """),
        listed(*rates),
    )
    assert statement.subtotal == D("30.99")


@pytest.mark.parametrize(("currency", "rounded"), [("EUR", "10.28"), ("JPY", "10"), ("KWD", "10.279")])
def test_a_line_is_rounded_to_the_minor_unit_of_its_currency(currency, rounded):
    statement = settled(
        charges("rated_quantity amount\n1 10.278798"), listed(PER_UNIT), replace(BILL, currency=currency)
    )
    assert statement.subtotal == D(rounded)


def test_a_half_is_rounded_away_from_zero_on_both_sides():
    drawn = charges("""
        usage_class_id rated_quantity amount
        1              1              0.005
        2              1              -0.005
        """)
    assert shown(settled(drawn, listed(PER_UNIT)), "line_amount") == [(D("0.01"),), (D("-0.01"),)]


def test_a_graduated_rate_has_a_line_for_each_tier():
    statement = settled(
        charges("""
        service_id tier_position rated_quantity amount
        1          0             60             6
        1          60            90             9.5
        1          150           100            3
        2          0             50             5
        """),
        listed(GRADUATED),
    )
    assert shown(statement, "tier", "tier_above", "tier_up_to", "rated_quantity", "amount", "record_count") == [
        (1, D(0), D(100), D(150), D(15), 3),
        (2, D(100), D(200), D(100), D(8), 1),
        (3, D(200), None, D(50), D("0.5"), 0),
    ]
    assert statement.amount == D("23.5")
    assert name_of(statement.lines[1]) == "National / Steps, tier 2"


def test_free_and_drawn_units_stand_in_the_tier_where_their_record_starts():
    statement = settled(
        charges("""
        tier_position rated_quantity free_quantity bucket_quantity amount
        0             150            20            10              14
        """),
        listed(GRADUATED),
    )
    assert shown(statement, "tier", "rated_quantity", "free_quantity", "bucket_quantity", "amount") == [
        (1, D(130), D(20), D(10), D(10)),
        (2, D(20), D(0), D(0), D(4)),
    ]


def test_a_record_at_a_bound_starts_above_it_unless_it_prices_nothing():
    statement = settled(
        charges("""
        tier_position rated_quantity amount
        0             100            10
        100           0              0
        100           1              3.05
        """),
        listed(GRADUATED),
    )
    assert shown(statement, "tier", "record_count", "rated_quantity") == [(1, 2, D(100)), (2, 1, D(1))]


def test_credit_pays_the_lowest_tiers_first_and_the_last_line_takes_what_else_was_charged():
    statement = settled(
        charges("""
        tier_position rated_quantity amount credit
        0             150            5.25   12
        150           150            6.75   0
        """),
        listed(GRADUATED),
    )
    # Tiers: 10, 8, 1; the charges with credit come to 24: 5 of connect fees.
    assert shown(statement, "tier", "credit", "amount") == [(1, D(10), D(0)), (2, D(2), D(6)), (3, D(0), D(6))]


def test_prices_of_many_units_lose_no_digit_between_tiers():
    rate = replace(GRADUATED, tiers=(Tier(D(1), D(1), per=D(3)), Tier(None, D(1), per=D(7))))
    statement = settled(charges("tier_position rated_quantity amount\n0 3 0.61904761905"), listed(rate))
    assert shown(statement, "amount") == [(D("0.33333333333"),), (D("0.28571428572"),)]


def test_a_counter_that_came_from_before_shows_only_what_the_period_priced():
    statement = settled(
        charges("""
        tier_position rated_quantity amount
        90            20             4.5
        """),
        listed(GRADUATED),
    )
    assert shown(statement, "tier", "rated_quantity", "amount") == [(1, D(10), D(1)), (2, D(10), D("3.5"))]


def test_a_falling_counter_gives_tiers_back():
    statement = settled(
        charges("""
        tier_position rated_quantity amount
        0             150            15.5
        150           -60            -6.5
        """),
        listed(GRADUATED),
    )
    assert shown(statement, "tier", "rated_quantity", "amount", "record_count") == [(1, D(90), D(9), 1), (2, 0, 0, 1)]


def test_a_counter_below_zero_keeps_the_sum_of_its_units():
    drawn = charges("tier_position rated_quantity amount\n0 20 2\n20 -25 -2")
    assert shown(settled(drawn, listed(GRADUATED)), "tier", "rated_quantity", "amount") == [(1, -5, 0)]


def test_the_tier_that_was_reached_names_the_line_of_volume_usage():
    volume = replace(GRADUATED, model="volume")
    statement = settled(
        charges("""
        service_id tier_position rated_quantity amount
        1          0             60             6
        1          60            90             4.5
        2          0             50             5
        """),
        listed(volume),
    )
    assert shown(statement, "tier", "rated_quantity", "amount", "record_count") == [
        (1, D(50), D(5), 1),
        (2, D(150), D("10.5"), 2),
    ]


def test_no_tier_is_named_where_counters_of_a_service_reached_several():
    volume = replace(GRADUATED, model="volume", counting=Counting(by=("Extensions.region",)))
    statement = settled(
        charges("""
        tier_position rated_quantity amount
        0             60             6
        0             120            6
        """),
        listed(volume),
    )
    assert shown(statement, "tier", "rated_quantity") == [(None, D(180))]


def test_records_that_are_priced_by_themselves_each_reach_their_tier():
    volume = replace(GRADUATED, model="volume", counting=Counting(restarts="record"))
    statement = settled(charges("rated_quantity amount\n60 6\n120 9\n150 10.5\n0 0"), listed(volume))
    assert shown(statement, "tier", "rated_quantity", "record_count") == [(None, 0, 1), (1, 60, 1), (2, 270, 2)]


def test_a_tier_is_not_named_where_another_class_or_a_family_chooses_it():
    drawn = charges("tier_position rated_quantity amount\n0 120 9")
    for chosen in ({"tier_by": "Voice"}, {"counting": Counting(per="family")}):
        rate = replace(GRADUATED, model="volume", **chosen)
        assert shown(settled(drawn, listed(rate)), "tier", "amount") == [(None, 9)]


def test_versions_that_price_alike_share_a_line_and_others_do_not():
    plan = Plan("Gold", "EUR", (Group("National", (GRADUATED,)),))
    dearer = replace(plan, groups=(Group("National", (replace(GRADUATED, tiers=(Tier(None, D(1)),)),)),))
    statement = settled(
        charges("""
        rate_key tier_position rated_quantity amount
        0        0             60             6
        1        60            30             3
        2        90            10             10
        """),
        version_of(plan, replace(plan, description="again"), dearer),
    )
    assert shown(statement, "rate_key", "tier", "rated_quantity", "amount") == [
        (0, 1, D(90), D(9)),
        (2, 1, D(10), D(10)),
    ]


def test_percentages_of_units_have_tiers_and_those_of_amounts_have_not():
    tiers = (Tier(D(100), percent=D(10)), Tier(None, percent=D(1), flat=D(2)))
    rate = replace(GRADUATED, model="graduated_percentage", tiers=tiers, of="quantity")
    drawn = charges("tier_position rated_quantity amount\n0 150 12.5")
    assert shown(settled(drawn, listed(rate)), "tier", "amount") == [(1, D(10)), (2, D("2.5"))]
    assert shown(settled(drawn, listed(replace(rate, of="amount"))), "tier", "amount") == [(None, D("12.5"))]


def test_a_factor_lowers_every_tier():
    statement = settled(
        charges("tier_position rated_quantity amount\n0 150 13.95"), listed(replace(GRADUATED, factor=D("0.9")))
    )
    assert shown(statement, "amount") == [(D(9),), (D("4.95"),)]


def test_what_adjusts_a_closed_statement_is_a_line_of_its_own_that_names_it():
    statement = settled(
        charges("""
        kind     adjusts tier_position rated_quantity amount
        charge   -       0             150            15.5
        reversal S-7     120           -10            -0.5
        charge   S-7     120           -12            -0.4
        charge   S-6     0             1              0.1
        """),
        listed(GRADUATED),
    )
    assert shown(statement, "kind", "adjusts", "tier", "record_count", "amount") == [
        ("usage", None, 1, 1, D(10)),
        ("usage", None, 2, 0, D("5.5")),
        ("adjustment", "S-6", None, 1, D("0.1")),
        ("adjustment", "S-7", None, 0, D("-0.9")),
    ]


def test_charges_of_before_plans_had_versions_come_to_a_line_of_their_class():
    statement = settled(charges("rate_key rated_quantity amount\n- 10 1"), listed(PER_UNIT))
    assert shown(statement, "usage_class_id", "rate", "amount") == [(1, "", D(1))]
    assert name_of(statement.lines[0]) == "usage class 1"


def test_a_bill_without_charges_has_an_empty_statement_and_foreign_periods_are_left_out():
    drawn = charges("period_id rated_quantity amount\n2 10 1")
    first, second = settle(drawn, bills=[BILL, replace(BILL, period_id=2)], prices=listed(PER_UNIT), categories={})
    assert (first.lines, first.total) == ((), D(0))
    assert second.total == D(1)
    assert settled(drawn, listed(PER_UNIT)).lines == ()


def test_a_sum_that_38_digits_cannot_hold_is_refused():
    drawn = charges(f"rated_quantity amount\n1 {'9' * 20}")
    assert settled(pl.concat([drawn] * 10), listed(PER_UNIT)).amount == 10 * D("9" * 20)
    wide = drawn.with_columns(amount=pl.lit(D("9" * 26), dtype=pl.Decimal(38, 11)))
    with pytest.raises(OverflowError):
        settled(pl.concat([wide] * 20), listed(PER_UNIT))


QUANTITIES = st.decimals(min_value=0, max_value=120, places=2)
USES = st.lists(st.tuples(st.integers(1, 3), QUANTITIES, st.booleans()), min_size=1, max_size=12)


def priced(uses):
    """Charges of a graduated rate, one service after the other; some reversed and charged again."""
    tiers = GRADUATED.tiers
    rows = []
    positions = {}

    def price(at):
        total = min(at, D(100)) * tiers[0].price + max(min(at, D(200)) - 100, D(0)) * tiers[1].price
        return total + max(at - 200, D(0)) * tiers[2].price + (tiers[1].flat if at > 100 else 0)

    for service, quantity, is_rerated in uses:
        before = positions.get(service, D(0))
        positions[service] = before + quantity
        row = {
            "service_id": service,
            "kind": "charge",
            "tier_position": before,
            "rated_quantity": quantity,
            "amount": price(before + quantity) - price(before),
        }
        undone = {**row, "kind": "reversal", "rated_quantity": -quantity, "amount": -row["amount"]}
        rows.extend([row, undone, row] if is_rerated else [row])
    usual = {
        "period_id": 1,
        "date": MARCH,
        "jurisdiction": "",
        "usage_class_id": 1,
        "plan_id": 1,
        "rate_key": 0,
        "free_quantity": D(0),
        "bucket_quantity": D(0),
        "credit": D(0),
        "cost": D(0),
        "adjusts": None,
    }
    return pl.DataFrame([{**usual, **row, "quantity": row["rated_quantity"]} for row in rows], schema=SETTLED)


@settings(max_examples=25, deadline=None)
@given(uses=USES, seed=st.integers(0, 99))
def test_lines_add_up_to_the_charges_whatever_their_order_and_reversals(uses, seed):
    drawn = priced(uses)
    statement = settled(drawn, listed(GRADUATED))
    plain = settled(priced([(service, quantity, False) for service, quantity, _ in uses]), listed(GRADUATED))
    assert statement.lines == plain.lines
    assert statement.lines == settled(drawn.sample(fraction=1, shuffle=True, seed=seed), listed(GRADUATED)).lines
    for name in ("amount", "rated_quantity", "quantity"):
        assert sum(getattr(line, name) for line in statement.lines) == drawn[name].sum()
    assert sum(line.record_count for line in statement.lines) == len(uses)
    for line in statement.lines:
        tier = GRADUATED.tiers[line.tier - 1]
        reached = len(
            {service for service, _, _ in uses if sum(q for s, q, _ in uses if s == service) > line.tier_above}
        )
        assert line.amount == line.rated_quantity * tier.price + tier.flat * reached
