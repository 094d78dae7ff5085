"""Reading a profile document: every fault at once, each with its place."""

import pytest

from mediation.core.spec import FaultySpecError, parse_spec

from .profiles import JSON, ROWS, document


def faults(doc):
    with pytest.raises(FaultySpecError) as refusal:
        parse_spec(doc)
    return {fault.pointer: fault.message for fault in refusal.value.faults}


def test_a_right_document_is_read():
    spec = parse_spec(document(uniqueness=["DateTime", "UdrUsageIdentifier"], null_texts=["-"]))
    assert spec.sources == ["date", "who", "value", "class"]
    assert spec.uniqueness == ("Date", "UdrUsageIdentifier")
    assert (spec.format.delimiter, spec.format.quote, spec.format.encoding) == (",", '"', "utf-8")


def test_date_and_date_time_are_one_field():
    doc = document()
    doc["fields"]["DateTime"] = doc["fields"].pop("Date")
    assert parse_spec(doc).mapping("Date").source == "date"
    assert "/fields" in faults(document(fields={"DateTime": {"source": "date"}}))


@pytest.mark.parametrize("name", ["Date", "Value", "UsageClassName"])
def test_a_profile_that_lacks_a_required_mapping_says_which(name):
    assert faults(document(fields={name: None})) == {f"/fields/{name}": "must be mapped: no UDR is without it"}


def test_somebody_has_to_pay():
    assert "somebody has to pay" in faults(document(fields={"UdrUsageIdentifier": None}))["/fields"]


def test_all_faults_are_told_at_once():
    found = faults(
        {
            "format": {"kind": "delimited", "delimiter": "", "quote": "''", "encoding": "utf-16", "header_rows": -1},
            "fields": {"Date": {}, "Valu": {"source": "value"}, "Value": {"source": "v", "round_to": 7}},
            "skip": [{"operator": "is"}],
            "uniqueness": ["UdrUsageIdentifier"],
            "null_texts": "NULL",
            "colour": "red",
        }
    )
    assert found.keys() == {
        "/colour",
        "/format/delimiter",
        "/format/quote",
        "/format/encoding",
        "/format/header_rows",
        "/format/columns",
        "/fields/Date",
        "/fields/Valu",
        "/fields/Value/round_to",
        "/skip/0/operator",
        "/skip/0/source",
        "/skip/0/values",
        "/uniqueness",
        "/null_texts",
        "/fields/UsageClassName",
        "/fields",
    }


@pytest.mark.parametrize("doc", [None, [], "x", 1, {}, {"format": [], "fields": [], "skip": {}}])
def test_what_is_no_profile_at_all_is_told_so(doc):
    assert faults(doc)


FORMATS = [
    ({"delimiter": ",,"}, "/format/delimiter"),
    ({"delimiter": "\n"}, "/format/delimiter"),
    ({"delimiter": "§"}, "/format/delimiter"),
    ({"quote": ","}, "/format/quote"),
    ({"line_ending": "crlf"}, "/format/line_ending"),
    ({"header_rows": True}, "/format/header_rows"),
    ({"header_rows": 101}, "/format/header_rows"),
    ({"columns_by": "name"}, "/format/header_rows"),
    ({"columns": []}, "/format/columns"),
    ({"columns": ["date", "date", "who", "value", "class"]}, "/format/columns"),
    ({"columns": ["date", "who", "value"]}, "/format/columns"),
    ({"columns": [1]}, "/format/columns"),
    ({"colour": 1}, "/format/colour"),
]


@pytest.mark.parametrize(("members", "pointer"), FORMATS)
def test_each_fault_of_a_format_has_its_place(members, pointer):
    assert pointer in faults(document(format=ROWS["format"] | members))


