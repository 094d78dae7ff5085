"""Backfills that have to wait, are refused late, or are asked about while they are held."""

from datetime import timedelta

import pytest
from django.urls import reverse

from config.metrics.reading import oldest_work
from config.tracing.finding import Place, record_at
from config.tracing.life import life_of
from ingestion import services as ingestion
from ingestion.models import Backfill, UsageImport
from mediation.models import Udr, UdrBatch
from rating import services as rating
from rating.models import BillingPeriod
from tests.config.test_backfilling import closed, counting, opened, reverted, sent, work_all
from tests.config.test_tracing import SEES_ALL
from tests.config.test_voiding import KEYED, NOW, PRICE, assert_reconciled, call, standing, who
from tests.ingestion.factories import counts, feed_of, new_version, posted, user_with

__all__ = ["who"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def feed():
    return feed_of(KEYED)


def test_nothing_of_a_window_is_counted_while_an_import_of_the_feed_is_mediated_again(closing, feed, monkeypatch):
    UdrBatch.objects.create(feed_id=feed.pk, import_id=1, status="staged", udr_count=0, mediated_at=NOW)
    monkeypatch.setattr("mediation.store.backfills.difference_of", lambda _: 1 / 0)
    assert ingestion.backfill_next(now=NOW)
    closing.refresh_from_db()
    assert (closing.status, closing.attempts, closing.error) == ("closing", 0, "")


def test_closing_waits_for_an_import_that_is_mediated_again_and_gives_up_after_a_quarter_of_an_hour(feed, who):
    before = posted(feed, call("a", 10, who))
    work_all()
    backfill = opened(feed)
    sent(backfill, call("a", 11, who))
    work_all()
    staged = UdrBatch.objects.create(
        feed_id=feed.pk, import_id=before.pk, status="staged", udr_count=0, mediated_at=NOW
    )
    ingestion.ask_close(backfill=backfill, by=None, now=NOW)
    assert ingestion.backfill_next(now=NOW)
    assert not ingestion.backfill_next(now=NOW + timedelta(seconds=2))
    assert ingestion.backfill_next(now=NOW + timedelta(seconds=4))
    backfill.refresh_from_db()
    assert (backfill.status, backfill.attempts, counting(feed)) == ("closing", 0, {"a": 10})
    ingestion.backfill_next(now=NOW + timedelta(minutes=15))
    backfill.refresh_from_db()
    assert backfill.status == "open"
    assert "have not ended for 15 minutes" in backfill.refusal
    staged.delete()
    closed(backfill)
    assert (backfill.refusal, counting(feed)) == ("", {"a": 11})
    assert_reconciled()


@pytest.fixture
def closing(feed, who):
    """A backfill that was asked to be closed."""
    backfill = opened(feed)
    sent(backfill, call("a", 11, who))
    work_all()
    return ingestion.ask_close(backfill=backfill, by=None, now=NOW)


def crash(monkeypatch):
    with monkeypatch.context() as crashing:
        crashing.setattr("mediation.services.backfilling.ring", lambda *_: 1 / 0)
        for minutes in range(8):
            ingestion.backfill_next(now=NOW + timedelta(minutes=minutes))


def test_what_crashes_too_often_is_as_it_was_and_says_why_and_can_be_asked_for_again(closing, feed, monkeypatch):
    crash(monkeypatch)
    closing.refresh_from_db()
    assert (closing.status, closing.attempts) == ("open", 0)
    assert "tried 5 times" in closing.refusal
    assert "ZeroDivisionError" in closing.error
    assert not ingestion.backfill_next(now=NOW + timedelta(hours=1))
    closed(closing, NOW + timedelta(hours=1))
    assert (closing.status, closing.refusal, closing.error) == ("closed", "", "")
    ingestion.ask_revert(backfill=closing, by=None, now=NOW + timedelta(hours=1))
    Backfill.objects.update(attempts=5, claimed_until=NOW + timedelta(hours=1, seconds=20))  # its workers were killed
    assert not ingestion.backfill_next(now=NOW + timedelta(hours=1))
    work_all(NOW + timedelta(hours=2))
    closing.refresh_from_db()
    assert (closing.status, counting(feed)) == ("closed", {"a": 11})
    assert "Its worker died" in closing.error
    assert reverted(closing, NOW + timedelta(hours=3)).status == "reverted"


def test_what_crashes_too_often_can_be_abandoned_so_that_another_is_opened(closing, feed, monkeypatch):
    crash(monkeypatch)
    ingestion.ask_abandon(backfill=closing, by=None, now=NOW + timedelta(hours=1))
    work_all(NOW + timedelta(hours=1))
    assert closed(opened(feed)).status == "closed"


def test_pages_and_metrics_tell_of_backfills_that_wait_and_of_those_that_were_given_back(
    closing, admin_client, monkeypatch
):
    assert oldest_work(NOW + timedelta(minutes=2))["backfill"] == (1, 120.0)
    assert "backfills to be closed" in admin_client.get(reverse("admin:index")).content.decode()
    crash(monkeypatch)
    assert oldest_work(NOW)["backfill"] == (0, 0.0)
    front = admin_client.get(reverse("admin:index")).content.decode()
    assert "with which that was not done" in front
    page = admin_client.get(reverse("admin:ingestion_backfill_change", args=[closing.pk])).content.decode()
    assert "tried 5 times" in page
    assert 'value="abandon"' in page


def test_what_is_too_large_to_be_swapped_is_refused_when_it_is_asked_for_or_by_the_worker(feed, who, monkeypatch):
    posted(feed, call("a", 10, who), call("b", 10, who))
    backfill = opened(feed)
    sent(backfill, call("a", 11, who), call("b", 11, who))
    work_all()
    monkeypatch.setattr("ingestion.services.backfilling.MOST_SWAPPED", 3)
    closed(backfill)
    assert (backfill.status, counting(feed)) == ("open", {"a": 10, "b": 10})
    assert "4 UDRs would be swapped" in backfill.refusal
    monkeypatch.setattr("ingestion.services.backfilling.MOST_SWAPPED", 1)
    with pytest.raises(ingestion.UnableToBackfill, match="2 UDRs would be swapped") as refused:
        ingestion.ask_close(backfill=backfill, by=None, now=NOW)
    assert refused.value.code == "backfill_too_large"
    monkeypatch.undo()
    assert closed(backfill).status == "closed"


def test_closing_waits_for_its_own_imports_that_somebody_has_mediated_again_meanwhile(feed, who):
    backfill = opened(feed)
    sent(backfill, call("a", 11, who))
    work_all()
    ingestion.ask_close(backfill=backfill, by=None, now=NOW)
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    ingestion.backfill_next(now=NOW)
    assert counting(feed) == {}
    work_all(NOW + timedelta(minutes=1))
    backfill.refresh_from_db()
    assert (backfill.status, counting(feed)) == ("closed", {"a": 11})
    assert_reconciled()


def test_what_is_billed_between_the_asking_and_the_doing_is_not_reverted(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    backfill = opened(feed)
    sent(backfill, call("a", 12, who))
    work_all()
    closed(backfill)
    ingestion.ask_revert(backfill=backfill, by=None, now=NOW)
    rating.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW + timedelta(minutes=1))
    work_all(NOW + timedelta(minutes=1))
    backfill.refresh_from_db()
    assert backfill.status == "closed"
    assert "Correct it by another backfill" in backfill.refusal
    assert (counting(feed), standing()) == ({"a": 12}, 12 * PRICE)
    assert_reconciled()


def test_another_backfill_of_a_billed_window_corrects_it_as_an_adjustment(feed, who):
    for minutes, value in enumerate((10, 12, 15)):
        now = NOW + timedelta(minutes=minutes)
        backfill = opened(feed, now=now)
        sent(backfill, call("a", value, who), now=now)
        work_all(now)
        closed(backfill, now)
        assert (counting(feed), standing()) == ({"a": value}, value * PRICE)
        if period := BillingPeriod.objects.filter(status="open", ends_at__lte=NOW).first():
            rating.close_period(period=period, by=None, now=NOW)
    assert_reconciled()


def test_an_exception_of_a_backfill_is_corrected_before_it_is_closed_and_after(feed, who):
    backfill = opened(feed)
    taken = sent(backfill, call("a", "x", who), call("b", "x", who))
    live = posted(feed, call("c", "x", who), call("a", 10, who))
    work_all()

    def correct(*keys):
        for exception in taken.exceptions.filter(status="open") | live.exceptions.filter(status="open"):
            key = exception.raw.split(",")[1]
            if key in keys:
                raw = call(key, 3, who)
                ingestion.correct_exception(exception=exception, raw=raw, reason="x", by=None, now=NOW)
                chosen = type(exception).objects.filter(pk=exception.pk)
                ingestion.reprocess_exceptions(exceptions=chosen, by=None, now=NOW)
        work_all()

    correct("a", "c")
    assert counts(taken) == ("completed", 1, 1, 0, 0)
    assert counting(feed) == {"a": 10, "c": 3}
    assert_reconciled()
    closed(backfill)
    assert counting(feed) == {"a": 3}
    correct("b")
    assert counting(feed) == {"a": 3, "b": 3}
    assert standing() == 6 * PRICE
    assert_reconciled()


def test_a_record_that_becomes_nothing_when_it_is_mediated_again_gives_way_to_its_repeat_in_the_backfill(feed, who):
    posted(feed, call("a", 10, who))
    backfill = opened(feed)
    first = sent(backfill, call("a", 11, who))
    second = sent(backfill, call("a", 11, who))
    work_all()
    assert counts(second) == ("completed", 0, 0, 0, 1)
    skipping = KEYED | {"skip": [{"name": "none", "source": "id", "operator": "equals", "values": ["a"]}]}
    new_version(feed, skipping)
    ingestion.reprocess_imports(imports=UsageImport.objects.filter(pk=first.pk), by=None, now=NOW)
    work_all()
    assert counts(first) == ("completed", 0, 0, 1, 0)
    assert counts(second) == ("completed", 0, 0, 1, 0)
    assert counting(feed) == {"a": 10}
    assert_reconciled()


def test_traces_tell_what_is_held_and_what_replaced_it(feed, who):
    before = posted(feed, call("a", 10, who))
    work_all()
    backfill = opened(feed)
    taken = sent(backfill, call("a", 11, who))
    work_all()
    assert "counts nowhere until" in told(taken)
    assert ("held", "held until its backfill is closed") in life(taken).standing
    closed(backfill)
    assert "replaced by a backfill" in told(before)
    assert "counts nowhere until" not in told(taken)
    assert Udr.objects.count() == 2


def told(usage_import):
    """All that is told of the first record of an import."""
    return " ".join(fact.text for step in life(usage_import).steps for fact in step.facts)


def life(usage_import):
    return life_of(record_at(Place(usage_import.pk, 1)), user_with(*SEES_ALL))
