"""Mapping, rules, filters and uniqueness: what becomes of each record, drawn in rows."""

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.frames import KEYS, UDRS
from mediation.core.numbers import assert_no_float
from mediation.core.spec import parse_spec

from .profiles import COLUMNS, JSON, NOW, ROWS, codes, document, judge_rows, kept, outcomes, row


def mapped(mapping, text, name="Value", column="value"):
    """What a mapping of a field makes of a text: its value, or the code of the exception."""
    cells = {"date": "2026-05-01T10:00:00Z", "who": "4361", "value": "10", "class": "calls", "text": f'"{text}"'}
    profile = document(
        format=ROWS["format"] | {"columns": [*COLUMNS, "text"]}, fields={name: {"source": "text", **mapping}}
    )
    verdict = judge_rows([",".join(cells.values())], profile)
    return kept(verdict, column)[0] if verdict.kept.height else codes(verdict)[0]


def value(text, **mapping):
    return mapped(mapping, text)


def date(text, **mapping):
    return mapped(mapping, text, "Date", "date")


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


# Texts


@pytest.mark.parametrize(
    ("mapping", "text", "result"),
    [
        ({}, " a ", "a"),
        ({"trim": False}, " a ", " a "),
        ({"case": "upper"}, "straße", "STRASSE"),
        ({"case": "lower"}, "ÄB", "äb"),
        ({"value_map": {"a": "b"}}, "a", "b"),
        ({"case": "upper", "value_map": {"A": "b"}}, "a", "b"),
        ({"value_map": {"a": "b"}}, "c", "unmapped_value"),
        ({"value_map": {"a": "b"}, "default": "z"}, "c", "z"),
        ({"value_map": {"a": ""}}, "a", None),
        ({"value_map": {}}, "a", "a"),
        ({"default": "z"}, "", "z"),
        ({"default": "z"}, "  ", "z"),
        ({"default": "z"}, "a", "a"),
        ({}, "", None),
        ({}, "x" * 1000, "x" * 1000),
        ({}, "x" * 1001, "too_long"),
    ],
)
def test_a_text_is_trimmed_cased_translated_and_defaulted_in_that_order(mapping, text, result):
    assert mapped(mapping, text, "OriginatingIdentifier", "originating_identifier") == result


def test_a_literal_stands_in_every_record():
    profile = document(fields={"UsageClassName": {"literal": "data"}, "Value": {"literal": "1.5"}})
    verdict = judge_rows([row("7"), row("8")], profile)
    assert kept(verdict, "value") == [Decimal("1.5")] * 2
    assert kept(verdict, "usage_class_id") == [2, 2]


def test_null_texts_are_nothing():
    profile = document(null_texts=["NULL", "-"], fields={"Value": {"source": "value", "default": "0"}})
    verdict = judge_rows([row("NULL"), row("-"), row("null")], profile)
    assert kept(verdict, "value") == [0, 0]
    assert codes(verdict) == ["bad_number"]


@pytest.mark.parametrize("column", COLUMNS)
def test_an_empty_required_field_is_named(column):
    place = COLUMNS.index(column)
    cells = row().split(",")
    cells[place] = " "
    verdict = judge_rows([",".join(cells)])
    expected = {"date": "Date", "who": "UdrUsageIdentifier", "value": "Value", "class": "UsageClassName"}[column]
    assert verdict.rejected["field"].to_list() == [expected]
    assert codes(verdict) == ["missing_identifier" if column == "who" else "missing_value"]


# Numbers


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("+1.50", "1.5"),
        ("007", "7"),
        ("999999999999999.999999", "999999999999999.999999"),
        ("000000000000000000000000999999999999999", "999999999999999"),
        ("1.1234560000000", "1.123456"),
        ("1000000000000000", "out_of_range"),
        ("1" * 40, "out_of_range"),
        ("1.1234567", "too_many_decimals"),
        ("1." + "0" * 38 + "1", "too_many_decimals"),
        ("-1", "negative_value"),
        ("-0.000001", "negative_value"),
        ("1e5", "bad_number"),
        ("1_000", "bad_number"),
        ("1,000", "bad_number"),
        ("٣", "bad_number"),
        ("３", "bad_number"),
        ("NaN", "bad_number"),
        ("Infinity", "bad_number"),
        ("0x10", "bad_number"),
        (".5", "bad_number"),
        ("5.", "bad_number"),
        ("--5", "bad_number"),
        ("1 000", "bad_number"),
        ("1\n", "1"),
        ("1\n2", "bad_number"),
    ],
)
def test_there_is_one_grammar_for_numbers(text, result):
    found = value(text)
    assert found == result if isinstance(found, str) else found == Decimal(result)


