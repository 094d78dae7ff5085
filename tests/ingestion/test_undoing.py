"""Corrections of groups taken back while nothing of them is rated: at once, or by workers where they are of many."""

from unittest.mock import patch

import pytest

from ingestion import selectors, services
from ingestion.models import ExceptionRevision, GroupCorrection, ImportException
from ingestion.services.fixing import undoing
from mediation.models import Udr, UdrBatch, UdrKey

from .factories import counts, event, feed_of, posted, user_with, work
from .test_fixing import ALL, LATER, ask, bad, corrected, mend, told, undo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]


def test_a_correction_is_taken_back_while_nothing_of_it_is_rated():
    feed = feed_of()
    one = posted(feed, event("a"), bad(1), bad(2))
    other = posted(feed, bad(3))
    work()
    correction = corrected(feed)
    assert services.can_undo(correction=correction, by=None, now=LATER)
    undo(correction)
    correction.refresh_from_db()
    assert (correction.status, correction.undone_at) == ("undone", LATER)
    assert not services.can_undo(correction=correction, by=None, now=LATER)
    assert counts(one) == ("completed", 1, 2, 0, 0)
    assert counts(other) == ("completed", 0, 1, 0, 0)
    assert UdrKey.objects.count() == 1
    assert set(ALL.values_list("status", "code", "value", "closed_at")) == {("open", "bad_number", "1;5", None)}
    assert set(ExceptionRevision.objects.values_list("withdrawn_at", flat=True)) == {LATER}
    assert set(UdrBatch.objects.exclude(import_id=one.pk).values_list("status", flat=True)) == {"reversed"}
    # The group is there again, and what was withdrawn is read no more.
    assert told(corrected(feed, {"kind": "set", "field": "value", "text": "7"})) == ("completed", 3, 3, 0, 0, 0)
    assert set(Udr.objects.filter(udr_usage_identifier="bad1").order_by("pk").values_list("value", flat=True)) == {
        1.5,
        7,
    }
    services.reprocess_imports(imports=type(one).objects.filter(pk=one.pk), by=None, now=LATER)
    work(LATER)
    assert counts(one) == ("completed", 3, 0, 0, 0)
    assert Udr.objects.filter(udr_usage_identifier="bad1").order_by("pk").last().value == 7


def test_what_stayed_an_exception_has_its_old_fault_back():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    before = ALL.values("code", "field", "value", "message").get()
    correction = corrected(feed, {"kind": "set", "field": "value", "text": "many"})
    assert told(correction) == ("completed", 1, 0, 1, 0, 0)
    assert ALL.get().value == "many"
    undo(correction)
    assert ALL.values("code", "field", "value", "message").get() == before
    assert ExceptionRevision.objects.get().withdrawn_at == LATER


def test_a_record_that_was_corrected_again_since_keeps_its_corrections():
    feed = feed_of()
    posted(feed, bad(1), bad(2))
    work()
    rule = {"kind": "expression", "field": "value", "expression": "CASE who WHEN 'bad1' THEN 'x' ELSE '2' END"}
    correction = corrected(feed, rule)
    services.correct_exception(
        exception=ALL.get(record_number=1), changes={"value": "6"}, reason="", by=None, now=LATER
    )
    work()
    undo(correction)
    assert dict(ALL.values_list("record_number", "status")) == {1: "resolved", 2: "open"}
    assert ExceptionRevision.objects.filter(withdrawn_at=None).count() == 2


def test_a_correction_under_way_is_not_taken_back():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    correction = ask(feed)
    with pytest.raises(services.UnableToUndo, match="only one that has ended"):
        undo(correction)
    mend()


def test_what_repeated_a_record_that_is_taken_back_comes_in_itself():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    correction = corrected(feed, {"kind": "set", "field": "value", "text": "3"})
    good = posted(feed, event("bad1", value="3"))
    work(LATER)
    # Another text than the mended one: not the same record, and told apart.
    assert counts(good) == ("completed", 0, 1, 0, 0)
    undo(correction)
    services.reprocess_exceptions(exceptions=ALL.filter(usage_import=good), by=None, now=LATER)
    work(LATER)
    assert counts(good) == ("completed", 1, 0, 0, 0)


def test_duplicates_of_what_is_taken_back_are_mediated_again():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    correction = corrected(feed, {"kind": "substitute", "raw": True, "pattern": "1;5", "replacement": "15"})
    again = posted(feed, bad(1).replace("1;5", "15"))
    work(LATER)
    assert counts(again) == ("completed", 0, 0, 0, 1)
    undo(correction)
    work(LATER)
    assert counts(again) == ("completed", 1, 0, 0, 0)


# Of many records


@pytest.fixture
def correction(monkeypatch):
    """A correction of two records, which are many."""
    monkeypatch.setattr(undoing, "AT_ONCE", 1)
    feed = feed_of()
    posted(feed, bad(1), bad(2))
    work()
    return corrected(feed)


def take_back():
    while services.undo_next_correction(now=LATER):
        pass


def test_a_worker_takes_back_what_is_many(correction):
    someone = user_with("ingestion.correct_importexception")
    assert undo(correction, by=someone).status == "undoing"
    assert ImportException.objects.filter(status="open").count() == 0
    assert selectors.corrections_to_undo(LATER).count() == 1
    take_back()
    correction.refresh_from_db()
    assert (correction.status, correction.undone_by, correction.undone_at) == ("undone", someone, LATER)
    assert ImportException.objects.filter(status="open").count() == 2
    assert counts(ImportException.objects.first().usage_import) == ("completed", 0, 2, 0, 0)


def test_undoing_that_keeps_crashing_lets_the_correction_stand(correction):
    undo(correction)
    with patch.object(undoing.store, "take_back_corrections", side_effect=RuntimeError("disk full")):
        take_back()
    correction.refresh_from_db()
    assert (correction.status, correction.attempts) == ("completed", 0)
    assert "disk full" in correction.error
    assert GroupCorrection.objects.filter(undone_by=None, claimed_until=None).exists()
    undo(correction)
    take_back()
    correction.refresh_from_db()
    assert correction.status == "undone"
