"""The health addresses."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from mediation.models import Bell


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
