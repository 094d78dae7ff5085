"""What is proposed from a sample: its format, what its columns hold, which of them feeds which UDR field, and why."""

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.spec import parse_spec
from mediation.core.suggesting import UnableToSuggestError, feed_field, set_at, suggest

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
CALLS = """
call_id,start_time,caller,callee,account,duration,service
c-1,2026-05-01 10:00:00,+4366012345,+4366098765,A-1,61,voice
c-2,2026-05-01 10:05:00,+4366012346,+4366098765,A-2,30,voice
c-3,2026-05-02 11:00:00,+4366012345,+4366098764,A-1,5,data
c-4,2026-05-02 12:00:00,+4366012345,+4366098764,A-1,12,data
""".strip()


def of(text, **options):
    return suggest(text if isinstance(text, bytes) else text.encode(), **options)


def sources(suggestion):
    fields = suggestion.document["fields"]
    return {name: mapping.get("source", mapping.get("literal")) for name, mapping in fields.items()}


def format_of(text, *names):
    made = of(text).document["format"]
    return tuple(made.get(name) for name in names) if len(names) > 1 else made.get(names[0])


def rows(*values, header="start_time,quantity,account"):
    return "\n".join([header, *values])


def test_a_file_of_calls_is_mapped_whole():
    suggestion = of(CALLS)
    assert sources(suggestion) == {
        "Date": "start_time",
        "OriginatingIdentifier": "caller",
        "TerminatingIdentifier": "callee",
        "UdrUsageIdentifier": "account",
        "UniquenessIdentifier": "call_id",
        "Value": "duration",
        "UsageClassName": "service",
    }
    assert suggestion.document["uniqueness"] == ["UniquenessIdentifier"]
    assert (suggestion.missing, suggestion.questions) == ((), ())
    parse_spec(suggestion.document)


def test_each_proposal_says_where_it_goes_how_sure_it_is_and_why():
    reasons = {reason.pointer: reason for reason in of(CALLS).reasons}
    assert reasons["/format/delimiter"].confidence == "sure"
    assert reasons["/fields/Date"].value == "start_time"
    assert "every value is a date in ISO 8601" in reasons["/fields/Date"].text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_parts_every_row_alike(delimiter):
    assert format_of(CALLS.replace(",", delimiter), "delimiter") == delimiter


def test_decimal_commas_are_no_delimiters():
    text = rows("2026-05-01;12,50;A", "2026-05-02;13,75;B", header="date;quantity;account")
    suggestion = of(text)
    assert suggestion.document["format"]["delimiter"] == ";"
    assert suggestion.document["fields"]["Value"] == {"source": "quantity", "decimal_sign": ","}


def test_quoted_fields_may_hold_the_delimiter():
    text = '"date","quantity","account"\n"2026-05-01","1","Smith, John"\n"2026-05-02","2","Doe, Jane"'
    assert format_of(text, "delimiter", "quote", "header_rows") == (",", '"', 1)


def test_a_file_without_a_header_names_its_columns_by_place():
    text = "2026-05-01T10:00:00,4366012345,7\n2026-05-02T10:00:00,4366012346,9"
    assert format_of(text, "header_rows", "columns") == (None, ["column_1", "column_2", "column_3"])


def test_lines_above_the_header_are_counted_as_header_rows():
    assert format_of("Usage of May\n\n" + CALLS, "header_rows", "columns_by") == (2, "name")


def test_header_and_trailer_records_are_told_apart_and_their_totals_found():
    text = "H,SWITCH1,20260501\nD,2026-05-01,4,A\nD,2026-05-01,6,B\nD,2026-05-02,1.5,B\nT,3,11.5"
    structure = of(text).document["structure"]
    assert structure["record_types"] == {"column": 1, "header": ["H"], "trailer": ["T"], "detail": ["D"]}
    assert structure["controls"] == [
        {"kind": "count", "field": "trailer_2"},
        {"kind": "sum", "field": "trailer_3", "of": "column_3"},
    ]


