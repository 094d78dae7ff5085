"""The health addresses."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from mediation.models import Bell
from tests.config.crowd import person


def test_healthz_answers_without_a_database(client):
    assert client.get("/healthz").json() == {"status": "alive"}


@pytest.mark.django_db
def test_readyz_says_how_long_the_oldest_bell_has_been_ringing(client):
    Bell.objects.create(name="test", is_ringing=True, rung_at=timezone.now() - timedelta(seconds=90))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert 90 <= answer.json()["oldest_ringing_bell_seconds"] < 120


@pytest.mark.django_db
def test_readyz_refuses_when_a_commit_would_not_be_durable(client):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["faults"] == ["synchronous_commit is off"]


@pytest.mark.django_db
def test_a_person_who_may_not_open_a_page_is_told_why_and_what_to_do():
    client = person("ingestion.view_feed")
    answer = client.get("/admin/rating/statement/")
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "Your role does not reach this page." in page
    assert "You have no role here." in page


@pytest.mark.django_db
def test_an_address_that_leads_nowhere_says_so_and_leads_on():
    answer = person("ingestion.view_usageimport").get("/admin/ingestion/usageimport/999/payload")
    assert answer.status_code == 404
    assert "This address leads to nothing that you may see." in answer.content.decode()
    assert "Go to the front page" in answer.content.decode()


@pytest.mark.django_db
def test_who_is_not_signed_in_is_told_nothing_of_others(client):
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "role" not in page.content.decode()
