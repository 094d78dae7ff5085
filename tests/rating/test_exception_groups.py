"""Rating exceptions in groups: what they lack, who looks after them, and many of them rated again by workers."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from mediation.core.retrying import GAPS
from mediation.models import UdrBatch
from mediation.services.reviewing import UnableToAssign, UnableToComment
from rating import selectors, services
from rating.models import Account, Charge, ExceptionRerate, RatingException, RatingExceptionComment
from rating.selectors import ExceptionGroup
from rating.services import retrying
from tests.mediation.people import user_who_may

from .factories import MAY, NOW, RateFactory, ServiceIdentifierFactory, UsageClassFactory, subscriber, used, waiting

pytestmark = pytest.mark.django_db


def unowned(count=3, identifier="555", **udr):
    """Open exceptions of usage whose identifier nobody has."""
    usage_class = udr.pop("usage_class", None) or UsageClassFactory()
    waiting(*({"usage_class": usage_class, "identifier": identifier, **udr} for _ in range(count)))
    services.rate_batches(now=NOW)
    return RatingException.objects.filter(identifier=identifier)


def groups(**asked):
    found, more = selectors.rating_exception_groups(selectors.open_rating_exceptions(feeds=None, **asked))
    return [(one.group.cause, one.group.subject, one.count, one.quantity) for one in found], more


def group_of(exception):
    return ExceptionGroup(exception.feed_id, exception.cause, exception.usage_class_id, exception.subject)


# Groups


def test_exceptions_that_lack_the_same_are_a_group_whatever_their_moment():
    rate, owner = RateFactory(), subscriber()
    owner.service.account.rate_plan = rate.group.plan
    owner.service.account.save()
    other = UsageClassFactory(name="video")
    waiting(
        *({"usage_class": other, "identifier": owner.identifier, "date": MAY + timedelta(hours=n)} for n in range(3)),
        {"usage_class": other, "identifier": "555", "value": 7},
    )
    services.rate_batches(now=NOW)
    found, more = groups()
    plan = rate.group.plan.name
    said = (
        f"Plan “{plan}” has groups in EUR valid at …, but none has a rate for class “video”. Add the rate, then rerate."
    )
    assert found == [("no_rate", said, 3, 3), ("no_identifier_match", "555", 1, 7)]
    assert more == 0


def test_the_largest_groups_come_first_and_the_others_are_counted():
    for count, identifier in ((1, "a"), (3, "b"), (2, "c")):
        unowned(count, identifier)
    found, more = selectors.rating_exception_groups(selectors.open_rating_exceptions(feeds=None), most=2)
    assert [one.group.subject for one in found] == ["b", "c"]
    assert more == 1


def test_a_group_holds_its_open_exceptions_only():
    unowned(3)
    first = RatingException.objects.order_by("pk").first()
    RatingException.objects.filter(pk=first.pk).update(status="written_off", close_reason="a test")
    assert selectors.exceptions_of_group(group_of(first)).count() == 2


def test_groups_of_feeds_that_somebody_does_not_see_are_left_out():
    unowned(1)
    assert selectors.rating_exception_groups(selectors.open_rating_exceptions(feeds=frozenset({2}))) == ([], 0)


def test_groups_are_filtered_by_who_has_them_and_by_age():
    person = user_who_may("rating.rerate_ratingexception")
    mine = unowned(1, "mine")
    unowned(1, "other")
    services.assign_exceptions(exceptions=mine, to=person, by=None, now=NOW)
    assert [subject for _, subject, _, _ in groups(assigned_to=person.pk)[0]] == ["mine"]
    assert groups(before=NOW)[0] == []


# Rating many again


def mend(identifier="555", usage_class=None):
    """Give the identifier to somebody whose plan prices the class."""
    rate = RateFactory(usage_class=usage_class or RatingException.objects.first().usage_class)
    owner = ServiceIdentifierFactory(identifier=identifier)
    Account.objects.filter(pk=owner.service.account_id).update(rate_plan=rate.group.plan)


def test_workers_rate_what_was_asked_for_in_portions_and_tell_how_far_they_are(monkeypatch):
    monkeypatch.setattr(retrying, "PORTION", 2)
    person = user_who_may("rating.rerate_ratingexception")
    exceptions = unowned(5)
    group = group_of(exceptions[0])
    mend()
    asked = services.ask_rerate(exceptions=exceptions, group=group, by=person, now=NOW)
    assert (asked.exception_count, asked.status, asked.feed_id) == (5, "waiting", 1)
    assert services.rerate_asked(now=NOW) == 2
    asked.refresh_from_db()
    assert (asked.tried_count, asked.charged_count, asked.status) == (2, 2, "waiting")
    while services.rerate_asked(now=NOW):
        pass
    asked.refresh_from_db()
    assert (asked.tried_count, asked.charged_count, asked.status) == (5, 5, "completed")
    assert (Charge.objects.count(), UdrBatch.objects.get().uncharged_count) == (5, 0)
    assert set(RatingException.objects.values_list("status", "closed_by", "rerate")) == {("resolved", person.pk, None)}


def test_what_still_lacks_something_stays_open_and_is_free_for_another_rerate():
    exceptions = unowned(2)
    asked = services.ask_rerate(exceptions=exceptions, by=None, now=NOW)
    services.rerate_asked(now=NOW)
    asked.refresh_from_db()
    assert (asked.status, asked.tried_count, asked.charged_count) == ("completed", 2, 0)
    assert exceptions.filter(status="open", rerate=None, attempts=2).count() == 2


def test_what_waits_for_a_rerate_is_not_taken_by_another_one():
    exceptions = unowned(2)
    services.ask_rerate(exceptions=exceptions.filter(pk=exceptions.first().pk), by=None, now=NOW)
    assert services.ask_rerate(exceptions=RatingException.objects.all(), by=None, now=NOW).exception_count == 1
    with pytest.raises(services.UnableToRerate):
        services.ask_rerate(exceptions=RatingException.objects.all(), by=None, now=NOW)
    assert ExceptionRerate.objects.count() == 2


def test_exceptions_written_off_meanwhile_stay_written_off():
    exceptions = unowned(2)
    asked = services.ask_rerate(exceptions=exceptions, by=None, now=NOW)
    mend()
    services.write_off_rating_exceptions(exceptions=exceptions, reason="given up", by=None, now=NOW)
    services.rerate_asked(now=NOW)
    asked.refresh_from_db()
    assert (asked.status, asked.tried_count, asked.charged_count) == ("completed", 2, 0)
    assert Charge.objects.count() == 0


def test_a_rerate_that_crashes_is_parked_with_its_trace_and_goes_on_when_it_is_asked(monkeypatch):
    def crash(**_):
        raise RuntimeError("no such luck")

    exceptions = unowned(1)
    asked = services.ask_rerate(exceptions=exceptions, by=None, now=NOW)
    with monkeypatch.context() as patched:
        patched.setattr(retrying, "rerate_together", crash)
        for hour in range(retrying.MAX_ATTEMPTS):
            services.rerate_asked(now=NOW + timedelta(hours=hour))
    asked.refresh_from_db()
    assert (asked.status, asked.attempts) == ("errored", retrying.MAX_ATTEMPTS)
    assert "no such luck" in asked.error
    services.retry_rerate(asked=asked, by=None, now=NOW)
    services.rerate_asked(now=NOW)
    asked.refresh_from_db()
    assert (asked.status, asked.tried_count) == ("completed", 1)
    with pytest.raises(services.UnableToRerate):
        services.retry_rerate(asked=asked, by=None, now=NOW)


# Tried again by themselves


def test_what_is_to_be_retried_later_is_tried_with_growing_gaps_until_it_is_charged():
    exceptions = unowned(1)
    services.retry_later(exceptions=exceptions, by=None, now=NOW)
    assert services.rerate_due(now=NOW) == 0
    at = NOW + GAPS[0]
    assert services.rerate_due(now=at) == 1
    tried = exceptions.get()
    assert (tried.attempts, tried.retry_round, tried.next_try_at) == (2, 1, at + GAPS[1])
    mend()
    assert services.rerate_due(now=at + GAPS[1]) == 1
    assert exceptions.get().status == "resolved"
    assert services.rerate_due(now=at + timedelta(days=30)) == 0


def test_the_schedule_ends_and_leaves_the_exception_open():
    exceptions = unowned(1)
    services.retry_later(exceptions=exceptions, by=None, now=NOW)
    at = NOW
    for gap in GAPS:
        at += gap
        assert services.rerate_due(now=at) == 1
    left = exceptions.get()
    assert (left.status, left.next_try_at, left.retry_round) == ("open", None, len(GAPS))


def test_retrying_can_be_stopped_and_needs_open_exceptions():
    exceptions = unowned(1)
    services.retry_later(exceptions=exceptions, by=None, now=NOW)
    assert services.stop_retrying(exceptions=exceptions, by=None, now=NOW) == 1
    assert services.rerate_due(now=NOW + timedelta(days=1)) == 0
    exceptions.update(status="superseded")
    with pytest.raises(services.UnableToRetryLater):
        services.retry_later(exceptions=exceptions, by=None, now=NOW)


# Reviewing


def test_exceptions_are_assigned_only_to_people_who_may_clear_them():
    exceptions = unowned(2)
    able, unable = user_who_may("rating.rerate_ratingexception"), user_who_may("rating.view_ratingexception")
    assert services.assign_exceptions(exceptions=exceptions, to=able, by=None, now=NOW) == 2
    assert set(exceptions.values_list("assigned_to", flat=True)) == {able.pk}
    with pytest.raises(UnableToAssign, match="may not clear"):
        services.assign_exceptions(exceptions=exceptions, to=unable, by=None, now=NOW)
    assert services.assign_exceptions(exceptions=exceptions, to=None, by=None, now=NOW) == 2
    assert set(exceptions.values_list("assigned_to", flat=True)) == {None}


def test_comments_stand_with_the_exception_or_the_group_and_stay():
    exceptions = unowned(2)
    one = exceptions.order_by("pk").first()
    services.comment_exception(exception=one, text="asked the carrier", by=None, now=NOW)
    services.comment_group(group=group_of(one), text=" all of them ", by=None, now=NOW)
    assert [said.text for said in one.comments.all()] == ["asked the carrier"]
    assert [said.text for said in selectors.comments_on_group(group_of(one))] == ["all of them"]
    for change in (RatingExceptionComment.objects.all().delete, lambda: one.comments.update(text="nothing")):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    with pytest.raises(UnableToComment):
        services.comment_exception(exception=one, text=" ", by=None, now=NOW)


def test_reviewing_asks_for_its_permission_and_for_the_feed():
    exceptions = unowned(1)
    nobody = user_who_may("rating.view_ratingexception")
    reviewer = user_who_may("rating.review_ratingexception")
    reviewer.user_permissions.remove(*reviewer.user_permissions.filter(codename="every_feed"))
    one = exceptions.get()
    for act in (services.retry_later, services.stop_retrying, lambda **who: services.assign_exceptions(to=None, **who)):
        with pytest.raises(PermissionDenied):
            act(exceptions=exceptions, by=nobody, now=NOW)
    with pytest.raises(PermissionDenied):
        services.comment_exception(exception=one, text="x", by=reviewer, now=NOW)
    with pytest.raises(PermissionDenied):
        services.ask_rerate(exceptions=exceptions, by=reviewer, now=NOW)
    assert services.assign_exceptions(exceptions=exceptions, to=None, by=reviewer, now=NOW) == 0


def test_a_used_rate_charges_beside_the_groups():
    rate = RateFactory()
    waiting(used(rate, subscriber(rate.group.plan)))
    services.rate_batches(now=NOW)
    assert groups() == ([], 0)
