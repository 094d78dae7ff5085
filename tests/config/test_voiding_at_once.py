"""Voids, amendments, mediation, reprocessing and rating by several workers at once: each key counts once or not."""

import time
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from ingestion import selectors
from ingestion import services as ingestion
from ingestion.models import ImportChunk, UsageImport
from mediation.models import Udr, UsageClass, VoidedUdr
from mediation.selectors import counting_udrs
from rating import services as rating
from tests.config.test_voiding import (
    KEYED,
    PRICE,
    amended,
    assert_reconciled,
    call,
    outcomes,
    standing,
    voided,
    work_all,
)
from tests.ingestion.factories import feed_of, in_threads, posted
from tests.rating.factories import RateFactory, subscriber

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def work_some():
    """A worker that takes whatever comes, of every kind, several times over."""
    for _ in range(30):
        now = timezone.now()
        _ = (
            ingestion.void_next(now=now)
            or ingestion.mediate_next_chunks(now=now)
            or rating.reverse_voided(now=now)
            or rating.rate_batches(now=now)
            or rating.settle_waiting(now=now)
        )


def test_many_workers_at_once_count_each_key_once_or_not_at_all():
    feed = feed_of(KEYED)
    rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
    who = subscriber(rate.plan).identifier
    start = timezone.now() - timedelta(hours=1)
    sent = [
        posted(feed, *(call(f"{one}-{place}", 2, who) for place in range(5)), now=start + timedelta(seconds=one))
        for one in range(8)
    ]
    work_all(timezone.now())
    again = UsageImport.objects.filter(pk__in=[sent[0].pk, sent[1].pk])
    ingestion.reprocess_imports(imports=again, by=None, now=timezone.now())
    void = voided(feed, *(f"{one}-0" for one in range(8)), now=timezone.now())
    amended(feed, *(call(f"{one}-1", 4, who) for one in range(8)), now=timezone.now())
    posted(feed, *(call(f"{one}-0", 6, who) for one in range(4)), now=timezone.now())
    assert in_threads(work_some, 4) == []
    work_all(timezone.now() + timedelta(minutes=1))
    assert {outcome for _, outcome in outcomes(void)} == {"voided"}
    values = {f"{one}-{place}": Decimal(2) for one in range(8) for place in range(2, 5)}
    values |= {f"{one}-1": Decimal(4) for one in range(8)} | {f"{one}-0": Decimal(6) for one in range(4)}
    assert {udr.uniqueness_identifier: udr.value for udr in counting_udrs(Udr.objects.all())} == values
    assert standing() == sum(values.values()) * PRICE
    assert VoidedUdr.objects.filter(settled_at=None).count() == 0
    assert_reconciled()


def test_voids_whose_rows_another_worker_holds_are_not_counted_as_looked_at():
    feed = feed_of(KEYED)
    rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
    who = subscriber(rate.plan).identifier
    posted(feed, call("a", 2, who), call("b", 2, who), now=timezone.now())
    work_all(timezone.now())
    voided(feed, "a", "b", now=timezone.now())
    assert ingestion.void_next(now=timezone.now())
    other_worker = connection.copy()
    try:
        other_worker.set_autocommit(False)
        with other_worker.cursor() as cursor:
            cursor.execute("SELECT FROM mediation_voidedudr WHERE key = 'a' FOR UPDATE")
        assert rating.reverse_voided(now=timezone.now()) == 1
        assert rating.reverse_voided(now=timezone.now()) == 0
        other_worker.rollback()
    finally:
        other_worker.close()
    assert rating.reverse_voided(now=timezone.now()) == 1
    work_all(timezone.now())
    assert standing() == 0
    assert_reconciled()


@contextmanager
def another_at_the_usage_of(feed):
    """A worker that mediates usage of a feed, or swaps an import of it, until this ends."""
    other_worker = connection.copy()
    try:
        other_worker.set_autocommit(False)
        with other_worker.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('mediation_void', %s))", [feed.pk])
        yield
        other_worker.rollback()
    finally:
        other_worker.close()


@pytest.fixture
def world():
    """A feed with a record that counts, and who used it."""
    feed = feed_of(KEYED)
    rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
    who = subscriber(rate.plan).identifier
    posted(feed, call("a", 2, who), now=timezone.now() - timedelta(minutes=10))
    work_all(timezone.now())
    return feed, who


