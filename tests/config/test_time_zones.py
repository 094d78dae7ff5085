"""Moments on the screen are in the time zone that the person chose."""

from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from config.models import Preference
from tests.config.crowd import person
from tests.ingestion.factories import NOW, event, feed_of, posted

pytestmark = pytest.mark.django_db

SEE = "ingestion.view_usageimport"


def history(client):
    return client.get(reverse("admin:ingestion_usageimport_changelist")).content.decode()


def test_who_has_chosen_nothing_is_shown_utc():
    posted(feed_of(), event())
    assert f">{NOW:%Y-%m-%d %H:%M:%S}</time>" in history(person(SEE))


def test_who_has_chosen_a_zone_is_shown_moments_in_it_also_the_next_time():
    posted(feed_of(), event())
    client = person(SEE)
    page = client.post(reverse("admin:time_zone"), {"time_zone": "Asia/Kolkata"}, follow=True).content.decode()
    assert "Moments are shown to you in Asia/Kolkata from now on." in page
    hour = NOW.astimezone(ZoneInfo("Asia/Kolkata"))
    assert f">{hour:%Y-%m-%d %H:%M:%S}</time>" in history(client)
    client.session.flush()
    client.force_login(Preference.objects.get().user)
    assert f">{hour:%Y-%m-%d %H:%M:%S}</time>" in history(client)


def test_a_zone_of_one_person_is_not_that_of_another():
    posted(feed_of(), event())
    person(SEE).post(reverse("admin:time_zone"), {"time_zone": "Asia/Kolkata"})
    assert f">{NOW:%Y-%m-%d %H:%M:%S}</time>" in history(person(SEE))


def test_what_is_no_zone_is_refused():
    page = person(SEE).post(reverse("admin:time_zone"), {"time_zone": "Mars/Olympus"}).content.decode()
    assert "Mars/Olympus is not one of the available choices" in page
    with pytest.raises(ValidationError, match=r"Mars/Olympus is no time zone\."):
        Preference(time_zone="Mars/Olympus").full_clean(exclude=["user"])
    assert not Preference.objects.exists()
