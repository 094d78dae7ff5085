"""Rules and corrections as columns, held against plain Python; and where values stand in texts."""

import json
import re

import polars as pl
import pytest

from ingestion.core.fixing import (
    Compute,
    Corrected,
    FaultyRuleError,
    MapValue,
    SetField,
    Substitute,
    apply_rule,
    fold,
    in_order,
    lay_over,
    parse_rule,
    span_of,
)
from mediation.core.expressions import TEXT, evaluate
from mediation.core.spec import parse_spec
from tests.mediation.profiles import JSON, ROWS, document

SOURCES = dict.fromkeys(["who", "value", "class"], TEXT)
TEXTS = ["1;5", "", None, "12", "a;b;c", "Ä;$1", "fax", "x" * 50]


def records(values=TEXTS):
    numbers = range(1, len(values) + 1)
    return pl.DataFrame(
        {
            "import_id": [7] * len(values),
            "record_number": list(numbers),
            "raw": [f"{number},{value or ''}" for number, value in zip(numbers, values, strict=True)],
            "source:who": [f"w{number}" for number in numbers],
            "source:value": pl.Series(values, dtype=pl.String),
            "source:class": ["calls"] * len(values),
        }
    )


def made(rule, values=TEXTS):
    """(text, is_changed, fault) of each record."""
    return apply_rule(records(values), parse_rule(rule, sources=SOURCES)).rows()


# The oracle: one record at a time, written from the rules


def expected(rule, row):
    """(text, is_changed, fault) of one record; row: raw and its source fields."""
    before = row["raw"] if rule.get("raw") else row[rule["field"]]
    match rule["kind"]:
        case "set":
            after = rule["text"]
        case "map":
            after = rule["values"].get(before if before is not None or "" not in rule["values"] else "", before)
        case "substitute":
            after = None if before is None else re.sub(rule["pattern"], rule["replacement"], before)
        case _:
            after = evaluate(parse_rule(rule, sources=SOURCES).expression, row)
            if after is None:
                return before, False, "the expression has no result for it"
            after = str(after)
    return after, after != before, None


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "set", "field": "value", "text": "5"},
        {"kind": "set", "field": "value", "text": ""},
        {"kind": "set", "field": "value", "text": None},
        {"kind": "map", "field": "value", "values": {"1;5": "1.5", "fax": None}},
        {"kind": "map", "field": "value", "values": {"": "0", "12": "12"}},
        {"kind": "map", "field": "class", "values": {"calls": "data"}},
        {"kind": "substitute", "field": "value", "pattern": ";", "replacement": "."},
        {"kind": "substitute", "field": "value", "pattern": "^([a-z])", "replacement": "\\1\\1$1"},
        {"kind": "substitute", "raw": True, "pattern": "^[0-9]+", "replacement": "0"},
        {"kind": "expression", "field": "value", "expression": "REPLACE(value, ';', '.')"},
        {"kind": "expression", "field": "value", "expression": "who || '-' || class"},
        {"kind": "expression", "field": "value", "expression": "CAST(value AS INTEGER) + 1"},
        {"kind": "expression", "field": "value", "expression": "'9'"},
    ],
    ids=lambda rule: json.dumps(rule)[:60],
)
def test_a_rule_in_columns_says_what_it_says_of_each_record(rule):
    rows = records().rename(lambda name: name.removeprefix("source:")).to_dicts()
    assert made(rule) == [expected(rule, row) for row in rows]


def test_what_cannot_be_kept_is_a_fault_and_the_record_stays():
    assert made(
        {"kind": "substitute", "field": "value", "pattern": ";", "replacement": "y" * 999}, ["1" + ";" * 11]
    ) == [("1" + ";" * 11, False, "the result is longer than 10,000 characters")]
    assert made({"kind": "set", "field": "value", "text": "1"}, ["a\0"]) == [("1", True, None)]
    told = made({"kind": "expression", "field": "value", "expression": "value || '!'"}, ["a\0"])
    assert told == [("a\0", False, "the result holds a NUL character")]
    told = made({"kind": "substitute", "raw": True, "pattern": ".", "replacement": " "}, ["a"])
    assert told == [("1,a", False, "nothing is left of the record")]


