"""Quotes from two files: the README's examples come out as it says, documents and usage are read or told at fault."""

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from mediation.core.spec.document import FaultySpecError
from rating.core.plans.rates import MODEL_KEYS
from rating.core.quoting import answer, parse_json, quote, read_rows, read_setting, read_usage

ROOT = Path(__file__).parents[2]
README = (ROOT / "rating" / "README.md").read_text()
EXAMPLES = re.findall(
    r"^([^\n]+)\n\n```json plan\n(.*?)^```\n```(?:csv|json) usage\n(.*?)^```\n→ ([^\n]+)$",
    README,
    re.MULTILINE | re.DOTALL,
)

CALLS = {
    "name": "Calls",
    "currency": "EUR",
    "groups": [{"name": "All", "rates": [{"usage_class": "call", "model": "per_unit", "price": "0.10"}]}],
}


def quoted(document, usage):
    return answer(quote(read_setting(document), read_rows(usage)))


def faults(call, *arguments):
    with pytest.raises(FaultySpecError) as found:
        call(*arguments)
    return {fault.pointer: fault.message for fault in found.value.faults}


def run(tmp_path, document, usage, *options):
    plan, rows = tmp_path / "plan.json", tmp_path / "usage"
    plan.write_text(document if isinstance(document, str) else json.dumps(document))
    rows.write_text(usage)
    printed, told = StringIO(), StringIO()
    try:
        call_command("quote", str(plan), str(rows), *options, stdout=printed, stderr=told)
    except SystemExit as ended:
        return ended.code, printed.getvalue(), told.getvalue()
    return 0, printed.getvalue(), told.getvalue()


# What the README says


