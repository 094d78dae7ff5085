"""One exception at the desk: what was read of it, what a correction would make of it, and that it holds everywhere."""

import io
from datetime import timedelta

import pytest
import xlsxwriter
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.tracing import trace_udr
from ingestion import selectors, services
from ingestion.core.fixing import Corrected
from ingestion.models import ExceptionRevision, ImportException, LeftOutRecord, UsageImport
from ingestion.selectors import Group
from ingestion.services.comparing import compare_version
from mediation.models import Udr
from tests.mediation.profiles import JSON, document

from .factories import EVENTS, NAMED, NOW, counts, event, feed_of, filed, posted, user_with, work
from .test_parts import CALLS, start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
LATER = NOW + timedelta(hours=1)
ALL = ImportException.objects


def correct(exception, **correction):
    services.correct_exception(exception=exception, reason="typing error", by=None, now=LATER, **correction)
    work(LATER)
    exception.refresh_from_db()
    return exception


def the_exception(row=None):
    usage_import = posted(feed_of(), event("a"), event("b", value="x") if row is None else row)
    work()
    return usage_import, ALL.get()


# Changes of source fields, in every format

XML = document(
    format={"kind": "xml", "record": "usage/call"},
    uniqueness=["UdrUsageIdentifier"],
)
FIXED = document(
    format={
        "kind": "fixed_width",
        "columns": [
            {"name": "date", "start": 1, "width": 10},
            {"name": "who", "start": 11, "width": 2},
            {"name": "value", "start": 13, "width": 3},
            {"name": "class", "start": 16, "width": 5},
        ],
    },
    uniqueness=["UdrUsageIdentifier"],
)
LINES = ("class,value,who,date", "calls,x,a,2026-05-01")
CALL = "<call><date>2026-05-01</date><who>a</who><value>x</value><class>calls</class></call>"


@pytest.mark.parametrize(
    ("spec", "content", "field"),
    [
        (NAMED, "\n".join(LINES) + "\n", "value"),
        (FIXED, "2026-05-01a 12xcalls\n", "value"),
        (XML, f"<usage>{CALL}</usage>", "value"),
        (document(JSON, uniqueness=["UdrUsageIdentifier"]), '{"Date": "2026-05-01", "Id": "a", "Value": "x"}', "Value"),
    ],
    ids=["delimited", "fixed width", "xml", "json"],
)
def test_a_changed_field_makes_a_udr_in_every_format(spec, content, field):
    usage_import = filed(feed_of(spec), content.encode())
    work()
    exception = ALL.get()
    assert services.preview_correction(exception=exception, changes={field: "7"}).outcome == "imported"
    assert correct(exception, changes={field: "7"}).status == "resolved"
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)
    assert Udr.objects.get().value == 7
    services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=LATER)
    work(LATER)
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)
    assert Udr.objects.order_by("pk").last().value == 7


def test_a_workbook_takes_changes_of_fields():
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ("date", "who", "value", "class"))
        sheet.write_row(1, 0, ("2026-05-01", "a", "x", "calls"))
    spec = document(format={"kind": "xlsx"}, uniqueness=["UdrUsageIdentifier"])
    usage_import = filed(feed_of(spec), stream.getvalue(), name="usage.xlsx")
    work()
    assert correct(ALL.get(), changes={"value": "7"}).status == "resolved"
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


def test_the_record_as_received_stays_and_revisions_build_on_each_other():
    _, exception = the_exception()
    correct(exception, changes={"value": "y"})
    correct(exception, changes={"class": "fax"})
    assert (exception.raw, exception.code, exception.value) == (event("b", value="x"), "bad_number", "y")
    correct(exception, raw=event("b", value="z"))
    assert exception.value == "z"
    assert selectors.corrections_of(exception.usage_import) == {2: Corrected(event("b", value="z"), {})}
    correct(exception, changes={"value": "8"})
    assert exception.status == "resolved"
    assert list(ExceptionRevision.objects.order_by("number").values_list("number", "raw", "changes")) == [
        (1, None, {"value": "y"}),
        (2, None, {"class": "fax"}),
        (3, event("b", value="z"), None),
        (4, None, {"value": "8"}),
    ]


