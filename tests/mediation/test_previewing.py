"""A preview tells every record's way, step by step, and writes nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import DatabaseError, InternalError, connection

from mediation.core.suggesting import suggest
from mediation.models import UsageClass
from mediation.services.previewing import UnableToPreview, preview
from mediation.store.reading_only import reading_only

pytestmark = pytest.mark.django_db
SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
SPEC = {
    "format": {"kind": "delimited", "columns": ["at", "who", "what", "much"], "header_rows": 1},
    "fields": {
        "Date": {"source": "at"},
        "UdrUsageIdentifier": {"source": "who", "case": "upper", "default": "NOBODY"},
        "UsageClassName": {"source": "what", "value_map": {"V": "voice", "D": "data"}},
        "Value": {"source": "much"},
    },
    "skip": [{"name": "tests", "source": "who", "operator": "equals", "values": ["test"]}],
    "null_texts": ["-"],
}
ROWS = b"""at,who,what,much
2026-05-01 10:00, a1 ,V,60
2026-05-01 11:00,-,V,1.50
2026-05-01 12:00,test,V,60
2026-05-01 13:00,a1,X,60
2026-05-01 10:00, a1 ,V,60
2026-05-01
"""


def shown(content=ROWS, spec=SPEC, **options):
    options.setdefault("assumed_classes", ["voice", "data"])
    return preview(spec=spec, content=content, **options)


def trace(record, name):
    return next(field for field in record.fields if field.name == name)


def steps(record, name):
    return [(step.name, step.text) for step in trace(record, name).steps]


def test_every_record_has_one_outcome_and_says_why():
    told = [(record.number, record.outcome, record.reason) for record in shown().records]
    assert told == [
        (2, "imported", ""),
        (3, "imported", ""),
        (4, "skipped", "tests"),
        (5, "exception", "unmapped_value"),
        (6, "duplicate", "2"),
        (7, "exception", "too_few_columns"),
    ]


def test_of_bytes_that_are_no_text_no_line_ends_are_spoken():
    with pytest.raises(UnableToPreview, match="no text"):
        shown(b"\x1f\x8b\x08\x00\rabc\r\x01\x02")


def test_outcomes_are_counted():
    made = shown()
    assert made.counts == {"imported": 2, "exception": 2, "skipped": 1, "duplicate": 1}
    assert ("skipped", "tests", 1) in made.reasons


def test_each_step_that_changed_a_text_is_shown():
    first, second = shown().records[:2]
    assert first.sources["who"] == " a1 "
    assert steps(first, "UdrUsageIdentifier") == [("as read", " a1 "), ("trimmed", "a1"), ("case", "A1")]
    assert steps(second, "UdrUsageIdentifier") == [("as read", "-"), ("no value", None), ("default", "NOBODY")]
    assert steps(first, "UsageClassName") == [("as read", "V"), ("value map", "voice")]


def test_typed_values_are_shown_as_they_will_be_stored():
    record = shown().records[1]
    assert trace(record, "Date").value == "2026-05-01 11:00:00 UTC"
    assert trace(record, "Value").value == "1.5"


def test_a_record_that_cannot_be_read_shows_its_text_and_the_reason():
    record = shown().records[5]
    assert record.raw == "2026-05-01"
    assert "1 columns where 4 are expected" in record.message
    assert record.fields == ()


def test_rows_as_a_request_sends_them_have_no_header():
    made = shown(ROWS.partition(b"\n")[2], as_rows=True)
    assert [record.number for record in made.records] == [1, 2, 3, 4, 5, 6]


def test_json_records_are_previewed_too():
    spec = {**SPEC, "format": {"kind": "json"}, "skip": []}
    event = {"at": "2026-05-01T10:00:00Z", "who": "a", "what": "V", "much": 5}
    (record,) = shown(json.dumps(event).encode(), spec).records
    assert (record.outcome, trace(record, "Value").value) == ("imported", "5")


def test_a_class_that_nobody_made_is_an_exception_unless_it_is_assumed():
    assert shown(assumed_classes=()).records[0].reason == "unknown_usage_class"
    UsageClass.objects.create(name="voice")
    assert shown(assumed_classes=()).records[0].outcome == "imported"


def test_the_windows_of_a_feed_are_kept():
    latest = datetime(2026, 5, 1, 10, 30, tzinfo=UTC)
    assert shown(windows=(None, latest)).records[1].reason == "in_future"


def test_the_first_thousand_records_are_shown():
    made = shown(ROWS[:17] + b"2026-05-01 10:00,a,V,1\n" * 1_200)
    assert (len(made.records), made.is_cut) == (1_000, True)


@pytest.mark.parametrize(
    ("content", "spec", "words"),
    [
        (b"  \n", SPEC, "nothing to preview"),
        (b"x" * ((1 << 20) + 1), SPEC, "at most 1,048,576 bytes"),
        (b"at,who,what,much\n", SPEC, "no records"),
        (ROWS, {**SPEC, "fields": {}}, "has faults"),
        (b"no json", {**SPEC, "format": {"kind": "json"}}, "no JSON records"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_reason(content, spec, words):
    with pytest.raises(UnableToPreview, match=words):
        shown(content, spec)


def test_nothing_can_be_written_while_a_preview_is_made():
    with pytest.raises((DatabaseError, InternalError), match="read-only transaction"), reading_only():
        UsageClass.objects.create(name="written")
    UsageClass.objects.create(name="after")  # and the next work may write again


def test_a_preview_works_in_a_transaction_that_can_only_read():
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    assert shown().counts["imported"] == 2


def test_cloud_bills_go_through_as_they_are_proposed():
    if not (SAMPLES / "focus").exists():
        pytest.skip("the samples are not here")
    content = (SAMPLES / "focus" / "focus_sample.csv").read_bytes()
    suggestion = suggest(content)
    classes = next(column.values for column in suggestion.columns if column.name == "ServiceCategory")
    made = preview(spec=suggestion.document, content=content, assumed_classes=classes)
    assert made.counts == {"imported": 1_000, "exception": 0, "skipped": 0, "duplicate": 0}
    assert str(made.udrs["amount"].sum()) == "20.52022672899"


def test_each_transform_of_a_chain_is_a_step_of_its_own():
    chain = [{"substitute": {"find": ".", "replace": ","}}, {"substitute": {"find": ",", "replace": "."}}]
    fields = {**SPEC["fields"], "Value": {"source": "much", "transforms": chain}}
    record = shown(spec={**SPEC, "fields": fields}).records[1]
    assert [text for _, text in steps(record, "Value")] == ["1.50", "1,50", "1.50"]
    assert steps(record, "Value")[0][0] == "as read"
    assert trace(record, "Value").value == "1.5"


def test_what_is_chosen_or_computed_says_so():
    fields = {
        **SPEC["fields"],
        "Value": {"formula": "CAST(much AS DECIMAL(18,3)) * 2"},
        "OriginatingIdentifier": {"choose": [{"when": "what = 'D'", "source": "at"}, {"source": "who"}]},
    }
    record = shown(spec={**SPEC, "fields": fields}).records[1]
    assert (trace(record, "Value").origin, trace(record, "Value").value) == ("computed", "3")
    assert trace(record, "OriginatingIdentifier").value is None


def test_a_repair_is_the_last_step_and_said():
    rule = {"name": "at least 10", "code": "too_small", "field": "Value", "rule": {"range": {"least": "10"}}}
    spec = {**SPEC, "validations": [{**rule, "repair": {"set": "10"}}]}
    record = shown(spec=spec).records[1]
    assert (record.outcome, record.reason) == ("imported", "too_small")
    assert steps(record, "Value")[-1] == ("repaired", "10")
    assert trace(record, "Value").value == "10"


def test_a_lookup_table_that_is_not_there_is_said():
    chain = [{"lookup": {"table": "zones", "give": "zone"}}]
    fields = {**SPEC["fields"], "Extensions.zone": {"source": "who", "transforms": chain}}
    with pytest.raises(UnableToPreview) as refusal:
        shown(spec={**SPEC, "fields": fields})
    assert "no lookup table 'zones'" in refusal.value.faults[0].message


SWITCH = b"H,SWITCH1,20260501\nD,2026-05-01,4,A\nD,2026-05-01,6,B\nD,2026-05-02,1.5,B\nT,3,11.5\n"


def switch_profile():
    """What is proposed for a file with header, details and trailer, with the columns that a person chose."""
    document = suggest(SWITCH).document
    document["fields"] |= {
        "UdrUsageIdentifier": {"source": "column_4"},
        "Value": {"source": "column_3"},
        "Extensions.switch": {"source": "header.header_2"},
    }
    return document


def test_header_and_trailer_records_are_told_apart_in_a_preview():
    records = shown(SWITCH, switch_profile(), knows_every_name=True).records
    assert [record.outcome for record in records] == ["skipped", "imported", "imported", "imported", "skipped"]
    assert trace(records[1], "Extensions.switch").value == "SWITCH1"


def test_a_control_total_that_disagrees_is_said_with_the_difference():
    with pytest.raises(UnableToPreview, match=r"0\.5 less than it says"):
        shown(SWITCH.replace(b"11.5", b"12"), switch_profile(), knows_every_name=True)
