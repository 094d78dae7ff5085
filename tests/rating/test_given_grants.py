"""Buckets whose grants are given one by one: what serves a record, in which order, and what never changes a grant."""

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediation.core.spec import FaultySpecError
from rating.core import charging, repricing
from rating.core.frames import GRANTS
from rating.core.plans.document import read_plan
from rating.core.quoting import answer, quote, read_rows, read_setting
from tests.rating.metered import after, d, draws, moment, owed, per_unit, plan, price, priced, prices, standing, usage
from tests.rating.plans_drawn import START
from tests.rating.test_grants import money, units
from tests.rating.test_periods_and_reversals import NOW

MAY_2 = "2026-05-02T00:00:00Z"


def given_grants(*rows):
    """GRANTS of (bucket_id, starts_at, ends_at, granted, used), all of service 1 of account 1."""
    made = [
        (bucket_id, 1, 1, moment(starts_at), moment(ends_at) if ends_at else None, d(granted), d(0), 0, d(used))
        for bucket_id, starts_at, ends_at, granted, used in rows
    ]
    return standing(grants=pl.DataFrame(made, schema=GRANTS, orient="row"))


def credit(**fields):
    return money(0, recurs="granted", **fields)


def drawn(result):
    return [
        (f"{start:%m-%d}", kind, quantity) for start, kind, quantity in draws(result, "starts_at", "kind", "quantity")
    ]


def test_a_bucket_of_which_nothing_was_given_gives_nothing():
    result = priced("value\n8", prices(plan(per_unit(), buckets=[credit()])))
    assert owed(result) == ["8"]
    assert result.standing.grants.is_empty()


def test_what_ends_first_is_drawn_first_then_what_started_first():
    tariff = prices(plan(per_unit(), buckets=[credit()]))
    stands = given_grants(
        (1, "2026-04-01", None, 5, 0),
        (1, "2026-03-01", "2026-06-01", 3, 0),
        (1, "2026-04-02", "2026-05-20", 2, 0),
        (1, "2026-02-01", "2026-06-01", 1, 0),
    )
    result = price(usage(f"date value\n{MAY_2} 20", tariff), tariff, stands)
    assert drawn(result) == [
        ("04-02", "draw", "2"),
        ("02-01", "draw", "1"),
        ("03-01", "draw", "3"),
        ("04-01", "draw", "5"),
    ]
    assert owed(result) == ["9"]


def test_priority_goes_before_what_ends_first():
    buckets = [credit(name="Paid", priority=1), credit(name="Gift", priority=2)]
    tariff = prices(plan(per_unit(), buckets=buckets))
    stands = given_grants((1, "2026-04-01", None, 5, 0), (2, "2026-04-01", "2026-06-01", 5, 0))
    result = price(usage(f"date value\n{MAY_2} 7", tariff), tariff, stands)
    assert draws(result, "bucket_id", "quantity") == [(1, "5"), (2, "2")]


def test_what_is_used_up_has_ended_or_has_not_begun_gives_nothing():
    tariff = prices(plan(per_unit(), buckets=[units(0, recurs="granted")]))
    stands = given_grants(
        (1, "2026-04-01", None, 5, 5), (1, "2026-04-03", MAY_2, 5, 0), (1, "2026-05-02T00:00:01Z", None, 5, 0)
    )
    result = price(usage(f"date value\n{MAY_2} 7", tariff), tariff, stands)
    assert owed(result) == ["7"]
    assert result.standing.grants.is_empty()


def test_a_grant_goes_on_from_month_to_month_until_it_is_used_up():
    tariff = prices(plan(per_unit(), buckets=[units(0, recurs="granted")]))
    stands = given_grants((1, "2026-04-01", None, 10, 0))
    first = price(usage(f"date value\n{MAY_2} 7", tariff), tariff, stands)
    second = price(usage("date value udr_id\n2026-06-02T00:00:00Z 7 2", tariff), tariff, after(stands, first))
    assert (owed(first), owed(second)) == (["0"], ["4"])
    assert second.standing.grants.select("granted", "used").rows() == [(d(10), d(10))]


def test_taking_charges_back_leaves_a_grant_that_was_given_as_it_was():
    tariff = prices(plan(per_unit(), buckets=[credit(), units(3, name="Own")]))
    stands = given_grants((1, "2026-04-01", None, 10, 0))
    result = price(usage(f"date value\n{MAY_2} 7", tariff), tariff, stands)
    charges = charging.charges_of(result.rated, tariff, NOW)
    stood = after(stands, result)
    opening = repricing.without(
        stood,
        repricing.with_rate_keys(charges, tariff),
        charging.draw_rows_of(result.draws, charges),
        tariff,
        charges["counting_period_id"],
    )
    assert stood.grants.height == 2
    assert opening.grants.rows() == stands.grants.rows()


