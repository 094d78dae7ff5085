"""JSON made to fell whoever parses it: every address that reads JSON refuses it in a moment, and none crashes."""

import json

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.ingestion.factories import feed_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    client = APIClient()
    client.raise_request_exception = False
    client.force_authenticate(User.objects.create_superuser("operator"))
    return client


def addresses():
    feed = feed_of()
    names = ("usage-identifiers/lookup", f"feeds/{feed.pk}/usage/void", f"feeds/{feed.pk}/backfills")
    return [f"/api/v1/{name}" for name in (*names, "bucket-grants", "what-ifs")]


def send(client, address, content, **more):
    content = content.encode() if isinstance(content, str) else content
    return client.generic("POST", address, content, "application/json", **more)


def codes(answer):
    assert len(answer.content) < 100_000
    return answer.status_code, answer.json()["code"]


HOSTILE = {
    "deep lists": "[" * 200_000,
    "deep lists that end": "[" * 900 + "]" * 900,
    "deep objects": '{"keys":' * 100_000,
    "a long number": '{"keys": [' + "9" * 5_000 + "]}",
    "a long exponent": '{"keys": [1e999999999]}',
    "no number": '{"keys": [NaN]}',
    "no utf-8": b'{"keys": ["\xff"]}',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("at", range(5))
def test_what_is_no_json_that_is_read_here_is_refused(client, at, name):
    answer = send(client, addresses()[at], HOSTILE[name])
    assert codes(answer) == (400, "parse_error")


STRANGE = {
    "half of a pair for a name": '{"\\ud800": 1, "keys": ["a"]}',
    "half of a pair for a text": '{"feed": "\\ud800", "reason": "\\ud800", "keys": ["\\ud800"], "bucket": "\\ud800"}',
    "nul": '{"feed": "\\u0000", "reason": "\\u0000", "keys": ["\\u0000"], "bucket": "\\u0000"}',
    "many names": json.dumps({f"{number}{'x' * 1_000}": 1 for number in range(5_000)}),
    "a long name": json.dumps({"x" * 1_000_000: 1}),
    "a long text": json.dumps(dict.fromkeys(("feed", "reason", "bucket", "starts_at", "account"), "x" * 1_000_000)),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("at", range(5))
def test_what_is_strange_in_json_is_refused_in_few_words(client, at, name):
    answer = send(client, addresses()[at], STRANGE[name])
    assert 400 <= codes(answer)[0] < 500


@pytest.mark.parametrize("at", range(5))
def test_no_more_is_read_than_a_body_may_have(client, settings, at):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    answer = send(client, addresses()[at], json.dumps({"keys": ["a" * 2_000]}))
    assert codes(answer) == (413, "too_large")
