"""Usage on a real PostgreSQL: outcomes, counters, duplicates and conflicts, and work that crashes."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db.models import F

from ingestion import selectors, services
from ingestion.models import ImportChunk, ImportException, LeftOutRecord, UsageImport
from ingestion.services import mediating
from mediation import services as mediation_services
from mediation.core.reading import delimited
from mediation.models import UDR_ID_BITS, Udr, UdrBatch, UdrKey
from tests.mediation.profiles import document

from .factories import BY_EVENT, EVENTS, NAMED, NOW, counts, event, feed_of, filed, posted, work, work_through_tries

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]


def identifiers():
    return sorted(Udr.objects.values_list("udr_usage_identifier", flat=True))


# Outcomes


def test_every_record_of_a_submission_ends_in_one_place():
    feed = feed_of(document(BY_EVENT, skip=[{"name": "test", "source": "who", "operator": "equals", "values": ["t"]}]))
    posted_import = posted(feed, event("a"), event("b", value="x"), event("t"), event("a"), event("a", value="11"))
    work()
    assert counts(posted_import) == ("completed", 1, 2, 1, 1)
    udr = Udr.objects.get()
    batch = UdrBatch.objects.get()
    assert (udr.pk, udr.import_id, udr.record_number) == (batch.pk << UDR_ID_BITS, posted_import.pk, 1)
    assert (batch.status, batch.udr_count, batch.import_id) == ("mediated", 1, posted_import.pk)
    assert UdrKey.objects.get(feed_id=feed.pk).key == "a"
    assert sorted(ImportException.objects.values_list("record_number", "code", "raw")) == [
        (2, "bad_number", event("b", value="x")),
        (5, "conflict", event("a", value="11")),
    ]
    assert sorted(LeftOutRecord.objects.values_list("record_number", "outcome", "reason", "udr_id")) == [
        (3, "skipped", "test", None),
        (4, "duplicate", "a", udr.pk),
    ]


def test_a_file_goes_through_in_chunks(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 2)
    file_import = filed(feed_of(NAMED), "class,value,who,date", *(f"calls,{n},e{n},2026-05-01" for n in range(5)))
    work()
    assert counts(file_import) == ("completed", 5, 0, 0, 0)
    assert (file_import.header, file_import.record_count) == (["class", "value", "who", "date"], 5)
    assert list(file_import.chunks.values_list("number", "status", "imported_count").order_by("number")) == [
        (1, "done", 2),
        (2, "done", 2),
        (3, "done", 1),
    ]
    assert sorted(Udr.objects.values_list("record_number", flat=True)) == [2, 3, 4, 5, 6]


def test_the_history_shows_how_far_an_import_has_come(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 2)
    file_import = filed(feed_of(), *(event(f"e{n}") for n in range(4)))
    assert counts(file_import)[0] == "received"
    services.plan_next_import(now=NOW)
    assert counts(file_import) == ("waiting", 0, 0, 0, 0)
    services.mediate_next_chunks(now=NOW)
    assert counts(file_import) == ("running", 2, 0, 0, 0)
    assert file_import.started_at == NOW
    services.mediate_next_chunks(now=NOW + timedelta(seconds=5))
    assert counts(file_import) == ("completed", 4, 0, 0, 0)
    assert file_import.started_at == NOW
    assert NOW + timedelta(seconds=5) < file_import.ended_at < NOW + timedelta(minutes=1)


def test_submissions_of_one_feed_are_mediated_together_and_counted_apart():
    feed, other = feed_of(), feed_of()
    imports = [
        posted(feed, event("a"), event("b")),
        posted(feed, event("b"), event("c", value="?")),
        posted(feed, event("a", value="99")),
        posted(feed, event("d")),
    ]
    elsewhere = posted(other, event("a"))
    assert services.mediate_next_chunks(now=NOW)
    assert [counts(one) for one in imports] == [
        ("completed", 2, 0, 0, 0),
        ("completed", 0, 1, 0, 1),
        ("completed", 0, 1, 0, 0),
        ("completed", 1, 0, 0, 0),
    ]
    assert counts(elsewhere)[0] == "waiting"
    assert [one.record_count for one in imports] == [2, 2, 1, 1]
    assert UdrBatch.objects.count() == 2
    work()
    assert counts(elsewhere) == ("completed", 1, 0, 0, 0)


@pytest.mark.parametrize("is_file", [True, False])
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ('2026-05-01,"e9,1,calls', "malformed"),
        ("2026-05-01,e9,1", "too_few_columns"),
        ("2026-05-01,e9,1,calls,5", "too_many_columns"),
        ("2026-05-01,e\0,1,calls", "control_character"),
        ("2026-05-01,e9,9" + "9" * 39 + ",calls", "out_of_range"),
        ("2026-05-01,e9,٣,calls", "bad_number"),
        ("0000-01-01,e9,1,calls", "out_of_range"),
        ("2026-05-01,e9,1,nothing", "unknown_usage_class"),
        ("2027-05-01,e9,1,calls", "in_future"),
        ("2026-05-01,,1,calls", "missing_identifier"),
        (r"\.", "too_few_columns"),
    ],
)
def test_a_bad_record_fails_alone_by_every_door(bad, code, is_file):
    usage_import = (filed if is_file else posted)(feed_of(), event("a"), bad, event("b"))
    work()
    assert counts(usage_import) == ("completed", 2, 1, 0, 0)
    refused = ImportException.objects.get()
    assert (refused.record_number, refused.code, refused.status) == (2, code, "open")
    assert refused.raw == bad.replace("\0", "␀")
    assert refused.message


def test_odd_texts_survive_the_way_into_the_table():
    odd = ['"', "\\.", "\\N", "NULL", "a\tb", "a\\tb", "☃", "a\nb", "'; DROP TABLE", "{}"]
    posted(feed_of(EVENTS), *({"Date": "2026-05-01", "Id": text, "Value": 1} for text in odd))
    work()
    assert identifiers() == sorted(odd)
    assert sorted(UdrKey.objects.values_list("key", flat=True)) == sorted(odd)


# Seen before


def test_the_same_record_in_another_import_is_a_duplicate_and_another_content_a_conflict():
    feed = feed_of()
    posted(feed, event("a"))
    work()
    udr = Udr.objects.get()
    again = posted(feed, event("a"), event("a", value="11"), event("a"), event("a", value="11"))
    work()
    assert counts(again) == ("completed", 0, 2, 0, 2)
    assert list(LeftOutRecord.objects.values_list("outcome", "udr_id")) == [("duplicate", udr.pk)] * 2
    assert set(ImportException.objects.values_list("code", flat=True)) == {"conflict"}


def test_what_is_a_conflict_does_not_make_its_own_repeats_duplicates():
    """Whether a record repeats or contradicts is asked of the UDR that holds the key, not of its neighbour."""
    feed = feed_of()
    posted(feed, event("a", value="1"))
    work()
    later = posted(feed, event("a", value="2"), event("a", value="1"), event("a", value="2"))
    work()
    assert counts(later) == ("completed", 0, 2, 0, 1)
    assert sorted(ImportException.objects.values_list("record_number", flat=True)) == [1, 3]


def test_duplicates_are_known_across_chunks_and_months(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 1)
    usage_import = filed(feed_of(), event("a"), event("a"), event("a", date="2026-04-01"))
    work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 1)


def test_feeds_do_not_know_each_others_records():
    for _ in range(2):
        posted(feed_of(), event("a"))
    work()
    assert identifiers() == ["a", "a"]


def test_the_age_of_usage_counts_from_its_arrival():
    feed = feed_of(max_age_days=30, max_future_minutes=60)
    usage_import = posted(feed, event("a", date="2026-04-20T12:00:00Z"), event("b", date="2026-04-20T11:59:59Z"))
    work(now=NOW + timedelta(days=20))
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)
    assert ImportException.objects.get().code == "too_old"


def test_a_feed_that_takes_any_age_takes_any_age():
    feed = feed_of(max_age_days=2_000_000_000)
    usage_import = posted(feed, event("a", date="1900-01-01"))
    work()
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


# Files that cannot be read


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"date,who,value,class\n", "a header and no records"),
        (b"date;who;value;class\n1;2;3;4\n", "lacks the columns"),
        (b"date,who,value,class,e\0\n2026-05-01,a,1,calls,\n", "The header holds a NUL character"),
        (b"date,who,value,class\r2026-05-01,a,1,calls\r", "line_ending to cr"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_fails_and_says_why(content, says):
    usage_import = filed(feed_of(NAMED), content)
    work()
    assert counts(usage_import) == ("failed", 0, 0, 0, 0)
    assert says in usage_import.error
    assert usage_import.ended_at == NOW


def test_a_broken_array_imports_nothing():
    usage_import = filed(feed_of(EVENTS), b'[{"Date": "2026-05-01", "Id": "a", "Value": 1}, {"Id": ]')
    work()
    assert counts(usage_import) == ("failed", 0, 0, 0, 0)
    assert "Nothing was imported" in usage_import.error
    assert Udr.objects.count() == 0


# Crashes


class Poison(RuntimeError):
    pass


def poisoned(name):
    """Mediation that dies of one record."""
    real = mediation_services.mediate

    def mediate(*, records, **others):
        if name in "".join(records["raw"]):
            raise Poison(name)
        return real(records=records, **others)

    return patch.object(mediation_services, "mediate", mediate)


def test_work_that_crashes_takes_no_others_with_it_and_is_parked_with_its_trace():
    feed = feed_of()
    good, bad, fine = posted(feed, event("a")), posted(feed, event("poison")), posted(feed, event("b"))
    with poisoned("poison"):
        work()
        assert counts(good) == ("completed", 1, 0, 0, 0)
        assert counts(fine) == ("completed", 1, 0, 0, 0)
        assert bad.chunks.get().attempts == 2
        work_through_tries()
    assert counts(bad)[0] == "errored"
    assert bad.waiting_count == bad.record_count == 1
    assert "Poison: poison" in bad.error
    chunk = bad.chunks.get()
    assert (chunk.status, chunk.attempts) == ("errored", selectors.MAX_ATTEMPTS)
    assert "Poison: poison" in chunk.error

    assert services.retry_errored(imports=UsageImport.objects.all(), by=None, now=NOW) == 1
    work()
    assert counts(bad) == ("completed", 1, 0, 0, 0)
    assert bad.error == ""


def test_a_crash_before_the_commit_leaves_nothing():
    usage_import = posted(feed_of(), event("a"), event("b", value="x"))
    with patch.object(mediating.store, "recount", side_effect=Poison):
        assert services.mediate_next_chunks(now=NOW)
    for table in (Udr, UdrKey, UdrBatch, ImportException, LeftOutRecord):
        assert table.objects.count() == 0
    assert counts(usage_import) == ("waiting", 0, 0, 0, 0)
    work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)


def test_records_that_get_lost_on_the_way_stop_the_commit():
    posted(feed_of(), event("a"), event("b"))
    real = mediation_services.mediate

    def forgetful(*, records, **others):
        return real(records=records.head(1), **others)

    with patch.object(mediation_services, "mediate", forgetful):
        services.mediate_next_chunks(now=NOW)
    assert Udr.objects.count() == 0
    assert "OutcomeMismatchError: 2 records in, 1 outcomes out" in ImportChunk.objects.get().error
    work()


def test_a_chunk_whose_worker_died_is_taken_once_its_lease_is_over():
    usage_import = posted(feed_of(), event("a"))
    mediating._claim_chunks(NOW)
    work()
    assert counts(usage_import)[0] == "waiting"
    work(now=NOW + mediating.LEASE + timedelta(seconds=1))
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


def test_a_chunk_that_kills_its_workers_is_parked_too():
    usage_import = posted(feed_of(), event("a"))
    now = NOW
    for _ in range(selectors.MAX_ATTEMPTS):
        assert mediating._claim_chunks(now)
        now += mediating.LEASE + timedelta(seconds=1)
    assert mediating._claim_chunks(now) == []
    assert counts(usage_import)[0] == "errored"
    assert "workers died" in usage_import.error


def test_a_file_whose_bytes_are_gone_is_parked_with_the_trace():
    usage_import = filed(feed_of(), event("a"))
    usage_import.payload.storage.delete(usage_import.payload.name)
    now = NOW
    for _ in range(selectors.MAX_ATTEMPTS):
        assert services.plan_next_import(now=now)
        assert not services.plan_next_import(now=now)
        now += timedelta(minutes=1)
    assert not services.plan_next_import(now=now)
    assert counts(usage_import)[0] == "errored"
    assert "FileNotFoundError" in usage_import.error


def test_a_stored_file_that_was_cut_short_is_parked():
    usage_import = filed(feed_of(), event("a"), event("b"))
    services.plan_next_import(now=NOW)
    with usage_import.payload.storage.open(usage_import.payload.name, "wb") as file:
        file.write(b"2026")
    work_through_tries()
    assert counts(usage_import)[0] == "errored"
    assert "the stored file was changed" in usage_import.error


def test_a_done_chunk_is_not_done_again():
    usage_import = posted(feed_of(), event("a"))
    work()
    mediating.mediate_chunks(chunk_ids=[usage_import.chunks.get().pk], now=NOW)
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)
    assert Udr.objects.count() == 1
    assert not UsageImport.objects.exclude(record_count=F("imported_count")).exists()
