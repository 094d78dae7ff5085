"""What is wrong with a plan document is refused: all of it at once, each at its place."""

import json
from decimal import Decimal
from typing import Any

import pytest

from mediation.core.spec.document import FaultySpecError
from rating.core.plans.document import read_plan

DOCUMENT = """
{"name": "Business", "currency": "EUR", "groups": [
  {"name": "Main", "rates": [
    {"usage_class": "Voice", "model": "per_unit", "price": "0.01", "minimum": "60", "increment": "6"},
    {"usage_class": "Data", "model": "graduated", "tiers": [{"up_to": "100", "price": "0.10"}, {"price": "0.05"}]},
    {"usage_class": "Text", "model": "package", "price": "5", "size": "100"},
    {"usage_class": "Calls", "model": "matrix", "fields": ["Zone"], "prices": [{"values": ["CZ"], "price": "1"}]},
    {"usage_class": "Pay", "model": "percentage", "percent": "1.2", "minimum_charge": "1"}]},
  {"name": "Rest", "time_period": "peak", "starts_at": "2026-01-01T00:00:00Z", "rates": [
    {"usage_class": "Seats", "model": "per_unit", "price": "9", "aggregation": {"function": "latest"}},
    {"usage_class": "Steps", "model": "stairstep", "tiers": [{"up_to": 10, "flat": 5}, {"flat": 8}]}]}],
 "cost_groups": [{"name": "Cost", "rates": [{"usage_class": "Voice", "model": "per_unit", "price": "0.002"}]}],
 "time_periods": [{"name": "peak", "bands": [{"days": ["mon"], "starts": "08:00", "ends": "20:00"}],
                   "calendar": "holidays", "on_holidays": "exclude"}],
 "calendars": [{"name": "holidays", "days": ["2026-12-25"]}],
 "zones": [{"name": "CZ", "prefixes": ["420"]}, {"name": "SK", "prefixes": ["421", "4219"]}],
 "buckets": [{"name": "Minutes", "size": "100", "rates": ["Main / Voice"]},
             {"name": "More", "size": "100", "usage_classes": ["Voice"], "after": "Minutes"},
             {"name": "Wallet", "of": "money", "size": "20", "recurs": "once"}],
 "commitments": [{"name": "Least", "kind": "minimum", "amount": "50"}]}
"""

GONE = object()

