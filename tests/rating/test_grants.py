"""Buckets: when they give, to whom, how much, in which order they are drawn, what rolls over, what each draw leaves."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.ledger.rollover import Past, carried
from rating.core.ledger.windows import Window, part_from, window_before, window_of
from rating.core.plans.spec import Bucket, BucketTier, Follows, Rate, Refill, Rollover, Tier

from .metered import (
    after,
    column,
    d,
    draws,
    graduated,
    members,
    moment,
    owed,
    per_unit,
    plan,
    price,
    priced,
    prices,
    standing,
    tables,
    usage,
)

MAY = Window(moment("2026-05-01"), moment("2026-06-01"))
MODES = pytest.mark.parametrize("only_ledger", [False, True])


def units(size, name="Minutes", **fields):
    return Bucket(name=name, size=d(size), **fields)


def money(size, name="Wallet", **fields):
    return Bucket(name=name, of="money", size=d(size), **fields)


@MODES
def test_a_bucket_is_drawn_in_order_of_date_and_every_draw_says_what_is_left(only_ledger):
    tariff = prices(plan(per_unit(), buckets=[units(10)]))
    text = "date value\n2026-05-03T00:00:00Z 8\n2026-05-01T00:00:00Z 6\n2026-06-01T00:00:00Z 9"
    result = priced(text, tariff, only_ledger=only_ledger)
    assert owed(result) == ["4", "0", "0"]
    assert draws(result) == [(2, "draw", "6", "4"), (1, "draw", "4", "0"), (3, "draw", "9", "1")]
    assert column(result, "bucket_quantity") == ["4", "6", "9"]


@MODES
def test_what_was_used_before_is_gone(only_ledger):
    tariff = prices(plan(per_unit(), buckets=[units(10)]))
    first = priced("value\n8", tariff, only_ledger=only_ledger)
    second = priced("value\n8", tariff, after(standing(), first), only_ledger=only_ledger)
    assert owed(second) == ["6"]
    assert second.standing.grants.select("granted", "used").rows() == [(d(10), d(10))]


@MODES
@pytest.mark.parametrize(
    ("shared", "expected"),
    [("service", ["0", "0", "0"]), ("account", ["0", "6", "0"]), ("family", ["0", "6", "8"])],
)
def test_a_bucket_may_be_shared(shared, expected, only_ledger):
    tariff = prices(plan(per_unit(), buckets=[units(10, shared=shared)]))
    text = """
        date                  service_id account_id family_id value
        2026-05-01T00:00:00Z  1          1          1         8
        2026-05-02T00:00:00Z  2          1          1         8
        2026-05-03T00:00:00Z  3          2          1         8
        """
    assert owed(priced(text, tariff, only_ledger=only_ledger)) == expected


def test_a_shared_bucket_grows_with_its_members():
    tariff = prices(plan(per_unit(), buckets=[units(100, shared="account", grows=True)]))
    before = standing(members=members((1, "account", 3)))
    result = priced("service_id value\n1 150\n2 200", tariff, before)
    assert owed(result) == ["0", "50"]


def test_what_was_granted_grows_with_a_later_member_and_never_shrinks():
    tariff = prices(plan(per_unit(), buckets=[units(100, shared="account", grows=True)]))
    grown, left = (standing(members=members((1, "account", count))) for count in (3, 1))
    first = after(grown, priced("value\n50", tariff, grown))
    assert owed(priced("value\n250", tariff, replace(first, members=left.members))) == ["0"]


def test_buckets_are_drawn_by_priority_then_by_what_ends_first():
    month = units(10, "Month")
    week = units(10, "Week", recurs="week")
    last = units(10, "Last", priority=200)
    result = priced("value\n25", prices(plan(per_unit(), buckets=[last, month, week])))
    assert draws(result, "bucket_id", "quantity") == [(3, "10"), (2, "10"), (1, "5")]


def test_a_bucket_after_another_waits_until_that_is_empty():
    first = units(10, "First", priority=200, usage_classes=("Class",))
    second = units(10, "Second", after="First")
    rates = [per_unit(), per_unit(name="Other", usage_class="Other")]
    result = priced("rate value\nRate 15\nOther 2", prices(plan(*rates, buckets=[second, first])))
    assert draws(result, "udr_id", "bucket_id", "quantity") == [(1, 2, "10"), (1, 1, "5"), (2, 1, "2")]


def test_a_barred_bucket_is_left_alone():
    tariff = prices(plan(per_unit(), buckets=[units(10)]))
    assert owed(priced("value barred\n4 0", tariff, only_ledger=True)) == ["4"]


def test_each_week_and_day_gives_anew_by_the_clock_on_the_wall():
    text = """
        date                  time_zone     value
        2026-05-03T21:00:00Z  Europe/Vienna 10
        2026-05-03T21:30:00Z  Europe/Vienna 1
        2026-05-03T22:00:00Z  Europe/Vienna 10
        """
    # Monday starts at 22:00 UTC on Sunday.
    for recurs in ("day", "week"):
        result = priced(text, prices(plan(per_unit(), buckets=[units(10, recurs=recurs)])))
        assert owed(result) == ["0", "1", "0"]


def test_a_bucket_of_once_gives_only_between_its_bounds():
    bucket = units(60, recurs="once", starts_at=moment("2026-05-01"), ends_at=moment("2026-05-15"))
    text = (
        "date value\n2026-05-01T00:00:00Z 35\n2026-05-16T00:00:00Z 62\n2026-05-14T00:00:00Z 45\n2026-04-30T00:00:00Z 1"
    )
    assert owed(priced(text, prices(plan(per_unit(), buckets=[bucket])))) == ["0", "62", "20", "1"]


@pytest.mark.parametrize(
    ("recurs", "starts_at", "at", "expected"),
    [
        ("day", None, "2026-05-10T12:00:00Z", ("2026-05-10", "2026-05-11")),
        ("day", "2026-05-01T06:00:00Z", "2026-05-10T05:00:00Z", ("2026-05-09T06:00:00Z", "2026-05-10T06:00:00Z")),
        ("week", None, "2026-05-10T12:00:00Z", ("2026-05-04", "2026-05-11")),
        ("week", "2026-05-01", "2026-05-10T12:00:00Z", ("2026-05-08", "2026-05-15")),
        ("month", None, "2026-02-28T12:00:00Z", ("2026-02-01", "2026-03-01")),
        ("month", "2026-01-31", "2026-03-30T00:00:00Z", ("2026-02-28", "2026-03-31")),
        ("month", "2026-01-15", "2026-05-10T00:00:00Z", ("2026-04-15", "2026-05-15")),
        ("year", None, "2026-05-10T00:00:00Z", ("2026-01-01", "2027-01-01")),
        ("year", "2024-02-29", "2026-02-28T00:00:00Z", ("2026-02-28", "2027-02-28")),
    ],
)
def test_windows(recurs, starts_at, at, expected):
    bucket = units(1, recurs=recurs, starts_at=moment(starts_at) if starts_at else None)
    window = window_of(bucket, moment(at), "UTC", MAY)
    assert (window.starts_at, window.ends_at) == tuple(moment(text) for text in expected)
    assert window_of(bucket, window.ends_at, "UTC", MAY).starts_at == window.ends_at
    before = window_before(bucket, window, "UTC")
    assert before is None or before.ends_at == window.starts_at


def test_a_window_is_cut_where_the_bucket_ends():
    bucket = units(1, recurs="month", ends_at=moment("2026-05-15"))
    assert window_of(bucket, moment("2026-05-10"), "UTC", MAY).ends_at == moment("2026-05-15")
    assert window_of(bucket, moment("2026-05-15"), "UTC", MAY) is None


def test_a_day_with_a_clock_change_is_one_day():
    day = window_of(units(1, recurs="day"), moment("2026-03-29T12:00:00Z"), "Europe/Vienna", MAY)
    assert day.ends_at - day.starts_at == moment("2026-03-02T23:00:00Z") - moment("2026-03-02")


def test_what_is_left_rolls_over_once_then_it_is_lost():
    tariff = prices(plan(per_unit(), buckets=[units(10, rollover=Rollover())]))
    text = """
        date                  since                 value
        2026-04-10T00:00:00Z  2026-04-01T00:00:00Z  8
        2026-05-10T00:00:00Z  2026-04-01T00:00:00Z  12
        2026-06-10T00:00:00Z  2026-04-01T00:00:00Z  11
        """
    result = priced(text, tariff)
    assert owed(result) == ["0", "0", "1"]
    assert result.standing.grants.sort("starts_at")["carried"].to_list() == [d(0), d(2), d(0)]


def test_what_rolls_over_is_capped_and_reckoned_for_months_without_usage():
    line = "2026-08-10T00:00:00Z 2026-05-01T00:00:00Z 100"
    for rollover, expected in (
        (Rollover(), "80"),
        (Rollover(cap=d(4)), "86"),
        (Rollover(grants=2), "70"),
        (Rollover(grants=9), "60"),
        (Rollover(grants=9, cap=d(15)), "75"),
    ):
        tariff = prices(plan(per_unit(), buckets=[units(10, rollover=rollover)]))
        assert owed(priced(f"date since value\n{line}", tariff)) == [expected]


def test_what_rolled_over_is_drawn_before_what_is_new():
    past = [Past(d(10), None, d(8)), Past(d(10), d(5), d(3))]
    # The older grant leaves 10 of its own and 2 of what it was brought; with one grant to live only the 10 go on,
    # and of them 8 are drawn in the next.
    assert carried(Rollover(), past) == d(10)
    # With two, the 2 are drawn first, and 6 of the 10.
    assert carried(Rollover(grants=2), past) == d(14)


def test_an_empty_bucket_is_filled_again_for_a_price():
    bucket = units(10, refill=Refill(size=d(5), price=d("2.5"), times=2))
    result = priced("value\n12\n9", prices(plan(per_unit(), buckets=[bucket])))
    # 9 come first, of what is dated alike: then 12 take the last one, two refills, and one unit is left to pay.
    assert owed(result) == ["6", "0"]
    assert draws(result, "kind", "quantity", "amount", "left") == [
        ("draw", "9", "0", "1"),
        ("draw", "1", "0", "0"),
        ("refill", "10", "5", "10"),
        ("draw", "10", "0", "0"),
    ]
    assert result.standing.grants.select("granted", "used", "refills").rows() == [(d(20), d(20), 2)]


def test_the_tiers_of_a_bucket_price_what_is_drawn_in_it():
    bucket = units(100, tiers=(BucketTier(d(10)), BucketTier(None, price=d("0.1"), flat=d(3))))
    tariff = prices(plan(per_unit(), buckets=[bucket]))
    assert owed(priced("value\n8\n9\n10", tariff)) == ["0", "3.7", "1"]


def test_a_draw_above_the_last_tier_of_a_bucket_is_refused_and_taken_back():
    bucket = units(100, tiers=(BucketTier(d(10)),))
    result = priced("value\n8\n9", prices(plan(per_unit(), buckets=[bucket])))
    assert result.refused["cause"].to_list() == ["no_rate"]
    assert "Bucket “Minutes” is drawn to 17, above 10, where its last tier ends." in result.refused["message"].item()
    assert draws(result) == [(1, "draw", "8", "92")]


def test_money_drawn_above_the_last_tier_of_its_bucket_is_refused_too():
    bucket = money(100, tiers=(BucketTier(d(10), price=d("0.1")),))
    result = priced("value\n8\n9", prices(plan(per_unit(), buckets=[bucket])))
    assert (column(result, "credit"), owed(result)) == (["8"], ["0.8"])
    assert result.refused["udr_id"].to_list() == [2]


def test_the_size_may_follow_another_class():
    bucket = units(0, usage_classes=("Class",), follows=Follows("Other", d(10000)))
    tariff = prices(plan(per_unit(), per_unit(0, "Other", "Other"), buckets=[bucket]))
    first = priced("rate value\nRate 6000\nOther 0.5", tariff)
    assert owed(first) == ["1000", "0"]
    second = priced("rate value\nRate 6000\nOther 0.5", tariff, after(standing(), first))
    assert owed(second) == ["1000", "0"]


def test_of_a_period_that_is_not_whole_only_a_part_is_given():
    tariff = prices(plan(per_unit(), buckets=[units(31, prorate=True)]))
    assert owed(priced("since value\n2026-05-09T18:00:00Z 31", tariff)) == ["8"]
    assert owed(priced("since value\n2026-05-01T00:00:00Z 31", tariff)) == ["0"]


def test_a_part_goes_by_the_days_of_the_zone():
    assert part_from(MAY, moment("2026-05-09T23:00:00Z"), "UTC") == (23, 31)
    vienna = Window(moment("2026-04-30T22:00:00Z"), moment("2026-05-31T22:00:00Z"))
    assert part_from(vienna, moment("2026-05-09T23:00:00Z"), "Europe/Vienna") == (22, 31)
    assert part_from(vienna, moment("2026-07-01"), "Europe/Vienna") == (0, 31)


def test_a_grant_keeps_the_size_of_the_version_at_its_start():
    old, new = (plan(per_unit(), buckets=[units(size)]) for size in (10, 50))
    tariff = prices(old, new)
    text = """
        date                  value rate_key
        2026-05-20T00:00:00Z  8     0
        2026-06-02T00:00:00Z  60    1
        """
    assert owed(priced(text, tariff)) == ["0", "10"]


def test_prepaid_money_pays_what_was_priced_and_the_rest_is_owed():
    tariff = prices(plan(per_unit("0.2"), buckets=[money(10, "A"), money(20, "B")]))
    result = priced("value\n240", tariff)
    assert (column(result, "credit"), owed(result)) == (["30"], ["18"])
    assert draws(result, "bucket_id", "quantity", "left") == [(1, "10", "0"), (2, "20", "0")]
    assert result.standing.counters["credit"].to_list() == [d(30)]


def test_units_are_drawn_before_money_pays():
    tariff = prices(plan(per_unit("0.1"), buckets=[money(2), units(10)]))
    result = priced("value\n240", tariff)
    assert (column(result, "bucket_quantity"), column(result, "credit"), owed(result)) == (["10"], ["2"], ["21"])


def test_a_price_that_falls_gives_back_what_credit_had_paid():
    rate = Rate(name="Rate", usage_class="Class", model="volume", tiers=(Tier(d(5), d(7)), Tier(None, d(4))))
    tariff = prices(plan(rate, buckets=[money(20, "A"), money(30, "B")]))
    text = "date value\n2026-05-01T00:00:00Z 5\n2026-05-02T00:00:00Z 1"
    result = priced(text, tariff)
    # 35 are paid; then six cost 24, and the 11 that are too much go back to the bucket drawn last.
    assert column(result, "credit") == ["35", "-11"]
    assert owed(result) == ["0", "0"]
    assert draws(result, "bucket_id", "kind", "quantity", "left") == [
        (1, "draw", "20", "0"),
        (2, "draw", "15", "15"),
        (2, "give_back", "11", "26"),
    ]


def test_money_that_ran_out_is_filled_up_and_the_top_up_is_owed():
    bucket = money(10, refill=Refill(size=d(20), price=d(20)))
    result = priced("value\n15", prices(plan(per_unit(), buckets=[bucket])))
    assert (column(result, "credit"), owed(result)) == (["15"], ["20"])
    assert result.standing.grants.select("granted", "used").rows() == [(d(30), d(15))]


@st.composite
def buckets_and_usage(draw):
    size = st.integers(0, 15)
    refill = st.none() | st.builds(lambda price: Refill(size=d(3), price=d(price), times=2), st.integers(0, 2))
    made = []
    for place in range(draw(st.integers(1, 3))):
        made.append(
            Bucket(
                name=f"B{place}",
                of=draw(st.sampled_from(["units", "money"])),
                size=d(draw(size)),
                shared=draw(st.sampled_from(["service", "account", "family"])),
                recurs=draw(st.sampled_from(["period", "day", "week", "month"])),
                priority=draw(st.sampled_from([1, 2])),
                after=f"B{place - 1}" if place and draw(st.booleans()) else None,
                refill=draw(refill),
                rollover=draw(st.none() | st.just(Rollover(cap=d(4), grants=2))),
            )
        )
    tariff = prices(plan(graduated((10, 2), (None, "0.5")), buckets=made))
    row = st.tuples(st.integers(4, 5), st.integers(1, 9), st.integers(1, 3), st.integers(0, 12))
    lines = draw(st.lists(row, min_size=1, max_size=12))
    text = "date service_id account_id family_id value\n" + "\n".join(
        f"2026-{month:02}-{day:02}T00:00:00Z {service} {service % 2 + 1} 1 {value}"
        for month, day, service, value in lines
    )
    return tariff, usage(text, tariff)


@settings(max_examples=20, deadline=None)
@given(buckets_and_usage(), st.randoms(use_true_random=False))
def test_draws_and_what_is_left_add_up_whatever_the_order_of_the_rows(drawn, random):
    tariff, matched = drawn
    whole = price(matched, tariff)
    places = list(range(matched.height))
    random.shuffle(places)
    assert tables(price(matched[places], tariff)) == tables(whole)
    keys = ["bucket_id", "account_id", "service_id", "starts_at"]
    sign = pl.when(pl.col("kind") == "draw").then(pl.col("quantity")).when(pl.col("kind") == "give_back")
    moves = whole.draws.with_columns(net=sign.then(-pl.col("quantity")).otherwise(0))
    ends = moves.group_by(keys, maintain_order=True).agg(pl.col("net").sum(), pl.col("left").last())
    joined = ends.join(whole.standing.grants, on=keys, how="full", coalesce=True)
    assert joined.filter(pl.col("net") != pl.col("used")).is_empty()
    assert joined.filter(pl.col("net") + pl.col("left") != pl.col("granted")).is_empty()
    assert (whole.draws["left"] >= 0).all()


@settings(max_examples=20, deadline=None)
@given(buckets_and_usage(), st.sampled_from(["2026-04-04", "2026-05-01", "2026-05-03", "2026-05-06"]))
def test_two_halves_draw_what_the_whole_draws(drawn, day):
    tariff, matched = drawn
    early = pl.col("date") < moment(day)
    first = price(matched.filter(early), tariff)
    second = price(matched.filter(~early), tariff, after(standing(), first))
    whole = price(matched, tariff)
    assert pl.concat([first.rated, second.rated]).sort("udr_id").rows() == whole.rated.sort("udr_id").rows()
    assert pl.concat([first.draws, second.draws]).rows() == whole.draws.rows()
    left = after(after(standing(), first), second).grants
    keys = ["bucket_id", "account_id", "service_id", "starts_at"]
    assert left.sort(keys).rows() == whole.standing.grants.sort(keys).rows()
