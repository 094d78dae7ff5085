"""The screens of webhooks: an endpoint is set up, its secret shown once; tests and failed deliveries are sent."""

import re
from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from config.models import AuditEntry, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from config.roles import BILLING_ADMIN, FINANCE, INTEGRATOR
from config.webhooks import delivering
from tests.config.crowd import person
from tests.config.receiver import receiving
from tests.config.test_webhook_events import endpoint_of, owner_of
from tests.ingestion.factories import feed_of

pytestmark = pytest.mark.django_db
ADD = "admin:config_webhookendpoint_add"


@pytest.fixture(autouse=True)
def this_machine_is_allowed(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = (ip_network("127.0.0.0/8"),)


def answers(owner, **changed):
    said = {
        "name": "billing",
        "url": "http://127.0.0.1:9/hook",
        "owner": owner.pk,
        "events": ["import.finished"],
        "thresholds": "80, 100",
        "is_enabled": "on",
    }
    return {**said, **changed}


def page(client, name, *args, **data):
    url = reverse(f"admin:{name}", args=args)
    return client.post(url, data) if data else client.get(url)


def act(client, name, action, *keys):
    url = reverse(f"admin:{name}_changelist")
    return client.post(url, {"action": action, "_selected_action": keys}, follow=True).content.decode()


def test_the_secret_is_shown_once(admin_client):
    answer = admin_client.post(reverse(ADD), answers(owner_of()))
    (secret,) = re.findall(r"whsec_[\w+/=]+", answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.created_by == User.objects.get(username="admin")
    for name in ("change", "history"):
        shown = page(admin_client, f"config_webhookendpoint_{name}", endpoint.pk)
        assert shown.status_code == 200
        assert secret not in shown.content.decode()
        assert endpoint.secret_salt not in shown.content.decode()
    exported = admin_client.get(reverse("admin:config_webhookendpoint_changelist") + "export/").content.decode()
    assert endpoint.secret_salt not in exported


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": "http://10.0.0.1/hook"}, "not on the open internet"),
        ({"url": "ftp://127.0.0.1/"}, "begins with https"),
        ({"thresholds": "80, 120"}, "whole numbers from 1 to 100"),
        ({"events": ["statement.closed"]}, "may not know of statement.closed"),
        ({"events": []}, "required"),
    ],
)
def test_what_could_never_be_delivered_is_refused_with_the_reason(admin_client, changed, said):
    answer = admin_client.post(reverse(ADD), answers(owner_of(INTEGRATOR, [feed_of()]), **changed))
    assert said in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_feeds_that_the_owner_was_not_granted_are_refused(admin_client):
    mine, others = feed_of(), feed_of()
    owner = owner_of(INTEGRATOR, [mine])
    said = admin_client.post(reverse(ADD), answers(owner, feeds=[others.pk])).content.decode()
    assert "was not granted each of these feeds" in said
    assert "whsec_" in admin_client.post(reverse(ADD), answers(owner, feeds=[mine.pk])).content.decode()


def test_events_of_accounts_go_with_no_choice_of_feeds(admin_client):
    said = answers(owner_of(), events=["statement.closed"], feeds=[feed_of().pk])
    assert "choose no feed" in admin_client.post(reverse(ADD), said).content.decode()


def test_a_test_event_goes_out_and_its_log_is_on_its_page(admin_client):
    with receiving(500, answer=b"<b>out of order</b>") as receiver:
        admin_client.post(reverse(ADD), answers(owner_of(), url=receiver.url))
        endpoint = WebhookEndpoint.objects.get()
        assert "A test event goes to billing" in act(admin_client, "config_webhookendpoint", "send_test", endpoint.pk)
        delivering.deliver_next(now=timezone.now())
    delivery = WebhookDelivery.objects.get()
    shown = page(admin_client, "config_webhookdelivery_change", delivery.pk).content.decode()
    assert "500" in shown
    assert "&lt;b&gt;out of order" in shown
    assert "failing" in page(admin_client, "config_webhookendpoint_changelist").content.decode()


def test_a_disabled_endpoint_gets_no_test_event(admin_client):
    endpoint = endpoint_of(is_enabled=False)
    assert "is not enabled" in act(admin_client, "config_webhookendpoint", "send_test", endpoint.pk)


