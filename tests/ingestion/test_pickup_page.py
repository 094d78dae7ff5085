"""A feed's page tells how its pick-up goes, refuses what nothing can be picked up from, and tries a location."""

import os

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from ingestion import services
from ingestion.models import Feed, PickupState
from mediation.admin import marks
from tests.config.crowd import person

from .factories import ANYWHERE, NOW, event, feed_of

pytestmark = pytest.mark.django_db
CHANGES = ("ingestion.view_feed", "ingestion.change_feed")


@pytest.fixture(autouse=True)
def anywhere(settings):
    settings.PICKUP_GROUNDS = {"roots": ("/",), "private": (), "own": ""}


def page_of(feed, client=None):
    client = client or person(*CHANGES)
    return client.get(reverse("admin:ingestion_feed_change", args=[feed.pk])).content.decode()


def answers_of(feed, client):
    """The address of a feed's page, and what its form sends."""
    url = reverse("admin:ingestion_feed_change", args=[feed.pk])
    form = client.get(url).context["adminform"].form.initial
    answers = {name: value for name, value in form.items() if value not in (None, False)}
    return url, answers | {"grants-TOTAL_FORMS": 0, "grants-INITIAL_FORMS": 0}


def look(feed, client=None):
    return (client or person(*CHANGES)).post(reverse("admin:ingestion_feed_pickup", args=[feed.pk]))


def test_the_last_trouble_of_a_location_stands_on_the_feeds_page_and_in_the_list(tmp_path):
    feed = feed_of(pickup_location=f"{tmp_path}/nowhere")
    assert "Nobody has looked at it yet." in page_of(feed)
    services.poll_pickup_locations(now=NOW, grounds=ANYWHERE)
    assert f"There is no {tmp_path}/nowhere: make it, or correct the location." in page_of(feed)
    rests_until = marks.moment(PickupState.objects.get().next_look_at)
    assert f"It rests until {rests_until}. It fails, " in page_of(feed)
    listed = person(*CHANGES).get(reverse("admin:ingestion_feed_changelist")).content.decode()
    assert "pick-up fails" in listed
    (tmp_path / "nowhere").mkdir()
    services.poll_pickup_locations(now=PickupState.objects.get().next_look_at, grounds=ANYWHERE)
    assert "The last trouble was" in page_of(feed)
    assert "pick-up fails" not in person(*CHANGES).get(reverse("admin:ingestion_feed_changelist")).content.decode()


def test_a_location_that_cannot_be_is_refused_with_what_it_may_look_like():
    client = person(*CHANGES)
    url, answers = answers_of(feed_of(), client)
    refused = client.post(url, answers | {"pickup_location": "sftp://carrier:secret@host.example/out"})
    assert "A password or key never stands in an address" in refused.content.decode()
    refused = client.post(url, answers | {"pickup_location": "ftp://host.example"})
    assert "sftp://user@host.example:22/outgoing" in refused.content.decode()
    taken = client.post(url, answers | {"pickup_location": "s3://usage/out", "pickup_credentials": "STORE"})
    assert taken.status_code == 302, taken.context["errors"]
    assert Feed.objects.get().pickup_location == "s3://usage/out"


def test_a_location_is_tried_at_once(tmp_path):
    feed = feed_of(pickup_location=str(tmp_path), pickup_pattern="*.csv")
    for name in ("may.csv", "readme.txt"):
        (tmp_path / name).write_text(event())
        os.utime(tmp_path / name, (0, 0))
    answer = look(feed)
    [told] = get_messages(answer.wsgi_request)
    assert str(told) == "It can be opened. There are 2 files, of which 1 would be taken now: may.csv."
    assert (tmp_path / "may.csv").exists()
    feed.pickup_location = "sftp://carrier@host.example/out"
    feed.save()
    assert "_KEY_FILE (or _PASSWORD): set it" in look(feed).content.decode()


def test_only_who_may_change_a_feed_of_his_tries_its_location(tmp_path):
    feed = feed_of(pickup_location=str(tmp_path))
    assert look(feed, person("ingestion.view_feed")).status_code == 403
    assert look(feed, person(*CHANGES, feeds=[feed_of()])).status_code == 404
    assert "Test the pick-up location" not in page_of(feed, person("ingestion.view_feed"))
    assert "Test the pick-up location" in page_of(feed)


def test_a_feed_without_a_location_says_so():
    assert "There is no location." in page_of(feed_of())
    assert "There is no location. Write" in look(feed_of()).content.decode()
