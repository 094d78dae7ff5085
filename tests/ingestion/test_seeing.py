"""Whose usage a person sees and sends: every feed, or those that were granted, at every door."""

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from rest_framework.test import APIClient

from ingestion import services
from ingestion.models import FeedGrant, ImportException, UsageImport
from mediation.services import feeds_seen, require_feeds
from tests.config.crowd import person

from .factories import NOW, event, feed_of, posted, user_with, work

pytestmark = pytest.mark.django_db

SEE = ("ingestion.view_usageimport", "ingestion.view_importexception", "mediation.view_udr")
CLEAR = (
    "ingestion.correct_importexception",
    "ingestion.writeoff_importexception",
    "ingestion.reprocess_importexception",
)


@pytest.fixture
def feeds():
    """Two feeds, each with an import of one UDR and one exception."""
    made = [feed_of(), feed_of()]
    for feed in made:
        posted(feed, event(), event(value="none"))
    work()
    return made


def api(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_who_was_granted_nothing_sees_nothing_and_who_may_see_every_feed_sees_all(feeds):
    assert feeds_seen(user_with(*SEE, feeds=[])) == frozenset()
    assert feeds_seen(user_with(*SEE)) is None
    assert feeds_seen(None) is None
    assert feeds_seen(user_with(feeds=feeds[:1])) == {feeds[0].pk}


def test_a_grant_ends_with_the_feed_and_never_widens():
    feed = feed_of()
    user = user_with(*SEE, feeds=[feed])
    feed.delete()
    assert not FeedGrant.objects.exists()
    assert feeds_seen(user) == frozenset()


def test_what_is_not_granted_is_required_in_vain(feeds):
    limited = user_with(feeds=feeds[:1])
    require_feeds(limited, [feeds[0].pk])
    with pytest.raises(PermissionDenied):
        require_feeds(limited, [one.pk for one in feeds])


@pytest.mark.parametrize("address", ["imports", "exceptions", "udrs"])
def test_lists_of_the_api_hold_the_granted_feeds_only(feeds, address):
    counts = [
        len(api(user_with(*SEE, feeds=granted)).get(f"/api/v1/{address}").json()["results"])
        for granted in ([], feeds[:1], feeds, None)
    ]
    assert counts == [0, 1, 2, 2]


def test_a_feed_that_was_not_granted_does_not_exist_for_a_sender(feeds):
    client = api(user_with("ingestion.add_usageimport", feeds=feeds[:1]))
    sent = [client.post(f"/api/v1/feeds/{feed.api_name}/usage", {"data": [event(who="x")]}) for feed in feeds]
    assert [answer.status_code for answer in sent] == [202, 404]
    assert sent[1].json()["code"] == "unknown_feed"
    assert UsageImport.objects.count() == 3


def test_services_leave_the_exceptions_of_other_feeds_alone(feeds):
    clerk = user_with(*CLEAR, feeds=feeds[:1])
    everything = ImportException.objects.all()
    assert services.write_off_exceptions(exceptions=everything, reason="given up", by=clerk, now=NOW) == 1
    assert ImportException.objects.get(status="written_off").feed == feeds[0]
    other = ImportException.objects.get(status="open")
    with pytest.raises(PermissionDenied):
        services.correct_exception(exception=other, raw="x", reason="", by=clerk, now=NOW)


@pytest.mark.parametrize(
    ("model", "permission"),
    [
        ("ingestion_feed", "ingestion.view_feed"),
        ("ingestion_usageimport", "ingestion.view_usageimport"),
        ("ingestion_importexception", "ingestion.view_importexception"),
        ("mediation_udr", "mediation.view_udr"),
        ("mediation_udrbatch", "mediation.view_udrbatch"),
    ],
)
def test_lists_and_pages_of_the_admin_hold_the_granted_feeds_only(feeds, model, permission):
    client = person(permission, feeds=feeds[:1])
    page = client.get(reverse(f"admin:{model}_changelist"))
    assert page.context["cl"].result_count == 1
    own = page.context["cl"].result_list[0].pk
    everyone = person(permission).get(reverse(f"admin:{model}_changelist")).context["cl"].result_list
    other = next(row.pk for row in everyone if row.pk != own)
    assert client.get(reverse(f"admin:{model}_change", args=[own])).status_code == 200
    # The admin leads to its front page, saying that it does not exist.
    assert client.get(reverse(f"admin:{model}_change", args=[other])).status_code == 302
    exported = b"".join(client.get(reverse(f"admin:{model}_export")).streaming_content)
    assert len(exported.splitlines()) == 2


def test_the_filter_by_feed_names_no_other_feed(feeds):
    page = person("mediation.view_udr", "ingestion.view_usageimport", feeds=feeds[:1])
    for model in ("mediation_udr", "ingestion_usageimport"):
        text = page.get(reverse(f"admin:{model}_changelist")).content.decode()
        assert feeds[1].name not in text
