"""Whose charges a person sees: those of the usage of the feeds that he was granted."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from rating.models import Charge
from rating.selectors import charges_seen
from tests.config.crowd import Feed, crowd, person
from tests.ingestion.factories import user_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def charges():
    """A charge of each of two feeds."""
    crowd(1, 2)
    return list(Charge.objects.order_by("pk"))


def test_a_charge_is_seen_by_the_feed_of_its_batch(charges):
    feeds = list(Feed.objects.order_by("pk"))
    assert set(charges_seen(None)) == set(charges)
    assert list(charges_seen(user_with(feeds=feeds[1:]))) == charges[1:]
    assert not charges_seen(user_with(feeds=[])).exists()


def test_the_api_and_the_admin_show_no_charge_of_another_feed(charges):
    feeds = list(Feed.objects.order_by("pk"))
    client = APIClient()
    client.force_authenticate(user_with("rating.view_charge", feeds=feeds[:1]))
    assert [one["id"] for one in client.get("/api/v1/charges").json()["results"]] == [charges[0].pk]
    assert client.get(f"/api/v1/charges/{charges[1].pk}").status_code == 404
    summary = client.get("/api/v1/usage-summary", {"account": charges[1].account.number}).json()
    assert summary["lines"] == []
    page = person("rating.view_charge", feeds=feeds[:1])
    assert page.get(reverse("admin:rating_charge_changelist")).context["cl"].result_count == 1
    assert page.get(reverse("admin:rating_charge_explain", args=[charges[1].pk])).status_code == 404