FIELDS = [
    ("Date", {"source": "date", "literal": "x"}, "/fields/Date"),
    ("Date", {"source": 1}, "/fields/Date/source"),
    ("Date", {"source": "date", "date_format": []}, "/fields/Date/date_format"),
    ("Date", {"source": "date", "date_format": "%H:%M"}, "/fields/Date/date_format"),
    ("Date", {"source": "date", "date_format": "dd.mm.yyyy"}, "/fields/Date/date_format"),
    ("Date", {"source": "date", "date_format": "%Y%m%d%H"}, "/fields/Date/date_format"),
    ("Date", {"source": "date", "date_format": "%Y-%m-%d %H:%M:%S.%f"}, "/fields/Date/date_format"),
    ("Date", {"source": "date", "date_format": "%Y-%m-%d %Q"}, "/fields/Date/date_format"),
    ("Date", {"source": "date", "date_format": "%Y-%m-%d %z"}, "/fields/Date/date_format"),
    ("Date", {"source": "date", "time_zone": "Europe/Wien"}, "/fields/Date/time_zone"),
    ("Date", {"source": "date", "time_zone": "localtime"}, "/fields/Date/time_zone"),
    ("Date", {"source": "date", "time_zone": 1}, "/fields/Date/time_zone"),
    ("Value", {"source": "value", "round_to": True}, "/fields/Value/round_to"),
    ("Value", {"source": "value", "decimal_sign": "1"}, "/fields/Value/decimal_sign"),
    ("Value", {"source": "value", "decimal_sign": ""}, "/fields/Value/decimal_sign"),
    ("Value", {"source": "value", "decimal_sign": ",", "group_sign": ","}, "/fields/Value/group_sign"),
    ("Value", {"source": "value", "group_sign": "."}, "/fields/Value/group_sign"),
    ("Value", {"source": "value", "group_sign": ", "}, "/fields/Value/group_sign"),
    ("Value", {"source": "value", "trim": "no"}, "/fields/Value/trim"),
    ("Value", {"source": "value", "case": "title"}, "/fields/Value/case"),
    ("Value", {"source": "value", "value_map": {"a": 1}}, "/fields/Value/value_map"),
    ("Value", {"source": "value", "default": 0}, "/fields/Value/default"),
    ("Value", {"source": "value", "units": "s"}, "/fields/Value/units"),
    ("Extensions.", {"source": "value"}, "/fields/Extensions."),
    ("Extensions." + "x" * 200, {"source": "value"}, "/fields/Extensions." + "x" * 200),
]


@pytest.mark.parametrize(("name", "mapping", "pointer"), FIELDS)
def test_each_fault_of_a_mapping_has_its_place(name, mapping, pointer):
    assert pointer in faults(document(fields={name: mapping}))


SKIPS = [
    ({"source": "value", "operator": "equals"}, "/skip/0/values"),
    ({"source": "value", "operator": "matches", "values": ["("]}, "/skip/0/values"),
    ({"source": "value", "operator": "matches", "values": ["(?=a)b"]}, "/skip/0/values"),
    ({"source": "value", "operator": "matches", "values": [r"(a)\1"]}, "/skip/0/values"),
    ({"source": "value", "operator": "is_empty", "name": "n" * 201}, "/skip/0/name"),
    ("no filter", "/skip/0"),
]


@pytest.mark.parametrize(("skip", "pointer"), SKIPS)
def test_each_fault_of_a_filter_has_its_place(skip, pointer):
    assert pointer in faults(document(skip=[skip]))


def test_extensions_are_mapped_whole_or_one_by_one():
    both = {"Extensions": {"source": "x"}, "Extensions.region": {"source": "y"}}
    assert "/fields/Extensions" in faults(document(JSON, fields=both))


@pytest.mark.parametrize(
    "text",
    ["%d.%m.%Y", "%d/%b/%Y:%H:%M:%S %z", "%y%j", "%F %T%.f", "%D %R", "%Y-%m-%dT%H:%M:%S%.3f%:z", "%e %B %Y %I:%M %p"],
)
def test_the_usual_date_formats_are_taken(text):
    assert parse_spec(document(fields={"Date": {"source": "date", "date_format": text}}))