# What is changed, to what; where that is told, and in which words (else at the place of the change).
VALUES: list[tuple[str, Any, str, str]] = [
    ("/colour", "red", "", "is not known here"),
    ("/groups/0/rates/0/prise", "1", "", "is not known here"),
    ("/groups/0/a~1b", "1", "", "is not known here"),
    ("/name", GONE, "", "is missing"),
    ("/name", "", "", "not empty"),
    ("/name", " Business", "", "without blanks"),
    ("/name", "a\nb", "", "printable"),
    ("/name", "n" * 201, "", "longer than 200"),
    ("/description", 7, "", "must be a text"),
    ("/description", "a\0b", "", "cannot be stored"),
    ("/currency", "euro", "", "three capital letters"),
    ("/currency", GONE, "", "is missing"),
    ("/groups", GONE, "", "is missing"),
    ("/groups", [], "", "must not be empty"),
    ("/groups", {}, "", "must be a list"),
    ("/groups/0", "Main", "", "must be an object"),
    ("/groups/1/rates", [], "", "must not be empty"),
    ("/groups/0/rates/0/usage_class", GONE, "", "is missing"),
    ("/groups/0/rates/0/model", "per_second", "", "must be one of per_unit, fixed"),
    ("/groups/0/rates/0/model", ["per_unit"], "", "must be one of"),
    ("/groups/0/rates/0/price", True, "", "must be a number"),
    ("/groups/0/rates/0/price", 0.1, "", "must be a number"),
    ("/groups/0/rates/0/price", "1e3", "", "must be a number"),
    ("/groups/0/rates/0/price", "٣", "", "must be a number"),
    ("/groups/0/rates/0/price", "1\n", "", "must be a number"),
    ("/groups/0/rates/0/price", "1000000", "", "below 1,000,000 with at most 11 decimals"),
    ("/groups/0/rates/0/price", "0.000000000001", "", "below 1,000,000 with at most 11 decimals"),
    ("/groups/0/rates/0/price", Decimal("1E+900000"), "", "below 1,000,000"),
    ("/groups/0/rates/0/price", "-0.01", "", "zero or more"),
    ("/groups/0/rates/0/minimum", "0.0000001", "", "at most 6 decimals"),
    ("/groups/0/rates/0/minimum", "1000000000000000", "", "below 1,000,000,000,000,000"),
    ("/groups/0/rates/0/connect_fee", "1" + "0" * 21, "", "below 1,000,000,000,000,000,000,000"),
    ("/groups/0/rates/0/increment", "0", "", "more than zero"),
    ("/groups/0/rates/0/increment", "-6", "", "more than zero"),
    ("/groups/0/rates/0/per", 0, "", "more than zero"),
    ("/groups/0/rates/2/size", "0", "", "more than zero"),
    ("/groups/0/rates/0/transform", {"divide_by": 0}, "/groups/0/rates/0/transform/divide_by", "more than zero"),
    ("/groups/0/rates/0/transform", {"decimals": 2}, "/groups/0/rates/0/transform/decimals", "without rounding"),
    ("/groups/0/rates/0/transform", {"rounding": "up", "decimals": 7}, "…/decimals", "whole number from 0 to 6"),
    ("/groups/0/amount_precision", 12, "", "whole number from 0 to 11"),
    ("/groups/0/amount_precision", "2.5", "", "whole number"),
    ("/groups/1/starts_at", "2026-01-01", "", "must be a moment with its offset"),
    ("/groups/1/starts_at", "2026-02-30T00:00:00Z", "", "must be a moment"),
    ("/groups/1/starts_at", "0001-01-01T00:00:00+14:00", "", "must be a moment"),
    ("/groups/1/ends_at", "2026-01-01T01:00:00+01:00", "", "later than starts_at"),
    ("/groups/0/at_boundary", "end", "", "must be one of start, split"),
    ("/groups/0/zone_by", "Zone", "", "must be one of TerminatingIdentifier"),
    ("/time_periods/0/bands/0/days", [], "", "must not be empty"),
    ("/time_periods/0/bands/0/days", ["mon", "mon"], "/time_periods/0/bands/0/days/1", "twice"),
    ("/time_periods/0/bands/0/days", ["monday"], "/time_periods/0/bands/0/days/0", "must be one of mon, tue"),
    ("/time_periods/0/bands/0/starts", "8:00", "", "must be a time of day"),
    ("/time_periods/0/bands/0/starts", "25:00", "", "must be a time of day"),
    ("/time_periods/0/bands/0/starts", "20:00", "/time_periods/0/bands/0", "is empty"),
    ("/time_periods/0/bands", [], "", "would never be"),
    ("/calendars/0/days/0", "25.12.2026", "", "must be a day"),
    ("/calendars/0/days/0", "2026-02-30", "", "must be a day"),
    ("/calendars/0/days", [], "", "must not be empty"),
    ("/zones/0/prefixes", [], "", "must not be empty"),
    ("/zones/0/prefixes/0", "", "", "not empty"),
    ("/buckets/0/grows", "yes", "", "must be true or false"),
    ("/buckets/0/priority", -1, "", "whole number from 0"),
    ("/commitments/0/amount", "0", "", "more than zero"),
    ("/commitments/0/kind", "least", "", "must be one of minimum, maximum, commitment"),
]

CONDITIONS: list[tuple[str, Any, str, str]] = [
    ("/groups/0/condition", "Extensions.region = ", "", "at characters"),
    ("/groups/0/condition", "Region = 'EU'", "", "there is no field Region"),
    ("/groups/0/condition", "Zone = 'CZ'", "", "there is no field Zone"),
    ("/groups/0/rates/0/condition", "Value + 1", "", "where true or false is needed"),
    ("/groups/0/rates/0/condition", "Extensions.n > 5", "", "at characters 1 to 16"),
    ("/groups/0/rates/0/condition", "1 = 1", "", "reads no field"),
    ("/buckets/0/condition", 7, "", "must be an expression"),
]

