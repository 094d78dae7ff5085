"""Plan documents are read, written, and read again as the same plan; they tell themselves in plain words."""

import contextlib
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.spec.document import FaultySpecError
from rating.core.plans.describing import describe_plan
from rating.core.plans.document import read_plan
from rating.core.plans.spec import Band, Bucket, Plan, Rate, Tier, TimePeriod
from rating.core.plans.writing import write_plan
from tests.rating.drawn_plans import plans
from tests.rating.test_plan_faults import DOCUMENT, document


def plan_of(rate: dict[str, Any], **parts: Any) -> Plan:
    return read_plan(
        {"name": "P", "currency": "EUR", "groups": [{"name": "G", "rates": [{"usage_class": "V", **rate}]}], **parts}
    )


def rate_of(**rate: Any) -> Rate:
    return plan_of(rate).groups[0].rates[0]


def test_a_rate_goes_by_the_name_of_its_class_where_it_has_none():
    rate = rate_of(model="per_unit", price="0.010")
    assert (rate.name, rate.price) == ("V", Decimal("0.010"))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("0.1", "0.1"),
        ("+007.50", "7.50"),
        ("-0", "0"),
        (7, "7"),
        (Decimal("0.1"), "0.1"),
        (Decimal("1E+3"), "1000"),
        ("0.1000000000000", "0.10000000000"),
        ("999999.99999999999", "999999.99999999999"),
    ],
)
def test_numbers_are_read_to_the_last_digit(value: Any, read: str):
    assert str(rate_of(model="per_unit", price=value).price) == read


def test_a_text_of_json_can_be_read_without_a_float():
    text = DOCUMENT.replace('"0.10"', "0.10")
    rate = read_plan(json.loads(text, parse_float=Decimal)).groups[0].rates[1]
    assert rate.tiers == (Tier(Decimal(100), Decimal("0.1")), Tier(None, Decimal("0.05")))


def test_tiers_may_say_where_they_begin():
    tiers = [{"from": "0", "up_to": "1.5", "price": "1"}, {"from": "1.5", "up_to": None, "price": "2"}]
    assert [tier.up_to for tier in rate_of(model="graduated", tiers=tiers).tiers] == [Decimal("1.5"), None]


def test_a_bounded_rate_says_so():
    rate = rate_of(model="volume", bounded=True, tiers=[{"up_to": "5", "price": "1"}])
    assert rate.bounded
    assert rate.tiers[-1].up_to == 5


def test_moments_are_read_in_utc_and_times_in_the_account_s_zone():
    plan = plan_of(
        {"model": "fixed", "price": 1, "time_period": "night"},
        time_periods=[{"name": "night", "bands": [{"days": ["fri", "mon"], "starts": "22:00", "ends": "24:00"}]}],
        buckets=[{"name": "B", "size": 5, "recurs": "once", "starts_at": "2026-05-01T00:00:00.5+02:00"}],
    )
    assert plan.time_periods == (TimePeriod("night", (Band(frozenset({0, 4}), time(22), time(0)),)),)
    assert plan.buckets[0].starts_at == datetime(2026, 4, 30, 22, 0, 0, 500_000, tzinfo=UTC)


def test_parts_may_repeat_the_plan_s_currency():
    of = document()
    of["groups"][0]["currency"] = of["buckets"][0]["currency"] = of["groups"][0]["rates"][0]["currency"] = "EUR"
    assert read_plan(of) == read_plan(document())


def test_a_bucket_may_follow_a_class_or_wait_to_be_refilled_instead_of_having_a_size():
    plan = plan_of(
        {"model": "per_unit", "price": 1},
        buckets=[{"name": "B", "refill": {"size": "10", "price": "5"}}],
    )
    assert plan.buckets[0].size == 0
    assert plan.buckets[0].refill


def test_a_written_document_says_only_what_is_not_understood_anyway():
    plan = plan_of({"model": "graduated", "tiers": [{"up_to": "10", "price": "0"}, {"price": "1.50"}]})
    assert write_plan(plan) == {
        "name": "P",
        "currency": "EUR",
        "groups": [
            {
                "name": "G",
                "rates": [
                    {
                        "usage_class": "V",
                        "model": "graduated",
                        "tiers": [{"up_to": "10", "price": "0"}, {"price": "1.50"}],
                    }
                ],
            }
        ],
    }


def test_a_document_that_says_everything_survives_being_read_and_written():
    plan = read_plan(document())
    assert read_plan(json.loads(json.dumps(write_plan(plan)))) == plan
    assert plan.calendars[0].days == {date(2026, 12, 25)}
    assert plan.buckets[2] == Bucket("Wallet", of="money", size=Decimal(20), recurs="once")


@given(plans())
@settings(max_examples=40, deadline=None)
def test_a_written_plan_reads_as_the_same_plan(plan: Plan):
    written = json.loads(json.dumps(write_plan(plan)))
    assert read_plan(written) == plan
    assert write_plan(read_plan(written)) == written


@given(plans())
@settings(max_examples=10, deadline=None)
def test_every_plan_tells_itself(plan: Plan):
    rows = [row for section in describe_plan(plan) for row in section.rows]
    assert all(row.name and row.text for row in rows)
    assert not any("None" in row.text or "E+" in row.text for row in rows)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["0", "-1"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


def places_of(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way] * bool(way) + [place for key, one in inner for place in places_of(one, (*way, key))]


@given(st.lists(st.tuples(st.sampled_from(places_of(document())), ANYTHING), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_document_is_read_or_told_as_a_fault(changes: list[tuple[tuple[Any, ...], Any]]):
    of = document()
    for (*way, last), value in changes:
        at = of
        try:
            for part in way:
                at = at[part]
            at[last] = value
        except (KeyError, IndexError, TypeError):
            continue
    plan = None
    with contextlib.suppress(FaultySpecError):
        plan = read_plan(of)
    assert plan is None or read_plan(write_plan(plan)) == plan
