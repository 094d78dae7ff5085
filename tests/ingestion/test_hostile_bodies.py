"""Bodies made to tie up whoever reads them: each is answered in a moment, in few words, and nothing of it is kept."""

import gzip

import pytest

from mediation.core.reading import unpacking

from .factories import BY_EVENT, EVENTS, event, feed_of
from .test_api import EVERYTHING, client_of, refused
from .test_body_shapes import CSV, NDJSON, json_record, send


@pytest.fixture
def client():
    return client_of(*EVERYTHING, "ingestion.void_usage")


# Words


@pytest.mark.django_db
def test_too_many_members_are_told_as_what_they_are(client, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 3)
    body = gzip.compress(json_record().encode()) + gzip.compress(b"\n") * 5
    answer = send(client, feed_of(EVENTS), body, NDJSON, **{"Content-Encoding": "gzip"})
    refused(answer, 413, "too_large")
    assert answer.json()["detail"] == "The body holds more than 3 gzip members one by one. Pack it as one."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("media_type", "detail"),
    [
        (f"{CSV}; charset=", "reads utf-8, and the body is said to be in ''."),
        (f"{CSV}; charset={'x' * 5_000}", f"reads utf-8, and the body is said to be in '{'x' * 40}'."),
        (f"text/{'x' * 5_000}", f"A body is not taken as 'text/{'x' * 95}'."),
        ("", "A body is not taken without a type."),
    ],
)
def test_a_type_that_is_not_read_is_told_in_few_words(client, media_type, detail):
    answer = send(client, feed_of(BY_EVENT), event(), media_type)
    refused(answer, 415, "unsupported_media_type")
    assert detail in answer.json()["detail"]
    assert len(answer.content) < 1_000