def test_a_rule_of_no_records_gives_none():
    for rule in (
        {"kind": "set", "field": "value", "text": "5"},
        {"kind": "expression", "field": "value", "expression": "'1'"},
    ):
        assert made(rule, []) == []


def test_rules_are_read_into_what_they_mean_and_say_it():
    rules = [
        parse_rule(rule, sources=SOURCES)
        for rule in (
            {"kind": "set", "field": "value", "text": None},
            {"kind": "set", "field": "value", "text": "5"},
            {"kind": "map", "field": "value", "values": {str(n): None for n in range(7)}},
            {"kind": "substitute", "raw": True, "pattern": "a", "replacement": ""},
            {"kind": "expression", "field": "value", "expression": "who"},
        )
    ]
    assert list(map(type, rules)) == [SetField, SetField, MapValue, Substitute, Compute]
    assert [rule.words for rule in rules] == [
        "empty value",
        "set value to “5”",
        "replace in value “0” by nothing, “1” by nothing, “2” by nothing, “3” by nothing, “4” by nothing and 2 more",
        "replace what matches “a” in the record as received by “”",
        "set value to the result of who",
    ]


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        ("set", [("", "must be an object of options"), ("/kind", "must be a text of 1 to 1,000 characters")]),
        ({"kind": "guess"}, [("/kind", "must be one of set, map, substitute, expression")]),
        (
            {"kind": "set", "field": "worth", "value": "5"},
            [
                ("/field", "is no source field that the profile reads; those are class, value, who"),
                ("/text", "is missing: the text to set, or null"),
                ("/value", "is not known here; known are field, kind, text"),
            ],
        ),
        (
            {"kind": "map", "field": "value", "values": {"a": 1, "b": "\0"}},
            [
                ("/values/a", "must be a text of at most 10,000 characters, or null"),
                ("/values/b", "holds a NUL character"),
            ],
        ),
        (
            {"kind": "map", "field": "value", "values": {}},
            [("/values", "must be an object that names 1 to 10,000 texts and what stands in their place")],
        ),
        (
            {"kind": "substitute", "raw": True, "field": "value", "pattern": "(a", "replacement": "\\2"},
            [
                ("/field", "stands beside raw: leave one of the two out"),
                ("/pattern", "the pattern is no regular expression: unclosed group"),
                ("/replacement", "the pattern has no group 2"),
            ],
        ),
        (
            {"kind": "expression", "field": "value", "expression": "worth + 1"},
            [("/expression", "at characters 1 to 5: there is no field worth; there are class, value, who")],
        ),
    ],
)
def test_all_faults_of_a_rule_are_told_at_once_with_their_places(rule, faults):
    with pytest.raises(FaultyRuleError) as refusal:
        parse_rule(rule, sources=SOURCES)
    told = [(fault.pointer, fault.message) for fault in refusal.value.faults]
    assert [pointer for pointer, _ in told] == [pointer for pointer, _ in faults]
    for (_, message), (_, part) in zip(told, faults, strict=True):
        assert part in message or part.partition(":")[0] in message


# Corrections laid over records


def test_revisions_build_on_each_other_and_a_new_text_forgets_the_changes():
    assert fold([]) == Corrected()
    assert fold([(None, {"a": "1"}), (None, {"b": None, "a": "2"})]) == Corrected(None, {"a": "2", "b": None})
    assert fold([(None, {"a": "1"}), ("x", None), (None, {"b": "3"})]) == Corrected("x", {"b": "3"})