@pytest.mark.parametrize(
    ("correction", "says"),
    [
        ({}, "Nothing is corrected"),
        ({"changes": {}}, "Nothing is corrected"),
        ({"changes": {"worth": "1"}}, "worth is no source field"),
        ({"changes": {"value": "a\0"}}, "NUL"),
        ({"changes": {"value": "1" * 10_001}}, "longer than 10,000"),
        ({"raw": " "}, "is empty"),
    ],
)
def test_a_correction_that_says_nothing_or_nonsense_is_refused(correction, says):
    _, exception = the_exception()
    with pytest.raises(services.UnableToCorrect, match=says):
        services.correct_exception(exception=exception, reason="", by=None, now=LATER, **correction)
    with pytest.raises(services.UnableToCorrect, match=says):
        services.preview_correction(exception=exception, **correction)


def test_rows_that_make_records_together_are_corrected_in_their_text():
    posted(feed_of(CALLS), start("a", octets="x", time="noon"))
    work()
    work(NOW + timedelta(hours=50))
    services.expire_waiting_parts(now=NOW + timedelta(hours=50))
    exception = ALL.get()
    with pytest.raises(services.UnableToCorrect, match="make records together"):
        services.correct_exception(exception=exception, changes={"octets": "1"}, reason="", by=None, now=LATER)
    assert services.read_of(exception=exception).raw == start("a", octets="x", time="noon")


# The trace and the comparison


def test_the_trace_tells_which_field_was_changed_from_what_to_what():
    _, exception = the_exception()
    correct(exception, changes={"value": "7"})
    chapters = trace_udr(Udr.objects.get(udr_usage_identifier="b").pk)
    facts = [fact for chapter in chapters for fact in chapter.facts]
    assert "Corrected: field value from “x” to “7”." in [fact.text for fact in facts if fact.name == "corrected"]
    assert any(fact.text.startswith("Value = 7") for fact in facts)


def test_a_version_is_compared_with_the_records_as_they_were_corrected():
    usage_import, exception = the_exception()
    correct(exception, changes={"value": "7"})
    found = compare_version(version=usage_import.profile_version, usage_import=usage_import, by=None)
    assert (found.record_count, found.change_count) == (2, 0)


# What was read


def test_what_was_read_is_told_with_the_place_of_the_offending_value():
    _, exception = the_exception()
    reading = services.read_of(exception=exception)
    assert reading.raw[slice(*reading.span)] == "x"
    assert reading.sources == (("date", "2026-05-01T10:00:00Z"), ("who", "b"), ("value", "x"), ("class", "calls"))
    assert (reading.code, reading.field, reading.value) == ("bad_number", "Value", "x")
    assert reading.faulted_sources == ("value",)
    assert reading.fields_of("who") == [("UdrUsageIdentifier", "b")]
    assert reading.fields_of("value") == [("Value", None)]


def test_what_was_read_is_told_as_it_is_corrected():
    _, exception = the_exception()
    correct(exception, changes={"value": "y"})
    reading = services.read_of(exception=exception)
    assert dict(reading.sources)["value"] == "y"
    assert (reading.changes, reading.raw, reading.span) == ({"value": "y"}, event("b", value="x"), None)


def test_a_record_that_cannot_be_read_has_no_fields():
    _, exception = the_exception(row="a,b")
    reading = services.read_of(exception=exception)
    assert (reading.fields, reading.span, reading.faulted_sources) == ((), None, ())
    assert reading.raw == "a,b"


def test_without_an_active_version_there_is_only_the_text():
    usage_import, exception = the_exception()
    usage_import.feed.profile.versions.update(status="retired")
    reading = services.read_of(exception=exception)
    assert (reading.sources, reading.version, reading.raw) == ((), None, event("b", value="x"))
    with pytest.raises(services.UnableToCorrect, match="no active version"):
        services.preview_correction(exception=exception, changes={"value": "1"})
    with pytest.raises(services.UnableToPreviewRule, match="no active version"):
        services.preview_correction(exception=exception, raw="a")


# Previews


@pytest.mark.parametrize(
    ("correction", "outcome", "code"),
    [
        ({"changes": {"value": "7"}}, "imported", ""),
        ({"changes": {"value": "y"}}, "exception", "bad_number"),
        ({"raw": event("a")}, "duplicate", "a"),
        ({"raw": event("a", value="5")}, "exception", "conflict"),
        ({"raw": "a,b"}, "exception", "too_few_columns"),
    ],
)
def test_a_correction_is_previewed_with_nothing_written(correction, outcome, code):
    usage_import, exception = the_exception()
    preview = services.preview_correction(exception=exception, **correction)
    assert (preview.outcome, preview.code) == (outcome, code)
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)
    assert not ExceptionRevision.objects.exists()
    assert not LeftOutRecord.objects.exists()
    assert correct(exception, **correction).status == ("open" if outcome == "exception" else "resolved")


