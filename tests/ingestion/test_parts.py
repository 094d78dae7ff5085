"""Rows of several chunks and imports that make one record, and files whose totals must agree."""

from datetime import timedelta

import pytest

from ingestion import services
from ingestion.models import ImportChunk, ImportException, LeftOutRecord, UsageImport, WaitingPart
from ingestion.services.comparing import compare_version
from mediation.core.reading import delimited
from mediation.models import Udr, UdrBatch
from mediation.services.previewing import UnableToPreview, preview
from tests.mediation.profiles import document

from .factories import NOW, counts, feed_of, filed, in_threads, lined, new_version, posted, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
CALLS = document(
    format={"kind": "delimited", "columns": ["id", "event", "time", "octets"]},
    fields={
        "Date": {"source": "start.time"},
        "UdrUsageIdentifier": {"source": "id"},
        "Value": {"source": "octets"},
        "UsageClassName": {"literal": "calls"},
        "Extensions.ended": {"source": "stop.time"},
    },
    structure={
        "combine": {
            "key": ["id"],
            "roles": {"start": "event = 'START'", "stop": "event = 'STOP'"},
            "primary": "start",
            "fields": {"octets": "sum"},
            "window_hours": 48,
        }
    },
)
WAITS = "waits for its other parts"
LATE = NOW + timedelta(hours=49)


def start(key, octets="1", time="2026-05-01T10:00:00Z"):
    return f"{key},START,{time},{octets}"


def stop(key, octets="2", time="2026-05-01T11:00:00Z"):
    return f"{key},STOP,{time},{octets}"


def part_of(number, usage_import):
    return f"part of record {number} of {usage_import.tracking_id}"


def reasons(usage_import):
    usage_import.refresh_from_db()
    rows = LeftOutRecord.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
    return dict(rows.order_by("record_number").values_list("record_number", "reason"))


def udrs():
    counting = set(UdrBatch.objects.filter(status__in=["mediated", "rated"]).values_list("pk", flat=True))
    return sorted((one.udr_usage_identifier, int(one.value)) for one in Udr.objects.all() if one.pk >> 17 in counting)


def reprocess(*imports, now=LATE):
    services.reprocess_imports(imports=UsageImport.objects.filter(pk__in=[i.pk for i in imports]), by=None, now=now)
    work(now)


def test_parts_of_one_file_make_one_record():
    usage_import = filed(feed_of(CALLS), start("c1"), start("c2"), stop("c1"))
    work()
    assert counts(usage_import) == ("completed", 1, 0, 2, 0)
    assert reasons(usage_import) == {2: WAITS, 3: part_of(1, usage_import)}
    assert udrs() == [("c1", 3)]
    assert Udr.objects.get().extensions == {"ended": "2026-05-01T11:00:00Z"}
    assert WaitingPart.objects.get().key == "c2"


@pytest.mark.parametrize("halves", [(start, stop), (stop, start)])
@pytest.mark.parametrize("door", [filed, posted, lined])
def test_halves_in_two_imports_are_one_record_of_the_second(door, halves):
    feed = feed_of(CALLS)
    first = door(feed, halves[0]("c1"), halves[0]("c9"))
    work()
    second = door(feed, halves[1]("c1"), halves[1]("c8"))
    work()
    assert counts(first) == ("completed", 0, 0, 2, 0)
    assert counts(second) == ("completed", 1, 0, 1, 0)
    assert reasons(first) == {1: part_of(1, second), 2: WAITS}
    assert udrs() == [("c1", 3)]
    assert Udr.objects.get().date.hour == 10


def test_submissions_that_are_mediated_together_are_combined():
    feed = feed_of(CALLS)
    first, second = posted(feed, start("c1")), posted(feed, stop("c1"))
    work()
    assert counts(first) == ("completed", 1, 0, 0, 0)
    assert counts(second) == ("completed", 0, 0, 1, 0)
    assert not WaitingPart.objects.exists()


def test_halves_in_two_chunks_of_a_file(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 1)
    usage_import = filed(feed_of(CALLS), start("c1"), start("c2"), stop("c1"), stop("c2"))
    work()
    assert counts(usage_import) == ("completed", 2, 0, 2, 0)
    assert reasons(usage_import) == {1: part_of(3, usage_import), 2: part_of(4, usage_import)}


def test_parts_of_other_feeds_are_strangers():
    filed(feed_of(CALLS), start("c1"))
    filed(feed_of(CALLS), stop("c1"))
    work()
    assert udrs() == []


