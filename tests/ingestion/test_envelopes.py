"""Envelopes: what one bad record keeps out beside itself."""

import time
from datetime import timedelta

import pytest

from ingestion import selectors, services
from ingestion.models import ImportChunk, ImportException, LeftOutRecord, UsageImport
from mediation.core.reading import delimited
from mediation.models import Udr, UdrBatch, UdrKey
from tests.mediation.profiles import document

from .factories import BY_EVENT, NOW, counts, event, feed_of, filed, in_threads, new_version, posted, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
LATER = NOW + timedelta(hours=1)
BY_CHUNK = document(BY_EVENT, envelope="chunk")
BY_FILE = document(BY_EVENT, envelope="file")
BAD = event("bad", value="x")


@pytest.fixture
def chunks_of_two(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 2)


def reasons(usage_import):
    rows = LeftOutRecord.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
    return dict(rows.order_by("record_number").values_list("record_number", "reason"))


REFUSED = "its envelope was refused: record 2 is an exception (bad_number)"


def correct_the_bad_one(now=LATER):
    exception = ImportException.objects.get(status="open")
    services.correct_exception(exception=exception, raw=event("mended"), reason="typo", by=None, now=now)
    work(now)


def test_a_bad_record_keeps_nothing_but_itself_out_by_default():
    usage_import = filed(feed_of(), event("a"), BAD, event("b"))
    work()
    assert counts(usage_import) == ("completed", 2, 1, 0, 0)


@pytest.mark.usefixtures("chunks_of_two")
def test_a_chunk_with_a_bad_record_imports_nothing():
    usage_import = filed(feed_of(BY_CHUNK), event("a"), BAD, event("b"), event("c"))
    work()
    assert counts(usage_import) == ("completed", 2, 1, 1, 0)
    assert reasons(usage_import) == {1: REFUSED}
    assert UdrKey.objects.count() == 2


@pytest.mark.usefixtures("chunks_of_two")
def test_a_file_with_a_bad_record_leaves_nothing_but_its_exceptions():
    usage_import = filed(feed_of(BY_FILE), event("a"), BAD, event("b"), event("c"), event("a"))
    work()
    assert counts(usage_import) == ("completed", 0, 1, 4, 0)
    assert reasons(usage_import) == {1: REFUSED, 3: REFUSED, 4: REFUSED, 5: REFUSED}
    assert not Udr.objects.exists()
    assert not UdrKey.objects.exists()
    assert not UdrBatch.objects.exists()


@pytest.mark.usefixtures("chunks_of_two")
def test_a_file_without_a_bad_record_counts_when_its_last_chunk_is_done():
    usage_import = filed(feed_of(BY_FILE), event("a"), event("b"), event("c"))
    services.plan_next_import(now=NOW)
    services.mediate_next_chunks(now=NOW)
    assert set(UdrBatch.objects.values_list("status", flat=True)) == {"staged"}
    services.mediate_next_chunks(now=NOW)
    assert set(UdrBatch.objects.values_list("status", flat=True)) == {"mediated"}
    assert counts(usage_import) == ("completed", 3, 0, 0, 0)


@pytest.mark.usefixtures("chunks_of_two")
@pytest.mark.parametrize("spec", [BY_CHUNK, BY_FILE])
def test_the_whole_comes_in_once_the_bad_record_is_corrected(spec):
    usage_import = filed(feed_of(spec), event("a"), BAD, event("b"), event("c"))
    work()
    correct_the_bad_one()
    assert counts(usage_import) == ("completed", 4, 0, 0, 0)
    assert usage_import.attempt == 2
    assert ImportException.objects.get().status == "superseded"
    assert UdrKey.objects.count() == 4


@pytest.mark.parametrize("spec", [BY_CHUNK, BY_FILE])
def test_a_request_is_its_own_envelope(spec):
    feed = feed_of(spec)
    bad = posted(feed, event("a"), BAD)
    good = posted(feed, event("b"), event("c"))
    work()
    assert counts(bad) == ("completed", 0, 1, 1, 0)
    assert counts(good) == ("completed", 2, 0, 0, 0)
    correct_the_bad_one()
    assert counts(bad) == ("completed", 2, 0, 0, 0)


@pytest.mark.parametrize("spec", [BY_CHUNK, BY_FILE])
def test_a_repeat_within_a_refused_envelope_is_refused_and_one_of_an_earlier_file_a_duplicate(spec):
    feed = feed_of(spec)
    filed(feed, event("known"))
    usage_import = filed(feed, event("a"), BAD, event("a"), event("known"))
    work()
    assert counts(usage_import) == ("completed", 0, 1, 2, 1)
    assert set(reasons(usage_import)) == {1, 3, 4}


@pytest.mark.parametrize("spec", [BY_CHUNK, BY_FILE])
def test_a_file_sent_again_without_its_bad_record_is_imported(spec):
    feed = feed_of(spec)
    refused = filed(feed, event("a"), BAD)
    again = filed(feed, event("a"), event("mended"))
    work()
    assert counts(refused) == ("completed", 0, 1, 1, 0)
    assert counts(again) == ("completed", 2, 0, 0, 0)


