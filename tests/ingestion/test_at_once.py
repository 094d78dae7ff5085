"""Two at once: workers on the same import, the same keys, the same file, the same request."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date
from functools import partial
from hashlib import sha256
from unittest.mock import patch

import polars as pl
import pytest
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from ingestion import selectors, services
from ingestion import store as ingestion_store
from ingestion.models import Feed, ImportChunk, UsageImport
from ingestion.services.mediating import mediate_chunks, mediate_repeats_again
from mediation import services as mediation
from mediation import store
from mediation.core.reading import delimited
from mediation.models import ProfileVersion, Udr, UdrBatch, UdrKey
from mediation.services import profiles, take_back_batches

from .factories import NOW, UsageClassFactory, counts, event, feed_of, filed, posted, work
from .test_fixing import bad, corrected, undo
from .test_regulars import Sender, warm

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.usefixtures("reconciled")]


def at_once(*calls):
    """What each call gives or raises, all started at the same moment in threads with connections of their own."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        try:
            barrier.wait(timeout=10)
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_two_workers_share_the_chunks_of_an_import_and_do_each_once(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 5)
    lines = [event(f"e{n % 40}", value=str(n % 40)) for n in range(60)]
    usage_import = filed(feed_of(), *lines)
    services.plan_next_import(now=NOW)
    assert at_once(work, work, work) == [None] * 3
    assert counts(usage_import) == ("completed", 40, 0, 0, 20)
    assert Udr.objects.count() == UdrKey.objects.count() == 40


def test_two_submissions_of_the_same_records_are_counted_once():
    for _ in range(5):
        feed = feed_of()
        rows = [event(f"e{n}") for n in range(50)]
        imports = [posted(feed, *rows), posted(feed, *reversed(rows))]
        chunks = [one.chunks.get().pk for one in imports]
        ImportChunk.objects.filter(pk__in=chunks).update(status="claimed", claimed_until=NOW)
        results = at_once(*(lambda pk=pk: mediate_chunks(chunk_ids=[pk], now=NOW) for pk in chunks))
        assert results == [None, None]
        outcomes = sorted(counts(one) for one in imports)
        assert sum(outcome[1] for outcome in outcomes) == sum(outcome[4] for outcome in outcomes) == 50


def test_the_same_record_in_two_chunks_of_a_new_attempt_is_counted_once(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 10)
    usage_import = filed(feed_of(), *(event(f"e{n % 20}") for n in range(60)))
    work()
    for _ in range(3):
        services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
        services.plan_next_import(now=NOW)
        at_once(work, work)
        work()
        assert counts(usage_import) == ("completed", 20, 0, 0, 40)
        counting = UdrBatch.objects.filter(status="mediated").values_list("udr_count", flat=True)
        assert sum(counting) == UdrKey.objects.count() == 20


def test_keys_that_two_attempts_take_over_at_once_go_to_one_of_them():
    feed = feed_of()
    posted(feed, event("a"))
    work()
    old = UdrBatch.objects.get()

    def take(udr_id):
        wanted = pl.DataFrame({"key": ["a"], "content_hash": ["0" * 32], "udr_id": [udr_id]})
        with transaction.atomic():
            return store.claim_keys(wanted, feed_id=feed.pk, replaced_ids=[old.pk]).height

    assert sorted(at_once(lambda: take(900 << 17), lambda: take(901 << 17))) == [0, 1]
    UdrKey.objects.update(id=old.pk << 17)


def test_the_same_file_at_once_is_taken_once():
    feed = feed_of()
    results = at_once(*(lambda: filed(feed, event("a")) for _ in range(3)))
    assert sorted(type(result).__name__ for result in results) == ["UnableToReceive", "UnableToReceive", "UsageImport"]
    assert UsageImport.objects.count() == 1
    work()


class Stalling(io.BytesIO):
    """A file whose second block comes only when it may."""

    def __init__(self, content):
        super().__init__(content)
        self.is_begun, self.may_go_on = threading.Event(), threading.Event()

    def read(self, size=-1):
        if self.tell():
            self.is_begun.set()
            self.may_go_on.wait(timeout=10)
        return super().read(size)


def test_the_same_bytes_for_two_feeds_at_once_are_not_written_over_each_other():
    content = b"x" * 200_000

    def keep(spool):
        try:
            with transaction.atomic():
                return ingestion_store.keep_file(spool, sha256(content).hexdigest(), len(content))
        finally:
            connection.close()

    first, second = Stalling(content), Stalling(content)
    with ThreadPoolExecutor(2) as pool:
        kept = pool.submit(keep, first)
        assert first.is_begun.wait(timeout=10)
        pool.submit(keep, second)
        second.is_begun.wait(timeout=1)
        first.may_go_on.set()
        name = kept.result(timeout=10)
        found = default_storage.open(name).read()
        second.may_go_on.set()
    assert found == content
    assert default_storage.open(name).read() == content