def test_the_same_parts_again_are_a_duplicate():
    feed = feed_of(CALLS)
    filed(feed, start("c1"), stop("c1"))
    work()
    first = filed(feed, stop("c1"))
    second = filed(feed, start("c1"))
    work()
    assert counts(first) == ("completed", 0, 0, 1, 0)
    assert counts(second) == ("completed", 0, 0, 0, 1)
    assert udrs() == [("c1", 3)]


def test_a_repeated_part_is_a_duplicate_and_a_second_start_an_exception():
    feed = feed_of(CALLS)
    filed(feed, start("c1"))
    work()
    again = filed(feed, start("c1"), start("c1", octets="7"))
    work()
    assert counts(again) == ("completed", 0, 1, 0, 1)
    assert ImportException.objects.get().code == "conflicting_part"


# The window


def test_what_waited_in_vain_becomes_an_exception():
    feed = feed_of(CALLS)
    usage_import = filed(feed, start("c1"), start("c2"), stop("c2"))
    work()
    assert services.expire_waiting_parts(now=NOW + timedelta(hours=47)) == 0
    assert services.expire_waiting_parts(now=LATE) == 1
    assert counts(usage_import) == ("completed", 1, 1, 1, 0)
    exception = ImportException.objects.get()
    assert (exception.code, exception.record_number, exception.raw) == ("incomplete_record", 1, start("c1"))
    assert "it is the start of “c1”" in exception.message
    assert not WaitingPart.objects.exists()
    assert services.expire_waiting_parts(now=LATE) == 0


def test_a_half_that_comes_after_the_window_is_not_joined_and_one_in_time_is_though_mediated_late():
    feed = feed_of(CALLS)
    filed(feed, start("c1"), start("c2"))
    work()
    in_time = filed(feed, stop("c1"), now=NOW + timedelta(hours=47))
    assert services.expire_waiting_parts(now=LATE) == 0
    too_late = filed(feed, stop("c2"), now=LATE)
    work(LATE)
    assert counts(in_time) == ("completed", 1, 0, 0, 0)
    assert counts(too_late) == ("completed", 0, 0, 1, 0)


def test_incomplete_halves_that_are_tried_together_are_combined():
    feed = feed_of(CALLS)
    first, second = filed(feed, start("c1")), filed(feed, stop("c1"), now=LATE)
    work(LATE)
    services.expire_waiting_parts(now=LATE)
    services.expire_waiting_parts(now=LATE + timedelta(hours=49))
    assert ImportException.objects.filter(status="open").count() == 2
    services.reprocess_exceptions(exceptions=ImportException.objects.all(), by=None, now=LATE)
    work(LATE)
    assert counts(first) == ("completed", 1, 0, 0, 0)
    assert counts(second) == ("completed", 0, 0, 1, 0)
    assert udrs() == [("c1", 3)]


def test_an_incomplete_half_that_is_tried_alone_stays_an_exception():
    usage_import = filed(feed_of(CALLS), start("c1"))
    work()
    services.expire_waiting_parts(now=LATE)
    services.reprocess_exceptions(exceptions=ImportException.objects.all(), by=None, now=LATE)
    work(LATE)
    assert counts(usage_import) == ("completed", 0, 1, 0, 0)
    assert ImportException.objects.get().status == "open"


def test_a_corrected_half_waits_and_is_the_same_exception_when_nothing_comes():
    usage_import = filed(feed_of(CALLS), "c1,HALT,2026-05-01T11:00:00Z,2")
    work()
    exception = ImportException.objects.get()
    assert exception.code == "unknown_part"
    services.correct_exception(exception=exception, raw=stop("c1"), reason="typo", by=None, now=NOW)
    work()
    assert counts(usage_import) == ("completed", 0, 0, 1, 0)
    services.expire_waiting_parts(now=LATE)
    assert counts(usage_import) == ("completed", 0, 1, 0, 0)
    exception.refresh_from_db()
    assert (exception.status, exception.code) == ("open", "incomplete_record")


def test_a_corrected_half_completes_the_record_that_waits():
    feed = feed_of(CALLS)
    first = filed(feed, start("c1"))
    second = filed(feed, "c1,HALT,2026-05-01T11:00:00Z,2")
    work()
    services.correct_exception(exception=ImportException.objects.get(), raw=stop("c1"), reason="", by=None, now=NOW)
    work()
    assert counts(second) == ("completed", 1, 0, 0, 0)
    assert reasons(first) == {1: part_of(1, second)}


