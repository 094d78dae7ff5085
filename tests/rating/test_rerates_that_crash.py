"""Rerates of exceptions that crash: what crashes by itself holds up no others, and nothing is kept from another try."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from mediation.core.retrying import GAPS
from rating import services
from rating.models import ExceptionRerate, RatingException
from rating.services import retrying
from tests.mediation.people import user_who_may

from .factories import NOW
from .test_exception_groups import mend, unowned

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def poison(monkeypatch):
    """Called with numbers of exceptions: whatever is rated together with one of them crashes."""
    real = retrying.rerate_together
    bad = set()

    def rerate(*, waiting, **told):
        if bad & set(waiting.values_list("pk", flat=True)):
            raise RuntimeError("no such luck")
        return real(waiting=waiting, **told)

    monkeypatch.setattr(retrying, "rerate_together", rerate)
    return bad.update


def test_one_that_crashes_is_left_open_and_the_others_are_charged(poison):
    exceptions = unowned(20)
    third = exceptions.order_by("pk")[2].pk
    mend()
    asked = services.ask_rerate(exceptions=exceptions, by=None, now=NOW)
    poison([third])
    services.rerate_asked(now=NOW)
    asked.refresh_from_db()
    assert (asked.status, asked.tried_count, asked.charged_count) == ("completed", 20, 19)
    assert f"Rating exception {third} crashes" in asked.error
    assert "no such luck" in asked.error
    left = exceptions.get(status="open")
    assert (left.pk, left.rerate) == (third, None)


def test_one_that_crashes_holds_up_no_others_that_are_tried_again_by_themselves(poison):
    exceptions = unowned(5)
    services.retry_later(exceptions=exceptions, by=None, now=NOW)
    first = exceptions.order_by("pk").first()
    mend()
    poison([first.pk])
    services.rerate_due(now=NOW + GAPS[0])
    assert exceptions.get(status="open").pk == first.pk


def test_where_everything_crashes_it_is_tried_again_with_growing_gaps(poison):
    exceptions = unowned(3)
    asked = services.ask_rerate(exceptions=exceptions, by=None, now=NOW)
    poison(exceptions.values_list("pk", flat=True))
    at, gaps = NOW, []
    for _ in range(retrying.MAX_ATTEMPTS - 1):
        services.rerate_asked(now=at)
        asked.refresh_from_db()
        gaps.append(asked.try_at - at)
        at = asked.try_at
        if gaps[-1]:
            assert services.rerate_asked(now=at - timedelta(seconds=1)) == 0
    assert tuple(gaps) == retrying.TRY_GAPS
    services.rerate_asked(now=at)
    asked.refresh_from_db()
    assert (asked.status, asked.tried_count) == ("errored", 0)


def test_what_a_rerate_was_given_up_with_is_free_for_another():
    exceptions = unowned(3)
    first = services.ask_rerate(exceptions=exceptions, by=None, now=NOW)
    ExceptionRerate.objects.filter(pk=first.pk).update(status="errored")
    mend()
    second = services.ask_rerate(exceptions=RatingException.objects.all(), by=None, now=LATER)
    assert second.exception_count == 3
    services.rerate_asked(now=LATER)
    assert not exceptions.filter(status="open").exists()
    services.retry_rerate(asked=first, by=None, now=LATER)
    services.rerate_asked(now=LATER)
    first.refresh_from_db()
    assert (first.status, first.tried_count) == ("completed", 0)


def test_after_a_worker_died_fewer_are_rated_together(monkeypatch):
    monkeypatch.setattr(retrying, "AFTER_DEATH", 3)
    exceptions = unowned(6)
    asked = services.ask_rerate(exceptions=exceptions, by=None, now=NOW)
    tried = []
    for deaths in (1, 2):
        ExceptionRerate.objects.filter(pk=asked.pk).update(attempts=deaths)
        tried.append(services.rerate_asked(now=NOW))
    assert tried == [3, 1]


def test_who_lets_a_rerate_go_on_sees_its_feed():
    asked = services.ask_rerate(exceptions=unowned(1), by=None, now=NOW)
    ExceptionRerate.objects.filter(pk=asked.pk).update(status="errored")
    stranger = user_who_may("rating.rerate_ratingexception")
    stranger.user_permissions.remove(*stranger.user_permissions.filter(codename="every_feed"))
    for _ in range(2):
        with pytest.raises(PermissionDenied):
            services.retry_rerate(asked=asked, by=stranger, now=NOW)
        RatingException.objects.update(rerate=None)


def test_a_rerate_ends_where_whoever_asked_for_it_may_not_rerate_any_more():
    exceptions = unowned(4)
    mend()
    person = user_who_may("rating.rerate_ratingexception")
    asked = services.ask_rerate(exceptions=exceptions, by=person, now=NOW)
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert services.rerate_asked(now=NOW) == 1
    asked.refresh_from_db()
    assert (asked.status, asked.tried_count) == ("errored", 0)
    assert "may not have these exceptions rated again any more" in asked.error
    assert services.ask_rerate(exceptions=exceptions, by=None, now=LATER).exception_count == 4
