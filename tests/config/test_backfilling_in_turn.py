"""Backfills one after another over the same usage, and voids in between: what counts in the end, and what it costs."""

from datetime import timedelta

import pytest
from django.db import connection

from ingestion import services as ingestion
from mediation.models import RestoredUdr, UdrBatch
from mediation.store import backfills
from rating import services as rating
from tests.config.test_backfilling import counting, opened, reverted, sent, work_all
from tests.config.test_voiding import KEYED, NOW, assert_reconciled, call, standing, voided, who
from tests.ingestion.factories import feed_of, posted

__all__ = ["who"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def feed():
    return feed_of(KEYED)


def mediate(now):
    while ingestion.mediate_next_chunks(now=now):
        pass


def close_only(backfill, now):
    """What a worker does of it, and nothing that follows."""
    ingestion.ask_close(backfill=backfill, by=None, now=now)
    swap_only(backfill, "closed", now)


def revert_only(backfill, now):
    ingestion.ask_revert(backfill=backfill, by=None, now=now)
    swap_only(backfill, "reverted", now)


def swap_only(backfill, status, now):
    assert ingestion.backfill_next(now=now)
    backfill.refresh_from_db()
    assert backfill.status == status


@pytest.mark.parametrize("turns", ["", "restored", "voids", "restored voids", "voids restored"])
def test_what_is_replaced_again_before_its_charges_were_made_again_is_charged_when_it_comes_back(feed, who, turns):
    posted(feed, *(call(f"a{place}", 10, who) for place in range(4)), call("x", 5, "nobody"))
    work_all()
    before = standing()
    now = NOW + timedelta(minutes=1)
    first = opened(feed)
    sent(first, call("z", 1, who))
    work_all()
    close_only(first, NOW)
    work_all()
    revert_only(first, now)
    assert RestoredUdr.objects.count() == 5
    second = opened(feed, now=now)
    sent(second, call("y", 1, who), now=now)
    mediate(now)
    close_only(second, now)
    for turn in turns.split():
        (rating.charge_restored if turn == "restored" else rating.reverse_voided)(now=now)
    revert_only(second, now + timedelta(minutes=1))
    work_all(now + timedelta(minutes=2))
    assert counting(feed) == {f"a{place}": 10 for place in range(4)} | {"x": 5}
    assert standing() == before
    assert UdrBatch.objects.order_by("pk").first().uncharged_count == 1
    assert_reconciled()


def test_a_void_that_was_asked_before_the_close_and_done_after_stays_when_the_backfill_is_reverted(feed, who):
    posted(feed, call("a", 10, who), call("b", 20, who))
    work_all()
    backfill = opened(feed)
    sent(backfill, call("a", 11, who))
    work_all()
    now = NOW + timedelta(minutes=1)
    void = voided(feed, "a", now=now)
    now += timedelta(seconds=1)
    close_only(backfill, now)
    work_all(now)
    void.refresh_from_db()
    assert (void.voided_count, counting(feed)) == (1, {})
    reverted(backfill, now + timedelta(minutes=1))
    assert counting(feed) == {"b": 20}
    assert_reconciled()


def test_what_came_again_after_a_void_is_brought_back_though_its_key_was_voided_before(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    voided(feed, "a", now=NOW)
    work_all()
    now = NOW + timedelta(minutes=1)
    posted(feed, call("a", 12, who), now=now)
    work_all(now)
    backfill = opened(feed, now=now)
    close_only(backfill, now)
    reverted(backfill, now + timedelta(minutes=1))
    assert counting(feed) == {"a": 12}
    assert_reconciled()


def test_keys_are_freed_by_the_keys_however_few_rows_a_backfill_is_taken_for():
    with connection.cursor() as cursor:
        # What the server last counted here depends on when it came by; unknown, a table is no tiny one to it.
        tables = "'mediation_udrkey', 'mediation_voidedudr'"
        cursor.execute(f"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname IN ({tables})")
        for other in ("hashjoin", "mergejoin", "seqscan"):
            cursor.execute(f"SET LOCAL enable_{other} = off")
        cursor.execute(f"EXPLAIN {backfills.FREE_KEYS}", {"backfill": 1, "feed": 1})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Cond: ((feed_id = ANY" in plan
    assert "udr_key_by_udr" not in plan
