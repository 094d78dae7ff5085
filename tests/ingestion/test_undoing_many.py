"""Corrections of so many records that workers take them back."""

from unittest.mock import patch

import pytest

from ingestion import selectors, services
from ingestion.models import GroupCorrection, ImportException
from ingestion.services.fixing import undoing
from mediation.models import UdrBatch

from .factories import counts, feed_of, posted, user_with, work
from .test_fixing import LATER, bad, corrected, undo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]


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


def test_what_is_rated_before_the_worker_comes_lets_the_correction_stand(correction):
    undo(correction)
    UdrBatch.objects.update(status="rated")
    take_back()
    correction.refresh_from_db()
    assert (correction.status, correction.undone_by, correction.undone_at) == ("completed", None, None)
    assert "2 of its 2 records are rated already" in correction.error
    with pytest.raises(services.UnableToUndo, match="are rated already"):
        undo(correction)
    UdrBatch.objects.update(status="mediated")


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
