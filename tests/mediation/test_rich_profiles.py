"""A profile with heads, transforms, lookups, units, own rules and repairs, through mediation as a whole."""

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from mediation.core import reading
from mediation.core.frames import WINDOWS, Catalogue
from mediation.core.judging import mediate
from mediation.core.lookups import LOOKUP_ROWS, build_table
from mediation.core.spec import FaultySpecError, parse_spec
from mediation.core.transforms import Tables, Unit

COLUMNS = ["when", "op", "area", "number", "a", "b", "volume", "unit", "kind"]
DOCUMENT = {
    "format": {"kind": "delimited", "columns": COLUMNS},
    "null_texts": ["-"],
    "fields": {
        "Date": {"source": "when", "transforms": [{"date": "%d.%m.%Y %H:%M"}], "time_zone": "Europe/Vienna"},
        "OriginatingIdentifier": {
            "combine": {"sources": ["area", "number"]},
            "transforms": [{"phone": {"region": "AT"}}],
        },
        "UdrUsageIdentifier": {"choose": [{"when": "op = 'GET'", "source": "a"}, {"source": "b"}], "case": "upper"},
        "Value": {"source": "volume", "transforms": [{"trim": "both"}, {"unit": {"from_source": "unit"}}]},
        "UsageClassName": {
            "source": "number",
            "transforms": [{"lookup": {"table": "zones", "give": "class"}}],
            "value_map": {"n": "near", "f": "far", "x": ""},
        },
        "Extensions.sum": {"formula": "CAST(area AS INTEGER) + 1"},
        "Extensions.kind": {"source": "kind"},
    },
    "validations": [
        {"code": "too_much", "field": "Value", "rule": {"range": {"most": "5000"}}, "message": "{value} is too much"},
        {"code": "no_kind", "field": "Extensions.kind", "rule": "required", "repair": {"set": "plain"}},
        {"code": "not_far", "field": "Value", "rule": {"expression": "UsageClassName <> 'far' OR Value > 10"}},
    ],
}


def zones():
    rows = {
        "line": [1, 2, 3, 4],
        "key": ["1", "12", "2", "3"],
        "valid_from": [None, datetime(2026, 5, 1, tzinfo=UTC), None, None],
    }
    full = {name: rows.get(name, [None] * 4) for name in LOOKUP_ROWS}
    frame = pl.DataFrame(full, schema=LOOKUP_ROWS).with_columns(pl.Series("value:class", ["n", "f", "x", "?"]))
    units = {"KB": Unit("KB", "data", Decimal(1000)), "B": Unit("B", "data", Decimal(1))}
    return Tables({"zones": build_table("prefix", frame)}, units)


def verdict(*rows, document=DOCUMENT):
    spec = parse_spec(document)
    records = reading.read_part(
        "".join(f"{row}\n" for row in rows).encode(), spec, import_id=1, first_number=1, header=None
    )
    catalogue = Catalogue(
        pl.DataFrame(
            [("near", 1, None), ("far", 2, None)],
            schema={"usage_class_name": pl.String, "usage_class_id": pl.Int64, "known_class_type": pl.String},
            orient="row",
        ),
        pl.DataFrame({"identifier_type_name": ["Unknown"], "identifier_type_id": [1]}),
    )
    windows = pl.DataFrame([(1, None, datetime(2027, 1, 1, tzinfo=UTC))], schema=WINDOWS, orient="row")
    result = mediate(records, spec=spec, catalogue=catalogue, windows=windows, tables=zones())
    height = result.kept.height + result.skipped.height + result.rejected.height + result.repeated.height
    assert height == len(rows)
    return result


def codes(result):
    return dict(result.rejected.sort("record_number").select("record_number", "code").iter_rows())


def test_a_record_goes_through_heads_transforms_lookups_and_units():
    kept = verdict("01.05.2026 12:00,GET,0660,1234567,abc,def, 1.5,KB,x").kept.row(0, named=True)
    assert kept["date"] == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert kept["originating_identifier"] == "+436601234567"
    assert kept["udr_usage_identifier"] == "ABC"
    assert kept["value"] == Decimal(1500)
    assert kept["usage_class_id"] == 2
    assert kept["extensions"] == '{"sum":"661","kind":"x"}'
    assert kept["repairs"] is None


def test_a_lookup_goes_by_the_date_of_the_record():
    before = verdict("30.04.2026 12:00,GET,0660,1234567,abc,def,20,B,x").kept.row(0, named=True)
    assert before["usage_class_id"] == 1


