"""Corrections of groups in trouble: a record that always crashes, a dead worker, a right that is gone."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User

from ingestion import services
from ingestion.models import GroupCorrection, ImportException
from ingestion.services.fixing import portions, undoing
from ingestion.services.mediating import TRY_GAPS

from .factories import counts, feed_of, posted, user_with, work
from .test_fixing import ALL, LATER, ask, bad, mend, told, undo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]


def failing(*numbers):
    """Whatever is corrected together with one of these records crashes."""
    real = portions.mediate_again

    def mediate_again(*, exceptions, **options):
        if {one.record_number for one in exceptions}.intersection(numbers):
            raise RuntimeError("no such luck")
        return real(exceptions=exceptions, **options)

    return patch.object(portions, "mediate_again", mediate_again)


def test_a_record_that_always_crashes_is_passed_over_and_the_others_are_mended():
    feed = feed_of()
    usage_import = posted(feed, *map(bad, range(20)))
    work()
    correction = ask(feed)
    with failing(3, 11), patch.object(portions, "PORTION_RECORDS", 8):
        mend()
    correction.refresh_from_db()
    assert told(correction) == ("completed", 20, 18, 0, 0, 2)
    assert "crashes and is left open" in correction.error
    assert "no such luck" in correction.error
    assert counts(usage_import) == ("completed", 18, 2, 0, 0)
    assert set(ALL.filter(status="open").values_list("record_number", "revision_count")) == {(3, 0), (11, 0)}


def test_where_every_record_crashes_the_gaps_between_the_tries_grow():
    feed = feed_of()
    posted(feed, bad(1), bad(2))
    work()
    correction = ask(feed)
    at, gaps = LATER, []
    with failing(1, 2):
        for _ in TRY_GAPS:
            assert services.correct_next_portion(now=at)
            correction.refresh_from_db()
            gaps.append((correction.claimed_until or at) - at)
            at += gaps[-1] + timedelta(seconds=1)
            if gaps[-1]:
                assert not services.correct_next_portion(now=correction.claimed_until)
    assert tuple(gaps) == TRY_GAPS
    assert told(correction) == ("running", 2, 0, 0, 0, 0)


def test_after_a_worker_died_fewer_are_corrected_together():
    feed = feed_of()
    posted(feed, *map(bad, range(6)))
    work()
    correction = ask(feed)
    done = []
    with patch.object(portions, "AFTER_DEATH", 3):
        for deaths in (1, 2):
            GroupCorrection.objects.update(attempts=deaths)
            services.correct_next_portion(now=LATER)
            correction.refresh_from_db()
            done.append(correction.resolved_count)
    assert done == [3, 4]


def take_right(person):
    person.user_permissions.clear()


def take_feeds(person):
    person.user_permissions.remove(*person.user_permissions.filter(codename="every_feed"))


def dismiss(person):
    User.objects.filter(pk=person.pk).update(is_active=False)


@pytest.mark.parametrize("lose", [take_right, take_feeds, dismiss])
def test_a_correction_ends_where_whoever_asked_for_it_may_not_correct_any_more(lose):
    feed = feed_of()
    posted(feed, *map(bad, range(4)))
    work()
    person = user_with("ingestion.correct_importexception")
    correction = ask(feed, by=person)
    with patch.object(portions, "PORTION_RECORDS", 2):
        services.correct_next_portion(now=LATER)
        lose(person)
        mend()
    correction.refresh_from_db()
    assert told(correction) == ("errored", 4, 2, 0, 0, 0)
    assert "may not correct these records any more" in correction.error
    ask(feed)
    mend()
    assert not ImportException.objects.filter(status="open").exists()


def test_a_correction_stands_where_whoever_wants_it_undone_may_not_correct_any_more():
    feed = feed_of()
    posted(feed, bad(1), bad(2))
    work()
    correction = ask(feed)
    mend()
    person = user_with("ingestion.correct_importexception")
    with patch.object(undoing, "AT_ONCE", 1):
        undo(correction, by=person)
    dismiss(person)
    assert services.undo_next_correction(now=LATER)
    correction.refresh_from_db()
    assert (correction.status, correction.undone_by) == ("completed", None)
    assert "may not undo this correction any more" in correction.error
