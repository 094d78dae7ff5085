"""Validation rules and repairs of a profile: what breaks a record, what is mended, and what a profile may not say."""

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from mediation.core.codes import Code
from mediation.core.mapping import map_texts, type_fields
from mediation.core.spec import parse_spec
from mediation.core.validations import parse_validations, validate

FIELDS = ("Date", "Value", "UsageClassName", "OriginatingIdentifier", "Inbound", "Extensions.note")


def parsed(*rules):
    faults = []
    validations = parse_validations(
        list(rules), "/v", lambda at, what: faults.append((at, what)), fields=FIELDS, taken_codes=set(Code)
    )
    return validations, faults


def judged(records, *rules):
    """What became of records: (values of the field that the last rule names, codes broken, repairs) a record."""
    validations, faults = parsed(*rules)
    assert not faults, faults
    spec = parse_spec(
        {
            "format": {"kind": "delimited", "columns": list(FIELDS)},
            "fields": {name: {"source": name} for name in FIELDS},
        }
    )
    blank = {"Date": "2026-05-01T00:00:00Z", "Value": "1", "UsageClassName": "voice", "OriginatingIdentifier": "1"}
    full = [{**blank, **record} for record in records]
    frame = pl.DataFrame({f"source:{name}": [row.get(name, "") for row in full] for name in FIELDS})
    frame, found = validate(type_fields(map_texts(frame, spec), spec), validations)
    broken = frame.select(pl.any_horizontal(rule.broken.fill_null(False)).alias(rule.code) for rule in found)
    codes = [[code for code, is_broken in row.items() if is_broken] for row in broken.iter_rows(named=True)]
    messages = frame.select(rule.message.alias(rule.code) for rule in found)
    return frame, codes, messages


def rule(check, field="Value", code="own_code", **others):
    return {"name": "mine", "code": code, "field": field, "rule": check, **others}


def test_a_required_field_must_have_a_value():
    _, codes, _ = judged([{"Extensions.note": "x"}, {"Extensions.note": " "}], rule("required", "Extensions.note"))
    assert codes == [[], ["own_code"]]


def test_allowed_values_are_compared_as_what_the_field_is():
    _, codes, _ = judged(
        [{"Value": "1.50"}, {"Value": "2"}, {"Value": ""}, {"Value": "x"}], rule({"allowed": ["1.5", 3]})
    )
    assert codes == [[], ["own_code"], [], []]
    _, codes, _ = judged([{}, {"UsageClassName": "Voice"}], rule({"allowed": ["voice"]}, "UsageClassName"))
    assert codes == [[], ["own_code"]]
    _, codes, _ = judged([{"Inbound": "yes"}, {"Inbound": "0"}], rule({"allowed": [True]}, "Inbound"))
    assert codes == [[], ["own_code"]]


def test_both_ends_belong_to_a_range():
    values = [{"Value": text} for text in ("0.999999", "1", "86400", "86400.000001")]
    _, codes, _ = judged(values, rule({"range": {"least": "1", "most": 86400}}))
    assert codes == [["own_code"], [], [], ["own_code"]]
    dates = [{"Date": text} for text in ("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z")]
    _, codes, _ = judged(dates, rule({"range": {"least": "2026-01-01"}}, "Date"))
    assert codes == [["own_code"], []]


def test_an_expression_breaks_what_is_definitely_wrong():
    check = {"expression": "Value < 10 OR UsageClassName = 'data' OR EXTRACT(YEAR FROM Date) < 2026"}
    records = [{"Value": "9"}, {"Value": "10"}, {"Value": "10", "UsageClassName": "data"}, {"Value": "x"}]
    _, codes, _ = judged([*records, {"Value": "10", "Date": "2025-05-01"}], rule(check))
    assert codes == [[], ["own_code"], [], [], []]


def test_a_message_shows_the_field_and_the_value():
    _, _, messages = judged([{"Value": "99"}], rule({"range": {"most": 5}}, message="{field}: {value} is too long"))
    assert messages["own_code"].to_list() == ["Value: “99” is too long"]
    _, _, messages = judged([{"Value": "99"}], rule({"range": {"least": 1, "most": 5}}))
    assert messages["own_code"].to_list() == ["Value “99” is less than 1 or more than 5"]


def test_a_repair_sets_the_field_instead_of_refusing_the_record():
    records = [{"Value": "90000"}, {"Value": "5"}, {"Value": ""}]
    frame, codes, _ = judged(records, rule({"range": {"most": 86400}}, repair={"set": "86400"}))
    assert frame["typed:Value"].to_list() == [Decimal(86400), Decimal(5), None]
    assert frame["text:Value"].to_list() == ["86400", "5", None]
    assert frame["repairs"].to_list() == ["own_code", None, None]
    assert codes == [[], [], []]


