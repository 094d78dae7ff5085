"""The usual usage priced in columns comes to what the ledger comes to, to the last digit; who goes which way."""

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rating.core.ledger.routing import columnar_keys
from rating.core.plans.spec import (
    Aggregation,
    Bucket,
    BucketTier,
    Counting,
    Follows,
    Group,
    Plan,
    Rate,
    Refill,
    Rollover,
    Tier,
    Transform,
)

from .metered import after, d, graduated, moment, per_unit, plan, price, prices, standing, tables, usage

OWNERS = st.sampled_from(["service", "account", "family"])


def allowance(**fields):
    return Bucket(name="Bucket", **({"size": d(10)} | fields))


USUAL = {
    "per unit": per_unit(minimum=d(60), increment=d(6)),
    "fixed": Rate(name="Rate", usage_class="Class", model="fixed", price=d(5)),
    "passed through": Rate(name="Rate", usage_class="Class", model="pass_through"),
    "graduated": graduated((10, 1), (None, 2)),
    "bounded": graduated((10, 1), bounded=True),
    "by an account and a field": graduated((None, 2), counting=Counting(per="account", by=("Extensions.a",))),
}
INTRICATE = {
    "per sixty": per_unit(per=d(60)),
    "least charge": per_unit(minimum_charge=d(1)),
    "transform": per_unit(transform=Transform(divide_by=d(60))),
    "free units": per_unit(free_units=d(1)),
    "connect fee": per_unit(connect_fee=d(1)),
    "factor": per_unit(factor=d("0.9")),
    "sum": per_unit(aggregation=Aggregation(function="sum")),
    "of the amount": per_unit(aggregation=Aggregation(of="Amount")),
    "by day": graduated((None, 2), counting=Counting(restarts="day")),
    "flat fees": Rate(name="Rate", usage_class="Class", model="graduated", tiers=(Tier(None, flat=d(1)),)),
    "markup": Rate(name="Rate", usage_class="Class", model="pass_through", factor=d("1.5")),
    "rated share": Rate(name="Rate", usage_class="Class", model="pass_through", price=d(1)),
    "volume": Rate(name="Rate", usage_class="Class", model="volume", tiers=(Tier(None, price=d(1)),)),
    "a price too fine": per_unit("0.000000000001"),
    "a price too high": per_unit("1000000"),
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_rates_go_in_columns(name):
    assert columnar_keys(prices(plan(USUAL[name], buckets=[allowance()]))) == {0}


@pytest.mark.parametrize("name", INTRICATE)
def test_other_rates_go_through_the_ledger(name):
    assert columnar_keys(prices(plan(INTRICATE[name]))) == frozenset()


@pytest.mark.parametrize(
    "fields",
    [
        {"of": "money"},
        {"recurs": "day"},
        {"recurs": "once"},
        {"starts_at": moment("2026-01-01")},
        {"grows": True},
        {"prorate": True},
        {"rollover": Rollover()},
        {"refill": Refill(d(1))},
        {"tiers": (BucketTier(None, d(1)),)},
        {"follows": Follows("Class", d(1))},
        {"after": "Other"},
    ],
)
def test_buckets_that_are_more_than_an_allowance_go_through_the_ledger(fields):
    assert columnar_keys(prices(plan(per_unit(), buckets=[allowance(**fields)]))) == frozenset()


def test_a_bucket_sends_all_its_rates_to_the_ledger_where_one_goes_there():
    rates = [per_unit(name="A"), per_unit(name="B", free_units=d(1)), per_unit(name="C", usage_class="C")]
    bucket = allowance(usage_classes=("Class",))
    assert columnar_keys(prices(plan(*rates, buckets=[bucket]))) == {2}
    assert columnar_keys(prices(plan(*rates))) == {0, 2}


def test_two_buckets_for_one_rate_send_both_of_them_to_the_ledger():
    rates = [per_unit(name="A"), per_unit(name="B", usage_class="B")]
    both, one = allowance(usage_classes=("Class", "B")), Bucket(name="One", size=d(1), usage_classes=("B",))
    assert columnar_keys(prices(plan(*rates, buckets=[both, one]))) == frozenset()


def test_versions_of_a_rate_go_the_same_way():
    plain, clamped = plan(per_unit()), plan(per_unit(maximum_charge=d(1)))
    assert columnar_keys(prices(plain, clamped)) == frozenset()
    assert columnar_keys(prices(plain, plan(per_unit(2)))) == {0, 1}
    larger = plan(per_unit(), buckets=[allowance(size=d(20))])
    assert columnar_keys(prices(plan(per_unit(), buckets=[allowance()]), larger)) == frozenset()


def test_a_plan_that_splits_records_goes_through_the_ledger():
    group = Group(name="Group", rates=(per_unit(),), at_boundary="split")
    assert columnar_keys(prices(Plan(name="Gold", currency="EUR", groups=(group,)))) == frozenset()


QUANTITY = st.one_of(
    st.integers(0, 30).map(d),
    st.decimals(0, 40, places=6, allow_nan=False),
    st.just(d("999999999999999.999999")),
)
PRICE = st.decimals(0, 999999, places=11, allow_nan=False)
AMOUNT = st.decimals(-(10**12), 10**12, places=11, allow_nan=False)


@st.composite
def rates(draw, name, usage_class):
    model = draw(st.sampled_from(["per_unit", "fixed", "pass_through", "graduated", "graduated"]))
    fields = {"name": name, "usage_class": usage_class, "model": model}
    if draw(st.booleans()):
        fields |= {
            "minimum": d(draw(st.integers(0, 9))),
            "increment": draw(st.sampled_from([d("0.5"), d(6), d("0.7")])),
        }
    if model == "graduated":
        bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))
        tiers = [Tier(d(bound), draw(PRICE)) for bound in bounds]
        if not tiers or draw(st.booleans()):
            tiers.append(Tier(None, draw(PRICE)))
        by = ("Extensions.a",) if draw(st.booleans()) else ()
        return Rate(**fields, tiers=tuple(tiers), counting=Counting(per=draw(OWNERS), by=by))
    return Rate(**fields, price=None if model == "pass_through" else draw(PRICE))