def test_totals_with_a_decimal_comma_are_found_too_and_what_agrees_with_nothing_is_said():
    text = "H;SWITCH1\nD;2026-05-01;4,25;A\nD;2026-05-01;6;B\nD;2026-05-02;1,5;B\nT;3;11,75;1.011,75;EUR"
    suggestion = of(text)
    controls = [
        {"kind": "count", "field": "trailer_2"},
        {"kind": "sum", "field": "trailer_3", "of": "column_3", "decimal_sign": ","},
    ]
    assert suggestion.document["structure"]["controls"] == controls
    assert any("trailer_4 (“1.011,75”), so nothing checks this" in reason.text for reason in suggestion.reasons)
    suggestion.document["fields"]["UdrUsageIdentifier"] = {"source": "column_4"}
    parse_spec(suggestion.document)


def test_lines_that_end_in_cr_alone_are_said_to():
    assert format_of(CALLS.replace("\n", "\r"), "line_ending") == "cr"


# Encodings


def test_utf_8_is_sure_where_every_byte_decodes():
    suggestion = of(rows("2026-05-01,1,Müller", "2026-05-02,2,Größe"))
    assert suggestion.document["format"]["encoding"] == "utf-8"
    assert next(one for one in suggestion.reasons if one.pointer == "/format/encoding").confidence == "sure"


@pytest.mark.parametrize("encoding", ["cp1252", "cp850"])
def test_what_is_not_utf_8_is_read_as_the_encoding_that_makes_words(encoding):
    suggestion = of(rows("2026-05-01,1,Müller", "2026-05-02,2,Größe", "2026-05-02,2,señor").encode(encoding))
    assert suggestion.document["format"]["encoding"] == encoding
    assert "Müller" in next(one for one in suggestion.reasons if one.pointer == "/format/encoding").text


def test_an_encoding_that_the_sample_leaves_open_is_asked_for():
    (question,) = of(rows("2026-05-01,1,50 \xa4", "2026-05-02,2,60 \xa4").encode("iso-8859-1")).questions
    assert question.pointer == "/format/encoding"
    assert len(question.choices) > 1


def test_a_byte_order_mark_belongs_to_no_column():
    assert format_of(b"\xef\xbb\xbf" + CALLS.encode(), "columns")[0] == "call_id"


# Dates


@pytest.mark.parametrize(
    ("first", "second", "format_"),
    [
        ("31/12/2025", "01/02/2026", "%d/%m/%Y"),
        ("12/31/2025", "01/02/2026", "%m/%d/%Y"),
        ("31.12.2025 23:59", "01.02.2026 10:00", "%d.%m.%Y %H:%M"),
        ("12/31/2025 11:59:00 PM", "01/02/2026 01:00:00 AM", "%m/%d/%Y %I:%M:%S %p"),
        ("31-Dec-2025", "01-Feb-2026", "%d-%b-%Y"),
        ("31/Dec/2025:23:59:59 +0100", "01/Feb/2026:10:00:00 +0100", "%d/%b/%Y:%H:%M:%S %z"),
        ("20251231235959", "20260201100000", "%Y%m%d%H%M%S"),
        ("20251231", "20260201", "%Y%m%d"),
        ("1767225599", "1769940000", "epoch"),
        ("2025/12/31 23:59:59", "2026/02/01 10:00:00", "%Y/%m/%d %H:%M:%S"),
    ],
)
def test_a_date_format_is_the_one_that_fits_every_value(first, second, format_):
    suggestion = of(rows(f"{first},1,A", f"{second},2,B"))
    assert suggestion.document["fields"]["Date"] == {"source": "start_time", "date_format": format_}
    assert suggestion.questions == ()


def test_day_and_month_that_could_be_either_are_asked_for_never_guessed():
    (question,) = of(rows("05/06/2026,1,A", "07/08/2026,2,B")).questions
    assert question.pointer == "/fields/Date"
    assert [options for options, _ in question.choices] == [{"date_format": "%d/%m/%Y"}, {"date_format": "%m/%d/%Y"}]
    assert "“05/06/2026” is 5 June 2026" in question.choices[0][1]


def test_the_same_day_and_month_in_every_value_needs_no_question():
    assert of(rows("05/05/2026,1,A", "06/06/2026,2,B")).questions == ()