def test_an_attempt_that_is_refused_replaces_what_was_there_with_nothing():
    feed = feed_of(BY_FILE)
    usage_import = filed(feed, event("a"), event("b", value="1.5"))
    work()
    UdrBatch.objects.update(status="rated")
    strict = document(BY_FILE, fields={"Value": {"source": "value", "group_sign": ".", "decimal_sign": ","}})
    new_version(feed, strict)
    services.reprocess_imports(imports=UsageImport.objects.filter(pk=usage_import.pk), by=None, now=LATER)
    work(LATER)
    assert counts(usage_import) == ("completed", 0, 1, 1, 0)
    assert list(UdrBatch.objects.values_list("status", flat=True)) == ["superseded"]


@pytest.mark.usefixtures("chunks_of_two")
def test_files_of_one_feed_go_one_after_the_other():
    feed = feed_of(BY_FILE)
    first = filed(feed, event("a"), event("b"), event("c"))
    second = filed(feed, event("d"))
    other = filed(feed_of(BY_EVENT), event("e"))
    while services.plan_next_import(now=NOW):
        pass
    services.mediate_next_chunks(now=NOW)
    # Another worker holds the first file's last chunk.
    held = ImportChunk.objects.get(usage_import=first, status="waiting")
    ImportChunk.objects.filter(pk=held.pk).update(status="claimed", attempts=1, claimed_until=LATER)
    services.mediate_next_chunks(now=NOW)
    assert counts(other) == ("completed", 1, 0, 0, 0)
    assert not services.mediate_next_chunks(now=NOW)
    assert not selectors.chunks_waiting(NOW).exists()
    assert counts(second)[0] == "waiting"
    ImportChunk.objects.filter(pk=held.pk).update(status="waiting", attempts=0, claimed_until=None)
    work()
    assert counts(first) == ("completed", 3, 0, 0, 0)
    assert counts(second) == ("completed", 1, 0, 0, 0)
    assert ImportChunk.objects.get(usage_import=second).attempts == 1


@pytest.mark.usefixtures("chunks_of_two")
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_workers_at_once_neither_lose_nor_double_what_refused_files_repeat():
    feed = feed_of(BY_FILE)
    names = [event(f"e{place}") for place in range(6)]
    refused = [filed(feed, *names, BAD, event(f"r{place}")) for place in range(3)]
    good = [filed(feed, *names, event(f"g{place}")) for place in range(3)]
    assert in_threads(lambda: work_until_done(feed), 3) == []
    assert {counts(one)[:3] for one in refused} == {("completed", 0, 1)}
    assert sum(counts(one)[1] for one in good) == 9
    assert UdrKey.objects.count() == Udr.objects.count() == 9


def work_until_done(feed):
    """Do what waits until every file of the feed is through: a file that waits for another is no longer to be seen."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        work()
        if not UsageImport.objects.filter(feed=feed).exclude(status="completed").exists():
            return
        time.sleep(0.05)


@pytest.mark.usefixtures("chunks_of_two")
def test_a_file_that_was_staged_in_part_can_be_mediated_again_and_refused():
    usage_import = filed(feed_of(BY_FILE), event("a"), event("b"), BAD)
    services.plan_next_import(now=NOW)
    services.mediate_next_chunks(now=NOW)
    ImportChunk.objects.filter(status="waiting").update(status="errored")
    UsageImport.objects.update(status="errored")
    services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=LATER)
    work(LATER)
    assert counts(usage_import) == ("completed", 0, 1, 2, 0)
    assert (usage_import.attempt, UdrKey.objects.count()) == (2, 0)
    assert set(UdrBatch.objects.values_list("status", flat=True)) <= {"superseded", "reversed"}


@pytest.mark.usefixtures("chunks_of_two")
def test_two_files_that_were_both_begun_are_both_finished():
    feed = feed_of(BY_FILE)
    first = filed(feed, event("a"), event("b"), event("c"))
    services.plan_next_import(now=NOW)
    services.mediate_next_chunks(now=NOW)
    ImportChunk.objects.filter(status="waiting").update(status="errored")
    UsageImport.objects.update(status="errored")
    second = filed(feed, event("d"), event("e"), event("f"))
    services.plan_next_import(now=NOW)
    services.mediate_next_chunks(now=NOW)
    services.retry_errored(imports=UsageImport.objects.filter(pk=first.pk), by=None, now=LATER)
    work(LATER)
    assert counts(first) == ("completed", 3, 0, 0, 0)
    assert counts(second) == ("completed", 3, 0, 0, 0)


@pytest.mark.usefixtures("chunks_of_two")
def test_what_repeated_a_record_of_a_refused_file_is_imported_after_all():
    feed = feed_of(BY_FILE)
    refused = filed(feed, event("a"), event("b"), event("c"), BAD, name="first.csv")
    services.plan_next_import(now=NOW)
    services.mediate_next_chunks(now=NOW)
    UsageImport.objects.filter(pk=refused.pk).update(status="errored")
    ImportChunk.objects.filter(usage_import=refused, status="waiting").update(status="errored")
    repeat = filed(feed, event("a"), name="second.csv")
    work()
    services.retry_errored(imports=UsageImport.objects.filter(pk=refused.pk), by=None, now=LATER)
    work(LATER)
    assert counts(refused)[1] == 0
    assert counts(repeat) == ("completed", 1, 0, 0, 0)
