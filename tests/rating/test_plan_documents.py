"""Plan documents are read, written, and read again as the same plan; they tell themselves in plain words."""

import contextlib
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.spec.document import FaultySpecError
from rating.core.plans.buckets import BUCKET_KEYS, COMMITMENT_KEYS
from rating.core.plans.describing import describe_plan
from rating.core.plans.document import GROUP_KEYS, PLAN_KEYS, read_plan
from rating.core.plans.rates import COMMON_KEYS, MODELS, OWN_KEYS, TIER_KEYS
from rating.core.plans.spec import Band, Bucket, Plan, Rate, Tier, TimePeriod
from rating.core.plans.writing import write_plan
from tests.rating.test_plan_faults import DOCUMENT, document
from tests.rating.whole_plans import plans

README = Path(__file__).parents[2] / "rating" / "README.md"


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


WORDS: list[tuple[dict[str, Any], str]] = [
    ({"model": "per_unit", "price": "0.01"}, "0.01 for each unit."),
    (
        {"model": "per_unit", "price": "5", "per": "1000", "minimum": "60", "increment": "6", "connect_fee": "0.05"},
        "5 for each 1,000 units. 0.05 for the start of each record. "
        "The quantity is counted as 60 at least, rounded up in steps of 6.",
    ),
    ({"model": "fixed", "price": "5.00", "condition": "Value > 5"}, "Where Value > 5: 5.00 for each record."),
    (
        {"model": "graduated", "tiers": [{"up_to": "100", "price": "0.10"}, {"price": "0.05"}]},
        "0.10 for each of the first 100 units, then 0.05. Counted together for each service and billing period.",
    ),
    (
        {
            "model": "graduated",
            "tiers": [{"up_to": 9, "price": "1", "flat": "5"}, {"up_to": "20", "price": 2}],
            "bounded": True,
            "counting": {"restarts": "record"},
        },
        "1 for each of the first 9 units and 5 once, then 2 up to 20; above 20 it is refused. "
        "Each record is counted by itself.",
    ),
    (
        {"model": "volume", "tier_by": "V", "tiers": [{"up_to": "9", "price": "2"}, {"price": "1", "flat": "5"}]},
        "All units at one price: 2 for each up to 9, 1 for each above and 5 once; the quantity of V says which. "
        "Counted together for each service and billing period.",
    ),
    (
        {"model": "stairstep", "tiers": [{"up_to": "9", "flat": "5"}, {"flat": "8"}], "counting": {"per": "family"}},
        "One fee for the whole quantity: 5 up to 9, 8 above. "
        "Counted together for each family of accounts and billing period.",
    ),
    (
        {"model": "package", "price": "10", "size": "20", "counting": {"restarts": "record"}},
        "10 for each started package of 20 units. Each record is counted by itself.",
    ),
    (
        {"model": "percentage", "percent": "1.2", "fixed": "0.10", "minimum_charge": "1", "maximum_charge": "9"},
        "1.2 % of the amount and 0.10 for each record. "
        "At least 1 for a record that costs something; at most 9 for a record.",
    ),
    ({"model": "basis_points", "points": "25"}, "25 basis points (0.25 %) of the amount."),
    ({"model": "pass_through"}, "The amount."),
    ({"model": "pass_through", "factor": "1.5", "price": "0.02"}, "1.5 times the amount and 0.02 for each unit."),
    (
        {"model": "matrix", "fields": ["Currency"], "prices": [{"values": ["EUR"], "price": 2}], "default_price": 3},
        "For each unit by Currency: EUR 2, all others 3.",
    ),
    (
        {"model": "per_unit", "price": "3", "aggregation": {"function": "sum", "within": "day", "then": "max"}},
        "3 for each unit. What counts is the highest of each day's sum of Value for each service and billing period.",
    ),
    (
        {
            "model": "per_unit",
            "price": "3",
            "aggregation": {"function": "unique_count", "of": "Extensions.user", "carries_over": True},
            "counting": {"per": "account", "by": ["Extensions.site"]},
        },
        "3 for each unit. What counts is the number of different values of Extensions.user for each account and "
        "billing period, apart by Extensions.site, going on from one period to the next.",
    ),
]


@pytest.mark.parametrize(("rate", "words"), WORDS)
def test_a_rate_tells_itself_in_plain_words(rate: dict[str, Any], words: str):
    assert describe_plan(plan_of(rate))[0].rows[0].text == words


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


def test_the_readme_names_every_key_and_shows_a_plan():
    section = README.read_text().split("## Plan documents")[1].split("\n## ")[0]
    tables = (PLAN_KEYS, GROUP_KEYS, COMMON_KEYS, OWN_KEYS, BUCKET_KEYS, COMMITMENT_KEYS)
    keys = {key for table in tables for key in table} | {key for keys in TIER_KEYS.values() for key in keys}
    assert {key for key in keys if f"`{key}`" not in section} == set()
    assert {model for model in MODELS if f"| `{model}` |" not in section} == set()
    assert read_plan(json.loads(section.split("```json")[1].split("```")[0])).name == "Business"


def test_buckets_commitments_and_time_periods_tell_themselves():
    plan = plan_of(
        {"model": "per_unit", "price": 1},
        buckets=[
            {"name": "A", "size": "1000", "shared": "account", "grows": True, "rollover": {"cap": "100"}},
            {"name": "B", "of": "money", "size": 20, "recurs": "once", "refill": {"size": "20", "price": "18"}},
            {
                "name": "C",
                "size": 5,
                "usage_classes": ["V"],
                "after": "A",
                "tiers": [{"up_to": 2}, {"price": 1, "flat": 3}],
            },
        ],
        commitments=[{"name": "D", "kind": "commitment", "amount": "1000", "overage_factor": "1.5", "prorate": True}],
        calendars=[{"name": "feasts", "days": ["2026-12-25"]}],
        time_periods=[
            {
                "name": "night",
                "bands": [{"days": ["sat"], "starts": "22:00", "ends": "06:00"}, {"days": ["mon", "tue", "wed"]}],
                "calendar": "feasts",
                "on_holidays": "exclude",
            }
        ],
        zones=[{"name": "CZ", "prefixes": ["420", "+420"]}],
    )
    sections = {section.title: section for section in describe_plan(plan)}
    assert [row.text for row in sections["Buckets"].rows] == [
        "1,000 units times the members of each account, each billing period. Serves all usage under the plan. "
        "Drawn with priority 100. At most 100 units of what is left goes into the next grant.",
        "20 EUR for each service, once. Serves all usage under the plan. Drawn with priority 100. "
        "When it is empty it is filled by 20 EUR for 18.",
        "5 units for each service, each billing period. Serves V. Drawn with priority 100, once A is empty. "
        "What is drawn costs nothing up to 2, 1 for each unit and 3 once above 2.",
    ]
    assert sections["Commitments"].rows[0].text == (
        "1,000 for each account and billing period; what is over costs 1.5 times its price, what is lacking is billed. "
        "Counts all usage under the plan. In part for a period that is not whole."
    )
    assert sections["Time periods"].rows[0].text == (
        "Sat from 22:00 to 06:00 of the next day; Mon to Wed, all day; never on a day of feasts."
    )
    assert sections["Zones"].rows[0].text == "Identifiers that start with 420, +420."
    assert [row.pointer for row in sections["Buckets"].rows] == ["/buckets/0", "/buckets/1", "/buckets/2"]