def test_a_draft_that_changes_while_it_is_activated_is_what_was_checked():
    version = feed_of().profile.versions.get()
    ProfileVersion.objects.update(status="draft")
    checked, changed = version.spec, {"is": "no profile"}

    def change():
        try:
            profiles.update_draft(version=version, spec=changed, note="", by=None)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, patch.object(profiles, "check_golden_samples") as check:
        # The change comes after the spec was read; it is done, or waits for the activation.
        check.side_effect = lambda **_: wait([pool.submit(change)], timeout=1) and []
        profiles.activate_version(version=version, by=None, now=NOW)
    version.refresh_from_db()
    assert (version.status, version.spec) == ("active", checked)


def test_the_same_request_at_once_is_taken_once_where_it_has_a_key_and_counted_once_anyhow():
    feed = feed_of()
    results = at_once(*(lambda: posted(feed, event("a"), key="k").pk for _ in range(3)))
    assert len(set(results)) == UsageImport.objects.count() == 1
    at_once(*(lambda: posted(feed, event("a")).pk for _ in range(3)))
    assert UsageImport.objects.count() == 4
    at_once(work, work)
    assert Udr.objects.count() == 1
    assert sum(UsageImport.objects.values_list("duplicate_count", flat=True)) == 3


def test_a_known_sender_is_accepted_until_the_change_is_committed_and_not_once_after():
    sender = warm(Sender())
    is_changed, is_to_commit = threading.Event(), threading.Event()

    def change():
        with transaction.atomic():
            Feed.objects.update(is_enabled=False)
            is_changed.set()
            is_to_commit.wait(timeout=10)

    def send():
        is_changed.wait(timeout=10)
        answers = [sender.post().status_code for _ in range(3)]
        is_to_commit.set()
        return answers

    assert at_once(change, send) == [None, [202] * 3]
    assert sender.post().status_code == 409
    assert UsageImport.objects.count() == 4
    work(now=timezone.now())


def test_a_known_sender_who_repeats_at_once_is_taken_once():
    sender = warm(Sender())
    answers = at_once(*(lambda: sender.post(**{"Idempotency-Key": "k"}).json()["tracking_id"] for _ in range(4)))
    assert len(set(answers)) == 1
    assert UsageImport.objects.count() == 2
    work(now=timezone.now())


def test_changes_at_once_wait_for_each_other_and_leave_another_stamp():
    feeds = [feed_of() for _ in range(4)]
    before = selectors.acceptance_stamp()
    changes = [partial(Feed.objects.filter(pk=feed.pk).update, is_enabled=False) for feed in feeds]
    assert at_once(*changes) == [1] * 4
    assert selectors.acceptance_stamp() != before


def test_exceptions_that_two_workers_retry_are_resolved_once():
    feed = feed_of()
    usage_import = posted(feed, *(event(f"e{n}", class_="sms") for n in range(20)))
    work()
    UsageClassFactory(name="sms")
    services.reprocess_exceptions(exceptions=usage_import.exceptions.all(), by=None, now=NOW)
    at_once(work, work)
    work()
    assert counts(usage_import) == ("completed", 20, 0, 0, 0)


def test_partitions_made_twice_at_once_are_made_once():
    made = at_once(*(lambda: store.ensure_month_partitions("mediation_udr", [date(1971, 1, 1)]) for _ in range(3)))
    assert sorted(map(str, made)) == ["0", "0", "1"]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE mediation_udr_1971_01")


def test_an_import_that_another_worker_mediates_again_already_is_not_begun_a_second_time():
    feed = feed_of()
    one = posted(feed, event("a"))
    work()
    is_open, may_end = threading.Event(), threading.Event()

    def reprocess():
        with transaction.atomic():
            services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
            is_open.set()
            may_end.wait(timeout=10)

    def repeat():
        is_open.wait(timeout=10)
        threading.Timer(0.5, may_end.set).start()
        with patch.object(selectors, "imports_to_mediate_again", lambda *_, **__: [one.pk]), transaction.atomic():
            mediate_repeats_again([1], after=None, now=NOW)

    assert at_once(reprocess, repeat) == [None, None]
    one.refresh_from_db()
    assert (one.status, one.attempt) == ("waiting", 2)
    work()


def test_what_repeats_a_correction_is_locked_with_it_when_that_is_taken_back():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    raw = {"kind": "substitute", "raw": True, "pattern": "1;5", "replacement": "15"}
    correction = corrected(feed, raw)
    again = posted(feed, bad(1).replace("1;5", "15"))
    work()
    free = []

    def look():
        locked = UsageImport.objects.filter(pk=again.pk).select_for_update(skip_locked=True)
        with transaction.atomic():
            free.extend(locked)

    def take_back(**told):
        assert at_once(look) == [None]
        return take_back_batches(**told)

    with patch.object(mediation, "take_back_batches", take_back):
        undo(correction)
    assert free == []
    again.refresh_from_db()
    assert again.attempt == 2
    work()
