"""Exceptions that are tried again by themselves: on a schedule with growing gaps, until something comes of them."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from ingestion import selectors, services
from ingestion.models import ImportException, UsageImport
from mediation.core.retrying import GAPS

from .factories import NOW, UsageClassFactory, counts, event, feed_of, posted, user_with, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
ALL = ImportException.objects


def later(by=None, now=NOW):
    return services.retry_later(exceptions=ALL.all(), by=by, now=now)


def look(now):
    """What a worker does when it looks for what is due."""
    found = services.retry_due(now=now)
    work(now)
    return found


def unknown_class():
    usage_import = posted(feed_of(), event("a", class_="fax"))
    work()
    return usage_import


def test_nothing_is_tried_by_itself_unless_somebody_asks():
    unknown_class()
    assert not services.retry_due(now=NOW + timedelta(days=100))


def test_the_first_try_comes_after_a_minute_and_success_ends_the_schedule():
    usage_import = unknown_class()
    assert later() == 1
    assert not look(NOW + timedelta(seconds=59))
    UsageClassFactory(name="fax")
    assert selectors.exceptions_due(NOW + timedelta(minutes=1)).count() == 1
    assert look(NOW + timedelta(minutes=1))
    assert ALL.values_list("status", "next_try_at").get() == ("resolved", None)
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


def test_gaps_grow_and_the_end_of_the_schedule_leaves_it_open_with_a_note():
    unknown_class()
    later()
    now, tries = NOW, []
    while (due := ALL.get().next_try_at) is not None:
        tries.append(due - now)
        now = due
        assert look(now)
    assert tries == list(GAPS)
    exception = ALL.get()
    assert (exception.status, exception.retry_round) == ("open", len(GAPS))
    assert exception.message.endswith("(tried again 19 times by itself, and not any more)")
    assert exception.last_tried_at == now
    assert not look(now + timedelta(days=30))


def test_asking_again_begins_anew():
    unknown_class()
    later()
    look(NOW + timedelta(minutes=1))
    assert ALL.get().retry_round == 1
    later(now=NOW + timedelta(hours=1))
    assert ALL.values_list("retry_round", "next_try_at").get() == (0, NOW + timedelta(hours=1, minutes=1))


def test_the_schedule_can_be_stopped_and_a_write_off_stops_it():
    unknown_class()
    later()
    assert services.stop_retrying(exceptions=ALL.all(), by=None, now=NOW) == 1
    assert services.stop_retrying(exceptions=ALL.all(), by=None, now=NOW) == 0
    later()
    services.write_off_exceptions(exceptions=ALL.all(), reason="test", by=None, now=NOW)
    assert ALL.get().next_try_at is None
    assert later() == 0


def test_while_its_import_is_mediated_again_an_exception_waits_for_its_next_turn():
    usage_import = unknown_class()
    later()
    services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    assert services.retry_due(now=NOW + timedelta(minutes=1))
    assert ALL.values_list("status", "retry_round").get() == ("open", 1)
    work()
    assert counts(usage_import) == ("completed", 0, 1, 0, 0)


def test_only_who_may_review_and_sees_the_feed_puts_exceptions_on_the_schedule():
    unknown_class()
    with pytest.raises(PermissionDenied):
        later(by=user_with("ingestion.correct_importexception"))
    with pytest.raises(PermissionDenied):
        services.stop_retrying(exceptions=ALL.all(), by=user_with(), now=NOW)
    assert later(by=user_with("ingestion.review_importexception", feeds=[])) == 0
    assert later(by=user_with("ingestion.review_importexception")) == 1