@pytest.mark.parametrize(
    ("text", "places", "result"),
    [
        ("2.000000000000000", 6, "2"),
        ("0.002007490000000", 6, "0.002007"),
        ("0.0000005", 6, "0.000001"),
        ("0.00000049999999999", 6, "0"),
        ("2.5", 0, "3"),
        ("2.4999999999999999999999999999999999999999999", 0, "2"),
        ("0.125", 2, "0.13"),
        ("999999999999999.9999994", 6, "999999999999999.999999"),
        ("999999999999999.9999995", 6, "out_of_range"),
    ],
)
def test_a_profile_may_round_half_away_from_zero(text, places, result):
    found = value(text, round_to=places)
    assert found == result if isinstance(found, str) else found == Decimal(result)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("-0.00000000001", "-0.00000000001"),
        ("999999999999999999999.99999999999", "999999999999999999999.99999999999"),
        ("1000000000000000000000", "out_of_range"),
        ("0.000000000001", "too_many_decimals"),
        ("", None),
    ],
)
def test_an_amount_has_eleven_decimals_and_may_be_negative(text, result):
    found = mapped({}, text, "Amount", "amount")
    assert found == (Decimal(result) if result and "_" not in result else result)


@pytest.mark.parametrize(
    ("signs", "text", "result"),
    [
        (",", "1,5", "1.5"),
        (",", "1.5", "bad_number"),
        (",", "1,5,5", "bad_number"),
        (",.", "1.234.567,89", "1234567.89"),
        (",.", "1234567,89", "1234567.89"),
        (",.", "1.5", "bad_number"),
        (",.", "12.34", "bad_number"),
        (".,", "1,234.5", "1234.5"),
        (".,", "1,5", "bad_number"),
        (".,", ",123", "bad_number"),
        (".,", "1234,567", "bad_number"),
        (".'", "1'234.5", "1234.5"),
        (", ", "1 234,5", "1234.5"),
        (",\u202f", "1\u202f234,5", "1234.5"),
    ],
)
def test_a_source_may_write_numbers_by_its_own_signs_and_no_others(signs, text, result):
    found = value(text, decimal_sign=signs[0], **({"group_sign": signs[1]} if signs[1:] else {}))
    assert found == result if isinstance(found, str) else found == Decimal(result)


# Booleans and whole numbers


@pytest.mark.parametrize(
    ("text", "result"),
    [("True", True), ("1", True), ("y", True), ("FALSE", False), ("0", False), ("", False), ("2", "bad_boolean")],
)
def test_booleans(text, result):
    assert mapped({}, text, "Inbound", "inbound") == result


@pytest.mark.parametrize(
    ("text", "result"),
    [("1", 1), ("+1", 1), ("-999999999", -999999999), ("", None), ("1.0", "bad_number"), ("1234567890", "bad_number")],
)
def test_whole_numbers(text, result):
    assert mapped({}, text, "PrimaryDataRow", "primary_data_row") == result


