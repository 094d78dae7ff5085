"""Deliveries to a real server on this machine: taken, tried again, given up, sent again, never twice what was taken."""

import json
from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from standardwebhooks import Webhook

from config import tasks
from config.dashboard.noticing import of_webhooks
from config.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from config.webhooks import delivering, keeping
from mediation.models import Bell
from tests.config.receiver import receiving
from tests.config.test_webhook_events import endpoint_of, owner_of
from tests.ingestion.factories import event, feed_of, posted, user_with, work

pytestmark = pytest.mark.django_db
Status = WebhookDelivery.Status


@pytest.fixture(autouse=True)
def this_machine_is_allowed(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = (ip_network("127.0.0.0/8"),)


def listening(receiver, **fields):
    """An endpoint that is the receiver, and its secret."""
    endpoint = endpoint_of(owner_of(name=f"owner-{User.objects.count()}"), name=receiver.url, **fields)
    endpoint.url = receiver.url
    endpoint.save()
    return endpoint, keeping.rotate_secret(endpoint=endpoint, by=None, now=timezone.now())


def sent_test(endpoint):
    return keeping.send_test(endpoint=endpoint, by=None, now=timezone.now())


def deliver(now=None):
    return delivering.deliver_next(now=now or timezone.now())


def later(endpoint):
    """The moment when the delivery that waits longest is tried again, and the endpoint has rested."""
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint, status=Status.WAITING).earliest("next_try_at")
    return max(waiting.next_try_at, timezone.now()) + timedelta(seconds=1)


def test_an_import_is_told_from_the_worker_to_the_receiver_who_can_check_it():
    with receiving() as receiver:
        _, secret = listening(receiver)
        posted(feed_of(), event())
        work()
        tasks.send_webhooks()
    ((headers, body),) = receiver.got
    said = Webhook(secret).verify(body, headers)
    assert (said["type"], said["data"]["record_count"]) == ("import.finished", 1)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.endpoint.failures) == (Status.DELIVERED, 1, 0)
    assert headers["webhook-id"] == delivering.message_id(delivery.event)
    row = WebhookAttempt.objects.get()
    assert (row.status_code, row.answer, row.error) == (200, "taken", "")


def test_the_sweep_wakes_a_worker_for_what_happened(django_capture_on_commit_callbacks):
    with receiving() as receiver:
        listening(receiver)
        posted(feed_of(), event())
        work()
        Bell.objects.all().delete()
        OrmQ.objects.all().delete()
        with django_capture_on_commit_callbacks(execute=True):
            tasks.sweep()
    assert Bell.objects.get(name="webhooks").is_ringing


def test_what_was_delivered_is_not_sent_again():
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        sent_test(endpoint)
        assert [deliver(), deliver(), deliver(timezone.now() + timedelta(days=1))] == [1, 0, 0]
    assert len(receiver.got) == 1


def test_what_is_refused_is_tried_again_with_the_same_id_and_body_after_growing_gaps():
    with receiving(500, answer=b"out of order") as receiver:
        endpoint, _ = listening(receiver)
        delivery, gaps = sent_test(endpoint), []
        now = timezone.now()
        for _ in range(4):
            assert deliver(now) == 1
            delivery.refresh_from_db()
            gaps.append((delivery.next_try_at - timezone.now()).total_seconds())
            now = later(endpoint)
        receiver.says.status = 200
        assert deliver(now) == 1
    for gap, at_least in zip(gaps, (5, 60, 300, 1800), strict=True):
        assert at_least - 1 <= gap <= at_least * 1.2 + 1
    assert len({(headers["webhook-id"], body) for headers, body in receiver.got}) == 1
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == (Status.DELIVERED, 5)
    assert list(delivery.log.order_by("pk").values_list("status_code", flat=True)) == [500, 500, 500, 500, 200]
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since, endpoint.rests_until) == (0, None, None)


def test_after_three_days_a_delivery_is_given_up():
    with receiving(503) as receiver:
        endpoint, _ = listening(receiver)
        delivery = sent_test(endpoint)
        WebhookDelivery.objects.update(give_up_at=timezone.now() + timedelta(seconds=1))
        deliver()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.next_try_at) == (Status.GIVEN_UP, None)
    total, tries = timedelta(), 0
    while total < timedelta(days=3):
        tries += 1
        total += delivering.gap_after(tries)
    assert 12 <= tries <= 15


def test_of_an_endpoint_that_fails_one_delivery_shows_whether_it_is_back():
    with receiving(500) as receiver:
        endpoint, _ = listening(receiver)
        for _ in range(5):
            sent_test(endpoint)
        assert deliver() == 5
        WebhookEndpoint.objects.update(rests_until=None)
        WebhookDelivery.objects.update(next_try_at=timezone.now())
        assert deliver() == 1
        assert deliver() == 0, "it rests"
        receiver.says.status = 200
        assert deliver(timezone.now() + timedelta(minutes=10)) == 1
        assert deliver(timezone.now() + timedelta(minutes=10)) == 4
    assert not WebhookDelivery.objects.exclude(status=Status.DELIVERED).exists()


def test_a_worker_that_died_while_it_sent_leaves_the_delivery_to_another():
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        delivery = sent_test(endpoint)
        now = timezone.now()
        assert len(delivering._claim(now)) == 1  # and here it dies
        assert deliver(now + timedelta(seconds=30)) == 0
        assert deliver(now + timedelta(seconds=90)) == 1
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, len(receiver.got)) == (Status.DELIVERED, 2, 1)