@pytest.mark.parametrize("is_one_file", [True, False])
def test_a_bad_record_of_several_rows_is_combined_again_when_it_is_corrected(is_one_file):
    feed = feed_of(CALLS)
    if is_one_file:
        first = second = filed(feed, stop("c1"), start("c1", octets="1e3"))
    else:
        first, second = filed(feed, stop("c1")), filed(feed, start("c1", octets="1e3"))
    work()
    exception = ImportException.objects.get()
    assert (exception.usage_import, exception.code) == (second, "bad_number")
    services.correct_exception(exception=exception, raw=start("c1", octets="5"), reason="", by=None, now=LATE)
    work(LATE)
    number = 2 if is_one_file else 1
    assert udrs() == [("c1", 7)]
    assert reasons(first)[1] == part_of(number, second)


# Mediated again


def test_the_import_that_carries_the_record_is_mediated_again_with_the_parts_it_took():
    feed = feed_of(CALLS)
    first, second = filed(feed, start("c1")), filed(feed, stop("c1"))
    work()
    new_version(feed, document(CALLS, fields={"Value": {"literal": "9"}}))
    reprocess(second)
    assert counts(second) == ("completed", 1, 0, 0, 0)
    assert udrs() == [("c1", 9)]
    assert reasons(first) == {1: part_of(1, second)}


def test_the_import_of_a_part_is_mediated_again_and_the_record_stands():
    feed = feed_of(CALLS)
    first, second = filed(feed, start("c1"), start("c2")), filed(feed, stop("c1"))
    work()
    reprocess(first, now=NOW)
    assert counts(first) == ("completed", 0, 0, 2, 0)
    assert reasons(first) == {1: part_of(1, second), 2: WAITS}
    assert udrs() == [("c1", 3)]
    assert WaitingPart.objects.get(key="c2").attempt == 2
    reprocess(second, now=NOW)
    assert udrs() == [("c1", 3)]
    assert reasons(first) == {1: part_of(1, second), 2: WAITS}


def test_parts_that_no_record_takes_any_more_wait_again():
    feed = feed_of(CALLS)
    first, second = filed(feed, start("c1")), filed(feed, stop("c1"))
    work()
    skipping = document(CALLS, skip=[{"name": "stops", "source": "event", "operator": "equals", "values": ["STOP"]}])
    new_version(feed, skipping)
    reprocess(second, now=NOW)
    assert counts(second) == ("completed", 0, 0, 1, 0)
    assert reasons(first) == {1: WAITS}
    assert udrs() == []
    new_version(feed, CALLS)
    reprocess(second, now=NOW)
    assert udrs() == [("c1", 3)]


def test_both_imports_mediated_again_at_once_make_the_record_once():
    feed = feed_of(CALLS)
    imports = [filed(feed, start("c1")), filed(feed, stop("c1"))]
    work()
    for _ in range(2):
        reprocess(*imports)
        assert udrs() == [("c1", 3)]
        assert sum(counts(one)[1] for one in imports) == 1


def test_a_profile_that_combines_no_more_leaves_no_parts():
    feed = feed_of(CALLS)
    usage_import = filed(feed, start("c1"))
    work()
    plain = document(CALLS, fields={"Date": {"source": "time"}, "Extensions.ended": {"source": "time"}}, structure=None)
    new_version(feed, plain)
    reprocess(usage_import)
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)
    assert not WaitingPart.objects.exists()


# With an envelope


@pytest.mark.parametrize("envelope", ["chunk", "file"])
def test_parts_in_a_refused_envelope_do_not_wait_and_take_none(envelope):
    feed = feed_of(document(CALLS, envelope=envelope))
    waiting = filed(feed, start("c1"))
    work()
    refused = filed(feed, stop("c1"), start("c2"), start("c3"), stop("c3"), start("c4", octets="x"), stop("c4"))
    work()
    assert counts(refused) == ("completed", 0, 1, 5, 0)
    assert {reason.split(":")[0] for reason in reasons(refused).values()} == {"its envelope was refused"}
    assert reasons(waiting) == {1: WAITS}
    assert list(WaitingPart.objects.values_list("key", "record_import_id")) == [("c1", None)]
    mended = filed(feed, stop("c1"), start("c2"), start("c3"), stop("c3"))
    work()
    assert counts(mended) == ("completed", 2, 0, 2, 0)


# Two workers at once


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_workers_with_the_halves_of_many_records_neither_lose_nor_double():
    feed = feed_of(CALLS)
    keys = [f"c{place}" for place in range(40)]
    for place, key in enumerate(keys):
        posted(feed, *([start(key), stop(f"d{place}")] if place % 2 else [stop(key), start(f"d{place}")]))
    for place, key in reversed(list(enumerate(keys))):
        filed(feed, stop(key) if place % 2 else start(key), start(f"d{place}") if place % 2 else stop(f"d{place}"))
    errors = in_threads(lambda: work(), 4)
    assert errors == []
    assert udrs() == sorted((f"{letter}{place}", 3) for place in range(40) for letter in "cd")
    assert not ImportChunk.objects.exclude(status="done").exists()
    assert not WaitingPart.objects.filter(record_import_id=None).exists()
    assert not ImportException.objects.exists()