# Dates


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2022-05-01T01:01:00.01", at(2022, 5, 1, 1, 1, 0, 10_000)),
        ("2022-05-01 01:01:00", at(2022, 5, 1, 1, 1)),
        ("2022-05-01T01:01", at(2022, 5, 1, 1, 1)),
        ("2022-05-01T01:01Z", at(2022, 5, 1, 1, 1)),
        ("2022-05-01", at(2022, 5, 1)),
        ("2022-05-01T01:01:00+02:00", at(2022, 4, 30, 23, 1)),
        ("2022-05-01T01:01:00 -0530", at(2022, 5, 1, 6, 31)),
        ("2022-05-01T01:01:00.123456789+02", at(2022, 4, 30, 23, 1, 0, 123456)),
        ("2024-02-29", at(2024, 2, 29)),
        ("2023-02-29", "bad_date"),
        ("2026-02-30T00:00:00", "bad_date"),
        ("2026-13-01", "bad_date"),
        ("2026-05-01T24:00:00", "bad_date"),
        ("2026-05-01T10:60:00", "bad_date"),
        ("2026-05-01T10", "bad_date"),
        ("2026-05-01T10:00:00+24:00", "bad_date"),
        ("2026-05-01T10:00:00+02:75", "bad_date"),
        ("2026-05-01Z", "bad_date"),
        ("01.05.2026", "bad_date"),
        ("20260501", "bad_date"),
        ("1777626000", "bad_date"),
        ("٢٠٢٦-05-01", "bad_date"),
        ("0000-01-01", "out_of_range"),
        ("0001-01-01T00:00:00+14:00", "out_of_range"),
        ("1899-12-31T23:59:59", "out_of_range"),
        ("1900-01-01", at(1900, 1, 1)),
    ],
)
def test_iso_dates(text, result):
    assert date(text) == result


def test_a_date_far_ahead_cannot_break_the_table():
    assert mapped({}, "9999-12-31T23:59:59-14:00", "UsageBillDate", "usage_bill_date") == "out_of_range"
    assert mapped({}, "9998-12-31T23:59:59", "UsageBillDate", "usage_bill_date") == at(9998, 12, 31, 23, 59, 59)


@pytest.mark.parametrize(
    ("format_", "text", "result"),
    [
        ("%d.%m.%Y %H:%M", "01.05.2026 10:30", at(2026, 5, 1, 8, 30)),
        ("%d.%m.%Y", "31.12.2025", at(2025, 12, 30, 23)),
        ("%d.%m.%Y", "31.11.2025", "bad_date"),
        ("%d.%m.%Y", "2025-12-31", "bad_date"),
        ("%Y%m%d%H%M%S", "20260501103000", at(2026, 5, 1, 8, 30)),
        ("%d/%b/%Y:%H:%M:%S %z", "10/Oct/2000:13:55:36 -0700", at(2000, 10, 10, 20, 55, 36)),
        ("%Y-%m-%d %H:%M:%S%.f", "2026-05-01 10:30:00.25", at(2026, 5, 1, 8, 30, 0, 250_000)),
        ("epoch", "1777626000", at(2026, 5, 1, 9)),
        ("epoch", "1777626000.000001", at(2026, 5, 1, 9, 0, 0, 1)),
        ("epoch", "1777626000000", "bad_date"),
        ("epoch", "-1", "bad_date"),
        (["epoch", "iso"], "2026-05-01T10:30:00", at(2026, 5, 1, 8, 30)),
        (["iso", "epoch"], "1777626000", at(2026, 5, 1, 9)),
        (["iso", "%d.%m.%Y"], "01.05.2026", at(2026, 4, 30, 22)),
        (["%d.%m.%Y", "iso"], "2026-05-01T10:30:00Z", at(2026, 5, 1, 10, 30)),
    ],
)
def test_dates_in_the_formats_and_the_zone_of_the_source(format_, text, result):
    assert date(text, date_format=format_, time_zone="Europe/Vienna") == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2026-03-29T01:59:59", at(2026, 3, 29, 0, 59, 59)),
        ("2026-03-29T02:00:00", "date_in_dst_gap"),
        ("2026-03-29T02:59:59", "date_in_dst_gap"),
        ("2026-03-29T03:00:00", at(2026, 3, 29, 1)),
        ("2026-03-29T02:30:00+01:00", at(2026, 3, 29, 1, 30)),
        ("2025-10-26T01:59:59", at(2025, 10, 25, 23, 59, 59)),
        ("2025-10-26T02:00:00", "ambiguous_date"),
        ("2025-10-26T02:59:59.999999", "ambiguous_date"),
        ("2025-10-26T03:00:00", at(2025, 10, 26, 2)),
        ("2025-10-26T02:30:00+02:00", at(2025, 10, 26, 0, 30)),
        ("2025-10-26T02:30:00+01:00", at(2025, 10, 26, 1, 30)),
    ],
)
def test_when_the_clocks_change_in_vienna(text, result):
    assert date(text, time_zone="Europe/Vienna") == result


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2026-05-01T10:00:00", "Europe/Vienna"),
        ("2026-05-01T10:00:00+05:30", "+05:30"),
        ("2026-05-01T10:00Z", "+00:00"),
    ],
)
def test_the_zone_of_the_source_is_kept(text, zone):
    assert mapped({"time_zone": "Europe/Vienna"}, text, "Date", "source_zone") == zone