@pytest.mark.parametrize(("title", "plan", "usage", "expected"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_an_example_of_the_readme_comes_out_as_it_says(title, plan, usage, expected):
    told = answer(quote(read_setting(parse_json(plan, "/plan")), read_usage(usage)))
    for name, number in re.findall(r"`(\w+)` ([\d.]+)", expected):
        assert (len(told["exceptions"]) if name == "exceptions" else told["totals"][name]) == (
            int(number) if name == "exceptions" else number
        )
    if "`exceptions`" not in expected:
        assert told["exceptions"] == []
    assert [fault for statement in told["statements"] for fault in statement["faults"]] == []


def test_every_model_has_an_example():
    used = {model for _, plan, *_ in EXAMPLES for model in re.findall(r'"model": "(\w+)"', plan)}
    assert used == set(MODEL_KEYS)


def test_the_examples_are_all_found():
    assert len(EXAMPLES) == README.count("```json plan")


def test_every_member_of_the_answer_is_documented():
    section = README.partition("## Quote\n")[2].partition("\n## ")[0]
    told = quoted(CALLS | {"buckets": [{"name": "Free", "size": "1"}]}, [{"value": "2"}])
    told["statements"][0]["lines"].append({"records": 0})
    names = {name for row in members(told) for name in row}
    assert {name for name in names if f"`{name}`" not in section} == set()


def members(value):
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from members(each)


# Reading documents


@pytest.mark.parametrize(
    ("document", "pointer", "word"),
    [
        ([], "/", "must be an object"),
        ({}, "/plan", "is missing"),
        ({"plans": []}, "/plan", "is missing"),
        ({"plan": CALLS, "plans": [CALLS]}, "/plan", "either"),
        ({"plan": CALLS | {"currency": 1}}, "/plan/currency", "three capital letters"),
        ({"plans": [CALLS, CALLS]}, "/plans/1/name", "is there already"),
        ({"plans": [CALLS, CALLS | {"name": "Other"}]}, "/accounts", "is missing"),
        ({"plan": CALLS, "planes": 1}, "/planes", "not known"),
        ({"plan": CALLS, "classes": [{"name": "call", "paid_by": "me"}]}, "/classes/0/paid_by", "must be one of"),
        ({"plan": CALLS, "accounts": {}}, "/accounts", "must be a list"),
        ({"plan": CALLS, "accounts": [{"number": 7}]}, "/accounts/0/number", "must be a text"),
        ({"plan": CALLS, "accounts": [{"number": "A", "plan": "B"}]}, "/accounts/0/plan", "no plan “B”"),
        (
            {"plan": CALLS, "accounts": [{"number": "A", "time_zone": "Vienna"}]},
            "/accounts/0/time_zone",
            "no time zone",
        ),
        ({"plan": CALLS, "accounts": [{"number": "A", "parent": "B"}]}, "/accounts/0/parent", "no account “B”"),
        ({"plan": CALLS, "accounts": [{"number": "A", "parent": "A"}]}, "/accounts/0/parent", "circle"),
        ({"plan": CALLS, "accounts": [{"number": "A", "services": [{}]}]}, "/accounts/0/services/0/name", "is missing"),
        (
            {"plan": CALLS, "accounts": [{"number": n, "services": [{"name": n, "identifiers": ["1"]}]} for n in "AB"]},
            "/accounts/1/services/0/identifiers/0",
            "another service",
        ),
        ({"plan": CALLS, "periods": [{"starts_at": "2026-01-01"}]}, "/periods/0/ends_at", "is missing"),
        (
            {"plan": CALLS, "periods": [{"starts_at": "2026-02-01", "ends_at": "2026-01-01"}]},
            "/periods/0/ends_at",
            "after",
        ),
        (
            {"plan": CALLS, "periods": [{"starts_at": "2026-01-01", "ends_at": "2026-01-01T20:00:00Z"}]},
            "/periods/0/ends_at",
            "a day",
        ),
        ({"plan": CALLS, "tax": {"rounding": "up"}}, "/tax/rounding", "must be one of"),
        (
            {"plan": CALLS, "tax": {"codes": [{"name": "x", "parts": [{"name": "x"}]}]}},
            "/tax/codes/0/parts/0/percent",
            "is",
        ),
        ({"plan": CALLS, "grants": [{"bucket": "Free"}]}, "/grants/0/bucket", "no bucket “Free”"),
        ({"plan": CALLS, "grants": [{"bucket": "Free", "used": "-1"}]}, "/grants/0/used", "negative"),
    ],
)
def test_a_fault_of_a_document_is_told_at_its_place(document, pointer, word):
    found = faults(read_setting, document)
    assert word in found[pointer]


def test_all_faults_of_a_document_are_told_at_once():
    document = {"plan": {**CALLS, "groups": []}, "tax": {"codes": 1}, "accounts": [{"plan": 1}]}
    assert set(faults(read_setting, document)) >= {
        "/plan/groups",
        "/tax/codes",
        "/accounts/0/number",
        "/accounts/0/plan",
    }


def test_numbers_of_a_json_document_are_never_floats():
    text = json.dumps(CALLS).replace('"0.10"', "0.12345678901")
    told = answer(quote(read_setting(parse_json(text, "/plan")), read_usage('[{"value": 100000000000000.000001}]')))
    assert told["totals"]["amount"] == "12345678901000.00000012346"


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', '{"a": 1e99999999999999999999}', "[" * 100_000])
def test_what_is_no_json_is_a_fault_and_no_crash(text):
    assert "is no JSON" in faults(parse_json, text, "/plan")["/plan"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1\n "b": 2}', "a comma, or the end of the list or object, was expected after “1” in line 1, column 7"),
        ('{"a": 1\n "b": 2}', 'but line 2, column 2 has “"'),
        ('{"a": 1,\n\n}', "a name in double quotes was expected after “,” in line 1, column 8, but line 3"),
        ('{"a"\n1}', 'a colon was expected after “"” in line 1, column 4'),
        ("[1,\n2,\n]", "a value was expected after “,” in line 2, column 2, but line 3, column 1 has “]”"),
        ("[1,\n[2]", "was expected after “]” in line 2, column 3, but the text ends there"),
        ("\nx", "line 2, column 1: a value was expected"),
        ("[1]\n]", "nothing more was expected after “]” in line 1, column 3"),
        ('{"a": "x,\n"b": 1}', "line 1, column 10: the line ends within a text"),
        ('["a\tb"]', "line 1, column 4: a text holds a control character"),
        ('["a', "line 1, column 2: a text begins that never ends"),
        ('["\\x"]', "line 1, column 3: Invalid"),
        ("[NaN]", "NaN is no number"),
    ],
)
def test_a_mistake_in_json_is_told_where_it_is_to_be_mended(text, words):
    assert words in faults(parse_json, text, "/plan")["/plan"]