def test_deliveries_are_sent_again_one_or_all_that_failed(admin_client):
    admin_client.post(reverse(ADD), answers(owner_of()))
    endpoint = WebhookEndpoint.objects.get()
    act(admin_client, "config_webhookendpoint", "send_test", endpoint.pk)
    delivery = WebhookDelivery.objects.get()
    assert "Nothing to send again" in act(admin_client, "config_webhookdelivery", "again", delivery.pk)
    WebhookDelivery.objects.update(status="failed", next_try_at=None)
    assert "1 to be sent again" in act(admin_client, "config_webhookdelivery", "again", delivery.pk)
    WebhookDelivery.objects.update(status="failed", next_try_at=None)
    since = timezone.now() - timedelta(hours=1)
    asked = {"since_0": since.date().isoformat(), "since_1": since.time().isoformat("seconds")}
    url = reverse("admin:config_webhookendpoint_again", args=[endpoint.pk])
    assert "1 delivery to go" in admin_client.post(url, asked, follow=True).content.decode()


def test_a_rotated_secret_is_another_one_and_the_history_tells_that_it_changed(admin_client):
    admin_client.post(reverse(ADD), answers(owner_of()))
    endpoint = WebhookEndpoint.objects.get()
    url = reverse("admin:config_webhookendpoint_rotate", args=[endpoint.pk])
    assert "24 hours" in admin_client.get(url).content.decode()
    assert "whsec_" in admin_client.post(url).content.decode()
    assert WebhookEndpoint.objects.get().secret_salt != endpoint.secret_salt
    entries = AuditEntry.objects.order_by("pk").last()
    assert endpoint.secret_salt not in str(entries.__dict__)


def test_enabling_an_endpoint_lets_it_begin_anew(admin_client):
    admin_client.post(reverse(ADD), answers(owner_of()))
    endpoint = WebhookEndpoint.objects.get()
    WebhookEndpoint.objects.update(is_enabled=False, disabled_reason="It answered 410 Gone.", failures=9)
    url = reverse("admin:config_webhookendpoint_change", args=[endpoint.pk])
    assert "410 Gone" in admin_client.get(url).content.decode()
    assert admin_client.post(url, answers(endpoint.owner)).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason, endpoint.failures) == (True, "", 0)


def test_who_may_only_look_is_offered_and_allowed_nothing():
    client = person("config.view_webhookendpoint", "config.view_webhookdelivery")
    endpoint = endpoint_of()
    shown = page(client, "config_webhookendpoint_change", endpoint.pk).content.decode()
    for offered in ("Send a test event", "Rotate", "Send failed"):
        assert offered not in shown
    for name in ("rotate", "again"):
        url = reverse(f"admin:config_webhookendpoint_{name}", args=[endpoint.pk])
        assert (client.get(url).status_code, client.post(url).status_code) == (403, 403)
    act(client, "config_webhookendpoint", "send_test", endpoint.pk)
    assert not WebhookDelivery.objects.exists()


def test_who_sees_some_feeds_sees_neither_others_endpoints_nor_their_deliveries(admin_client):
    endpoint = endpoint_of()
    act(admin_client, "config_webhookendpoint", "send_test", endpoint.pk)
    client = person("config.view_webhookendpoint", "config.view_webhookdelivery", feeds=[feed_of()])
    assert page(client, "config_webhookendpoint_change", endpoint.pk).status_code == 302
    assert page(client, "config_webhookdelivery_change", WebhookDelivery.objects.get().pk).status_code == 302


@pytest.mark.parametrize(("role", "status"), [(BILLING_ADMIN, 200), (FINANCE, 403)])
def test_billing_admins_keep_webhooks(client, role, status):
    user = owner_of(role, name="member")
    user.is_staff = True
    user.save()
    client.force_login(user)
    assert page(client, "config_webhookendpoint_add").status_code == status
    assert page(client, "config_webhookdelivery_changelist").status_code == status


def test_a_delivery_with_a_long_log_shows_its_last_tries(admin_client):
    endpoint = endpoint_of()
    act(admin_client, "config_webhookendpoint", "send_test", endpoint.pk)
    delivery = WebhookDelivery.objects.get()
    tries = [
        WebhookAttempt(delivery=delivery, at=timezone.now(), answer="x" * 1_000, milliseconds=n) for n in range(60)
    ]
    WebhookAttempt.objects.bulk_create(tries)
    assert page(admin_client, "config_webhookdelivery_change", delivery.pk).status_code == 200