# Names


def test_an_unknown_class_is_named():
    verdict = judge_rows([row(class_="Calls"), row(class_="calls")])
    assert codes(verdict) == ["unknown_usage_class"]
    assert "there is no usage class “Calls”" in verdict.rejected["message"][0]


@pytest.mark.parametrize(
    ("class_", "kind", "code"),
    [
        ("calls", "voice", None),
        ("calls", "", None),
        ("calls", "Voice", "usage_class_type_mismatch"),
        ("data", "voice", "usage_class_type_mismatch"),
        ("data", "", None),
    ],
)
def test_a_class_must_be_of_the_type_that_the_record_says(class_, kind, code):
    profile = document(
        format=ROWS["format"] | {"columns": [*COLUMNS, "kind"]}, fields={"UsageClassTypeName": {"source": "kind"}}
    )
    assert codes(judge_rows([f"{row(class_=class_)},{kind}"], profile)) == ([code] if code else [])


@pytest.mark.parametrize(("name", "result"), [("MSISDN", 2), ("", 1), ("IMSI", "unknown_identifier_type")])
def test_an_identifier_type_is_known_or_not_said(name, result):
    assert mapped({}, name, "UdrIdentifierTypeName", "identifier_type_id") == result


def test_any_one_identifier_is_enough():
    profile = document(
        format=ROWS["format"] | {"columns": [*COLUMNS, "from"]}, fields={"OriginatingIdentifier": {"source": "from"}}
    )
    assert codes(judge_rows([f"{row(who='')},4362", f"{row()},", f"{row(who='')},"], profile)) == ["missing_identifier"]


@pytest.mark.parametrize(
    ("text", "result"), [("EUR", "EUR"), ("", None), ("eur", "bad_currency"), ("€", "bad_currency")]
)
def test_a_currency_is_three_capital_letters(text, result):
    assert mapped({}, text, "Currency", "currency") == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{""a"": 1.50}', '{"a": 1.50}'),
        ("", None),
        ("[1]", "bad_extensions"),
        ("{", "bad_extensions"),
        ('{""a"": 1} x', "bad_extensions"),
        ('{""a"": NaN}', "bad_extensions"),
        ('{""a"": 1e999999}', "bad_extensions"),
        ('{""a"": ""\\u0000""}', "bad_extensions"),
        ('{""a"": ""\\ud800""}', "bad_extensions"),
        ("{" + '""a"":{' * 101 + "}" * 102, "bad_extensions"),
    ],
)
def test_extensions_are_an_object_that_the_table_can_keep(text, result):
    assert mapped({}, text, "Extensions", "extensions") == result


def test_single_extensions_are_put_into_one_object():
    profile = document(
        fields={"Extensions.region": {"source": "class"}, "Extensions.plan b": {"literal": 'say "x"'}},
    )
    assert kept(judge_rows([row()], profile), "extensions") == ['{"region":"calls","plan b":"say \\"x\\""}']


# Age


def test_usage_is_neither_older_nor_younger_than_the_feed_takes():
    rows = [
        row(date=text)
        for text in ("2026-04-30T23:59:59.999999Z", "2026-05-01", "2026-06-01", "2026-06-01T00:00:00.000001Z")
    ]
    verdict = judge_rows(rows, earliest=at(2026, 5, 1), latest=NOW)
    assert codes(verdict) == ["too_old", "in_future"]
    assert "2026-05-01 00:00:00 UTC" in verdict.rejected.sort("record_number")["message"][0]
    assert kept(verdict, "record_number") == [2, 3]
    assert judge_rows([row(date="1990-01-01")], earliest=None).kept.height == 1


# Skip filters