def test_a_worker_that_comes_back_late_does_not_undo_what_another_has_delivered():
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        delivery = sent_test(endpoint)
        now = timezone.now()
        (held,) = delivering._claim(now)
        deliver(now + timedelta(seconds=90))
        late = delivering.Answer(None, "", "no answer within 10 s", 10_000)
        delivering._record(held, late, timezone.now())
    delivery.refresh_from_db()
    assert delivery.status == Status.DELIVERED


def test_an_endpoint_that_took_nothing_for_days_is_disabled_and_noticed():
    with receiving(500) as receiver:
        endpoint, _ = listening(receiver)
        sent_test(endpoint)
        deliver()
        WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=4))
        deliver(later(endpoint))
    endpoint.refresh_from_db()
    assert not endpoint.is_enabled
    (finding,) = of_webhooks()
    assert "has taken nothing for 4 days" in finding.text
    WebhookEndpoint.objects.update(is_enabled=True, disabled_reason="")
    assert of_webhooks() == []


def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once():
    with receiving(410) as receiver:
        endpoint, _ = listening(receiver)
        sent_test(endpoint)
        deliver()
        assert deliver(timezone.now() + timedelta(hours=1)) == 0
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "It answered 410 Gone.")
    with pytest.raises(keeping.UnableToSend, match="Enable it first"):
        sent_test(endpoint)


def test_a_target_that_has_moved_inside_since_it_was_set_up_is_not_sent_to(settings):
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        sent_test(endpoint)
        settings.WEBHOOK_ALLOW_PRIVATE = ()
        deliver()
    assert receiver.got == []
    assert "not on the open internet" in WebhookAttempt.objects.get().error


def test_a_rotated_secret_signs_and_for_a_day_the_one_before():
    with receiving() as receiver:
        endpoint, old = listening(receiver)
        new = keeping.rotate_secret(endpoint=endpoint, by=None, now=timezone.now())
        sent_test(endpoint)
        deliver()
        WebhookEndpoint.objects.update(previous_until=timezone.now())
        sent_test(endpoint)
        deliver()
    (first, body), (second, _) = receiver.got
    assert Webhook(old).verify(body, first) == Webhook(new).verify(body, first)
    assert (len(first["webhook-signature"].split()), len(second["webhook-signature"].split())) == (2, 1)


def test_where_the_houses_secret_was_changed_nothing_is_sent_and_the_log_says_why(settings):
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        sent_test(endpoint)
        settings.SECRET_KEY = "another one"
        deliver()
    assert receiver.got == []
    assert "rotate the secret" in WebhookAttempt.objects.get().error


def test_the_secret_is_in_no_table():
    with receiving() as receiver:
        _, secret = listening(receiver)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(e::text, '') FROM config_webhookendpoint e")
        assert secret.removeprefix("whsec_") not in cursor.fetchone()[0]
        cursor.execute("SELECT coalesce(string_agg(a::text, ''), '') FROM config_auditentry a")
        assert WebhookEndpoint.objects.get().secret_salt not in cursor.fetchone()[0]
    assert settings.SECRET_KEY


def test_one_delivery_is_sent_again_with_its_id():
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        sent_test(endpoint)
        deliver()
        assert keeping.send_again(deliveries=WebhookDelivery.objects.all(), by=None, now=timezone.now()) == 1
        assert keeping.send_again(deliveries=WebhookDelivery.objects.all(), by=None, now=timezone.now()) == 0
        deliver()
    assert [headers["webhook-id"] for headers, _ in receiver.got] == 2 * [receiver.got[0][0]["webhook-id"]]


def test_what_was_given_up_since_a_moment_is_sent_again_and_what_was_before_is_not():
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        old, young = sent_test(endpoint), sent_test(endpoint)
        WebhookDelivery.objects.update(status=Status.GIVEN_UP, next_try_at=None)
        WebhookDelivery.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
        since = timezone.now() - timedelta(days=1)
        assert keeping.send_failed_again(endpoint=endpoint, since=since, by=None, now=timezone.now()) == 1
        deliver()
    assert len(receiver.got) == 1
    young.refresh_from_db()
    assert young.status == Status.DELIVERED


def test_who_may_not_neither_sends_tests_nor_sends_again_nor_rotates():
    nobody = user_with("config.view_webhookendpoint")
    endpoint, now = endpoint_of(), timezone.now()
    with pytest.raises(PermissionDenied):
        keeping.send_test(endpoint=endpoint, by=nobody, now=now)
    with pytest.raises(PermissionDenied):
        keeping.send_again(deliveries=WebhookDelivery.objects.all(), by=nobody, now=now)
    with pytest.raises(PermissionDenied):
        keeping.send_failed_again(endpoint=endpoint, since=now, by=nobody, now=now)
    with pytest.raises(PermissionDenied):
        keeping.rotate_secret(endpoint=endpoint, by=nobody, now=now)


def test_what_was_told_a_month_ago_is_forgotten_with_its_log():
    with receiving() as receiver:
        endpoint, _ = listening(receiver)
        sent_test(endpoint)
        deliver()
        WebhookEvent.objects.update(occurred_at=timezone.now() - timedelta(days=31))
        sent_test(endpoint)
        assert delivering.expire_events(now=timezone.now()) == 1
    assert (WebhookEvent.objects.count(), WebhookAttempt.objects.count()) == (1, 0)
    assert json.loads(WebhookDelivery.objects.get().body)["type"] == "test"