def test_the_preview_tells_the_udr():
    _, exception = the_exception()
    preview = services.preview_correction(exception=exception, changes={"value": "7.50"})
    assert {field.name: field.value for field in preview.fields}["Value"] == "7.5"
    assert dict(preview.sources)["value"] == "7.50"


RULE = {"kind": "expression", "field": "value", "expression": "REPLACE(value, ';', '')"}


def bad_rows(count):
    return [event(f"bad{number}", value="1;5") for number in range(count)]


def test_a_rule_is_previewed_on_a_sample_with_nothing_written():
    feed = feed_of()
    usage_import = posted(feed, event("bad1"), *bad_rows(6))
    work()
    group = Group(feed.pk, "bad_number", "Value", "1;5")
    rule = {
        "kind": "expression",
        "field": "value",
        "expression": "CASE who WHEN 'bad0' THEN 'x' WHEN 'bad2' THEN value ELSE '15' END",
    }
    preview = services.preview_rule(group=group, rule=rule, limit=3)
    assert (preview.group_count, preview.every, preview.sample_count) == (6, 1, 6)
    assert preview.outcomes == {"imported": 3, "exception": 2, "skipped": 0, "duplicate": 0, "unchanged": 1}
    assert preview.still == [("bad_number", 1), ("conflict", 1)]
    assert [(one.before, one.after, one.outcome, one.code) for one in preview.records] == [
        ("1;5", "x", "exception", "bad_number"),
        ("1;5", "15", "exception", "conflict"),
        ("1;5", "1;5", "unchanged", ""),
    ]
    assert counts(usage_import) == ("completed", 1, 6, 0, 0)
    assert not ExceptionRevision.objects.exists()


def test_a_sample_is_every_nth_of_the_group():
    feed = feed_of()
    posted(feed, *bad_rows(10))
    work()
    group = Group(feed.pk, "bad_number", "Value", "1;5")
    preview = services.preview_rule(group=group, rule=RULE, every=4)
    assert [one.record_number for one in preview.records] == [1, 5, 9]
    assert (preview.group_count, preview.every, preview.outcomes["imported"]) == (10, 4, 3)


def test_a_preview_of_a_group_that_is_gone_or_of_a_bad_rule_says_so():
    feed = feed_of()
    preview = services.preview_rule(group=Group(feed.pk, "bad_number", "Value", "1"), rule=RULE)
    assert (preview.group_count, preview.sample_count, preview.records) == (0, 0, ())
    with pytest.raises(services.FaultyRuleError):
        services.preview_rule(group=Group(feed.pk, "bad_number", "Value", "1"), rule={"kind": "set"})


def test_a_preview_asks_as_much_for_two_records_as_for_twenty():
    feed = feed_of()
    group = Group(feed.pk, "bad_number", "Value", "1;5")
    asked = []
    for some in (bad_rows(2), bad_rows(20)[2:]):
        for row in some:
            posted(feed, row)
        work()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            services.preview_rule(group=group, rule=RULE)
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_events_are_corrected_by_their_members():
    usage_import = posted(feed_of(EVENTS), {"Date": "2026-05-01", "Id": "a", "Value": "1;5"})
    work()
    reading = services.read_of(exception=ALL.get())
    assert reading.raw[slice(*reading.span)] == '"1;5"'
    feed = usage_import.feed
    rule = {"kind": "substitute", "field": "Value", "pattern": ";", "replacement": "."}
    services.ask_correction(
        group=Group(feed.pk, "bad_number", "Value", "1;5"), rule=rule, reason="points", by=None, now=LATER
    )
    while services.correct_next_portion(now=LATER):
        pass
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


# The API


def test_a_client_corrects_fields_and_sees_what_was_corrected(client):
    _, exception = the_exception()
    client.force_login(user_with("ingestion.correct_importexception", "ingestion.view_importexception"))
    address = f"/api/v1/exceptions/{exception.pk}/correct"
    refused = client.post(address, {"reason": "why"}, content_type="application/json")
    assert refused.status_code == 400
    answer = client.post(address, {"changes": {"value": "7"}}, content_type="application/json")
    assert answer.status_code == 202
    work(LATER)
    told = client.get("/api/v1/exceptions").json()["results"][0]
    assert (told["status"], told["value"]) == ("resolved", "x")
    assert [(one["raw"], one["changes"]) for one in told["revisions"]] == [(None, {"value": "7"})]