def test_a_void_comes_again_in_a_moment_where_others_are_at_the_usage_of_its_feed(world):
    feed, who = world
    now, began = timezone.now(), time.monotonic()
    void = voided(feed, "a", now=now)
    after = posted(feed, call("a", 6, who), now=now + timedelta(milliseconds=1))
    with another_at_the_usage_of(feed):
        assert ingestion.void_next(now=now)
        assert time.monotonic() - began < 5
        assert not ingestion.void_next(now=now + timedelta(seconds=1))
        ingestion.mediate_next_chunks(now=now + timedelta(seconds=1))
        void.refresh_from_db()
        after.refresh_from_db()
        assert (void.status, void.attempts, void.error, outcomes(void)) == ("waiting", 0, "", [("a", "waiting")])
        assert after.waiting_count == 1
    work_all(now + timedelta(seconds=5))
    void.refresh_from_db()
    assert (void.status, void.held_up_since, outcomes(void)) == ("completed", None, [("a", "voided")])
    work_all(now + timedelta(seconds=10))
    assert standing() == 6 * PRICE
    assert_reconciled()


def test_an_amendment_comes_again_in_a_moment_where_others_are_at_the_usage_of_its_feed(world):
    feed, who = world
    now, began = timezone.now(), time.monotonic()
    mending = amended(feed, call("a", 4, who), now=now)
    after = posted(feed, call("a", 6, who), now=now + timedelta(milliseconds=1))
    with another_at_the_usage_of(feed):
        for seconds in (0, 5, 10, 15, 20, 25):
            ingestion.mediate_next_chunks(now=now + timedelta(seconds=seconds))
        assert time.monotonic() - began < 15
        mending.refresh_from_db()
        after.refresh_from_db()
        assert (mending.waiting_count, after.waiting_count) == (1, 1)
        assert list(ImportChunk.objects.filter(amends=True).values_list("attempts", "error")) == [(0, "")]
    work_all(now + timedelta(seconds=30))
    work_all(now + timedelta(seconds=40))
    mending.refresh_from_db()
    after.refresh_from_db()
    assert (mending.imported_count, after.imported_count, after.exception_count) == (1, 0, 1)
    assert standing() == 4 * PRICE
    assert_reconciled()


def test_a_feed_whose_chunks_follow_each_other_without_end_lets_a_void_pass(world):
    feed, who = world
    now = timezone.now()
    earlier = posted(feed, call("b", 2, who), now=now - timedelta(minutes=6))
    void = voided(feed, "a", now=now - timedelta(minutes=5))
    with another_at_the_usage_of(feed):
        for seconds in (0, 4, 8, 12):
            assert ingestion.void_next(now=now + timedelta(seconds=seconds))
        assert selectors.is_put_off(now + timedelta(seconds=12))
        ingestion.mediate_next_chunks(now=now + timedelta(seconds=13))
        earlier.refresh_from_db()
        assert earlier.waiting_count == 1
    assert ingestion.void_next(now=now + timedelta(seconds=16))
    assert outcomes(void) == [("a", "voided")]
    assert ingestion.mediate_next_chunks(now=now + timedelta(seconds=16))
    earlier.refresh_from_db()
    assert earlier.imported_count == 1
    work_all(now + timedelta(seconds=20))
    assert_reconciled()


def test_many_voids_of_a_feed_that_is_not_free_wait_together_and_hold_up_no_other_feed(world):
    feed, who = world
    now = timezone.now()
    voids = [voided(feed, key, now=now) for key in ("a", "b", "c", "d")]
    with another_at_the_usage_of(feed):
        assert ingestion.void_next(now=now)
        assert not ingestion.void_next(now=now + timedelta(seconds=1))
        other = posted(feed_of(KEYED), call("z", 2, who), now=now)
        assert ingestion.mediate_next_chunks(now=now + timedelta(seconds=1))
    other.refresh_from_db()
    assert other.waiting_count == 0
    while ingestion.void_next(now=now + timedelta(seconds=5)):
        pass
    assert [outcomes(void) for void in voids] == [[(key, "voided" if key == "a" else "not_found")] for key in "abcd"]