# Numbers


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ("1.5", "20", {}),
        ("1.234,50", "20,00", {"decimal_sign": ",", "group_sign": "."}),
        ("1,234.50", "20.00", {"group_sign": ","}),
        ("1 234,5", "2,5", {"decimal_sign": ",", "group_sign": " "}),
    ],
)
def test_the_signs_of_numbers_are_those_that_every_value_fits(first, second, options):
    text = rows(f"2026-05-01;{first};A", f"2026-05-02;{second};B", header="start_time;quantity;account")
    assert of(text).document["fields"]["Value"] == {"source": "quantity", **options}


def test_a_comma_before_three_digits_is_asked_for():
    text = rows("2026-05-01;1,234;A", "2026-05-02;2,500;B", header="start_time;quantity;account")
    (question,) = of(text).questions
    assert [words for _, words in question.choices] == ["“1,234” is 1.234", "“1,234” is 1234"]


def test_more_decimals_than_are_kept_are_rounded_and_said():
    suggestion = of(rows("2026-05-01,0.12345678,A", "2026-05-02,2,B"))
    assert suggestion.document["fields"]["Value"]["round_to"] == 6


def test_digits_that_name_something_are_no_quantity():
    text = "date,caller,bytes\n2026-05-01,0043660123,5\n2026-05-02,0043660124,6"
    assert sources(of(text))["OriginatingIdentifier"] == "caller"


@pytest.mark.parametrize(
    "header",
    [
        "Datum;Kunde;Menge;Betrag;Währung",
        "fecha;cliente;cantidad;importe;moneda",
        "date;abonné;durée;montant;devise",
    ],
)
def test_names_of_other_languages_are_understood(header):
    names = header.split(";")
    suggestion = of(rows("31.12.2025;K-1;12,5;1,75;EUR", "01.02.2026;K-2;3,25;2,25;EUR", header=header))
    fields = ("Date", "UdrUsageIdentifier", "Value", "Amount", "Currency")
    assert [sources(suggestion)[field] for field in fields] == names


def test_the_only_column_with_decimals_is_taken_for_the_quantity_though_its_name_says_nothing():
    text = rows("2026-05-01;12,5;A;7", "2026-05-02;3,25;B;8", header="start_time;xyz;account;room")
    suggestion = of(text)
    assert suggestion.document["fields"]["Value"] == {"source": "xyz", "decimal_sign": ","}
    (reason,) = (one for one in suggestion.reasons if one.pointer == "/fields/Value")
    assert (reason.confidence, "only other column of numbers with decimals" in reason.text) == ("guess", True)


@pytest.mark.parametrize("header", ["start_time;xyz;account;uvw", "start_time;unit_price;account;tax_rate"])
def test_of_several_columns_with_decimals_or_a_price_none_is_taken_for_the_quantity(header):
    suggestion = of(rows("2026-05-01;12,5;A;7,5", "2026-05-02;3,25;B;8,5", header=header))
    assert suggestion.document["fields"]["Value"] == {"literal": "1"}


# Nulls, gaps


def test_texts_that_stand_for_nothing_are_null_texts():
    suggestion = of(rows("2026-05-01,1,A", "2026-05-02,NULL,\\N", "2026-05-02,3,B"))
    assert suggestion.document["null_texts"] == ["NULL", "\\N"]
    assert sources(suggestion)["Value"] == "quantity"


def test_what_no_column_gives_is_missing_and_said():
    suggestion = of("colour,shape\nred,square\nblue,round\nred,round")
    assert len(suggestion.missing) == 2
    assert "moment of the usage" in suggestion.missing[0]


def test_a_person_may_choose_another_column_and_gets_what_its_values_need():
    suggestion = of(rows("31/12/2025,1,A,1.5", "01/02/2026,2,B,1.7", header="start_time,quantity,account,weight"))
    assert feed_field("Value", "weight", suggestion) == {"source": "weight"}
    assert feed_field("UsageBillDate", "start_time", suggestion)["date_format"] == "%d/%m/%Y"


