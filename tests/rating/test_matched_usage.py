"""What pricing reads of matched usage: counted fields, counters, matrices, barred buckets, costs; no database."""

import json
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.matching.reading import with_extensions

from .matching_book import book, match, plan, rate, refusals, usage

# Extensions


def extensions(texts, *names):
    frame = pl.DataFrame({"extensions": pl.Series(texts, dtype=pl.String)})
    return with_extensions(frame, [f"Extensions.{name}" for name in names]).drop("extensions").rows()


def test_extensions_are_found_by_their_whole_names():
    text = json.dumps({"a.b": "dotted", 'a"b': "quoted", "a b": "spaced", "a\\": "slashed", "ž": "\n\u2028"})
    assert extensions([text, None, "{}"], "a.b", 'a"b', "a b", "a\\", "ž", "none") == [
        ("spaced", "quoted", "dotted", "slashed", None, "\n\u2028"),
        (None,) * 6,
        (None,) * 6,
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.1", "0.1"),
        ("12345678901234567890.123456789012345678901", "12345678901234567890.123456789012345678901"),
        ("1e400", "1e400"),
        ("true", "true"),
        ("null", None),
        ('["x", {"y": 1.10}]', '["x",{"y":"1.10"}]'),
        (r'"\ud800"', "?"),
        (r'"\ud83d\ude00"', "😀"),
    ],
)
def test_a_value_that_is_no_text_comes_as_it_is_written(value, text):
    assert extensions([f'{{"a": {value}, "b": "b"}}', '{"a": "1"}'], "a", "b") == [(text, "b"), ("1", None)]


def test_what_is_no_object_has_no_extensions():
    assert extensions(["[1]", "{", "5", '{"a": "1"}'], "a") == [(None,), (None,), (None,), ("1",)]


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=4), st.text(max_size=6) | st.none(), max_size=4), st.booleans())
def test_any_object_of_texts_is_read_as_json_reads_it(fields, ascii_only):
    names = [*fields, "another"]
    read = extensions([json.dumps(fields, ensure_ascii=ascii_only)], *names)[0]
    assert read == tuple(fields.get(name) for name in sorted(set(names)))


# What is counted


def counted(value, function="sum", of="Extensions.gb"):
    of = book(plan(rate("Storage", aggregation={"function": function, "of": of})))
    rows = usage("udr_id value amount currency\n1 7 2.5 EUR").with_columns(extensions=pl.lit(value))
    return match(rows, of)


def test_a_number_in_an_extension_is_counted_exactly():
    assert counted('{"gb":"999999999999999.123456789012"}')[0]["counted"].to_list() == [
        Decimal("999999999999999.123456789012")
    ]
    assert counted('{"gb":0.1}')[0]["counted"].to_list() == [Decimal("0.1")]
    assert counted('{"gb":"-5"}', "latest")[0]["counted"].to_list() == [-5]
    assert counted(None, of="Value")[0]["counted"].to_list() == [7]
    assert counted(None, of="Amount")[0]["counted"].to_list() == [Decimal("2.5")]


@pytest.mark.parametrize(
    ("extension", "shown"),
    [('{"gb":"many"}', "“many”"), ("{}", "nothing"), ('{"gb":"1e3"}', "“1e3”"), ('{"gb":"1000000000000000"}', "“1000")],
)
def test_an_extension_that_is_no_number_is_refused(extension, shown):
    matched, refused = counted(extension)
    assert matched.is_empty()
    assert refused["cause"].to_list() == ["no_rate"]
    assert "Rate “All / Storage” of plan “Gold” counts Extensions.gb" in refused["message"][0]
    assert shown in refused["message"][0]


def test_a_unique_count_takes_members_and_needs_them():
    matched, _ = counted('{"user":"ann"}', "unique_count", "Extensions.user")
    assert matched.select("member", "counted").rows() == [("ann", Decimal(7))]
    assert counted(None, "unique_count", "Value")[0]["member"].to_list() == ["7"]
    assert (
        "counts the different values of Extensions.user"
        in counted("{}", "unique_count", "Extensions.user")[1]["message"][0]
    )


def test_a_counter_is_named_by_the_values_of_its_fields():
    by = ["Extensions.cell", "Value", "Date", "Inbound"]
    of = book(plan(rate("Cells", counting={"by": by}), rate("Plain", "Data")))
    rows = usage("udr_id value usage_class_id inbound\n1 1.50 1 true\n2 100 1 false\n3 1 2 true").with_columns(
        extensions=pl.Series(['{"cell":"a\\"b, \\\\c"}', "{}", None])
    )
    keys = match(rows, of)[0]["counter_key"].to_list()
    assert [json.loads(key) for key in keys[:2]] == [
        ['a"b, \\c', "1.5", "2026-05-10T12:00:00Z", "true"],
        [None, "100", "2026-05-10T12:00:00Z", "false"],
    ]
    assert keys[2] == ""


# Matrices


def matrix(**members):
    prices = [{"values": ["a", "x"], "price": "1"}, {"values": ["b", "x"], "price": "0.00000000001"}]
    fields = ["Extensions.one", "Extensions.two"]
    return {"name": "M", "usage_class": "Voice", "model": "matrix", "fields": fields, "prices": prices, **members}