# Reading usage


@pytest.mark.parametrize(
    ("text", "pointer", "word"),
    [
        ("", "/usage", "names each column"),
        ("value,value\n1,2\n", "/usage", "no name twice"),
        ("value\n1,2\n", "/usage/0", "line 2 has 2 cells"),
        ('value\n"1\n', "/usage", "is no CSV"),
        ("value\n1\nx\n", "/usage/1/value", "must be a number"),
        ("value\n-1\n", "/usage/0/value", "negative"),
        ("value\n1.1234567\n", "/usage/0/value", "more than 6 decimals"),
        ("value\n1000000000000000\n", "/usage/0/value", "more than 15 digits"),
        ("value\n1e3\n", "/usage/0/value", "must be a number"),
        ("value\n１\n", "/usage/0/value", "must be a number"),
        ("date\n2026-13-01\n", "/usage/0/date", "must be a moment"),
        ("date\n0001-01-01\n", "/usage/0/date", "1900 to 2999"),
        ("inbound\nperhaps\n", "/usage/0/inbound", "true or false"),
        ("[1]", "/usage/0", "must be an object"),
        ("[[]]", "/usage/0", "must be an object"),
        ('{"usage": 1}', "/usage", "list of objects"),
        ('[{"value": true}]', "/usage/0/value", "must be a number"),
        ('[{"note": ["a"]}]', "/usage/0/note", "must be a text"),
        ('[{"value": 1e-400000}]', "/usage/0/value", "decimals"),
    ],
)
def test_a_fault_of_usage_is_told_at_its_place(text, pointer, word):
    assert word in faults(read_usage, text)[pointer]


def test_all_bad_lines_of_usage_are_told_at_once():
    as_csv = 'value,date\nx,2026-01-01\n1,2,3\n\n1,never\n2,"'
    assert list(faults(read_usage, as_csv)) == ["/usage/0/value", "/usage/1", "/usage/2/date", "/usage"]
    assert list(faults(read_usage, '[{"value": "x"}, 7, {"date": 1}]')) == [
        "/usage/0/value",
        "/usage/1",
        "/usage/2/date",
    ]


def test_a_file_with_a_wrong_column_tells_its_first_faults_and_their_number():
    found = faults(read_usage, "value\n" + "x\n" * 1000)
    assert len(found) == 101
    assert found["/usage"] == "has 900 more faults"


def test_usage_is_read_alike_from_csv_and_json_under_either_name_of_a_field():
    as_csv = "\ufeffDate;Value;Extensions.region;note;inbound\r\n2026-01-05;1.50;eu;;yes\r\n"
    as_json = """{"usage": [
        {"date": "2026-01-05T01:00:00+01:00", "value": 1.50, "extensions": {"region": "eu"}, "inbound": true}]}"""
    assert read_usage(as_csv) == read_usage(as_json)
    assert read_usage(as_csv)[0].extensions == {"region": "eu"}


def test_usage_that_names_what_is_not_there_is_a_fault():
    document = {"plan": CALLS, "accounts": [{"number": "A"}, {"number": "B"}]}
    rows = [{"account": "C"}, {"account": "A", "service": "x"}, {"service": "B"}]
    assert set(faults(quoted, document, rows)) == {"/usage/0/account", "/usage/1/service"}
    two = CALLS | {
        "groups": [
            {
                "name": "All",
                "rates": [*CALLS["groups"][0]["rates"], {**CALLS["groups"][0]["rates"][0], "usage_class": "sms"}],
            }
        ]
    }
    assert set(faults(quoted, two, [{}, {"usage_class": "sms"}])) == {"/usage/0/usage_class"}


# Who pays, and when