@st.composite
def usual_usage(draw):
    names = ["A", "B", "C"]
    made = [draw(rates(name, usage_class)) for name, usage_class in zip(names, ["X", "X", "Y"], strict=True)]
    buckets = [
        Bucket(name=f"Of {usage_class}", size=draw(QUANTITY), usage_classes=(usage_class,), shared=draw(OWNERS))
        for usage_class in draw(st.sets(st.sampled_from(["X", "Y"])).map(sorted))
    ]
    tariff = prices(plan(*made, buckets=buckets, precision=draw(st.sampled_from([0, 2, 11]))))
    row = st.tuples(
        st.sampled_from(names), st.integers(1, 4), st.integers(1, 3), QUANTITY, AMOUNT, st.sampled_from("ab")
    )
    lines = draw(st.lists(row, min_size=1, max_size=12))
    text = "rate date service_id account_id family_id value amount counter_key\n" + "\n".join(
        f"{rate} 2026-05-{day:02}T00:00:00Z {service} {service % 2 + 1} 1 {value:f} {amount:f} {key}"
        for rate, day, service, value, amount, key in lines
    )
    return tariff, usage(text, tariff)


def told_apart():
    """Three records of one class, one of them by another rate and out of order, that share one bucket."""
    tariff = prices(
        plan(
            graduated((10, 1), (None, 2), name="A", usage_class="X"),
            per_unit(3, name="B", usage_class="X"),
            buckets=[Bucket(name="Bucket", size=d(5), shared="account")],
        )
    )
    text = (
        "rate date service_id value\nB 2026-05-02T00:00:00Z 2 4\nA 2026-05-01T00:00:00Z 1 4\nA 2026-05-03T00:00:00Z 1 9"
    )
    return tariff, usage(text, tariff)


def at_the_edge():
    """Three records that come to more than one quantity may, on a rate without end and one that ends."""
    tariff = prices(plan(graduated((10, 1), (None, 2), name="A"), graduated((10, 1), name="B"), per_unit(name="C")))
    lines = [f"{rate} {value}" for rate in "ABC" for value in ("999999999999999.999999", "999999999999999.5", "0")]
    return tariff, usage("rate value\n" + "\n".join(lines), tariff)


@settings(max_examples=30, deadline=None)
@example(at_the_edge(), 3)
@given(usual_usage(), st.integers(1, 4))
@example(told_apart(), 3)
def test_columns_and_ledger_agree_to_the_last_digit(drawn, day):
    tariff, matched = drawn
    assert columnar_keys(tariff) == set(range(len(tariff.rates)))
    early = pl.col("date").dt.day() < day
    by_columns, by_ledger = standing(), standing()
    for part in (matched.filter(early), matched.filter(~early)):
        columns = price(part, tariff, by_columns)
        ledger = price(part, tariff, by_ledger, only_ledger=True)
        assert tables(columns) == tables(ledger)
        by_columns, by_ledger = after(by_columns, columns), after(by_ledger, ledger)