MODELS: list[tuple[str, Any, str, str]] = [
    ("/groups/0/rates/0/price", GONE, "", "per_unit needs price"),
    ("/groups/0/rates/0/price", None, "", "per_unit needs price"),
    ("/groups/0/rates/2/size", GONE, "", "package needs size"),
    ("/groups/0/rates/1/tiers", GONE, "", "graduated needs tiers"),
    ("/groups/0/rates/3/fields", GONE, "", "matrix needs fields"),
    ("/groups/0/rates/3/prices", GONE, "", "matrix needs prices or default_price"),
    ("/groups/0/rates/4/percent", GONE, "", "percentage needs percent or fixed"),
    ("/groups/0/rates/0/tiers", [], "", "is not used by the model per_unit, which uses price, per"),
    ("/groups/0/rates/1/price", "1", "", "is not used by the model graduated"),
    ("/groups/0/rates/1/tiers/0/percent", "1", "", "is not known here"),
    ("/groups/0/rates/4/maximum_charge", "0.5", "/groups/0/rates/4/minimum_charge", "more than maximum_charge"),
    ("/groups/0/rates/4/of", "sum", "", "must be one of amount, quantity, cost"),
    ("/groups/0/rates/4/of", "cost", "", "no rate of cost_groups is for Pay"),
    ("/cost_groups/0/rates/0", {"usage_class": "Pay", "model": "pass_through", "of": "cost"}, "…/of", "cannot be cost"),
    ("/cost_groups/0/rates/0/of", "cost", "", "is not used by the model per_unit"),
    (
        "/cost_groups/0/rates/1",
        {"usage_class": "Steps", "model": "volume", "tier_by": "Data", "tiers": [{"price": 1}]},
        "…/tier_by",
        "has no place among costs",
    ),
    ("/groups/0/rates/3/fields", ["Region"], "/groups/0/rates/3/fields/0", "is no field to use here"),
    ("/groups/0/rates/3/fields", ["Zone", "Zone"], "/groups/0/rates/3/fields/1", "twice"),
    ("/groups/0/rates/3/fields", ["Zone", "Currency", "Inbound"], "/groups/0/rates/3/fields", "one field or two"),
    ("/groups/0/rates/3/prices/0/values", ["CZ", "x"], "", "must be 1: one for each field"),
    ("/groups/0/rates/3/prices/1", {"values": ["CZ"], "price": 2}, "…/values", "has a price already"),
    ("/groups/0/rates/3/prices/0/values/0", "DE", "", "no zone named DE"),
    ("/zones", GONE, "/groups/0/rates/3/fields/0", "needs zones"),
]

TIERS: list[tuple[str, Any, str, str]] = [
    ("", [], "", "must not be empty"),
    ("/1/up_to", "50", "", "must be more than 100"),
    ("/1/up_to", "100", "", "must be more than 100"),
    ("/0/up_to", "0", "", "must be more than 0"),
    ("/1/up_to", "200", "/1", 'without up_to; say "bounded": true'),
    ("/0/up_to", GONE, "/0/up_to", "not the last tier"),
    ("/1/from", "101", "", "leaves a gap: it must be 100"),
    ("/1/from", "99.5", "", "overlaps the tier before: it must be 100"),
    ("/0/from", "1", "", "leaves a gap: it must be 0"),
    ("/1/price", GONE, "/1", "must say its price or flat"),
    ("/1/increment", "0", "", "more than zero"),
    ("/0/price", "-1", "", "zero or more"),
    ("/0", 5, "", "must be an object"),
]