def test_identifiers_find_who_pays_at_the_moment_of_use():
    document = {
        "plan": CALLS,
        "classes": [{"name": "call", "paid_by": "direction"}],
        "accounts": [
            {
                "number": "A",
                "services": [{"name": "a", "identifiers": [{"identifier": "1", "ends_at": "2026-01-10T00:00:00Z"}]}],
            },
            {
                "number": "B",
                "services": [
                    {"name": "b", "identifiers": [{"identifier": "1", "starts_at": "2026-01-10T00:00:00Z"}, "2"]}
                ],
            },
        ],
    }
    rows = [
        {"date": "2026-01-09", "originating_identifier": "1"},
        {"date": "2026-01-11", "originating_identifier": "1"},
        {"date": "2026-01-09", "originating_identifier": "1", "terminating_identifier": "2", "inbound": True},
        {"date": "2026-01-09", "identifier": "2"},
        {"date": "2026-01-09", "originating_identifier": "3"},
        {"date": "2026-01-09"},
    ]
    told = quoted(document, rows)
    assert [charge["account"] for charge in told["charges"]] == ["A", "B", "B", "B"]
    assert [(each["id"], each["cause"]) for each in told["exceptions"]] == [
        ("5", "no_identifier_match"),
        ("6", "no_identifier_match"),
    ]


def test_an_amount_without_a_currency_is_in_the_one_there_is():
    rates = [{"usage_class": "call", "model": "pass_through"}]
    plan = {"name": "Passed", "currency": "EUR", "groups": [{"name": "All", "rates": rates}]}
    services = [{"name": "a", "identifiers": ["1"]}, {"name": "b", "identifiers": ["2"]}]
    document = {"plan": plan, "accounts": [{"number": "A", "services": services}]}
    told = quoted(document, [{"identifier": "1", "amount": "5"}, {"identifier": "2", "amount": "5", "currency": "USD"}])
    assert [charge["amount"] for charge in told["charges"]] == ["5"]
    assert [each["cause"] for each in told["exceptions"]] == ["no_rate_group"]


def test_an_account_in_another_currency_than_its_plan_is_an_exception_that_names_both():
    document = {"plan": CALLS, "accounts": [{"number": "A", "currency": "USD"}, {"number": "B"}]}
    told = quoted(document, [{"account": "A"}, {"account": "B"}])
    assert [each["cause"] for each in told["exceptions"]] == ["no_rate_group"]
    assert "USD" in told["exceptions"][0]["message"]
    assert "EUR" in told["exceptions"][0]["message"]
    assert told["totals"]["amount"] == "0.1"


def test_totals_of_several_currencies_are_kept_apart():
    dollars = CALLS | {"name": "US", "currency": "USD"}
    accounts = [{"number": "A", "plan": "Calls"}, {"number": "B", "plan": "US"}]
    told = quoted({"plans": [CALLS, dollars], "accounts": accounts}, [{"account": "A"}, {"account": "B", "value": "2"}])
    assert told["totals"] is None
    assert [(each["currency"], each["amount"]) for each in told["totals_by_currency"]] == [
        ("EUR", "0.1"),
        ("USD", "0.2"),
    ]


def test_a_period_without_usage_still_owes_its_minimum():
    plan = CALLS | {"commitments": [{"name": "Least", "kind": "minimum", "amount": "10"}]}
    periods = [{"starts_at": f"2026-0{month}-01", "ends_at": f"2026-0{month + 1}-01"} for month in (1, 2)]
    told = quoted({"plan": plan, "periods": periods}, [])
    assert [statement["total"] for statement in told["statements"]] == ["10.00", "10.00"]


def split_at_the_end_of_saturday():
    rate = {"usage_class": "call", "model": "per_unit", "price": "0.01"}
    saturday = {"name": "Saturday", "bands": [{"days": ["sat"]}]}
    groups = [
        {"name": "Saturday", "time_period": "Saturday", "at_boundary": "split", "rates": [rate]},
        {"name": "Else", "rates": [{**rate, "price": "0.02"}]},
    ]
    return {"name": "Split", "currency": "EUR", "time_periods": [saturday], "groups": groups}


def test_a_call_that_is_split_at_the_end_of_a_month_is_billed_by_the_month_in_which_it_starts():
    told = quoted(split_at_the_end_of_saturday(), [{"date": "2026-01-31T23:59:00Z", "value": "90"}])
    assert [(charge["part"], charge["value"]) for charge in told["charges"]] == [(0, "60"), (1, "30")]
    assert [charge["date"] for charge in told["charges"]] == ["2026-01-31T23:59:00Z", "2026-02-01T00:00:00Z"]
    assert [statement["amount"] for statement in told["statements"]] == ["1.2"]