# Files that say what is in them

BILLS = document(
    format={"kind": "delimited", "columns": ["type", "date", "who", "value"]},
    fields={
        "Date": {"source": "header.created"},
        "UdrUsageIdentifier": {"source": "who"},
        "Value": {"source": "value"},
        "UsageClassName": {"literal": "calls"},
    },
    structure={
        "record_types": {"column": 1, "header": ["H"], "trailer": ["T"], "detail": ["D"]},
        "header_columns": ["type", "created"],
        "trailer_columns": ["type", "count", "total"],
        "controls": [{"kind": "count", "field": "count"}, {"kind": "sum", "field": "total", "of": "value"}],
    },
)
BATCH = ("H,2026-05-01", "D,x,a,1.5", "D,x,b,2")


@pytest.mark.parametrize("door", [filed, posted, lined])
def test_a_file_whose_totals_agree_is_imported_and_its_header_dates_the_records(door, monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 1)
    usage_import = door(feed_of(BILLS), *BATCH, "T,2,3.5")
    work()
    assert counts(usage_import) == ("completed", 2, 0, 2, 0)
    assert reasons(usage_import) == {1: "header record", 4: "trailer record"}
    assert {one.date.isoformat() for one in Udr.objects.all()} == {"2026-05-01T00:00:00+00:00"}
    reprocess(usage_import)
    assert counts(usage_import) == ("completed", 2, 0, 2, 0)


def test_a_file_whose_totals_disagree_fails_as_a_whole():
    usage_import = filed(feed_of(BILLS), *BATCH, "T,1000,3.5")
    work()
    assert counts(usage_import) == ("failed", 0, 0, 0, 0)
    assert usage_import.error.startswith("The trailer says 1,000 records, the file has 2: 998 are missing.")
    assert not Udr.objects.exists()


@pytest.mark.parametrize("door", [posted, lined])
def test_a_request_whose_totals_disagree_is_refused(door):
    with pytest.raises(services.UnableToReceive, match=r"come to 3\.5: 0\.5 more") as refusal:
        door(feed_of(BILLS), *BATCH, "T,2,3")
    assert refusal.value.code == "structure_not_kept"
    assert not UsageImport.objects.exists()


@pytest.mark.parametrize("door", [posted, lined])
def test_a_request_is_not_mediated_again_with_a_profile_whose_totals_disagree(door):
    feed = feed_of(document(BILLS, structure={**BILLS["structure"], "controls": []}))
    usage_import = door(feed, *BATCH, "T,2,3")
    work()
    new_version(feed, BILLS)
    with pytest.raises(services.UnableToReprocess, match="more than it says"):
        reprocess(usage_import)
    assert counts(usage_import) == ("completed", 2, 0, 2, 0)


def test_an_exception_of_a_file_with_a_header_is_corrected_with_what_the_header_said():
    usage_import = filed(feed_of(BILLS), *BATCH, "D,x,c", "T,3,3.5")
    work()
    exception = ImportException.objects.get()
    assert exception.code == "too_few_columns"
    services.correct_exception(exception=exception, raw="D,x,c,1", reason="", by=None, now=NOW)
    work()
    assert counts(usage_import) == ("completed", 3, 0, 2, 0)


# Looking before anything is written


def test_a_comparison_combines_what_the_import_is_made_of():
    feed = feed_of(CALLS)
    filed(feed, start("c1"))
    usage_import = filed(feed, stop("c1"), start("c2"), stop("c2"))
    work()
    doubled = new_version(feed, document(CALLS, fields={"Value": {"literal": "9"}}))
    comparison = compare_version(version=doubled, usage_import=usage_import, by=None)
    assert comparison.fields == [("value", 2)]
    assert [(one.number, one.before, one.after) for one in comparison.changes] == [
        (1, "imported", "imported"),
        (2, "imported", "imported"),
    ]


def test_a_comparison_reads_the_header():
    usage_import = filed(feed_of(BILLS), *BATCH, "T,2,3.5")
    work()
    comparison = compare_version(version=usage_import.profile_version, usage_import=usage_import, by=None)
    assert (comparison.record_count, comparison.change_count) == (4, 0)