def test_an_answer_is_put_at_its_place():
    document = {"fields": {"Date": {"source": "a"}}}
    set_at(document, "/fields/Date/date_format", "%d/%m/%Y")
    set_at(document, "/format/encoding", "cp850")
    assert document == {
        "fields": {"Date": {"source": "a", "date_format": "%d/%m/%Y"}},
        "format": {"encoding": "cp850"},
    }


# JSON, XML, fixed width

EVENT = {"id": "e-1", "time": "2026-05-01T10:00:00Z", "usage": {"quantity": 5}, "account": "A", "type": "calls"}
EVENTS = [EVENT, {**EVENT, "id": "e-2"}, {**EVENT, "id": "e-3"}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EVENTS),
        json.dumps({"data": EVENTS}),
        "\n".join(map(json.dumps, EVENTS)),
        json.dumps(EVENTS)[:-20],  # cut off inside the last record
    ],
)
def test_json_records_are_found_however_they_come(text):
    suggestion = of(text, is_whole=False)
    assert suggestion.document["format"] == {"kind": "json"}
    parse_spec(suggestion.document)
    assert sources(suggestion) == {
        "Date": "time",
        "UniquenessIdentifier": "id",
        "UdrUsageIdentifier": "account",
        "Value": "usage.quantity",
        "UsageClassName": "type",
    }


def test_records_inside_a_json_document_are_found_by_their_path():
    suggestion = of(json.dumps({"page": 1, "result": {"items": EVENTS}}))
    assert suggestion.document["format"]["records_path"] == "result.items"
    parse_spec(suggestion.document)


def test_cloud_events_are_known_by_their_members():
    event = {"specversion": "1.0", "id": "1", "source": "/a", "type": "call", "data": {"seconds": 5}}
    assert of(json.dumps(event)).document["format"]["kind"] == "cloudevents"


def test_the_repeated_element_of_xml_is_the_record():
    calls = "".join(
        f'<Call id="{n}"><Start>2026-05-0{n}T10:00:00Z</Start><Party><Account>A</Account></Party>'
        "<Seconds>5</Seconds></Call>"
        for n in (1, 2, 3)
    )
    suggestion = of(f"<Batch><Header><Created>today</Created></Header>{calls}</Batch>")
    assert suggestion.document["format"] == {"kind": "xml", "record": "Call"}
    parse_spec(suggestion.document)
    assert sources(suggestion)["Date"] == "Start"
    assert sources(suggestion)["UdrUsageIdentifier"] == "Party/Account"
    assert sources(suggestion)["UniquenessIdentifier"] == "@id"


def test_xml_that_declares_entities_is_refused():
    with pytest.raises(UnableToSuggestError, match="document type"):
        of('<!DOCTYPE a [<!ENTITY b "c">]><a><b>1</b></a>')


def test_columns_of_a_fixed_width_lie_between_blanks():
    text = "\n".join(
        [
            "2026-05-01 alpha    12",
            "2026-05-02 be      345",
            "2026-05-03 gamma     7",
        ]
    )
    made = of(text).document["format"]
    assert made["kind"] == "fixed_width"
    assert [(column["start"], column["width"]) for column in made["columns"]] == [(1, 11), (12, 8), (20, 3)]


# What is no sample


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x1f\x8b\x08\x00abc", "gzip"),
        (b"PK\x03\x04abc", "cannot be read as a workbook"),
        ("a,b\n1,2".encode("utf-16"), "UTF-16"),
        (b"a,b\n\0,1", "NUL"),
        (b"one word", "delimiter"),
        (b"[1, 2, 3]", "without an object"),
        (b"{broken", "no record in it can be read"),
        (b"<a><b></a>", "cannot be read"),
        (b"<a>" * 50_000, "nested more than 100 deep"),
        (b'{"a":' * 50_000, "no record in it can be read"),
        (b"," * (1 << 20), "Is this text"),
    ],
)
def test_what_is_no_sample_is_refused_with_what_to_do(content, words):
    with pytest.raises(UnableToSuggestError, match=words):
        suggest(content)


