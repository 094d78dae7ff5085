"""What happened is written down in the transaction in which it did, and told to who wants it and may know."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from config.models import EventType, Notice, WebhookDelivery, WebhookEndpoint, WebhookEvent
from config.roles import BILLING_ADMIN, INTEGRATOR
from config.webhooks.events import spread_events
from config.webhooks.signing import new_salt
from ingestion.models import FeedGrant, UsageImport
from rating.models import BillingPeriod, BucketGrant, Statement
from rating.services import rate_batches
from tests.config.crowd import MAY
from tests.ingestion.factories import event, feed_of, posted, work
from tests.rating import factories as priced

pytestmark = pytest.mark.django_db
ALL = [one.value for one in EventType if one != EventType.TEST]


def owner_of(role=BILLING_ADMIN, feeds=(), name="receiver"):
    user = User.objects.create(username=name)
    user.groups.set(Group.objects.filter(name=role))
    FeedGrant.objects.bulk_create(FeedGrant(user=user, feed=feed) for feed in feeds)
    return user


def endpoint_of(owner=None, events=ALL, name="outside", **fields):
    return WebhookEndpoint.objects.create(
        name=name,
        url="https://outside.example/",
        owner=owner or owner_of(),
        events=events,
        secret_salt=new_salt(),
        created_at=timezone.now(),
        **fields,
    )


def told(kind):
    """What was told of events of a kind, spread now."""
    spread_events(now=timezone.now())
    rows = WebhookDelivery.objects.filter(event__type=kind).order_by("pk")
    return [json.loads(row.body)["data"] for row in rows]


def test_where_nobody_wants_to_know_nothing_is_written_down():
    posted(feed_of(), event())
    work()
    endpoint_of(events=[EventType.STATEMENT_CLOSED])
    endpoint_of(is_enabled=False, name="disabled", owner=owner_of(name="other"))
    posted(UsageImport.objects.get().feed, event("e2"))
    work()
    assert WebhookEvent.objects.count() == 0


def test_an_import_that_is_finished_is_told_with_its_counts():
    endpoint_of()
    feed = feed_of()
    taken = posted(feed, event(), event("e2", value="no number"))
    work()
    (said,) = told(EventType.IMPORT_FINISHED)
    one = UsageImport.objects.get()
    assert said["tracking_id"] == str(one.tracking_id)
    assert said["feed"] == {"id": feed.pk, "name": feed.api_name}
    assert (said["status"], said["record_count"], said["imported_count"], said["exception_count"]) == (
        "completed",
        2,
        1,
        1,
    )
    assert said["links"]["import"] == f"/api/v1/imports/{one.tracking_id}"
    assert taken
    assert told(EventType.IMPORT_FINISHED) == [said], "nothing is told twice"


def test_an_import_that_is_finished_is_told_with_the_moment_at_which_it_had_ended():
    endpoint_of()
    posted(feed_of(), event())
    work()
    ended_at = timezone.now() + timedelta(seconds=20)
    UsageImport.objects.update(ended_at=ended_at)
    spread_events(now=timezone.now())
    said = json.loads(WebhookDelivery.objects.get(event__type=EventType.IMPORT_FINISHED).body)
    assert parse_datetime(said["timestamp"]) == ended_at


def test_what_is_rolled_back_is_not_told():
    endpoint_of()
    posted(feed_of(), event())
    try:
        with transaction.atomic():
            UsageImport.objects.update(status="failed")
            raise ValueError
    except ValueError:
        pass
    assert WebhookEvent.objects.count() == 0


def test_exceptions_are_told_by_code_and_import_once_a_minute_and_feed():
    endpoint_of()
    feed = feed_of()
    for number in range(3):
        posted(feed, event(f"a{number}", value="no number"), event(f"b{number}", value="none"), event(f"c{number}"))
    work()
    (said,) = told(EventType.EXCEPTIONS_OPENED)
    assert said["count"] == 6
    assert sum(each["count"] for each in said["codes"]) == 6
    assert said["import_count"] == len(said["imports"]) == 3
    posted(feed, event("d", value="no number"))
    work()
    assert len(told(EventType.EXCEPTIONS_OPENED)) == 1, "a minute is not over"
    later = timezone.now() + timedelta(seconds=61)
    spread_events(now=later)
    bodies = WebhookDelivery.objects.filter(event__type=EventType.EXCEPTIONS_OPENED).order_by("pk")
    assert [json.loads(row.body)["data"]["count"] for row in bodies] == [6, 1]
    assert not WebhookEvent.objects.filter(spread_at=None).exists()


def test_no_raw_usage_is_in_a_message():
    endpoint_of()
    posted(feed_of(), event("a-secret-identifier", value="no-number-at-all"))
    work()
    spread_events(now=timezone.now())
    bodies = "".join(WebhookDelivery.objects.values_list("body", flat=True))
    assert bodies
    assert "a-secret-identifier" not in bodies
    assert "no-number-at-all" not in bodies


def test_a_silent_feed_is_told_and_other_notices_are_not():
    endpoint_of()
    feed = feed_of()
    for kind in (Notice.Kind.SILENCE, Notice.Kind.SPIKE):
        Notice.objects.create(
            kind=kind, feed_id=feed.pk, text="since noon", numbers={}, opened_at=MAY, last_seen_at=MAY
        )
    (said,) = told(EventType.FEED_SILENT)
    assert (said["text"], said["feed"]["id"]) == ("since noon", feed.pk)


def test_a_closed_statement_is_told_with_exact_totals():
    endpoint_of()
    account = priced.AccountFactory()
    period = BillingPeriod.objects.create(account=account, starts_at=MAY, ends_at=MAY + timedelta(days=31))
    nothing = {"amount": 0, "subtotal": 0, "tax_total": 0}
    Statement.objects.create(period=period, number=7, issued_at=MAY, currency="EUR", total=Decimal("12.34"), **nothing)
    (said,) = told(EventType.STATEMENT_CLOSED)
    assert (said["account"], said["number"], said["total"][:5]) == (account.number, "00000007", "12.34")


def test_a_bucket_is_told_once_at_each_threshold():
    endpoint_of(thresholds=[50, 100])
    rate = priced.RateFactory()
    bucket = priced.BucketFactory(rate.group.plan, 10, [rate.usage_class])
    owner = priced.subscriber(rate.group.plan)
    shares = []
    for value in (4, 2, 3, 1):
        priced.waiting(priced.used(rate, owner, value=value))
        rate_batches(now=timezone.now())
        shares.append([said["threshold_percent"] for said in told(EventType.BUCKET_THRESHOLD)])
    assert shares == [[], [50], [50], [50, 100]]
    last = told(EventType.BUCKET_THRESHOLD)[-1]
    assert (last["bucket"], last["account"]) == (bucket.name, owner.service.account.number)
    BucketGrant.objects.update(used=1)
    BucketGrant.objects.update(used=10)
    assert len(told(EventType.BUCKET_THRESHOLD)) == 2, "given back and drawn again is no news"


def test_an_owner_is_told_of_its_feeds_alone_and_of_no_account():
    mine, others = feed_of(name="mine", api_name="mine"), feed_of(name="others", api_name="others")
    endpoint_of(owner_of(INTEGRATOR, [mine]))
    for feed in (mine, others):
        posted(feed, event())
    work()
    BillingPeriod.objects.create(account=priced.AccountFactory(), starts_at=MAY, ends_at=MAY + timedelta(days=31))
    nothing = {"amount": 0, "subtotal": 0, "tax_total": 0, "total": 0}
    Statement.objects.create(period=BillingPeriod.objects.get(), number=1, issued_at=MAY, currency="EUR", **nothing)
    assert [said["feed"]["name"] for said in told(EventType.IMPORT_FINISHED)] == ["mine"]
    assert told(EventType.STATEMENT_CLOSED) == []


def test_feeds_that_were_chosen_narrow_what_is_told():
    mine, others = feed_of(name="mine", api_name="mine"), feed_of(name="others", api_name="others")
    endpoint_of().feeds.set([mine])
    for feed in (mine, others):
        posted(feed, event())
    work()
    assert [said["feed"]["name"] for said in told(EventType.IMPORT_FINISHED)] == ["mine"]


def test_who_lost_the_right_or_is_not_active_is_told_nothing():
    owner = owner_of()
    endpoint_of(owner)
    owner.groups.clear()
    posted(feed_of(), event())
    work()
    assert told(EventType.IMPORT_FINISHED) == []
    assert not WebhookEvent.objects.filter(spread_at=None).exists()