def test_a_matrix_prices_by_its_values_or_by_default():
    single = {
        **matrix(usage_class="Data", name="S"),
        "fields": ["UsageClassName"],
        "prices": [{"values": ["Data"], "price": "3"}],
    }
    of = book(plan(matrix(default_price="9"), single, rate("Plain", "Text")))
    rows = usage("udr_id usage_class_id\n1 1\n2 1\n3 1\n4 1\n5 2\n6 3").with_columns(
        extensions=pl.Series(
            ['{"one":"a","two":"x"}', '{"two":"x","one":"b"}', '{"one":"a","two":"y"}', "{}", "{}", "{}"]
        )
    )
    prices = match(rows, of)[0]["matrix_price"].to_list()
    assert prices == [Decimal(1), Decimal("0.00000000001"), Decimal(9), Decimal(9), Decimal(3), None]


def test_values_that_no_matrix_lists_are_named():
    rows = usage('udr_id extensions\n1 {"one":"c"}')
    assert refusals(rows, book(plan(matrix()))) == [
        (
            "no_rate",
            "The matrix of rate “All / M” of plan “Gold” has no price where Extensions.one and Extensions.two is “c” "
            "and nothing, and no default price. Add one of them, then rerate.",
        )
    ]


# Amounts


def test_a_share_of_the_amount_needs_one_in_the_accounts_currency():
    fee = {"name": "Fee", "usage_class": "Voice", "model": "percentage", "percent": "2"}
    passed = {"name": "Passed", "usage_class": "Data", "model": "pass_through", "of": "quantity", "factor": "2"}
    rows = usage("udr_id usage_class_id amount currency\n1 1 5 EUR\n2 1 - EUR\n3 1 5 USD\n4 1 5 -\n5 2 - -")
    matched, refused = match(rows, book(plan(fee, passed)))
    assert matched["udr_id"].to_list() == [1, 5]
    assert refused["cause"].to_list() == ["no_rate", "no_rate_group", "no_rate_group"]
    assert "the record has none" in refused["message"][0]
    assert "is in USD, but its account is billed in EUR" in refused["message"][1]
    assert "is in no currency" in refused["message"][2]


# Buckets


def test_buckets_whose_condition_does_not_hold_are_barred():
    buckets = [
        {"name": "Night", "size": "10", "condition": "Extensions.time = 'night'", "usage_classes": ["Voice"]},
        {"name": "All", "size": "10"},
        {"name": "Short", "size": "10", "condition": "Value < 60"},
    ]
    of = book(plan(rate("Calls"), rate("Data", "Data"), buckets=buckets))
    rows = usage(
        'udr_id usage_class_id value extensions\n1 1 1 {"time":"night"}\n2 1 60 {"time":"day"}\n'
        "3 1 1 -\n4 2 60 -\n5 2 1 -"
    )
    assert match(rows, of)[0]["barred"].to_list() == [None, [0, 2], [0], [2], None]


# Costs


@pytest.mark.parametrize(
    ("members", "cost"),
    [
        ({"price": "0.125"}, "0.25"),
        ({"price": "0.125", "per": "4"}, "0.0625"),
        ({"price": "1", "minimum": "60", "increment": "6"}, "60"),
        ({"model": "fixed", "price": "0.5"}, "0.5"),
        ({"model": "pass_through", "price": None, "factor": "0.5", "fixed": "1"}, "5"),
        ({"price": "1", "condition": "Value > 2"}, None),
        ({"price": "1", "zone": "Vienna"}, None),
    ],
)
def test_cost_groups_say_what_usage_costs_us(members, cost):
    costs = [
        {
            "name": "Costs",
            "rates": [{key: value for key, value in rate("Cost", **members).items() if value is not None}],
        }
    ]
    zones = [{"name": "Vienna", "prefixes": ["431"]}]
    of = book(plan(rate("Calls"), cost_groups=costs, zones=zones))
    matched, refused = match(usage("udr_id value amount currency terminating_identifier\n1 2 8 EUR 49"), of)
    assert refused.is_empty()
    assert matched["cost"].to_list() == [None if cost is None else Decimal(cost)]


def test_a_cost_is_rounded_once_to_the_precision_of_its_group():
    costs = [{"name": "Costs", "amount_precision": 2, "rates": [rate("Cost", price="0.005")]}]
    of = book(plan(rate("Calls"), rate("Data", "Data"), cost_groups=costs))
    matched, _ = match(usage("udr_id value usage_class_id\n1 1 1\n2 0.5 1\n3 1 2"), of)
    assert matched["cost"].to_list() == [Decimal("0.01"), Decimal(0), None]


def test_a_cost_whose_amount_is_missing_is_unknown_and_refuses_nothing():
    costs = [
        {"name": "Costs", "rates": [{"name": "Cost", "usage_class": "Voice", "model": "pass_through", "factor": "1"}]}
    ]
    matched, refused = match(usage("udr_id\n1"), book(plan(rate("Calls"), cost_groups=costs)))
    assert refused.is_empty()
    assert matched["cost"].to_list() == [None]