def test_a_preview_shows_what_parts_make_and_what_waits():
    feed_of(CALLS)
    shown = preview(spec=CALLS, content="\n".join([start("c1"), stop("c1"), start("c2")]))
    assert [(one.outcome, one.reason) for one in shown.records] == [
        ("imported", ""),
        ("skipped", "part of record 1 of this sample"),
        ("skipped", WAITS),
    ]


def test_a_preview_reads_the_header_and_refuses_totals_that_disagree():
    feed_of(BILLS)
    shown = preview(spec=BILLS, content="\n".join([*BATCH, "T,2,3.5"]))
    assert [one.outcome for one in shown.records] == ["skipped", "imported", "imported", "skipped"]
    with pytest.raises(UnableToPreview, match="1 is missing"):
        preview(spec=BILLS, content="\n".join([*BATCH, "T,3,3.5"]))


# Other formats

FIXED = document(
    BILLS,
    format={
        "kind": "fixed_width",
        "columns": [{"name": "who", "start": 2, "width": 4}, {"name": "value", "start": 6, "width": 5}],
    },
    structure={
        "record_types": {"position": 1, "width": 1, "header": ["0"], "trailer": ["9"]},
        "header_columns": [{"name": "created", "start": 2, "width": 10}],
        "trailer_columns": [{"name": "count", "start": 2, "width": 6}, {"name": "total", "start": 8, "width": 8}],
        "controls": [
            {"kind": "count", "field": "count", "counts": "all"},
            {"kind": "sum", "field": "total", "of": "value"},
        ],
    },
)


def test_fixed_width_with_a_trailer():
    feed = feed_of(FIXED)
    lines = ("02026-05-01", "1abcd00010", "1efgh00025")
    good = filed(feed, *lines, "900000400000035")
    bad = filed(feed, *lines, "900000500000034")
    work()
    assert counts(good) == ("completed", 2, 0, 2, 0)
    assert counts(bad)[0] == "failed"
    assert "The trailer says 5 records, the file has 4: 1 is missing." in bad.error
    assert "the records come to 35: 1 more than it says" in bad.error


EVENTS = document(
    CALLS,
    format={"kind": "json"},
    fields={
        "Date": {"source": "start.at.time"},
        "UdrUsageIdentifier": {"source": "call"},
        "Value": {"source": "usage.octets"},
        "Extensions.ended": {"source": "stop.at.time"},
    },
    structure={
        "record_types": {"when": {"header": "kind = 'head'", "trailer": "kind = 'sum'"}},
        "trailer_columns": ["kind", "totals.octets"],
        "controls": [{"kind": "sum", "field": "totals.octets", "of": "usage.octets"}],
        "combine": {
            "key": ["call"],
            "roles": {"start": "kind = 'START'", "stop": "kind = 'STOP'"},
            "primary": "stop",
            "fields": {"usage.octets": "sum"},
        },
    },
)


def test_json_records_of_several_types_and_parts():
    feed = feed_of(EVENTS)
    head, total = {"kind": "head"}, {"kind": "sum", "totals": {"octets": 3.5}}
    begun = {"kind": "START", "call": "c1", "at": {"time": "2026-05-01T10:00:00Z"}, "usage": {"octets": 1}}
    ended = {"kind": "STOP", "call": "c1", "at": {"time": "2026-05-01T11:00:00Z"}, "usage": {"octets": 2.5}}
    usage_import = posted(feed, head, begun, ended, total)
    work()
    assert counts(usage_import) == ("completed", 1, 0, 3, 0)
    assert str(Udr.objects.get().value) == "3.500000"
    # The same in another spelling and order.
    again = posted(feed, head, dict(reversed(ended.items())), begun, total)
    work()
    assert counts(again) == ("completed", 0, 0, 3, 1)


XML = document(
    EVENTS,
    format={"kind": "xml", "record": "call"},
    fields={"Date": {"source": "start.time"}, "UdrUsageIdentifier": {"source": "id"}, "Value": {"source": "octets"}},
    structure={
        "combine": {
            "key": ["id"],
            "roles": {"start": "kind = 'START'", "stop": "kind = 'STOP'"},
            "primary": "start",
            "fields": {"octets": "sum"},
        }
    },
)


def test_xml_records_are_combined():
    part = "<call><id>c1</id><kind>{}</kind><time>2026-05-01T10:00:00Z</time><octets>{}</octets></call>"
    usage_import = filed(feed_of(XML), f"<calls>{part.format('STOP', 2)}{part.format('START', 1)}</calls>".encode())
    work()
    assert counts(usage_import) == ("completed", 1, 0, 1, 0)
    assert udrs() == [("c1", 3)]
