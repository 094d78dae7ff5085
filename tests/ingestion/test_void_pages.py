"""The screens of voids: from the page of a UDR to what became of it, on trace and in the lists."""

import pytest
from django.urls import reverse
from django.utils import timezone

from ingestion import services
from ingestion.models import UsageVoid
from mediation.models import Udr, VoidedUdr
from tests.ingestion.factories import event, feed_of, posted, user_with, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]


@pytest.fixture
def udr():
    posted(feed_of(), event("call-1"), now=timezone.now())
    work(timezone.now())
    return Udr.objects.get()


def signed_in(client, *permissions, **options):
    user = user_with(*permissions, **options)
    user.is_staff = True
    user.save()
    client.force_login(user)
    return client


def test_a_udr_is_voided_from_its_page_with_a_reason(admin_client, udr):
    page = admin_client.get(reverse("admin:mediation_udr_change", args=[udr.pk])).content.decode()
    address = reverse("admin:mediation_udr_void", args=[udr.pk])
    assert f'href="{address}"' in page
    assert "call-1" in admin_client.get(address).content.decode()
    assert "This field is required" in admin_client.post(address, {"reason": " "}).content.decode()
    shown = admin_client.post(address, {"reason": "a test call"}, follow=True).content.decode()
    assert "a worker takes its charges back" in shown
    assert services.void_next(now=timezone.now())
    assert VoidedUdr.objects.get().reason == "a test call"
    page = admin_client.get(reverse("admin:mediation_udr_change", args=[udr.pk])).content.decode()
    assert address not in page
    assert admin_client.get(address).status_code == 404


def test_the_lists_and_the_life_of_the_record_tell_of_the_void(admin_client, udr):
    void = services.ask_void(
        feed=feed_of().__class__.objects.get(pk=udr.feed_id),
        keys=["call-1", "never"],
        reason="a test call",
        by=None,
        now=timezone.now(),
    )
    services.void_next(now=timezone.now())
    told = admin_client.get(reverse("admin:ingestion_usagevoid_change", args=[void.pk])).content.decode()
    assert "not found" in told
    assert "never" in told
    assert "a test call" in admin_client.get(reverse("admin:ingestion_usagevoid_changelist")).content.decode()
    found = admin_client.get(reverse("admin:mediation_voidedudr_changelist"), {"q": str(void.tracking_id)})
    assert "call-1" in found.content.decode()
    assert "call-1" in admin_client.get(reverse("admin:mediation_voidedudr_change", args=[udr.pk])).content.decode()
    assert "voided" in admin_client.get(reverse("admin:mediation_udr_changelist")).content.decode()
    life = admin_client.get(reverse("admin:trace_record", args=[udr.import_id, udr.record_number])).content.decode()
    assert "counts no more: it was voided. a test call" in life


def test_who_may_not_void_is_offered_nothing_and_refused_by_address(client, udr):
    reader = signed_in(client, "mediation.view_udr")
    address = reverse("admin:mediation_udr_void", args=[udr.pk])
    assert address not in reader.get(reverse("admin:mediation_udr_change", args=[udr.pk])).content.decode()
    assert reader.get(address).status_code == 403
    assert reader.post(address, {"reason": "x"}).status_code == 403
    assert not UsageVoid.objects.exists()


def test_a_udr_of_a_feed_that_was_not_granted_is_not_there(client, udr):
    stranger = signed_in(client, "mediation.view_udr", "ingestion.void_usage", feeds=[])
    address = reverse("admin:mediation_udr_void", args=[udr.pk])
    assert stranger.post(address, {"reason": "x"}).status_code == 404
    assert not UsageVoid.objects.exists()


def test_an_errored_void_is_tried_again(admin_client, udr, monkeypatch):
    feed = feed_of().__class__.objects.get(pk=udr.feed_id)
    void = services.ask_void(feed=feed, keys=["call-1"], reason="x", by=None, now=timezone.now())
    with monkeypatch.context() as crashing:
        crashing.setattr("ingestion.services.voiding.mediation.void_keys", lambda **_: 1 / 0)
        for _ in range(5):
            UsageVoid.objects.update(claimed_until=None)
            services.void_next(now=timezone.now())
    void.refresh_from_db()
    assert (void.status, "ZeroDivisionError" in void.error) == ("errored", True)
    address = reverse("admin:ingestion_usagevoid_changelist")
    admin_client.post(address, {"action": "retry", "_selected_action": [void.pk]})
    assert services.void_next(now=timezone.now())
    void.refresh_from_db()
    assert (void.status, void.voided_count) == ("completed", 1)