def test_a_call_that_outlasts_the_periods_of_the_document_is_billed_by_the_one_in_which_it_starts():
    months = [("2026-01-15", "2026-02-01"), ("2026-02-01", "2026-02-15")]
    periods = [{"starts_at": starts_at, "ends_at": ends_at} for starts_at, ends_at in months]
    rows = [{"date": "2026-01-31T23:59:00Z", "value": "90"}, {"date": "2026-02-14T23:59:00Z", "value": "90"}]
    told = quoted({"plan": split_at_the_end_of_saturday(), "periods": periods}, rows)
    assert told["exceptions"] == []
    assert [statement["amount"] for statement in told["statements"]] == ["1.2", "1.2"]


def test_usage_outside_the_periods_of_the_document_is_an_exception():
    periods = [{"starts_at": "2026-02-01", "ends_at": "2026-03-01"}]
    rows = [{"date": "2026-01-31"}, {"date": "2026-02-01"}, {"date": "2026-03-01"}]
    told = quoted({"plan": CALLS, "periods": periods}, rows)
    assert [(each["id"], each["cause"]) for each in told["exceptions"]] == [("1", "no_period"), ("3", "no_period")]
    assert [charge["id"] for charge in told["charges"]] == ["2"]


# The command


def test_the_command_prints_one_json_object_and_nothing_else_there(tmp_path):
    code, printed, told = run(tmp_path, CALLS, "value\n3\n", "--json")
    assert (code, json.loads(printed)["totals"]["amount"]) == (0, "0.3")
    assert "1 records read" in told


def test_the_command_prints_tables_for_a_person(tmp_path):
    plan = CALLS | {"buckets": [{"name": "Free", "size": "1", "usage_classes": ["call"]}]}
    code, printed, _ = run(tmp_path, plan, "id,value\nmine,3\n")
    assert code == 0
    assert re.search(r"mine +2026-01-01T00:00:00Z +1 +1 +All / call +3 +3 +1 Free +0 +0\.2\n", printed)
    assert "Total 0.20 EUR" in printed


def test_faults_end_the_command_with_one(tmp_path):
    code, printed, told = run(tmp_path, "{", "value\n1\n", "--json")
    assert code == 1
    assert json.loads(printed)["faults"][0]["pointer"] == "/plan"
    assert "/plan: is no JSON" in told
    code, printed, told = run(tmp_path, CALLS, "value\nx\n")
    assert (code, printed) == (1, "")
    assert "/usage/0/value" in told


def test_the_faults_of_plan_and_usage_are_told_in_one_run(tmp_path):
    code, _, told = run(tmp_path, CALLS | {"groups": []}, "value\nx\n")
    assert code == 1
    assert "/plan/groups: must not be empty" in told
    assert "/usage/0/value: must be a number" in told
    _, _, told = run(tmp_path, "{", "[")
    assert "/plan: is no JSON" in told
    assert "/usage: is no JSON" in told


def test_usage_that_names_what_is_not_there_is_told_beside_usage_that_cannot_be_read(tmp_path):
    document = {"plan": CALLS, "accounts": [{"number": "A"}]}
    _, _, told = run(tmp_path, document, "account,value\nA,x\nB,1\n")
    assert told.splitlines() == [
        "/usage/0/value: must be a number like 12 or 0.05",
        "/usage/1/account: there is no account “B” in the document",
    ]


def test_what_cannot_be_read_is_not_told_as_missing_too(tmp_path):
    other = {"name": "Other", "rates": [{"usage_class": "sms", "model": "fixed", "price": "1"}]}
    plan = CALLS | {"groups": [*CALLS["groups"], other]}
    _, _, told = run(tmp_path, plan, '[{"usage_class": []}, 7, {}]')
    assert [line.partition(":")[0] for line in told.splitlines()] == [
        "/usage/0/usage_class",
        "/usage/1",
        "/usage/2/usage_class",
    ]


def test_the_command_needs_no_database(tmp_path):
    plan, usage = tmp_path / "plan.json", tmp_path / "usage.csv"
    plan.write_text(json.dumps(CALLS))
    usage.write_text("value\n3\n")
    nowhere = {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}
    command = [sys.executable, str(ROOT / "manage.py"), "quote", str(plan), str(usage), "--json"]
    ended = subprocess.run(command, env=nowhere, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert Decimal(json.loads(ended.stdout)["totals"]["amount"]) == Decimal("0.3")