COUNTERS: list[tuple[dict[str, Any], str, str]] = [
    ({"aggregation": {"function": "mean"}}, "aggregation/function", "must be one of each, sum"),
    ({"aggregation": {"function": "sum", "of": "Currency"}}, "aggregation/of", "is no number"),
    ({"aggregation": {"function": "sum", "of": "Bytes"}}, "aggregation/of", "is no field"),
    ({"aggregation": {"function": "count", "of": "Value"}}, "aggregation/of", "is not used"),
    ({"aggregation": {"function": "unique_count"}}, "aggregation/of", "is missing"),
    ({"aggregation": {"function": "sum", "within": "day"}}, "aggregation", "belong together"),
    ({"aggregation": {"within": "day", "then": "max"}}, "aggregation/within", "cannot stand beside each"),
    ({"aggregation": {"function": "sum", "carries_over": True}}, "aggregation/carries_over", "is for latest"),
    ({"counting": {"by": ["Zone"]}}, "counting/by/0", "is no field"),
    ({"counting": {"by": ["Extensions.a", "Extensions.a"]}}, "counting/by/1", "twice"),
    ({"counting": {"restarts": "week"}}, "counting/restarts", "must be one of period, day"),
    ({"aggregation": {"function": "sum"}, "counting": {"restarts": "record"}}, "counting/restarts", "nothing to join"),
    ({"aggregation": {"function": "weighted_sum"}, "counting": {"restarts": "never"}}, "counting/restarts", "period"),
    (
        {"aggregation": {"function": "latest", "carries_over": True}, "counting": {"restarts": "never"}},
        "counting/restarts",
        "must be period where the counter carries over",
    ),
    (
        {"aggregation": {"function": "sum", "within": "day", "then": "max"}, "counting": {"restarts": "day"}},
        "counting/restarts",
        "no windows of a day",
    ),
]

NAMES: list[tuple[str, Any, str, str]] = [
    ("/groups/1/name", "Main", "", "is the name of a group already, at /groups/0"),
    ("/cost_groups/0/name", "Main", "", "is the name of a group already"),
    ("/groups/0/rates/1/name", "Voice", "", "name of a rate of this group already"),
    ("/groups/0/rates/1/usage_class", "Voice", "/groups/0/rates/1/name", "name of a rate of this group already"),
    ("/zones/1/name", "CZ", "", "one of the zones already"),
    ("/buckets/1/name", "Minutes", "", "one of the buckets already"),
    ("/groups/0/time_period", "pek", "", "no time period named pek; similar: peak"),
    ("/groups/0/rates/0/time_period", "night", "", "no time period named night"),
    ("/groups/0/rates/0/zone", "DE", "", "no zone named DE"),
    ("/time_periods/0/calendar", "feasts", "", "no calendar named feasts"),
    ("/time_periods/0/on_holidays", GONE, "/time_periods/0", "belong together"),
    ("/zones/1/prefixes/1", "420", "", "is a prefix of CZ already"),
    ("/zones/1/prefixes/1", "421", "", "is a prefix of SK already"),
    ("/buckets/0/rates/0", "Main / Voise", "", "similar: Main / Voice"),
    ("/buckets/0/rates/0", "Cost / Voice", "", "there is no rate"),
    ("/buckets/1/usage_classes/0", "Fax", "", "no usage class that this plan prices"),
    ("/commitments/0/usage_classes", ["Fax"], "/commitments/0/usage_classes/0", "no usage class"),
    ("/groups/1/rates/1/tier_by", "Fax", "", "no usage class that this plan prices"),
    ("/groups/0/currency", "USD", "", "USD differs from the plan's EUR"),
    ("/groups/0/rates/0/currency", "USD", "", "USD differs from the plan's EUR"),
    ("/buckets/2/currency", "USD", "", "USD differs from the plan's EUR"),
    ("/commitments/0/currency", "USD", "", "USD differs from the plan's EUR"),
]

