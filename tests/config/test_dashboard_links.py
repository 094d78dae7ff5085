"""A number of the front page leads to the rows that it was counted from, in whatever zone its reader lives."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from config.dashboard import arrived, figures
from ingestion.models import ImportException, UsageImport
from rating.models import Charge
from tests.config.crowd import crowd

pytestmark = pytest.mark.django_db

LATE = datetime(2026, 5, 1, 23, 30, tzinfo=UTC)  # the next day in Vienna, and an hour later in both
DAY = LATE.date()


@pytest.fixture
def reader(admin_user):
    client = Client()
    client.force_login(admin_user)
    session = client.session
    session["time_zone"] = "Europe/Vienna"
    session.save()
    return client


def rows_behind(client, address):
    response = client.get(address)
    assert response.status_code == 200
    return list(response.context["cl"].queryset)


def urls_of(addresses):
    return dict(zip([one.name for one in arrived.OUTCOMES], addresses, strict=True))


@pytest.mark.parametrize("hours", [1, 24])
def test_what_was_received_late_is_behind_its_day_and_hour_of_utc(reader, hours):
    crowd(1, 2)
    UsageImport.objects.filter(feed__name="Feed 1").update(received_at=LATE)
    UsageImport.objects.exclude(feed__name="Feed 1").update(received_at=LATE + timedelta(hours=1))
    # It was refused a day after it had come.
    ImportException.objects.update(created_at=LATE + timedelta(days=1))
    start = figures.midnight(DAY) if hours == 24 else LATE.replace(minute=0)
    urls = urls_of(arrived._addresses(start, start + timedelta(hours=hours)))
    assert rows_behind(reader, urls["imported"]) == list(UsageImport.objects.filter(received_at=LATE))
    assert rows_behind(reader, urls["exceptions"]) == list(ImportException.objects.filter(feed__name="Feed 1"))


def test_charges_are_behind_the_day_of_utc_on_which_they_were_rated(reader):
    crowd(1, 1)
    Charge.objects.update(rated_at=LATE)
    figures_of_day = figures.between("rated_at", figures.midnight(DAY), figures.midnight(DAY) + timedelta(days=1))
    address = reverse("admin:rating_charge_changelist")
    assert len(rows_behind(reader, f"{address}?rated_at__gte={figures_of_day['rated_at__gte']}")) == 1
    assert rows_behind(reader, f"{address}?rated_at__lt={figures_of_day['rated_at__gte']}") == []