def test_changes_are_laid_over_the_fields_that_are_read():
    laid = lay_over(
        records(["a", "b", "c"]), {(7, 2): {"value": "9", "who": None, "gone": "1"}, (8, 1): {"value": "0"}}
    )
    assert laid["source:value"].to_list() == ["a", "9", "c"]
    assert laid["source:who"].to_list() == ["w1", None, "w3"]
    assert laid["content"].to_list() == [None, '2,b\x1e{"value": "9", "who": null}', None]


def test_what_says_the_same_changes_nothing():
    before = records(["a", "b"])
    assert lay_over(before, {(7, 1): {"value": "a"}, (7, 2): {"gone": "x"}}).equals(before)
    assert lay_over(before, {}).equals(before)
    assert before["source:value"].to_list() == ["a", "b"]


def test_the_content_of_a_record_of_several_rows_is_kept_in_front():
    combined = records(["a"]).with_columns(content=pl.lit("one\x1etwo"))
    assert lay_over(combined, {(7, 1): {"value": "b"}})["content"].to_list() == ['one\x1etwo\x1e{"value": "b"}']


# Where a value stands

SPACED = document(ROWS, format={"kind": "delimited", "columns": ["date", "who", "value", "class"], "quote": '"'})
FIXED = document(
    ROWS,
    format={
        "kind": "fixed_width",
        "columns": [
            {"name": "date", "start": 1, "width": 4},
            {"name": "who", "start": 5, "width": 3},
            {"name": "value", "start": 8, "width": 2},
            {"name": "class", "start": 10, "width": 5},
        ],
    },
)


@pytest.mark.parametrize(
    ("spec", "raw", "source", "text", "found"),
    [
        (ROWS, "d,w,1;5,calls", "value", "1;5", "1;5"),
        (ROWS, "d,w,,calls", "value", None, ""),
        (ROWS, "x,x,x,x", "class", "x", "x"),
        (ROWS, "d,w", "value", None, None),
        (SPACED, 'd,"w,1",1,c', "value", "1", "1"),
        (SPACED, 'd,"a ""q"" b",1,c', "who", 'a "q" b', '"a ""q"" b"'),
        (FIXED, "20261231xcalls", "who", "123", "123"),
        (FIXED, "2026w", "class", None, None),
        (JSON, '{"Id": "x", "Value": "x"}', "Value", "x", '"x"'),
        (JSON, '{"a": {"Value": 12}, "Value": 7.5}', "Value", "7.5", "7.5"),
        (JSON, '{"Value": "a\\"b"}', "Value", 'a"b', '"a\\"b"'),
        (JSON, '{"a": {"Value": true}}', "a.Value", "true", "true"),
        (JSON, "{", "Value", None, None),
    ],
)
def test_a_value_is_found_where_its_field_stands(spec, raw, source, text, found):
    span = span_of(raw, spec=parse_spec(spec), source=source, text=text)
    assert (raw[slice(*span)] if span else None) == found


def test_the_columns_of_a_file_that_names_them_are_found_by_its_header():
    named = document(ROWS, format={"kind": "delimited", "columns_by": "name", "header_rows": 1})
    header = ["class", "value", "who", "date"]
    assert span_of("c,9,w,d", spec=parse_spec(named), source="value", text="9", header=header) == (2, 3)


def test_the_last_column_is_where_it_stands_even_where_the_text_stands_before():
    assert span_of("x,x,x,x", spec=parse_spec(ROWS), source="class", text="x") == (6, 7)


def test_a_text_that_is_too_long_is_not_looked_through():
    assert span_of("1" * 200_001, spec=parse_spec(JSON), source="Value", text="1") is None


def test_fields_come_in_the_order_in_which_they_stand():
    rows, events = parse_spec(ROWS), parse_spec(JSON)
    assert in_order(["class", "who", "date"], raw="", spec=rows, header=None) == ["date", "who", "class"]
    assert in_order(["who", "class"], raw="", spec=rows, header=["class", "who"]) == ["class", "who"]
    raw = '{"Id": 1, "Value": 2}'
    assert in_order(["Date", "Value", "Id"], raw=raw, spec=events, header=None) == ["Id", "Value", "Date"]
