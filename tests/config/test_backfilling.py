"""Backfills: what counts, what is charged and what `reconcile` finds while one is open, closed, reverted, abandoned."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from ingestion import services as ingestion
from ingestion.models import ImportException, LeftOutRecord, UsageImport
from mediation.models import RestoredUdr, Udr, UdrBatch, UdrKey, VoidedUdr
from mediation.selectors import counting_udrs
from rating import services as rating
from rating.models import BillingPeriod, RatingException
from tests.config.test_voiding import KEYED, NOW, PRICE, amended, assert_reconciled, call, standing, voided, who
from tests.config.test_voiding import work_all as work_everything_else
from tests.ingestion.factories import counts, feed_of, filed, posted

__all__ = ["who"]
pytestmark = pytest.mark.django_db

APRIL, MAY = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)


def work_all(now=NOW):
    worked = True
    while worked:
        work_everything_else(now)
        worked = ingestion.backfill_next(now=now) or bool(rating.charge_restored(now=now))


def opened(feed, starts_at=APRIL, ends_at=MAY, reason="the switch lost calls", now=NOW, by=None):
    return ingestion.open_backfill(feed=feed, starts_at=starts_at, ends_at=ends_at, reason=reason, by=by, now=now)


def sent(backfill, *rows, now=NOW, key=None):
    body = json.dumps({"data": list(rows)}).encode()
    return ingestion.receive_usage_into(
        backfill=backfill, feed=backfill.feed, body=body, idempotency_key=key, by=None, now=now
    ).usage_import


def closed(backfill, now=NOW, by=None):
    ingestion.ask_close(backfill=backfill, by=by, now=now)
    work_all(now)
    backfill.refresh_from_db()
    return backfill


def reverted(backfill, now=NOW):
    ingestion.ask_revert(backfill=backfill, by=None, now=now)
    work_all(now)
    backfill.refresh_from_db()
    return backfill


def counting(feed):
    """What counts: values by key."""
    rows = list(counting_udrs(Udr.objects.filter(feed_id=feed.pk)))
    found = {udr.uniqueness_identifier: int(udr.value) for udr in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture
def feed():
    return feed_of(KEYED)


def test_what_is_sent_into_a_backfill_counts_nowhere_until_it_is_closed_and_then_in_one_step(feed, who):
    posted(feed, call("a", 10, who), call("b", 20, who), call("m", 1, who, at="2026-05-02T10:00:00Z"))
    work_all()
    backfill = opened(feed)
    taken = sent(backfill, call("a", 11, who), call("c", 30, who), call("c", 30, who))
    work_all()
    assert counts(taken) == ("completed", 2, 0, 0, 1)
    assert counting(feed) == {"a": 10, "b": 20, "m": 1}
    assert standing() == 31 * PRICE
    assert_reconciled()
    [told] = ingestion.figures_of(backfill=backfill, by=None).difference
    assert told == {
        "usage_class": "calls",
        "records": 2,
        "quantity": "41.000000",
        "replaced_records": 2,
        "replaced_quantity": "30.000000",
    }
    assert ingestion.figures_of(backfill=backfill, by=None).charges == [("EUR", 2, 30 * PRICE)]
    closed(backfill)
    assert (backfill.status, backfill.udr_count, backfill.replaced_count) == ("closed", 2, 2)
    assert backfill.difference == [told]
    assert counting(feed) == {"a": 11, "c": 30, "m": 1}
    assert standing() == 42 * PRICE
    assert_reconciled()


def test_what_was_replaced_comes_back_when_the_backfill_is_reverted_and_is_charged_again(feed, who):
    posted(feed, call("a", 10, who), call("b", 20, who))
    posted(feed, call("x", 5, "nobody"))
    work_all()
    backfill = opened(feed)
    sent(backfill, call("a", 11, who), call("c", 30, who))
    work_all()
    closed(backfill)
    assert not RatingException.objects.filter(status="open").exists()
    reverted(backfill, NOW + timedelta(minutes=1))
    assert (backfill.status, backfill.restored_count) == ("reverted", 3)
    assert counting(feed) == {"a": 10, "b": 20, "x": 5}
    assert standing() == 30 * PRICE
    assert RatingException.objects.get(status="open").udr_id in Udr.objects.filter(value=5).values_list("pk", flat=True)
    assert not RestoredUdr.objects.exists()
    assert not VoidedUdr.objects.exists()
    assert_reconciled()


def test_a_backfill_closed_before_anything_was_rated_can_be_reverted_before_and_after(feed, who):
    posted(feed, call("a", 10, who), call("b", 20, who))
    while ingestion.mediate_next_chunks(now=NOW):
        pass
    backfill = opened(feed)
    sent(backfill, call("a", 11, who))
    while ingestion.mediate_next_chunks(now=NOW):
        pass
    ingestion.ask_close(backfill=backfill, by=None, now=NOW)
    assert ingestion.backfill_next(now=NOW)
    backfill.refresh_from_db()
    ingestion.ask_revert(backfill=backfill, by=None, now=NOW)
    assert ingestion.backfill_next(now=NOW)
    assert counting(feed) == {"a": 10, "b": 20}
    work_all()
    assert standing() == 30 * PRICE
    assert_reconciled()


def test_an_abandoned_backfill_leaves_everything_as_it_was(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    backfill = opened(feed)
    sent(backfill, call("a", 11, who), call("c", 30, who), call("d", "x", who))
    work_all()
    ingestion.ask_abandon(backfill=backfill, by=None, now=NOW)
    work_all()
    backfill.refresh_from_db()
    assert backfill.status == "abandoned"
    assert counting(feed) == {"a": 10}
    assert UdrKey.objects.count() == 1
    assert standing() == 10 * PRICE
    assert_reconciled()
    posted(feed, call("c", 31, who))
    work_all()
    assert counting(feed) == {"a": 10, "c": 31}
    corrected = ImportException.objects.get()
    ingestion.correct_exception(exception=corrected, raw=call("d", 4, who), reason="x", by=None, now=NOW)
    ingestion.reprocess_exceptions(exceptions=ImportException.objects.all(), by=None, now=NOW)
    work_all()
    assert counting(feed) == {"a": 10, "c": 31}
    assert_reconciled()


def test_records_outside_of_the_window_are_exceptions_and_keys_outside_of_it_stay_taken(feed, who):
    posted(feed, call("m", 1, who, at="2026-05-02T10:00:00Z"), call("n", 2, who, at="2026-05-02T11:00:00Z"))
    work_all()
    backfill = opened(feed)
    taken = sent(
        backfill,
        call("m", 7, who),
        call("o", 3, who, at="2026-05-01T00:00:00Z"),
        call("p", 4, who, at="2026-04-01T00:00:00Z"),
    )
    work_all()
    assert counts(taken) == ("completed", 1, 2, 0, 0)
    assert set(ImportException.objects.values_list("code", flat=True)) == {"conflict", "outside_backfill"}
    closed(backfill)
    assert counting(feed) == {"m": 1, "n": 2, "p": 4}
    assert_reconciled()


def test_a_key_that_is_taken_outside_of_the_window_meanwhile_is_left_to_who_has_it(feed, who):
    backfill = opened(feed)
    sent(backfill, call("a", 11, who), call("b", 12, who))
    work_all()
    posted(feed, call("a", 5, who, at="2026-05-02T10:00:00Z"), call("b", 6, who))
    work_all()
    assert counting(feed) == {"a": 5, "b": 6}
    closed(backfill)
    assert (backfill.udr_count, backfill.replaced_count, backfill.left_out_count) == (1, 1, 1)
    assert counting(feed) == {"a": 5, "b": 12}
    assert standing() == 17 * PRICE
    assert_reconciled()
    reverted(backfill)
    assert counting(feed) == {"a": 5, "b": 6}
    assert standing() == 11 * PRICE
    assert_reconciled()


def test_what_was_replaced_does_not_come_to_life_by_being_mediated_again_but_by_the_revert(feed, who):
    before = posted(feed, call("a", 10, who), call("b", 20, who), call("m", 1, who, at="2026-05-02T10:00:00Z"))
    work_all()
    backfill = opened(feed, now=NOW + timedelta(minutes=1))
    own = sent(backfill, call("a", 11, who), now=NOW + timedelta(minutes=2))
    work_all()
    closed(backfill, NOW + timedelta(minutes=3))
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    work_all(NOW + timedelta(minutes=4))
    assert counts(before) == ("completed", 1, 0, 2, 0)
    assert set(LeftOutRecord.objects.filter(attempt=2).values_list("reason", flat=True)) == {
        f"replaced by backfill {backfill.pk}"
    }
    assert counts(own) == ("completed", 1, 0, 0, 0)
    assert counting(feed) == {"a": 11, "m": 1}
    assert standing() == 12 * PRICE
    assert_reconciled()
    reverted(backfill, NOW + timedelta(minutes=5))
    assert counts(before) == ("completed", 3, 0, 0, 0)
    assert counting(feed) == {"a": 10, "b": 20, "m": 1}
    assert standing() == 31 * PRICE
    assert_reconciled()


def test_an_import_of_an_open_backfill_is_mediated_again_beside_what_counts(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    backfill = opened(feed)
    first = sent(backfill, call("a", 11, who), call("c", 1, who))
    second = sent(backfill, call("c", 1, who), call("d", 2, who))
    work_all()
    ingestion.reprocess_imports(imports=UsageImport.objects.filter(backfill=backfill), by=None, now=NOW)
    work_all()
    assert (counts(first), counts(second)) == (("completed", 2, 0, 0, 0), ("completed", 1, 0, 0, 1))
    assert counting(feed) == {"a": 10}
    assert set(UdrBatch.objects.filter(backfill_id=backfill.pk).values_list("status", flat=True)) == {
        "held",
        "reversed",
    }
    assert_reconciled()
    closed(backfill)
    assert counting(feed) == {"a": 11, "c": 1, "d": 2}
    assert standing() == 14 * PRICE
    assert_reconciled()


def test_a_file_is_read_into_a_backfill_although_the_feed_had_it_before_but_once(feed, who):
    lines = [call(key, 1, who) for key in "abc"]
    filed(feed, *lines)
    work_all()
    backfill = opened(feed)

    def file_it():
        return ingestion.receive_file_into(
            backfill=backfill,
            feed=feed,
            stream=io.BytesIO("\n".join(lines).encode()),
            file_name="again.csv",
            source="upload",
            by=None,
            now=NOW,
        )

    taken = file_it()
    work_all()
    assert counts(taken) == ("completed", 3, 0, 0, 0)
    with pytest.raises(ingestion.UnableToReceive, match="had this very file before"):
        file_it()
    closed(backfill)
    assert (backfill.udr_count, backfill.replaced_count) == (3, 3)
    assert standing() == 3 * PRICE
    assert_reconciled()


def test_a_backfill_closed_after_its_period_is_billed_as_adjustments_and_cannot_be_reverted_once_those_are(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    [april] = BillingPeriod.objects.all()
    rating.close_period(period=april, by=None, now=NOW)
    backfill = opened(feed)
    sent(backfill, call("a", 12, who))
    work_all()
    closed(backfill)
    assert counting(feed) == {"a": 12}
    assert standing() == 12 * PRICE
    later = NOW + timedelta(days=40)
    may = BillingPeriod.objects.get(status="open")
    rating.close_period(period=may, by=None, now=later)
    assert_reconciled()
    with pytest.raises(ingestion.UnableToBackfill, match="is closed by now") as refused:
        ingestion.ask_revert(backfill=backfill, by=None, now=later)
    assert refused.value.code == "backfill_billed"


def test_a_period_closes_while_a_backfill_is_open_but_not_while_what_came_back_waits(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    backfill = opened(feed)
    sent(backfill, call("a", 12, who))
    work_all()
    [april] = BillingPeriod.objects.all()
    closed(backfill)
    ingestion.ask_revert(backfill=backfill, by=None, now=NOW)
    ingestion.backfill_next(now=NOW)
    while rating.rate_batches(now=NOW):
        pass
    with pytest.raises(rating.UnableToClosePeriod, match="since a backfill was reverted"):
        rating.close_period(period=april, by=None, now=NOW)
    work_all()
    again = opened(feed)
    sent(again, call("z", 1, who))
    work_all()
    rating.close_period(period=april, by=None, now=NOW)
    assert_reconciled()


def test_voids_are_heeded_before_and_after_a_backfill_is_closed(feed, who):
    posted(feed, call("a", 10, who), call("b", 20, who), call("c", 30, who), now=NOW)
    work_all()
    backfill = opened(feed, now=NOW + timedelta(minutes=1))
    sent(backfill, call("a", 11, who), call("b", 21, who), call("d", 40, who), now=NOW + timedelta(minutes=2))
    work_all(NOW + timedelta(minutes=2))
    voided(feed, "a", now=NOW + timedelta(minutes=3))
    amended(feed, call("b", 25, who), now=NOW + timedelta(minutes=3))
    work_all(NOW + timedelta(minutes=4))
    assert counting(feed) == {"b": 25, "c": 30}
    closed(backfill, NOW + timedelta(minutes=5))
    assert counting(feed) == {"b": 21, "d": 40}
    voided(feed, "d", "b", now=NOW + timedelta(minutes=6))
    posted(feed, call("d", 41, who), now=NOW + timedelta(minutes=7))
    work_all(NOW + timedelta(minutes=8))
    assert counting(feed) == {"d": 41}
    assert standing() == 41 * PRICE
    assert_reconciled()
    reverted(backfill, NOW + timedelta(minutes=9))
    assert counting(feed) == {"c": 30, "d": 41}
    assert standing() == 71 * PRICE
    assert_reconciled()


def test_a_crash_anywhere_leaves_all_of_the_old_or_all_of_the_new(feed, who, monkeypatch):
    posted(feed, call("a", 10, who), call("b", 20, who))
    work_all()
    backfill = opened(feed)
    sent(backfill, call("a", 11, who))
    work_all()
    for turn, ask in enumerate((ingestion.ask_close, ingestion.ask_revert)):
        now = NOW + timedelta(hours=turn + 1)
        ask(backfill=backfill, by=None, now=now)
        before = counting(feed)
        with monkeypatch.context() as crashing:
            crashing.setattr("mediation.services.backfilling.ring", lambda *_: 1 / 0)
            assert ingestion.backfill_next(now=now)
        backfill.refresh_from_db()
        assert "ZeroDivisionError" in backfill.error
        assert counting(feed) == before
        work_all(now + timedelta(minutes=1))
        backfill.refresh_from_db()
        assert backfill.error == ""
        assert_reconciled()
    assert (backfill.status, counting(feed)) == ("reverted", {"a": 10, "b": 20})


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "reason", "code"),
    [
        (APRIL, APRIL, "x", "bad_window"),
        (APRIL, NOW + timedelta(seconds=1), "x", "bad_window"),
        (APRIL, MAY, "  ", "missing_reason"),
        (APRIL, MAY, "x" * 1_001, "too_long"),
        (APRIL, MAY, "x\0", "not_text"),
        (APRIL - timedelta(days=1), APRIL + timedelta(days=1), "x", "backfill_overlaps"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_words(feed, starts_at, ends_at, reason, code):
    opened(feed)
    with pytest.raises(ingestion.UnableToBackfill) as refused:
        opened(feed, starts_at, ends_at, reason)
    assert refused.value.code == code


def test_each_state_takes_only_what_belongs_to_it(feed, who):
    backfill = opened(feed)
    for ask in (ingestion.ask_revert,):
        with pytest.raises(ingestion.UnableToBackfill, match="is open: only one that is closed can be reverted"):
            ask(backfill=backfill, by=None, now=NOW)
    sent(backfill, call("a", 1, who))
    with pytest.raises(ingestion.UnableToBackfill, match="1 of its imports have not ended"):
        ingestion.ask_close(backfill=backfill, by=None, now=NOW)
    work_all()
    closed(backfill)
    with pytest.raises(ingestion.UnableToBackfill, match="only an open one takes usage"):
        sent(backfill, call("b", 1, who))
    for ask in (ingestion.ask_close, ingestion.ask_abandon):
        with pytest.raises(ingestion.UnableToBackfill, match="is closed: only one that is open"):
            ask(backfill=backfill, by=None, now=NOW)
    again = opened(feed, APRIL + timedelta(days=1), MAY, now=NOW + timedelta(minutes=1))
    work_all()
    closed(again, NOW + timedelta(minutes=1))
    with pytest.raises(ingestion.UnableToBackfill, match="Revert that first"):
        ingestion.ask_revert(backfill=backfill, by=None, now=NOW)


def test_the_same_request_into_a_backfill_is_answered_once_and_not_mixed_up_with_usage(feed, who):
    backfill = opened(feed)
    first = sent(backfill, call("a", 1, who), key="k")
    assert sent(backfill, call("a", 1, who), key="k") == first
    with pytest.raises(ingestion.UnableToReceive) as refused:
        sent(backfill, call("a", 2, who), key="k")
    assert refused.value.code == "idempotency_key_reused"
    with pytest.raises(ingestion.UnableToReceive):
        posted(feed, call("a", 1, who), key="k")
    posted(feed, call("a", 1, who), key="live")
    with pytest.raises(ingestion.UnableToReceive):
        sent(backfill, call("a", 1, who), key="live")
    work_all()
    closed(backfill)
    assert sent(backfill, call("a", 1, who), key="k") == first
    assert UsageImport.objects.count() == 2
