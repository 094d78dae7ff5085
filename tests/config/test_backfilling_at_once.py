"""Backfills while others read, send, rate and void: all of the old or all of the new, and each key counts once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from ingestion import services as ingestion
from ingestion.models import Backfill, ImportException
from ingestion.selectors import Group
from ingestion.services import backfilling, exceptions
from ingestion.services.fixing import portions
from mediation.models import UsageClass
from rating import services as rating
from tests.config.test_backfilling import APRIL, counting, sent, work_all
from tests.config.test_voiding import KEYED, PRICE, assert_reconciled, call, standing, voided
from tests.ingestion.factories import feed_of, in_threads, posted
from tests.rating.factories import RateFactory, subscriber

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def feed():
    return feed_of(KEYED)


@pytest.fixture
def who(feed):
    return subscriber(RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE)).plan).identifier


def opened(feed, days=(0, 30), hours=2):
    """Some hours ago, as the machine's own clock goes on for those who mediate meanwhile."""
    return ingestion.open_backfill(
        feed=feed,
        starts_at=APRIL + timedelta(days=days[0]),
        ends_at=APRIL + timedelta(days=days[1]),
        reason="lost calls",
        by=None,
        now=timezone.now() - timedelta(hours=hours),
    )


def test_a_reader_sees_all_of_the_old_or_all_of_the_new(feed, who):
    for one in range(5):
        posted(feed, *(call(f"{one}-{place}", 2, who) for place in range(20)), now=timezone.now())
    work_all(timezone.now())
    backfill = opened(feed)
    sent(backfill, *(call(f"{one}-0", 3, who) for one in range(5)), now=timezone.now())
    work_all(timezone.now())
    old, new = counting(feed), {f"{one}-0": 3 for one in range(5)}

    def watch():
        seen = []
        try:
            while Backfill.objects.get().status != "reverted":
                seen.append(counting(feed))
        finally:
            connection.close()
        return seen

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        for ask in (ingestion.ask_close, ingestion.ask_revert):
            ask(backfill=backfill, by=None, now=timezone.now())
            work_all(timezone.now())
        seen = watching.result(timeout=60)
    assert all(one in (old, new) for one in seen)
    assert counting(feed) == old
    assert_reconciled()


def work_some():
    """A worker that takes whatever comes, of every kind, several times over."""
    for _ in range(40):
        now = timezone.now()
        _ = (
            ingestion.backfill_next(now=now)
            or ingestion.void_next(now=now)
            or ingestion.mediate_next_chunks(now=now)
            or rating.reverse_voided(now=now)
            or rating.charge_restored(now=now)
            or rating.rate_batches(now=now)
            or rating.settle_waiting(now=now)
        )


@pytest.mark.parametrize("turn", range(3))
def test_many_workers_at_once_swap_and_swap_back_and_count_each_key_once(feed, who, turn):
    start = timezone.now() - timedelta(hours=3)
    for one in range(6):
        at = f"2026-04-{one + 1:02}T10:00:00Z"
        rows = (call(f"{one}-{place}", 2, who, at=at) for place in range(5))
        posted(feed, *rows, now=start + timedelta(seconds=one))
    work_all(timezone.now())
    first, second = opened(feed, (0, 3)), opened(feed, (3, 6))
    for place, backfill in enumerate((first, second)):
        at = f"2026-04-{place * 3 + 1:02}T10:00:00Z"
        sent(backfill, *(call(f"{place * 3}-{key}", 4, who, at=at) for key in range(3)), now=timezone.now())
    work_all(timezone.now())
    ingestion.ask_close(backfill=first, by=None, now=timezone.now())
    ingestion.ask_close(backfill=second, by=None, now=timezone.now())
    voided(feed, "5-0", "2-1", now=timezone.now())
    posted(feed, call("9-0", 7, who, at="2026-05-01T10:00:00Z"), now=timezone.now())
    assert in_threads(work_some, 4) == []
    work_all(timezone.now() + timedelta(minutes=1))
    wanted = {f"{place}-{key}": 4 for place in (0, 3) for key in range(3)} | {"9-0": 7}
    assert counting(feed) == wanted
    assert standing() == sum(wanted.values()) * PRICE
    assert_reconciled()
    ingestion.ask_revert(backfill=first, by=None, now=timezone.now())
    posted(feed, call("9-1", 7, who, at="2026-05-01T10:00:00Z"), now=timezone.now())
    assert in_threads(work_some, 4) == []
    work_all(timezone.now() + timedelta(minutes=2))
    back = {f"{one}-{key}": 2 for one in range(3) for key in range(5)}
    wanted = {f"3-{key}": 4 for key in range(3)} | back | {"9-0": 7, "9-1": 7}
    found = counting(feed)
    assert {key: value for key, value in found.items() if key != "2-1"} == {
        key: value for key, value in wanted.items() if key != "2-1"
    }
    assert standing() == sum(found.values()) * PRICE
    assert_reconciled()


