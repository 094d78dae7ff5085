"""Usage priced in order: counters, refusals, aggregations, tiers by another class, whatever the order of its rows."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.frames import TOTALS
from rating.core.ledger import price_usage
from rating.core.plans.spec import Aggregation, Counting, Group, Plan, Rate, Tier

from .metered import (
    after,
    column,
    d,
    graduated,
    owed,
    per_unit,
    periods,
    plan,
    price,
    priced,
    prices,
    standing,
    tables,
    usage,
)

MODES = pytest.mark.parametrize("only_ledger", [False, True])


@MODES
def test_usage_is_rounded_priced_and_rounded_once(only_ledger):
    tariff = prices(plan(per_unit("0.015", minimum=d(60), increment=d(6)), precision=2))
    result = priced("value\n61\n0\n60", tariff, only_ledger=only_ledger)
    assert column(result, "rated_quantity") == ["66", "60", "60"]
    assert owed(result) == ["0.99", "0.9", "0.9"]


@MODES
def test_tiers_go_on_where_the_record_before_ended_in_order_of_date(only_ledger):
    tariff = prices(plan(graduated((100, 2), (200, "1.5"), (None, 1))))
    result = priced(
        """
        date                  value
        2026-05-03T00:00:00Z  150
        2026-05-02T00:00:00Z  100
        2026-06-01T00:00:00Z  10
        """,
        tariff,
        only_ledger=only_ledger,
    )
    assert owed(result) == ["200", "200", "20"]
    assert column(result, "tier_position") == ["100", "0", "0"]


@MODES
def test_usage_above_a_bounded_last_tier_is_refused_and_uses_up_nothing(only_ledger):
    tariff = prices(plan(graduated((100, 1), bounded=True)))
    result = priced("value\n60\n50\n40", tariff, only_ledger=only_ledger)
    # Of what is dated alike the smaller comes first: 40 and 50 fit, 60 does not.
    assert owed(result) == ["50", "40"]
    assert result.refused["udr_id"].to_list() == [1]
    assert result.refused["cause"].to_list() == ["no_rate"]
    assert result.refused["message"].item() == (
        "The usage reaches 150, above 100, where the last tier of rate “Group / Rate” of plan “Gold” ends."
        " Add a tier without end, then rerate."
    )


@MODES
def test_a_quantity_too_large_to_hold_is_refused(only_ledger):
    tariff = prices(plan(per_unit("0", increment=d("999999999999999"))))
    result = priced("value\n999999999999999.5", tariff, only_ledger=only_ledger)
    assert result.refused["cause"].to_list() == ["system_error"]
    assert "1999999999999998" in result.refused["message"].item()


@MODES
def test_an_amount_too_large_to_be_rounded_is_refused(only_ledger):
    tariff = prices(plan(Rate(name="Rate", usage_class="Class", model="pass_through")))
    text = "amount\n999999999999999999999.5\n999999999999999999999"
    result = priced(text, tariff, only_ledger=only_ledger)
    assert owed(result) == ["999999999999999999999"]
    assert result.refused["cause"].to_list() == ["system_error"]


@MODES
def test_usage_that_no_billing_period_charges_is_refused(only_ledger):
    tariff = prices(plan(per_unit()))
    matched = usage("date part udr_id value\n2026-05-01 0 1 1\n2026-06-01 0 2 1\n2026-06-02 1 2 1", tariff)
    may = periods(matched).filter(pl.col("month") == pl.date(2026, 5, 1))
    result = price_usage(matched, prices=tariff, periods=may, standing=standing(), only_ledger=only_ledger)
    assert owed(result) == ["1"]
    assert result.refused.select("udr_id", "cause").rows() == [(2, "system_error")]
    assert "2026-06-01" in result.refused["message"].item()


@MODES
def test_a_record_without_the_amount_that_its_rate_passes_through_is_refused(only_ledger):
    tariff = prices(plan(Rate(name="Rate", usage_class="Class", model="pass_through")))
    result = priced("amount\n-\n7", tariff, only_ledger=only_ledger)
    assert owed(result) == ["7"]
    assert result.refused["cause"].to_list() == ["no_rate"]
    assert "Group / Rate" in result.refused["message"].item()


def test_the_parts_of_a_record_are_priced_or_refused_together():
    peak = graduated((100, 1), name="Peak", bounded=True)
    split = Group(name="Group", rates=(peak, per_unit(2, name="Off")), at_boundary="split")
    tariff = prices(Plan(name="Gold", currency="EUR", groups=(split,)))
    result = priced(
        """
        udr_id part date                  rate value
        1      0    2026-05-01T08:00:00Z  Off  30
        1      1    2026-05-01T09:00:00Z  Peak 120
        2      0    2026-05-01T08:30:00Z  Peak 70
        3      1    2026-05-01T09:30:00Z  Off  1
        3      0    2026-05-01T08:50:00Z  Peak 30
        """,
        tariff,
    )
    assert result.refused.select("udr_id", "value").rows() == [(1, d(150))]
    assert result.refused["udr_date"].item().hour == 8
    assert owed(result) == ["70", "30", "2"]
    assert column(result, "tier_position") == ["0", "70", None]


def test_a_refused_part_takes_back_what_the_parts_before_it_counted():
    rate = graduated((100, 1), bounded=True)
    split = Group(name="Group", rates=(rate,), at_boundary="split")
    tariff = prices(Plan(name="Gold", currency="EUR", groups=(split,)))
    result = priced(
        """
        udr_id part date                  value
        1      0    2026-05-01T08:00:00Z  90
        1      1    2026-05-01T09:00:00Z  20
        2      0    2026-05-01T10:00:00Z  100
        """,
        tariff,
    )
    assert owed(result) == ["100"]
    assert result.standing.counters["records"].to_list() == [1]


def test_a_counter_may_belong_to_an_account_or_a_family():
    for per, expected in (
        ("service", ["10", "10", "10"]),
        ("account", ["10", "5", "10"]),
        ("family", ["10", "5", "5"]),
    ):
        tariff = prices(plan(graduated((10, 1), (None, "0.5"), counting=Counting(per=per))))
        text = """
            date                  service_id account_id family_id value
            2026-05-01T00:00:00Z  1          1          1         10
            2026-05-02T00:00:00Z  2          1          1         10
            2026-05-03T00:00:00Z  3          2          1         10
            """
        assert owed(priced(text, tariff)) == expected
        assert owed(priced(text, tariff, only_ledger=True)) == expected


@MODES
def test_a_counter_of_its_own_for_each_value_of_the_fields_counted_by(only_ledger):
    tariff = prices(plan(graduated((10, 1), (None, "0.5"), counting=Counting(by=("Extensions.cell",)))))
    text = 'counter_key value\n["a@b"] 10\n["c"] 10\n["a@b"] 10'
    assert sorted(owed(priced(text, tariff, only_ledger=only_ledger))) == ["10", "10", "5"]


@pytest.mark.parametrize(
    ("restarts", "expected"),
    [
        ("period", ["10", "5", "5", "5"]),
        ("day", ["10", "5", "10", "5"]),
        ("hour", ["10", "10", "10", "10"]),
        ("import", ["10", "10", "5", "5"]),
        ("record", ["10", "10", "10", "10"]),
        ("never", ["10", "5", "5", "5"]),
    ],
)
def test_a_counter_restarts_as_its_rate_says(restarts, expected):
    tariff = prices(plan(graduated((10, 1), (None, "0.5"), counting=Counting(restarts=restarts))))
    text = """
        date                  time_zone       import_id value
        2026-05-09T22:10:00Z  Europe/Vienna   1         10
        2026-05-10T21:50:00Z  Europe/Vienna   2         10
        2026-05-10T22:10:00Z  Europe/Vienna   2         10
        2026-05-10T23:50:00Z  Europe/Vienna   1         10
        """
    assert owed(priced(text, tariff)) == expected


def test_a_counter_that_never_restarts_goes_on_in_the_next_period():
    tariff = prices(plan(graduated((10, 1), (None, "0.5"), counting=Counting(restarts="never"))))
    first = priced("value\n10", tariff)
    assert first.standing.counters["period_id"].to_list() == [0]
    later = "date value\n2026-06-05T00:00:00Z 10"
    assert owed(priced(later, tariff, after(standing(), first))) == ["5"]


def test_volume_charges_add_up_to_the_price_of_the_total():
    rate = Rate(name="Rate", usage_class="Class", model="volume", tiers=(Tier(d(5), d(7)), Tier(None, d("6.5"))))
    result = priced("value\n5\n5.5", prices(plan(rate)))
    assert owed(result) == ["35", "33.25"]
    assert owed(priced("value\n5\n1", prices(plan(rate)))) == ["32", "7"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [("sum", ["1", "2", "3"]), ("count", ["1", "1", "1"]), ("max", ["1", "1", "1"]), ("latest", ["1", "1", "1"])],
)
def test_what_is_counted_is_priced_by_how_much_it_rises(function, expected):
    rate = per_unit(aggregation=Aggregation(function=function))
    text = "date value\n2026-05-01T00:00:00Z 1\n2026-05-02T00:00:00Z 2\n2026-05-03T00:00:00Z 3"
    assert owed(priced(text, prices(plan(rate)))) == expected


def test_the_latest_value_may_lower_the_bill():
    rate = per_unit(2, aggregation=Aggregation(function="latest"))
    text = "date value\n2026-05-01T00:00:00Z 5\n2026-05-03T00:00:00Z 6\n2026-05-02T00:00:00Z 7"
    assert owed(priced(text, prices(plan(rate)))) == ["10", "-2", "4"]


def test_unique_members_are_counted_once_and_remembered():
    rate = per_unit(aggregation=Aggregation(function="unique_count", of="OriginatingIdentifier"))
    tariff = prices(plan(rate))
    first = priced("member counted\na -\nb -\na -", tariff)
    assert sorted(owed(first)) == ["0", "1", "1"]
    assert first.standing.seen["member"].sort().to_list() == ["a", "b"]
    second = priced("member counted\na -\nc -", tariff, after(standing(), first))
    assert owed(second) == ["0", "1"]
    assert "c" in second.standing.seen["member"].to_list()


def test_members_that_carry_over_count_in_the_next_period_too():
    aggregation = Aggregation(function="unique_count", of="OriginatingIdentifier", carries_over=True)
    tariff = prices(plan(per_unit(aggregation=aggregation)))
    first = priced("member counted\na -", tariff)
    text = "date member counted\n2026-06-05T00:00:00Z b -"
    second = priced(text, tariff, after(standing(), first))
    assert owed(second) == ["2"]
    assert second.standing.seen["member"].sort().to_list() == ["a", "b"]


def test_the_highest_day_is_priced_and_its_windows_are_remembered():
    rate = per_unit(aggregation=Aggregation(function="sum", within="day", then="max"))
    tariff = prices(plan(rate))
    text = "date value\n2026-05-01T01:00:00Z 5\n2026-05-02T01:00:00Z 4\n2026-05-02T02:00:00Z 3"
    whole = priced(text, tariff)
    assert owed(whole) == ["5", "0", "2"]
    first = priced("date value\n2026-05-01T01:00:00Z 5\n2026-05-02T01:00:00Z 4", tariff)
    assert first.standing.counters["key"].sort().to_list() == ["", "@2026-05-01T00:00Z", "@2026-05-02T00:00Z"]
    second = priced("date value\n2026-05-02T02:00:00Z 3", tariff, after(standing(), first))
    assert owed(second) == ["2"]


def test_a_level_held_for_part_of_the_month_counts_by_its_seconds():
    rate = per_unit(aggregation=Aggregation(function="weighted_sum"))
    text = "date value counted\n2026-05-01T00:00:00Z 0 20\n2026-05-02T00:00:00Z 0 10\n2026-05-17T00:00:00Z 0 -30"
    result = priced(text, prices(plan(rate)))
    # 20 for a day and 30 for 15 days of 31.
    assert sum(d(amount) for amount in owed(result)) == d("15.161290")


def test_a_level_that_carries_over_is_held_from_the_start_of_the_next_period():
    rate = per_unit(aggregation=Aggregation(function="weighted_sum", carries_over=True))
    tariff = prices(plan(rate))
    first = priced("date value\n2026-05-16T12:00:00Z 10", tariff)
    second = priced("date value counted\n2026-06-16T00:00:00Z 0 -10", tariff, after(standing(), first))
    assert owed(first) == ["5"]
    assert owed(second) == ["5"]


def test_the_tier_may_be_chosen_by_the_quantity_of_another_class():
    tiers = (Tier(d(100), d(1)), Tier(None, d("0.5")))
    rate = Rate(name="Rate", usage_class="Class", model="volume", tiers=tiers, tier_by="Other")
    tariff = prices(plan(rate, per_unit(0, name="Other", usage_class="Other")))
    text = "rate value\nRate 10\nOther 60\nOther 60"
    result = priced(text, tariff)
    assert owed(result) == ["5", "0", "0"]
    assert result.standing.totals.select("usage_class_id", "quantity").rows() == [(2, d(120))]
    second = priced("rate value\nOther 5", tariff, after(standing(), result))
    assert result.standing.totals.height == 1
    assert second.standing.totals["quantity"].to_list() == [d(125)]


@pytest.mark.parametrize(("per", "expected"), [("service", "20"), ("account", "10"), ("family", "5")])
def test_the_quantity_that_chooses_the_tier_is_that_of_the_service_the_account_or_the_family(per, expected):
    tiers = (Tier(d(50), d(2)), Tier(d(150), d(1)), Tier(None, d("0.5")))
    counting = Counting(per=per)
    rate = Rate(name="Rate", usage_class="Class", model="volume", tiers=tiers, tier_by="Other", counting=counting)
    tariff = prices(plan(rate, per_unit(0, name="Other", usage_class="Other")))
    others = """
        rate  service_id account_id family_id value
        Other 1          1          1         40
        Other 2          1          1         60
        Other 3          2          1         80
        """
    before = after(standing(), priced(others, tariff))
    together = f"{others.rstrip()}\n Rate 1 1 1 10"
    assert owed(priced(together, tariff))[-1] == expected
    if per != "family":  # of a family, the caller tells what the accounts used that are not met
        assert owed(priced("rate value\nRate 10", tariff, before)) == [expected]
    others_of_family = before.totals.filter(pl.col("account_id") == 2).with_columns(
        period_id=pl.lit(before.totals.filter(pl.col("account_id") == 1)["period_id"][0]), account_id=1, service_id=0
    )
    told = standing(totals=pl.concat([before.totals.filter(pl.col("account_id") == 1), others_of_family.cast(TOTALS)]))
    assert owed(priced("rate value\nRate 10", tariff, told)) == [expected]


def test_what_is_refused_of_a_class_does_not_move_those_who_follow_it():
    tiers = (Tier(d(100), d(1)), Tier(None, d("0.5")))
    rate = Rate(name="Rate", usage_class="Class", model="volume", tiers=tiers, tier_by="Other")
    other = graduated((100, 0), name="Other", usage_class="Other", bounded=True)
    result = priced("rate value\nRate 10\nOther 60\nOther 61", prices(plan(rate, other)))
    assert owed(result) == ["10", "0"]
    assert result.standing.totals["quantity"].to_list() == [d(60)]
    assert result.refused.height == 1


def test_nothing_in_nothing_out():
    tariff = prices(plan(per_unit()))
    for only_ledger in (False, True):
        result = price(usage("value\n1", tariff).clear(), tariff, only_ledger=only_ledger)
        assert result.rated.is_empty()
        assert result.draws.is_empty()
        assert result.standing.counters.is_empty()


RATES = {
    "Graduated": graduated((10, 1), (20, "0.5"), (None, "0.333"), name="Graduated"),
    "Volume": Rate(
        name="Volume", usage_class="Class", model="volume", tiers=(Tier(d(9), d(2)), Tier(d(30), d("0.7"), flat=d(1)))
    ),
    "Package": Rate(name="Package", usage_class="Class", model="package", price=d(5), size=d(7), free_units=d(3)),
    "Highest": per_unit(name="Highest", aggregation=Aggregation(function="max"), counting=Counting(per="account")),
    "Latest": per_unit(name="Latest", aggregation=Aggregation(function="latest")),
    "Share": Rate(
        name="Share",
        usage_class="Class",
        model="percentage",
        percent=d("1.2"),
        fixed=d("0.1"),
        of="quantity",
        free_records=2,
    ),
}


@st.composite
def drawn_usage(draw):
    tariff = prices(plan(*RATES.values(), precision=3))
    row = st.tuples(
        st.sampled_from(sorted(RATES)), st.integers(1, 6), st.integers(1, 3), st.integers(0, 12), st.sampled_from("ab")
    )
    lines = draw(st.lists(row, min_size=1, max_size=14))
    text = "rate date service_id value counter_key\n" + "\n".join(
        f'{rate} 2026-05-{day:02}T00:00:00Z {service} {value} ["{key}"]' for rate, day, service, value, key in lines
    )
    return tariff, usage(text, tariff)


@settings(max_examples=15, deadline=None)
@given(drawn_usage(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(drawn, random):
    tariff, matched = drawn
    places = list(range(matched.height))
    random.shuffle(places)
    assert tables(price(matched, tariff)) == tables(price(matched[places], tariff))


@settings(max_examples=15, deadline=None)
@given(drawn_usage(), st.integers(2, 6))
def test_two_halves_cost_what_the_whole_costs(drawn, day):
    tariff, matched = drawn
    early = pl.col("date").dt.day() < day
    first = price(matched.filter(early), tariff)
    second = price(matched.filter(~early), tariff, after(standing(), first))
    whole = price(matched, tariff)
    both = pl.concat([first.rated, second.rated]).sort("udr_id")
    assert both.rows() == whole.rated.sort("udr_id").rows()
    left = after(after(standing(), first), second)
    keys = ["period_id", "account_id", "service_id", "rate_id", "key"]
    assert left.counters.sort(keys).rows() == whole.standing.counters.sort(keys).rows()