@pytest.mark.parametrize(
    ("operator", "values", "skipped"),
    [
        ("equals", ["1", "x"], [1]),
        ("not_equals", ["1", "22"], [3, 4]),
        ("is_empty", [], [3, 4]),
        ("is_not_empty", [], [1, 2]),
        ("matches", ["^2+$"], [2]),
        ("matches", ["^1$", "^2"], [1, 2]),
        ("matches", ["^$"], [3]),
    ],
)
def test_filters_leave_records_out(operator, values, skipped):
    filters = [{"name": "not ours", "source": "value", "operator": operator, "values": values}]
    verdict = judge_rows([row("1"), row("22"), row(""), row(" ")], document(skip=filters))
    assert verdict.skipped["record_number"].to_list() == skipped
    assert set(verdict.skipped["reason"]) == {"not ours"}


def test_the_first_filter_that_matches_is_named_and_unreadable_rows_are_never_skipped():
    filters = [
        {"source": "value", "operator": "equals", "values": ["2"]},
        {"name": "second", "source": "class", "operator": "is_not_empty"},
    ]
    verdict = judge_rows([row("1"), row("2"), "2"], document(skip=filters))
    assert verdict.skipped["reason"].to_list() == ["second", "filter 0"]
    assert codes(verdict) == ["too_few_columns"]


def test_a_filter_reads_what_no_field_does_and_a_missing_json_value_is_empty():
    filters = [{"name": "test", "source": "meta.test", "operator": "is_not_empty"}]
    records = [
        '{"Date": "2026-05-01", "Id": "a", "Value": 1, "meta": {"test": false}}',
        '{"Date": "2026-05-01", "Id": "a", "Value": 1}',
    ]
    assert outcomes(judge_rows(records, document(JSON, skip=filters))) == [(1, "skipped"), (2, "kept")]


# Uniqueness

LOCAL = {"source": "date", "date_format": "%Y-%m-%d %H:%M:%S"}


def test_the_whole_content_makes_a_record_unique_unless_the_profile_says_else():
    verdict = judge_rows([row("1"), row("2"), row("1")])
    assert outcomes(verdict) == [(1, "kept"), (2, "kept"), (3, "repeated")]
    assert kept(verdict, "key")[0].startswith("2026-05-01-")


def test_a_record_keeps_its_key_whatever_a_version_makes_of_its_date():
    keys = [
        kept(
            judge_rows(["2026-05-02 05:00:00,a,1,calls"], document(fields={"Date": {**LOCAL, "time_zone": zone}})),
            "key",
        )
        for zone in ("UTC", "Australia/Sydney")
    ]
    assert keys[0] == keys[1]


def test_json_records_are_the_same_however_they_are_spelt():
    records = ['{"Date":"2026-05-01","Id":"a","Value":1}', '{"Value": 1, "Id": "\\u0061", "Date": "2026-05-01"}']
    assert outcomes(judge_rows(records, JSON)) == [(1, "kept"), (2, "repeated")]


def test_one_field_is_its_own_key_as_it_stands():
    verdict = judge_rows(
        [row("1", who=" a "), row("2", who="a"), row("1", who="b")], document(uniqueness=["UdrUsageIdentifier"])
    )
    assert outcomes(verdict) == [(1, "kept"), (2, "repeated"), (3, "kept")]
    assert kept(verdict, "key") == ["a", "b"]


def test_several_fields_cannot_be_mistaken_for_each_other():
    profile = document(
        format=ROWS["format"] | {"columns": [*COLUMNS, "from"]},
        fields={"OriginatingIdentifier": {"source": "from"}},
        uniqueness=["UdrUsageIdentifier", "OriginatingIdentifier", "Date"],
    )
    pairs = [("a;1:b", "c"), ("a", "1:b;c"), ("ab", "c"), ("a", "bc"), ("", "x"), ("x", ""), ("x", "")]
    verdict = judge_rows([f"{row(who=who)},{other}" for who, other in pairs], profile)
    assert [number for number, outcome in outcomes(verdict) if outcome == "repeated"] == [7]


