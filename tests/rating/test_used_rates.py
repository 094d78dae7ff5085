"""A rate that charges name stays as it is, whoever wants to change it and by whatever way."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from rating import services
from rating.models import Rate, Tier

from .factories import NOW, RateFactory, graduated, subscriber, used, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def rate():
    rate = RateFactory(price="0.10")
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner, 3))
    services.rate_batches(now=NOW)
    return Rate.objects.get(pk=rate.pk)


def test_a_rate_is_used_once_something_was_charged_with_it(rate):
    assert rate.is_used


@pytest.mark.parametrize(
    "change",
    [
        lambda rate: Rate.objects.filter(pk=rate.pk).update(price=Decimal("0.20")),
        lambda rate: Rate.objects.filter(pk=rate.pk).update(minimum=60),
        lambda rate: Rate.objects.filter(pk=rate.pk).update(is_used=False),
        lambda rate: rate.delete(),
        lambda rate: Tier.objects.create(rate=rate, up_to=None, price=1),
        lambda rate: connection.cursor().execute("DELETE FROM rating_rate WHERE id = %s", [rate.pk]),
    ],
)
def test_a_used_rate_does_not_change(rate, change):
    with pytest.raises(IntegrityError), transaction.atomic():
        change(rate)
    assert Rate.objects.get(pk=rate.pk).price == Decimal("0.10")


def test_the_tiers_of_a_used_rate_do_not_change():
    rate = graduated()
    waiting(used(rate, subscriber(rate.group.plan), 3))
    services.rate_batches(now=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        Tier.objects.filter(rate=rate).update(price=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Tier.objects.filter(rate=rate).delete()


def test_the_admin_offers_no_change_of_a_used_rate(rate, admin_client):
    page = admin_client.get(reverse("admin:rating_rate_change", args=[rate.pk])).content.decode()
    assert 'name="price"' not in page
    assert admin_client.post(reverse("admin:rating_rate_delete", args=[rate.pk]), {"post": "yes"}).status_code == 403


def test_a_price_below_zero_is_refused():
    with pytest.raises(IntegrityError), transaction.atomic():
        RateFactory(price="-1")
    with pytest.raises(IntegrityError), transaction.atomic():
        graduated(tiers=((None, "-0.5"),))
