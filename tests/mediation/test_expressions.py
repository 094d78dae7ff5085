"""What expressions mean, what they refuse and where they point, and that hostile text is refused quickly."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.expressions import (
    BOOLEAN,
    INTEGER,
    MOMENT,
    TEXT,
    ExpressionErrors,
    decimal_kind,
    describe,
    evaluate,
    fields_of,
    parse,
    to_polars,
    unparse,
)
from mediation.core.expressions.columns import ON_COLUMNS, WITH_OPERANDS
from mediation.core.expressions.interpreting import LAZY, STRICT
from mediation.core.expressions.language import FUNCTION_NAMES
from mediation.core.expressions.rules import RULES

FIELDS = {
    "Value": decimal_kind(21, 6),
    "Price": decimal_kind(17, 11),
    "Count": INTEGER,
    "UsageClassName": TEXT,
    "Extensions.region": TEXT,
    "a.b.c.d.e": TEXT,
    "Date": MOMENT,
    "EndDate": MOMENT,
    "IsTest": BOOLEAN,
}
DTYPES = {"text": pl.String, "moment": pl.Datetime("us", "UTC"), "boolean": pl.Boolean}


def answer(text, **record):
    """What both engines say, in full digits; they must say the same."""
    expression = parse(text, FIELDS)
    schema = {
        name: pl.Decimal(kind.digits, kind.scale) if kind.is_number else DTYPES[kind.name]
        for name, kind in FIELDS.items()
    }
    frame = pl.DataFrame([{name: record.get(name) for name in FIELDS}], schema=schema)
    columnar = frame.with_columns(came=to_polars(expression, pl.col))["came"][0]
    plain = evaluate(expression, record)
    assert (columnar, str(columnar)) == (plain, str(plain))
    assert parse(unparse(expression), FIELDS) == expression
    return plain


def faults_of(text):
    with pytest.raises(ExpressionErrors) as refusal:
        parse(text, FIELDS)
    return [(fault.message, text[fault.start : fault.end]) for fault in refusal.value.faults]


@pytest.mark.parametrize("entry", describe(), ids=lambda entry: entry.name)
def test_every_example_of_the_help_page_yields_what_it_says(entry):
    yields = evaluate(parse(entry.yields, {}), {})
    assert str(answer(entry.example)) == str(yields)


def test_every_function_that_may_be_called_is_on_the_help_page():
    written = " ".join(entry.form for entry in describe())
    assert [name for name in FUNCTION_NAMES if f"{name}(" not in written] == ["CEILING"]


def test_both_engines_know_every_operation():
    assert set(RULES) | {"cast"} == set(ON_COLUMNS) | set(WITH_OPERANDS) == set(LAZY) | set(STRICT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ROUND(0.5)", "1"), ("ROUND(-0.5)", "-1"), ("ROUND(2.5)", "3"), ("ROUND(1 / 8, 2)", "0.13"),
        ("ROUND(-1 / 8, 2)", "-0.13"), ("ROUND(1 / -8, 2)", "-0.13"), ("ROUND(1 / 3, 17)", "0.33333333333333333"),
        ("ROUND(0.00001 / 0.00003, 3)", "0.333"), ("ROUND(1 / 0, 2)", "None"), ("5 % 0", "None"),
        ("-7.5 % 2", "-1.5"), ("7 % -2", "1"), ("0.1 + 0.2", "0.3"), ("1.10 * 1.10", "1.2100"),
        ("CAST('2.675' AS DECIMAL(9, 2))", "2.68"), ("CAST('-2.675' AS DECIMAL(9, 2))", "-2.68"),
        ("CAST('2.67499999999999999999999999' AS DECIMAL(9, 2))", "2.67"), ("CAST('999.995' AS DECIMAL(5, 2))", "None"),
        ("CAST('1e5' AS INTEGER)", "None"), ("CAST(' 1' AS INTEGER)", "None"), ("CAST('.5' AS INTEGER)", "None"),
        ("CAST('+007' AS INTEGER)", "7"), ("CAST(2.5 AS INTEGER)", "3"), ("CAST(1000 AS DECIMAL(3, 0))", "None"),
        ("CAST('Yes' AS BOOLEAN)", "True"), ("CAST('maybe' AS BOOLEAN)", "None"), ("CAST(1.50 AS TEXT)", "1.50"),
        ("CAST(-0.05 AS TEXT)", "-0.05"), ("CAST(TRUE AS TEXT)", "true"),
        ("CAST(TIMESTAMP '2026-05-01 02:00:00.5+02:00' AS TEXT)", "2026-05-01T00:00:00.500000Z"),
        ("CAST(TIMESTAMP '9999-12-31' + INTERVAL '1' DAY AS TEXT)", "None"),
        ("CAST(TIMESTAMP '2026-05-01' - 1.5 * INTERVAL '1' HOUR AS TEXT)", "2026-04-30T22:30:00Z"),
        ("SUBSTR('abc', 0, 2)", "a"), ("SUBSTR('abc', -5, 3)", ""), ("SUBSTR('abc', 2, -1)", "None"),
        ("SUBSTR('žluťoučký', 4, 2)", "ťo"), ("STRPOS('žluť', 'ť')", "4"), ("STRPOS('abc', '')", "1"),
        ("LEFT('abc', -1)", "ab"), ("RIGHT('abc', -1)", "bc"), ("LPAD('abcd', 2)", "ab"),
        ("SPLIT_PART('a,b', ',', 3)", ""), ("'a.c' LIKE 'a.c'", "True"), ("'abc' LIKE 'a.c'", "False"),
        ("'100%' LIKE '%!%' ESCAPE '!'", "True"), ("'a\nb' LIKE 'a_b'", "True"), ("'ab' LIKE 'a'", "False"),
        ("REGEXP_REPLACE('a1b2', '([a-z])([0-9])', '\\2\\1', 'g')", "1a2b"),
        ("REGEXP_REPLACE('cost', 'o', '$1')", "c$1st"), ("REGEXP_EXTRACT('ab', '(x)?b', 1)", "None"),
        ("UPPER('straße')", "STRASSE"), ("LOWER('ΟΔΟΣ')", "οδος"), ("TRIM('\u00a0a\t')", "a"),
        ("CAST(NULL AS INTEGER) = 1 OR TRUE", "True"), ("CAST(NULL AS INTEGER) = 1 AND TRUE", "None"),
        ("NOT (CAST(NULL AS BOOLEAN))", "None"), ("1 IN (2, CAST(NULL AS INTEGER))", "None"),
        ("1 NOT IN (1, CAST(NULL AS INTEGER))", "False"), ("5 BETWEEN 6 AND CAST(NULL AS INTEGER)", "False"),
        ("CONCAT('a', CAST(NULL AS TEXT))", "a"), ("'a' || CAST(NULL AS TEXT)", "None"),
        ("CASE WHEN CAST(NULL AS BOOLEAN) THEN 1 ELSE 2.5 END", "2.5"),
        ("CASE 1 WHEN 1.0 THEN 1 ELSE 2.50 END", "1.00"),
        ("2 + 3 * 4 - 1", "13"), ("2 - 3 - 4", "-5"), ("NOT 1 = 2 AND 1 = 1", "True"), ("- - 5", "5"),
        ("'a' || 'b' = 'ab'", "True"), ("1 = 1 OR 1 = 1 AND 1 = 2", "True"), ("7 % 4 * 2", "6"),
        ("TRUE OR FALSE AND FALSE", "True"), ("-2 + 5 BETWEEN 1 + 1 AND 2 * 2", "True"),
    ],
)  # fmt: skip
def test_an_operation_means_what_the_rules_say(text, expected):
    assert str(answer(text)) == expected


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-05-01T23:59:60Z", "2026-05-01T24:00Z", "01.05.2026", "0000-01-01"]
)
def test_text_that_is_no_moment_is_null(text):
    assert answer("CAST(UsageClassName AS TIMESTAMP)", UsageClassName=text) is None


def test_a_number_of_the_field_beyond_its_kind_is_null():
    expression = parse("Small + 1", {"Small": decimal_kind(3)})
    frame = pl.DataFrame({"Small": [999, 1000, -1000, None]})
    assert frame.select(to_polars(expression, pl.col)).to_series().to_list() == [Decimal(1000), None, None, None]
    assert [evaluate(expression, {"Small": Decimal(small)}) for small in (999, 1000)] == [Decimal(1000), None]


def test_the_largest_quantity_times_the_largest_price_is_exact():
    largest = {"Value": Decimal("999999999999999.999999"), "Price": Decimal("999999.99999999999")}
    assert answer("Value * Price", **largest) == Decimal("999999999999999989999.00000000000000001")
    assert answer("ROUND(Value * Price, 11)", **largest) == Decimal("999999999999999989999.00000000000")


def test_fields_are_bare_quoted_or_dotted_and_case_is_forgiven_where_one_fits():
    text = """Extensions.region = 'x' AND "Extensions.region" = 'x' AND Extensions."region" = 'x'"""
    expression = parse(text + " AND a.b.c.d.e = 'z' AND usageclassname = 'v'", FIELDS)
    assert fields_of(expression) == {"Extensions.region", "UsageClassName", "a.b.c.d.e"}
    assert faults_of('"usageclassname" = 1') == [
        ("there is no field usageclassname; similar: UsageClassName", '"usageclassname"')
    ]


def test_columns_may_be_a_mapping_or_a_function():
    expression = parse("Count + 1", FIELDS)
    frame = pl.DataFrame({"n": [1, None]})
    for columns in ({"Count": pl.col("n")}, lambda name: pl.col("n")):
        assert frame.select(to_polars(expression, columns)).to_series().to_list() == [Decimal(2), None]


def test_a_mix_of_kinds_is_refused_at_its_characters():
    assert faults_of("Count = 1 AND Value > UsageClassName") == [
        ("Value is a number, UsageClassName is text: they cannot be compared", "Value > UsageClassName")
    ]


def test_every_fault_is_told_at_once():
    assert faults_of("Valeu > 1 AND LENGTH(Count) = 1 AND Date > '2026-01-01'") == [
        ("there is no field Valeu; similar: Value", "Valeu"),
        ("Count is a number, where text is needed", "Count"),
        (
            "Date is a moment, '2026-01-01' is text: they cannot be compared; a moment is written TIMESTAMP '…'",
            "Date > '2026-01-01'",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("Value / 2", "ROUND(a / b, decimals)", "Value / 2"),
        ("Value * Price * 1.5", "17: ROUND", "Value * Price * 1.5"),
        ("Value * Price + Value", "more than 38 digits", "Value * Price + Value"),
        ("SUMM(Value)", "no function", "SUMM"),
        ("UPER(UsageClassName)", "did you mean UPPER", "UPER"),
        ("1e5 > Value", "digits, a point and digits", "1e5"),
        ("UsageClassName ~ '(a'", "unclosed group", "'(a'"),
        ("UsageClassName ~ '(?=a)'", "look-around", "'(?=a)'"),
        ("Value = NULL", "IS NULL", "Value"),
        ("Value AND IsTest", "where true or false is needed", "Value"),
        ("TIMESTAMP '2026-02-30' < Date", "no moment", "'2026-02-30'"),
        ("CAST(Value AS JSON)", "a value is cast to", "Value"),
        ("LPAD(UsageClassName, Count)", "written out", "Count"),
        ("REGEXP_REPLACE(UsageClassName, 'a', '\\1')", "no group 1", "'\\1'"),
        ("IsTest < TRUE", "no order", "IsTest"),
        ("Date - EndDate", "SECONDS_BETWEEN", "Date - EndDate"),
        ("Value +", "syntax", "+"),
        ("UsageClassName = 'voice", "not closed", "'voice"),
        ("Value = 1\n  AND Cuont = 2", "similar: Count", "Cuont"),
    ],
)
def test_a_refusal_says_what_to_do_and_where(text, message, place):
    ((told, came),) = faults_of(text)
    assert message in told
    assert came == place


HOSTILE = {
    "parentheses": "(" * 100_000 + "1" + ")" * 100_000,
    "few parentheses": "(" * 900 + "1" + ")" * 900,
    "functions": "ABS(" * 300 + "1" + ")" * 300,
    "cases": "CASE WHEN TRUE THEN " * 70 + "1" + " END" * 70,
    "nots": "NOT " * 400 + "TRUE",
    "minuses": "- " * 900 + "1",
    "long sum": "+".join(["Value"] * 300),
    "intervals": "INTERVAL " * 200,
    "betweens": "1 BETWEEN " * 150 + "1",
    "dots": "a." * 900 + "a",
    "brackets": "[" * 900,
    "braces": "{" * 900,
    "casts": "CAST(" * 190 + "1",
    "colons": "1" + "::INTEGER" * 200,
    "number": "9" * 1_990,
    "number in range": "1" * 39,
    "comment": "Value /* x */ = 1",
    "line comment": "Value = 1 -- x",
    "hint": "/*+ x */ Value",
    "statements": "1; DROP TABLE udr",
    "subquery": "(SELECT 1)",
    "in subquery": "Value IN (SELECT 1 FROM pg_user)",
    "exists": "EXISTS(SELECT 1)",
    "file": "read_csv('/etc/hostname')",
    "quoted file": "\"read_csv\"('/etc/hostname')",
    "method": "Value.read_csv('x')",
    "sleep": "pg_sleep(10)",
    "window": "SUM(Value) OVER ()",
    "aggregate": "COUNT(*)",
    "star": "*",
    "table star": "Value.*",
    "parameter": "Value = $1",
    "named parameter": "Value = :x",
    "question": "Value = ?",
    "template": "{{ Value }}",
    "variable": "@x",
    "dollar text": "$$x$$",
    "escaped text": "E'\\x41'",
    "bytes": "x'41'",
    "unicode text": "U&'a'",
    "strange cast": "CAST(UsageClassName AS regclass)",
    "array cast": "CAST(UsageClassName AS INTEGER[])",
    "struct cast": "CAST(UsageClassName AS STRUCT<a INT>)",
    "array": "ARRAY[1]",
    "index": "UsageClassName[1]",
    "json": "UsageClassName -> 'a'",
    "lambda": "x -> x",
    "collation": "UsageClassName COLLATE \"C\" = 'a'",
    "zone": "Date AT TIME ZONE 'UTC' = Date",
    "now": "CURRENT_TIMESTAMP > Date",
    "user": "CURRENT_USER = 'a'",
    "alias": "Value AS x",
    "tuple": "(Value, Count)",
    "any": "Value = ANY(ARRAY[1])",
    "similar": "UsageClassName SIMILAR TO 'a'",
    "bits": "Count << 2",
    "power": "Count ^ 2",
    "nul": "UsageClassName = \x00",
    "pattern bomb": "UsageClassName ~ '((((a{100}){100}){100}){100})'",
    "class bomb": "UsageClassName ~ '\\w{1000}'",
    "alternatives": "UsageClassName ~ '" + "|".join([r"\w{9}"] * 30) + "'",
    "many patterns": " OR ".join([r"UsageClassName ~ '\w{40}'"] * 60),
    "long pattern": "UsageClassName ~ '" + "a" * 1_900 + "'",
    "replace bomb": "REPLACE(" * 10 + "UsageClassName" + ", 'a', 'aaaaaaaaaa')" * 10,
    "regex replace bomb": "REGEXP_REPLACE(" * 6 + "UsageClassName" + ", '', 'aaaaaaaaaa', 'g')" * 6,
    "pad bomb": "LPAD(UsageClassName, 1000000000)",
    "join bomb": "||".join(["UsageClassName"] * 100),
    "nullif bomb": "NULLIF(" * 29 + "Value" + ", 1)" * 29,
    "simple case bomb": "CASE " * 29 + "Count" + " WHEN 1 THEN 1 WHEN 2 THEN 2 ELSE 3 END" * 29,
    "product": "*".join(["Count"] * 20),
    "blank": " \n\t",
    "empty": "",
    "wide digits": "１ + 1",
    "zero width": "Value\u200b = 1",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_and_quickly(text):
    started = time.thread_time()
    with pytest.raises(ExpressionErrors) as refusal:
        parse(text, FIELDS)
    assert time.thread_time() - started < 0.1
    for fault in refusal.value.faults:
        assert 0 <= fault.start <= fault.end <= len(text)


WORDS = """
    Value Count UsageClassName Date IsTest Extensions . , ( ) + - * / % || = <> < >= ~ ! AND OR NOT IN IS NULL TRUE
    BETWEEN LIKE CASE WHEN THEN ELSE END CAST( AS INTEGER DECIMAL(9,2) TEXT ROUND( SUBSTR( EXTRACT( EPOCH FROM FOR
    INTERVAL DAY TIMESTAMP 'a' '1' '2026-05-01' 1 2.5 "Value" :: ESCAPE TRIM( BOTH POSITION( CONCAT( DATE_TRUNC(
    SELECT ; -- /* */ [ ] { } @ : ? $1 E'x' ' " REGEXP_LIKE( '(' COALESCE( NULLIF( GREATEST( IF( X( DISTINCT OVER
"""


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join), st.text(max_size=40)))
def test_any_text_is_an_expression_or_a_refusal(text):
    try:
        expression = parse(text, FIELDS)
    except ExpressionErrors as refusal:
        assert all(0 <= fault.start <= fault.end <= len(text) and fault.message for fault in refusal.faults)  # noqa: PT017
    else:
        assert parse(unparse(expression), FIELDS) == expression


def test_thirty_levels_are_read_however_deep_the_caller_stands():
    text = "ABS(" * 28 + "Value" + ")" * 28

    def deeper(levels):
        return parse(text, FIELDS) if levels == 0 else deeper(levels - 1)

    assert deeper(700).kind == decimal_kind(21, 6)


def test_a_long_chain_of_conditions_is_not_deep():
    text = " OR ".join(f"Count = {number}" for number in range(100))
    assert answer(text, Count=Decimal(99)) is True


def test_fields_named_like_keywords_can_be_used():
    fields = {"Date": MOMENT, "End": TEXT, "Order": TEXT, "User": TEXT, "Value": INTEGER, "Limit": INTEGER}
    expression = parse("""Date = Date AND "End" = '' AND "Order" = '' AND User = '' AND Value = "Limit" """, fields)
    assert fields_of(expression) == set(fields)


def test_a_moment_of_another_zone_is_the_same_moment():
    from zoneinfo import ZoneInfo

    local = datetime(2026, 5, 1, 2, tzinfo=ZoneInfo("Europe/Prague"))
    assert evaluate(parse("DATE_TRUNC('day', Date)", FIELDS), {"Date": local}) == datetime(2026, 5, 1, tzinfo=UTC)


def test_an_ordinary_expression_is_parsed_within_five_milliseconds():
    text = "CASE WHEN UsageClassName LIKE 'data.%' AND Value > 0 THEN ROUND(Value / 1024, 6) ELSE Value END"
    parse(text, FIELDS)
    started = time.thread_time()
    for _ in range(20):
        parse(text, FIELDS)
    assert (time.thread_time() - started) / 20 < 0.005