def test_a_date_in_the_key_is_a_moment_not_a_text():
    profile = document(uniqueness=["Date"])
    rows = [row("1", date="2026-05-01T10:00:00Z"), row("2", date="2026-05-01T12:00:00+02:00")]
    assert outcomes(judge_rows(rows, profile)) == [(1, "kept"), (2, "repeated")]


def test_long_keys_are_shortened_and_stay_apart():
    profile = document(uniqueness=["UdrUsageIdentifier"])
    whos = ["x" * 200, "x" * 201, "x" * 999 + "a", "x" * 999 + "b", "☃" * 1000]
    verdict = judge_rows([row(who=who) for who in whos], profile)
    assert verdict.kept["key"].n_unique() == 5
    assert verdict.kept["key"].str.len_chars().max() <= 200


def test_a_record_without_its_key_is_an_exception():
    profile = document(
        format=ROWS["format"] | {"columns": [*COLUMNS, "event"]},
        fields={"UniquenessIdentifier": {"source": "event"}},
        uniqueness=["UniquenessIdentifier"],
    )
    assert codes(judge_rows([f"{row()},", f"{row()},e1"], profile)) == ["missing_uniqueness"]


def test_a_record_that_ended_as_an_exception_was_not_seen():
    profile = document(uniqueness=["UdrUsageIdentifier"])
    assert outcomes(judge_rows([row("bad"), row("1")], profile)) == [(1, "rejected"), (2, "kept")]


# The whole


def test_what_is_kept_fits_the_table_and_holds_no_float():
    verdict = judge_rows([row()])
    assert verdict.kept.schema == pl.Schema({**UDRS, **KEYS, "raw": pl.String})
    assert_no_float(verdict.kept)


def test_no_records_make_no_trouble():
    for profile in (ROWS, JSON, document(uniqueness=["UdrUsageIdentifier", "Date"])):
        assert outcomes(judge_rows([], profile)) == []


EVERYTHING = document(
    format=ROWS["format"] | {"columns": [*COLUMNS, "from", "flag", "amount", "bill", "more"]},
    fields={
        "Date": {
            "source": "date",
            "date_format": ["iso", "epoch", "%d.%m.%Y", "%Y%m%d%H%M%z"],
            "time_zone": "Europe/Vienna",
        },
        "Value": {"source": "value", "decimal_sign": ",", "group_sign": ".", "round_to": 3},
        "UsageClassName": {"source": "class", "case": "lower", "value_map": {"voice": "calls", "calls": "calls"}},
        "OriginatingIdentifier": {"source": "from", "trim": False},
        "Inbound": {"source": "flag"},
        "PrimaryDataRow": {"source": "flag", "default": "1"},
        "Amount": {"source": "amount"},
        "Currency": {"source": "class", "value_map": {"calls": "EUR"}, "default": "USD"},
        "UsageBillDate": {"source": "bill"},
        "Extensions": {"source": "more"},
    },
    skip=[{"source": "flag", "operator": "matches", "values": ["^s"]}],
    uniqueness=["UdrUsageIdentifier", "Date"],
    null_texts=["NULL"],
)
parse_spec(EVERYTHING)

CELLS = (
    *(
        "",
        " ",
        "NULL",
        "1",
        "1,5",
        "-3",
        "x",
        "calls",
        "VOICE",
        "2026-05-01",
        "01.05.2026",
        "0000-01-01T00:00:00Z",
        "s",
    ),
    *("1777626000", "2026-03-29T02:30:00", "9" * 40, '"{""a"": 1}"', '"', "202605011000+0200", "EUR", "y", "é" * 5),
)
cell = st.sampled_from(CELLS) | st.text(max_size=10)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(cell, min_size=8, max_size=10).map(",".join) | st.text(max_size=20), max_size=8))
def test_one_record_in_exactly_one_outcome(rows):
    encodable = [text.encode("utf-8", "replace").decode() for text in rows]
    verdict = judge_rows(encodable, EVERYTHING)
    assert [number for number, _ in outcomes(verdict)] == list(range(1, len(rows) + 1))
    required = verdict.kept.select("date", "value", "usage_class_id", "identifier_type_id", "inbound", "key")
    assert required.null_count().sum_horizontal().to_list() in ([0], [])
    assert verdict.rejected["message"].null_count() == 0