def test_only_the_first_mebibyte_counts_and_its_last_line_is_left_out():
    line = "2026-05-01 10:00:00,1," + "A" * 900 + "\n"
    suggestion = of("start_time,quantity,account\n" + line * 2_000)
    assert suggestion.record_count == 1_000
    parse_spec(suggestion.document)


# The real samples


def sample(path):
    if not (SAMPLES / path).exists():
        pytest.skip("the samples are not here")
    return (SAMPLES / path).read_bytes()


def test_cloud_bills_of_focus_can_be_activated_as_they_are_proposed():
    suggestion = suggest(sample("focus/focus_sample.csv"))
    parse_spec(suggestion.document)
    assert (suggestion.questions, suggestion.missing) == ((), ())
    assert sources(suggestion) == {
        "Date": "ChargePeriodStart",
        "OriginatingIdentifier": "ResourceId",
        "UdrUsageIdentifier": "SubAccountId",
        "UniquenessIdentifier": "Id",
        "Value": "1",
        "Amount": "BilledCost",
        "Currency": "BillingCurrency",
        "UsageClassName": "ServiceCategory",
        "Extensions.ConsumedQuantity": "ConsumedQuantity",
    }
    assert suggestion.document["null_texts"] == ["NULL"]


def test_call_records_can_be_activated_as_they_are_proposed():
    suggestion = suggest(sample("cdr-stats/CDRImport-2015-10-26.csv"))
    parse_spec(suggestion.document)
    assert sources(suggestion)["UdrUsageIdentifier"] == "accountcode"
    assert sources(suggestion)["Value"] == "billsec"


def test_interval_meter_data_is_known_by_its_first_record():
    assert suggest(sample("nem/Example_NEM12_multiple_quality.csv")).document["format"]["kind"] == "nem"


def test_meter_data_is_mapped_whole_since_its_format_fixes_it():
    suggestion = suggest(sample("nem/Example_NEM12_multiple_quality.csv"))
    parse_spec(suggestion.document)
    assert sources(suggestion)["UdrUsageIdentifier"] == "NMI"
    assert suggestion.document["uniqueness"] == ["UdrUsageIdentifier", "Extensions.suffix", "Date"]
    assert suggestion.record_count == 48


def workbook(*rows):
    """A workbook of one sheet, made by hand: shared strings are not needed for inline ones."""
    cells = "".join(
        f'<row r="{number}">' + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>"
        for number, row in enumerate(rows, 1)
    )
    parts = {
        "_rels/.rels": '<Relationships><Relationship Id="a" Type="x/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": '<workbook xmlns:r="r"><sheets><sheet name="May" r:id="b"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="b" Type="x/worksheet" Target="sheet.xml"/>'
        "</Relationships>",
        "xl/sheet.xml": f"<worksheet><sheetData>{cells}</sheetData></worksheet>",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return stream.getvalue()


def test_the_first_sheet_of_a_workbook_is_looked_at():
    content = workbook(*(line.split(",") for line in CALLS.splitlines()))
    suggestion = suggest(content)
    assert suggestion.document["format"] == {"kind": "xlsx", "header_rows": 1}
    assert sources(suggestion)["Value"] == "duration"
    parse_spec(suggestion.document)


def test_a_sheet_without_a_header_goes_by_letters():
    suggestion = suggest(workbook(["2026-05-01 10:00", "A", "5"], ["2026-05-02 10:00", "B", "6"]))
    assert suggestion.document["format"] == {"kind": "xlsx", "columns_by": "position"}
    assert sources(suggestion)["Date"] == "A"


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from(
        [CALLS.encode(), json.dumps(EVENTS).encode(), b"<a><b c='1'/><b c='2'/></a>", b"H,1\nD,2\nT,1"]
    ),
    cuts=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 30), st.binary(max_size=6)), max_size=6),
)
def test_any_bytes_are_a_proposal_or_a_refusal_in_words(start, cuts):
    content = start
    for place, length, text in cuts:
        content = content[:place] + text + content[place + length :]
    with suppress(UnableToSuggestError):
        assert {"format", "fields"} <= suggest(content).document.keys()
