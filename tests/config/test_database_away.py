"""What senders hear while the database is away: to come again, not that we failed."""

import psycopg
import pytest
from django.db import connection
from django.test import Client
from knox.models import AuthToken

from tests.ingestion.factories import event, feed_of, user_with

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def sender():
    """A sender by token, whom a crash does not make the test crash."""
    user = user_with("ingestion.add_usageimport", "ingestion.view_usageimport")
    _, token = AuthToken.objects.create(user)
    return Client(headers={"Authorization": f"Token {token}"}, raise_request_exception=False)


@pytest.fixture
def away():
    """A call makes new connections fail; afterwards they do not."""
    before = connection.settings_dict["PORT"]

    def leave():
        connection.close()
        connection.settings_dict["PORT"] = "1"

    yield leave
    connection.settings_dict["PORT"] = before
    connection.close()


@pytest.fixture
def lost():
    """A call ends our session from outside, as a server that shuts down does."""

    def end():
        connection.ensure_connection()
        number, dsn = connection.connection.info.backend_pid, connection.connection.info.dsn
        with psycopg.connect(dsn, password=connection.settings_dict["PASSWORD"] or None) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [number])

    yield end
    connection.close()


def assert_told_to_come_again(answer):
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "database_away"


def test_who_asks_while_no_database_answers_is_told_to_come_again(sender, away):
    away()
    assert_told_to_come_again(sender.get("/api/v1/imports"))


def test_who_asks_as_the_connection_is_lost_is_told_to_come_again(sender, lost):
    assert sender.get("/api/v1/imports").status_code == 200
    lost()
    assert_told_to_come_again(sender.get("/api/v1/imports"))


def test_usage_that_comes_while_the_database_is_away_is_taken_later(sender, away):
    feed_of(api_name="rows")
    body = {"data": [event()]}
    assert sender.post("/api/v1/feeds/rows/usage", body, "application/json").status_code == 202
    away()
    assert_told_to_come_again(sender.post("/api/v1/feeds/rows/usage", body, "application/json"))


def test_a_middleware_that_misses_the_database_tells_the_same(admin_client, away):
    admin_client.raise_request_exception = False
    away()
    assert_told_to_come_again(admin_client.get("/api/v1/imports"))


def test_the_second_door_tells_it_in_its_own_form(sender, away):
    away()
    answer = sender.get("/api/DataImport/Usage/History")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["type"] == "error"


def test_a_statement_that_fails_is_a_crash_as_before(sender, monkeypatch):
    def fail(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)")

    monkeypatch.setattr("ingestion.api.imports.ImportList.get_queryset", fail)
    assert sender.get("/api/v1/imports").status_code == 500