def test_a_repair_adds_what_is_missing():
    records = [{"Value": "", "Date": ""}, {"Inbound": ""}]
    frame, codes, _ = judged(
        records,
        rule("required", "Value", "no_value", repair={"set": 1}),
        rule("required", "Date", "no_date", repair={"set": "2026-05-01T12:00:00+02:00"}),
        rule("required", "Inbound", "no_direction", repair={"set": False}),
        rule("required", "Extensions.note", "no_note", repair={"formula": "UPPER(UsageClassName)"}),
    )
    assert frame["typed:Value"].to_list() == [Decimal(1), Decimal(1)]
    assert frame["typed:Date"][0] == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert frame["parsed:Date"].to_list() == [True, True]
    assert frame["zone:Date"].to_list() == ["UTC", "+00:00"]
    assert frame["typed:Inbound"].to_list() == [False, False]
    assert frame["text:Extensions.note"].to_list() == ["VOICE", "VOICE"]
    assert frame["repairs"].to_list() == ["no_value no_date no_direction no_note", "no_direction no_note"]
    assert codes == [[], []]


def test_repairs_see_those_before_and_every_rule_judges_what_is_there_in_the_end():
    frame, codes, _ = judged(
        [{"Value": "100"}],
        rule({"range": {"most": 50}}, code="halved", repair={"formula": "ROUND(Value / 2, 6)"}),
        rule({"range": {"most": 40}}, code="lowered", repair={"formula": "Value - 1"}),
    )
    assert frame["typed:Value"].to_list() == [Decimal(49)]
    assert frame["repairs"].to_list() == ["halved lowered"]
    assert codes == [["lowered"]]


def test_a_repair_without_a_result_repairs_nothing():
    frame, codes, _ = judged(
        [{"Value": "100"}],
        rule({"range": {"most": 50}}, repair={"formula": 'CAST("Extensions.note" AS DECIMAL(9, 2))'}),
    )
    assert frame["typed:Value"].to_list() == [Decimal(100)]
    assert frame["repairs"].to_list() == [None]
    assert codes == [["own_code"]]


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        (rule("required", code="Bad Code"), "/v/0/code", "small letters"),
        (rule("required", code="bad_date"), "/v", "belongs to a built-in rule"),
        (rule("required", "Amount"), "/v/0/field", "is not mapped"),
        (rule("unique"), "/v/0/rule", "must be one check"),
        (rule({"required": False}), "/v/0/rule/required", "must be true"),
        (rule({"range": {}}), "/v/0/rule/range", "needs least or most"),
        (rule({"range": {"least": "1,5"}}), "/v/0/rule/range/least", "number as text"),
        (rule({"range": {"least": 1.5}}), "/v/0/rule/range/least", "number as text"),
        (rule({"range": {"least": "0.0000001"}}), "/v/0/rule/range/least", "6 decimals"),
        (rule({"range": {"below": "1"}}), "/v/0/rule/range/below", "is not known"),
        (rule({"range": {"least": "soon"}}, "Date"), "/v/0/rule/range/least", "a date such as"),
        (rule({"range": {"least": "1"}}, "UsageClassName"), "/v/0/rule/range", "no number or date"),
        (rule({"allowed": []}), "/v/0/rule/allowed", "list of 1 to"),
        (rule({"allowed": ["yes"]}, "Inbound"), "/v/0/rule/allowed/0", "true or false"),
        (rule({"expression": "Value"}), "/v/0/rule/expression", "true or false is needed"),
        (rule({"expression": "Caller = 'a'"}), "/v/0/rule/expression", "no field Caller"),
        (rule("required", message="{amount} is missing"), "/v/0/message", "{amount} is not known"),
        (rule("required", repair={}), "/v/0/repair", "needs either set"),
        (rule("required", repair={"set": "x"}), "/v/0/repair/set", "number as text"),
        (rule("required", repair={"formula": "UsageClassName"}), "/v/0/repair/formula", "a number is needed"),
        (rule("required", repair={"formula": "Value * 0.5"}), "/v/0/repair/formula", "ROUND it"),
        (rule("required", surprise=1), "/v/0/surprise", "is not known"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_at_its_place(given, place, words):
    _, faults = parsed(given)
    assert any(at == place and words in what for at, what in faults), faults


def test_two_rules_do_not_share_a_code():
    _, faults = parsed(rule("required"), rule("required", "Inbound"))
    assert "used by two rules" in faults[0][1]