def bucket_faults(**bucket):
    rate = {"usage_class": "c1", "model": "per_unit", "price": "1"}
    said = {"name": "P", "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}]}
    try:
        read_plan({**said, "buckets": [{"name": "b", "recurs": "granted", **bucket}]})
    except FaultySpecError as faulty:
        return [fault.pointer for fault in faulty.faults]
    return []


def test_such_a_bucket_says_nothing_that_its_grants_say():
    assert bucket_faults(of="money", priority=3, shared="account") == []
    assert bucket_faults(tiers=[{"up_to": "3", "price": "1"}, {"flat": "2"}]) == []
    said = {
        "size": "5",
        "starts_at": "2026-01-01T00:00:00Z",
        "rollover": {},
        "refill": {"size": "1"},
        "prorate": True,
    }
    assert bucket_faults(**said) == [f"/buckets/0/{name}" for name in said]


def quoted(buckets, grants, usage_rows):
    rate = {"usage_class": "c1", "model": "per_unit", "price": "1.5"}
    said = {"name": "P", "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}], "buckets": buckets}
    accounts = [{"number": "A", "services": [{"name": "s1"}, {"name": "s2"}]}]
    setting = read_setting({"plan": said, "accounts": accounts, "grants": grants})
    return answer(quote(setting, read_rows(usage_rows)))


HOURS = st.integers(0, 900)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(1, 40), HOURS, st.one_of(st.none(), st.integers(1, 500))), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 30), HOURS, st.sampled_from(["s1", "s2"])), min_size=1, max_size=8),
    st.sampled_from(["service", "account"]),
    st.sampled_from(["units", "money"]),
)
def test_grants_of_one_bucket_are_drawn_as_buckets_that_give_once_are(grants, records, shared, of):
    spans = {}
    for size, starts, length in grants:
        ends = {} if length is None else {"ends_at": (START + timedelta(hours=starts + length)).isoformat()}
        spans[starts] = {"size": str(size), "starts_at": (START + timedelta(hours=starts)).isoformat(), **ends}
    rows = [
        {"date": (START + timedelta(hours=hours)).isoformat(), "value": str(value), "service": service, "account": "A"}
        for value, hours, service in records
    ]
    one = [{"name": "b", "of": of, "shared": shared, "recurs": "granted"}]
    ours = quoted(one, [{"bucket": "b", **span} for span in spans.values()], rows)
    once = [{"name": f"b{n}", "of": of, "shared": shared, "recurs": "once", **s} for n, s in enumerate(spans.values())]
    theirs = quoted(once, [], rows)

    def told(found):
        return [
            (charge["amount"], charge["credit"], [{**draw, "bucket": ""} for draw in charge["draws"]])
            for charge in found["charges"]
        ]

    assert told(ours) == told(theirs)


@pytest.mark.parametrize(
    ("grant", "at"),
    [
        ({}, "size"),
        ({"size": "0"}, "size"),
        ({"size": "5", "used": "6"}, "used"),
        ({"size": "5", "carried": "1"}, "carried"),
        ({"size": "5", "starts_at": "2026-02-01T00:00:00Z", "ends_at": "2026-02-01T00:00:00Z"}, "ends_at"),
    ],
)
def test_a_faulty_grant_of_a_quote_is_told_with_its_place(grant, at):
    with pytest.raises(FaultySpecError) as refused:
        quoted([{"name": "b", "recurs": "granted"}], [{"bucket": "b", **grant}], [])
    assert [fault.pointer for fault in refused.value.faults] == [f"/grants/0/{at}"]


def test_a_quote_refuses_two_grants_to_one_owner_from_one_moment_and_sizes_that_the_plan_says():
    bucket, grant = {"name": "b", "recurs": "granted"}, {"bucket": "b", "size": "5"}
    with pytest.raises(FaultySpecError) as refused:
        quoted([bucket], [{**grant, "account": "A"}, {**grant, "service": "s1"}, {**grant, "ends_at": MAY_2}], [])
    assert [fault.pointer for fault in refused.value.faults] == ["/grants/1/starts_at", "/grants/2/starts_at"]
    with pytest.raises(FaultySpecError) as refused:
        quoted([{"name": "b", "size": "9"}], [{**grant, "ends_at": MAY_2}], [])
    assert [fault.pointer for fault in refused.value.faults] == ["/grants/0/size", "/grants/0/ends_at"]