BUCKETS: list[tuple[str, Any, str, str]] = [
    ("/buckets/0/size", "0", "", "more than zero"),
    ("/buckets/0/size", GONE, "", "is missing"),
    ("/buckets/0/size", "0.0000001", "", "at most 6 decimals"),
    ("/buckets/0/size", "-5", "", "zero or more"),
    (
        "/buckets/0/after",
        "More",
        "",
        "in a circle, so that none is ever drawn: Minutes waits for More waits for Minutes",
    ),
    ("/buckets/0/after", "Minutes", "", "in a circle"),
    ("/buckets/1/after", "Less", "", "no bucket named Less"),
    ("/buckets/2/after", "More", "", "units are drawn before there is a price"),
    ("/buckets/0/rates", ["Rest / Seats"], "/buckets/0", "whose function latest may fall"),
    ("/buckets/0/rates", GONE, "/buckets/0", "serves Rest / Seats"),
    ("/buckets/0/grows", True, "", "a service has no members"),
    ("/buckets/2/tiers", [{"price": 1}], "", "are for buckets of units"),
    ("/buckets/0/tiers", [{"up_to": 5}], "/buckets/0/tiers/0", "last tier is open"),
    ("/buckets/0/tiers", [{"up_to": 5}, {"up_to": 4}, {}], "/buckets/0/tiers/1/up_to", "must be more than 5"),
    ("/buckets/2/rollover", {}, "", "needs a bucket that recurs"),
    ("/buckets/0/rollover", {"cap": 0}, "/buckets/0/rollover/cap", "more than zero"),
    ("/buckets/0/rollover", {"grants": 0}, "/buckets/0/rollover/grants", "whole number from 1"),
    ("/buckets/0/refill", {"size": 0}, "/buckets/0/refill/size", "more than zero"),
    ("/buckets/0/refill", {}, "/buckets/0/refill/size", "is missing"),
    ("/buckets/0/follows", {"usage_class": "Voice", "factor": 2}, "…/usage_class", "must follow another class"),
    ("/buckets/0/follows", {"usage_class": "Fax", "factor": 2}, "…/usage_class", "no usage class"),
    ("/buckets/0/follows", {"usage_class": "Data", "factor": 0}, "…/factor", "more than zero"),
    ("/buckets/2/follows", {"usage_class": "Data", "factor": 1}, "", "recurs by period"),
    ("/buckets/2/prorate", True, "", "recurs by period"),
    ("/commitments/0/overage_factor", "1.5", "", "is not used by a minimum"),
    ("/commitments/0/true_up", False, "", "is not used by a minimum"),
]


def document() -> Any:
    return json.loads(DOCUMENT)


def put(of: Any, pointer: str, value: Any) -> Any:
    """The document with the value at the pointer changed, added, or gone."""
    *way, last = [part.replace("~1", "/") for part in pointer.split("/")[1:]]
    at = of
    for part in way:
        at = at[int(part) if isinstance(at, list) else part]
    if value is GONE:
        del at[int(last) if isinstance(at, list) else last]
    elif isinstance(at, list) and int(last) == len(at):
        at.append(value)
    else:
        at[int(last) if isinstance(at, list) else last] = value
    return of


def faults_of(of: Any, **known: Any) -> dict[str, str]:
    with pytest.raises(FaultySpecError) as caught:
        read_plan(of, **known)
    assert len({fault.pointer for fault in caught.value.faults}) == len(caught.value.faults)
    return {fault.pointer: fault.message for fault in caught.value.faults}


def test_the_document_that_is_spoilt_below_is_without_fault():
    assert read_plan(document()).name == "Business"


@pytest.mark.parametrize(
    ("change", "value", "place", "words"),
    VALUES + CONDITIONS + MODELS + NAMES + BUCKETS,
    ids=lambda value: "left out" if value is GONE else str(value)[:40],
)
def test_a_fault_is_told_at_its_place(change: str, value: Any, place: str, words: str):
    faults = faults_of(put(document(), change, value))
    assert words in faults[change + place[1:] if place.startswith("…") else place or change]


@pytest.mark.parametrize(("change", "value", "place", "words"), TIERS)
def test_a_fault_of_tiers_is_told_at_its_place(change: str, value: Any, place: str, words: str):
    tiers = "/groups/0/rates/1/tiers"
    faults = faults_of(put(document(), tiers + change, value))
    assert next(iter(faults)) == tiers + (place or change)
    assert words in faults[tiers + (place or change)]


@pytest.mark.parametrize(("parts", "place", "words"), COUNTERS)
def test_a_fault_of_what_is_counted_is_told_at_its_place(parts: dict[str, Any], place: str, words: str):
    of = document()
    of["groups"][0]["rates"][1] |= parts
    faults = faults_of(of)
    assert list(faults) == [f"/groups/0/rates/1/{place}"]
    assert words in faults[f"/groups/0/rates/1/{place}"]