def test_a_repaired_record_says_by_which_rule():
    kept = verdict("01.05.2026 12:00,PUT,0660,1034567,abc,def,1,B,-").kept.row(0, named=True)
    assert kept["repairs"] == "no_kind"
    assert kept["extensions"] == '{"sum":"661","kind":"plain"}'
    assert kept["udr_usage_identifier"] == "DEF"


def test_each_fault_is_named_by_its_own_code_and_neighbours_are_not_touched():
    result = verdict(
        "01.05.2026 12:00,GET,0660,1034567,a,b,1,KB,x",
        "31.02.2026 12:00,GET,0660,1034567,a,b,1,KB,x",
        "01.05.2026 12:00,GET,x,y,a,b,1,KB,x",
        "01.05.2026 12:00,GET,0660,9034567,a,b,1,KB,x",
        "01.05.2026 12:00,GET,0660,1034567,a,b,1,GB,x",
        "01.05.2026 12:00,GET,0660,1034567,a,b,one,KB,x",
        "01.05.2026 12:00,GET,0660,1034567,a,b,6,KB,x",
        "01.05.2026 12:00,GET,0660,1234567,a,b,5,B,x",
        "01.05.2026 12:00,GET,0660,3034567,a,b,1,KB,x",
        "01.05.2026 12:00,GET,0660,2034567,a,b,1,KB,x",
    )
    assert result.kept["record_number"].to_list() == [1]
    assert codes(result) == {
        2: "bad_date",
        3: "bad_phone_number",
        4: "lookup_failed",
        5: "unknown_unit",
        6: "bad_number",
        7: "too_much",
        8: "not_far",
        9: "unmapped_value",
        10: "missing_value",
    }
    messages = dict(result.rejected.select("code", "message").iter_rows())
    assert messages["too_much"] == "“6000” is too much"
    assert messages["lookup_failed"] == "the lookup table zones gives no class for “9034567”"


def test_a_default_or_a_repair_stands_in_for_what_a_transform_could_not_take():
    fields = {**DOCUMENT["fields"], "OriginatingIdentifier": {"source": "area", "transforms": [{"phone": "AT"}]}}
    defaulted = {**fields, "OriginatingIdentifier": {**fields["OriginatingIdentifier"], "default": "+430"}}
    row = "01.05.2026 12:00,GET,x,1034567,a,b,1,KB,x"
    assert codes(verdict(row, document={**DOCUMENT, "fields": fields})) == {1: "bad_phone_number"}
    kept = verdict(row, document={**DOCUMENT, "fields": defaulted}).kept
    assert kept["originating_identifier"].to_list() == ["+430"]
    repair = {"code": "no_phone", "field": "OriginatingIdentifier", "rule": "required", "repair": {"set": "+431"}}
    mended = verdict(row, document={**DOCUMENT, "fields": fields, "validations": [repair]}).kept
    assert mended.select("originating_identifier", "repairs").row(0) == ("+431", "no_phone")


def test_a_field_reads_and_converts_in_its_own_signs():
    fields = {**DOCUMENT["fields"], "Value": {"source": "volume", "unit": "KB", "decimal_sign": ";", "group_sign": "."}}
    own = {**DOCUMENT, "fields": fields}
    assert codes(verdict("01.05.2026 12:00,GET,0660,1034567,a,b,1.0;0012,,x", document=own)) == {1: "bad_number"}
    kept = verdict("01.05.2026 12:00,GET,0660,1034567,a,b,1;0012,,x", document=own).kept
    assert kept["value"].to_list() == [Decimal("1001.2")]


@pytest.mark.parametrize(
    ("field", "mapping", "pointer"),
    [
        ("Value", {"source": "volume", "literal": "1"}, "/fields/Value"),
        ("Value", {"formula": "nowhere + 1"}, "/fields/Value/formula"),
        ("Value", {"source": "volume", "unit": 5}, "/fields/Value/unit/from"),
        ("Value", {"source": "volume", "transforms": [{"case": "x"}]}, "/fields/Value/transforms/0/case/to"),
        (
            "Date",
            {"source": "when", "transforms": [{"lookup": {"table": "a", "give": "b"}}]},
            "/fields/Date/transforms/0/lookup",
        ),
        ("Value", {"combine": ["volume", "nowhere"]}, "/format/columns"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused_at_its_place(field, mapping, pointer):
    with pytest.raises(FaultySpecError) as refused:
        parse_spec({**DOCUMENT, "fields": {**DOCUMENT["fields"], field: mapping}})
    assert pointer in [fault.pointer for fault in refused.value.faults]