def test_usage_of_the_feed_waits_while_a_backfill_is_swapped_and_no_worker_waits_for_it(feed, who):
    backfill = opened(feed)
    ingestion.ask_close(backfill=backfill, by=None, now=timezone.now())
    Backfill.objects.update(attempts=1)  # a worker is at it
    other = feed_of(KEYED)
    posted(feed, call("a", 2, who, at="2026-05-01T10:00:00Z"), now=timezone.now())
    posted(other, call("b", 2, who), now=timezone.now())
    while ingestion.mediate_next_chunks(now=timezone.now()):
        pass
    assert (counting(feed), counting(other)) == ({}, {"b": 2})
    work_all(timezone.now() + timedelta(minutes=1))
    assert counting(feed) == {"a": 2}


def of_the_exceptions(feed):
    """Somebody has them mediated again; what a worker does of it once he has claimed them."""
    ingestion.reprocess_exceptions(exceptions=ImportException.objects.all(), by=None, now=timezone.now())
    ids = exceptions._claim_exceptions()
    return lambda: exceptions._retry(ids, timezone.now())


def of_a_correction(feed):
    """Somebody has a rule for them; what a worker does of it once he has claimed it."""
    found = ImportException.objects.get(status="open")
    rule = {"kind": "substitute", "field": "value", "pattern": "x", "replacement": "3"}
    group = Group(feed.pk, found.code, found.field, found.value)
    ingestion.ask_correction(group=group, rule=rule, reason="x", by=None, now=timezone.now())
    correction = portions._claim(timezone.now())
    return lambda: portions._correct_portion(correction.pk, timezone.now())


@pytest.mark.parametrize("claim", [of_the_exceptions, of_a_correction])
def test_records_are_corrected_while_their_backfill_is_reverted_and_neither_waits_for_the_other(
    feed, who, claim, monkeypatch
):
    taken = posted(feed, call("a", 2, who), call("bad", "x", who), now=timezone.now())
    work_all(timezone.now())
    backfill = opened(feed)
    sent(backfill, call("a", 3, who), now=timezone.now())
    work_all(timezone.now())
    ingestion.ask_close(backfill=backfill, by=None, now=timezone.now())
    work_all(timezone.now())
    ingestion.reprocess_imports(imports=type(taken).objects.filter(pk=taken.pk), by=None, now=timezone.now())
    work_all(timezone.now())
    decide = claim(feed)
    ingestion.ask_revert(backfill=backfill, by=None, now=timezone.now())
    is_swapped, mediate_again, wrong = threading.Event(), backfilling._mediate_again, []

    def mediate_again_slowly(*told):
        is_swapped.set()
        time.sleep(0.5)
        mediate_again(*told)

    def decide_meanwhile():
        try:
            decide()
        except Exception as error:
            wrong.append(error)
        finally:
            connections.close_all()

    monkeypatch.setattr(backfilling, "_mediate_again", mediate_again_slowly)
    beside = threading.Thread(target=lambda: is_swapped.wait(20) and decide_meanwhile())
    beside.start()
    ingestion.backfill_next(now=timezone.now())
    beside.join(20)
    backfill.refresh_from_db()
    assert (backfill.status, backfill.error, wrong) == ("reverted", "", [])
    work_all(timezone.now() + timedelta(minutes=1))
    assert counting(feed)["a"] == 2
    assert_reconciled()


def test_nothing_else_of_a_feed_is_taken_up_while_a_backfill_of_it_is_swapped(feed, who):
    posted(feed, call("a", 2, who), call("bad", "x", who), now=timezone.now())
    work_all(timezone.now())
    backfill = opened(feed)
    decide_later = voided(feed, "a", now=timezone.now())
    ingestion.reprocess_exceptions(exceptions=ImportException.objects.all(), by=None, now=timezone.now())
    ingestion.ask_close(backfill=backfill, by=None, now=timezone.now())
    Backfill.objects.update(attempts=1)  # a worker is at it
    assert not ingestion.void_next(now=timezone.now())
    assert not ingestion.retry_next_exceptions(now=timezone.now())
    work_all(timezone.now() + timedelta(minutes=1))
    decide_later.refresh_from_db()
    assert decide_later.status == "completed"
    assert ImportException.objects.get().status == "open"


def test_restored_usage_whose_rows_another_worker_holds_is_not_counted_as_looked_at(feed, who):
    posted(feed, call("a", 2, who), call("b", 2, who), now=timezone.now() - timedelta(hours=3))
    work_all(timezone.now())
    backfill = opened(feed)
    sent(backfill, call("c", 4, who), now=timezone.now())
    work_all(timezone.now())
    for ask in (ingestion.ask_close, ingestion.ask_revert):
        ask(backfill=backfill, by=None, now=timezone.now())
        assert ingestion.backfill_next(now=timezone.now())
        while rating.rate_batches(now=timezone.now()) or rating.reverse_voided(now=timezone.now()):
            pass
    other_worker = connection.copy()
    try:
        other_worker.set_autocommit(False)
        with other_worker.cursor() as cursor:
            cursor.execute("SELECT FROM mediation_restoredudr ORDER BY udr_id LIMIT 1 FOR UPDATE")
        assert rating.charge_restored(now=timezone.now()) == 1
        assert rating.charge_restored(now=timezone.now()) == 0
        other_worker.rollback()
    finally:
        other_worker.close()
    work_all(timezone.now())
    assert counting(feed) == {"a": 2, "b": 2}
    assert_reconciled()