def test_all_faults_come_at_once_in_the_order_of_the_document():
    of = document()
    for pointer, value in {
        "/groups/0/rates/0/price": "-1",
        "/groups/0/rates/1/tiers/0/up_to": "0",
        "/time_periods/0/bands/0/starts": "noon",
        "/zones/1/prefixes/1": "420",
        "/buckets/0/after": "More",
    }.items():
        put(of, pointer, value)
    assert list(faults_of(of)) == [
        "/groups/0/rates/0/price",
        "/groups/0/rates/1/tiers/0/up_to",
        "/time_periods/0/bands/0/starts",
        "/zones/1/prefixes/1",
        "/buckets/0/after",
    ]


@pytest.mark.parametrize("value", [None, [], "plan", 7])
def test_what_is_no_object_is_no_plan(value: Any):
    assert faults_of(value) == {"/": "must be an object"}


def test_usage_classes_that_do_not_exist_are_faults_where_they_are_known():
    known = ["Voice", "Data", "Text", "Calls", "Pay", "Seats"]
    faults = faults_of(document(), usage_classes=known)
    assert faults == {"/groups/1/rates/1/usage_class": "there is no usage class named Steps; similar: Seats"}


def test_a_rate_that_could_be_two_is_refused():
    of = document()
    of["groups"].append({"name": "Main / Voice", "rates": [{**of["groups"][0]["rates"][0], "name": "EU"}]})
    of["groups"][0]["rates"][0]["name"] = "Voice / EU"
    assert "another group's rate" in faults_of(of)["/groups/2/rates/0/name"]


def test_a_bounded_rate_must_end():
    of = put(document(), "/groups/0/rates/1/bounded", True)
    assert "is not bounded" in faults_of(of)["/groups/0/rates/1/tiers/1"]


@pytest.mark.parametrize(
    ("tiers", "places"),
    [
        ([("100", "x"), ("50", "1"), ("50", "1"), (None, "1")], ["0/price", "1/up_to", "2/up_to"]),
        ([("100", "x"), ("200", "1")], ["0/price", "1"]),
        ([("100", "x"), (None, "1"), ("50", "1"), (None, "1")], ["0/price", "1/up_to", "2/up_to"]),
        ([("x", "1"), ("100", "1"), ("90", "1"), (None, "1")], ["0/up_to", "2/up_to"]),
        ([("100", "1"), ("x", "1"), ("90", "1"), (None, "1")], ["1/up_to", "2/up_to"]),
        ([("x", "1"), ("0.5", "1"), (None, "1")], ["0/up_to"]),
    ],
)
@pytest.mark.parametrize("of", ["/groups/0/rates/1", "/buckets/0"])
def test_what_cannot_be_read_hides_no_other_fault_of_tiers(of: str, tiers: list[Any], places: list[str]):
    said = [{"price": price} | ({"up_to": bound} if bound else {}) for bound, price in tiers]
    assert sorted(faults_of(put(document(), f"{of}/tiers", said))) == [f"{of}/tiers/{place}" for place in places]


def test_a_start_that_cannot_be_read_hides_no_other_fault_of_tiers():
    tiers = [{"up_to": "10", "price": 1}, {"from": "x", "up_to": "5", "price": 1}, {"from": "7", "price": 1}]
    faults = faults_of(put(document(), "/groups/0/rates/1/tiers", tiers))
    assert list(faults) == [f"/groups/0/rates/1/tiers/{place}" for place in ("1/from", "1/up_to", "2/from")]


def test_what_stands_twice_is_told_beside_what_cannot_be_read():
    faults = faults_of(put(document(), "/calendars/0/days", ["2026-12-25", "noon", "none", "2026-12-25"]))
    assert list(faults) == [f"/calendars/0/days/{place}" for place in (1, 2, 3)]


def test_what_stands_in_for_a_charge_that_cannot_be_read_is_not_compared():
    of = put(document(), "/groups/0/rates/4/minimum_charge", "x")
    assert list(faults_of(put(of, "/groups/0/rates/4/maximum_charge", "0.5"))) == ["/groups/0/rates/4/minimum_charge"]


def test_a_longer_circle_of_buckets_is_told_once():
    of = document()
    of["buckets"].append({"name": "Last", "size": "1", "usage_classes": ["Voice"], "after": "More"})
    of["buckets"][0]["after"] = "Last"
    assert list(faults_of(of)) == ["/buckets/0/after"]
