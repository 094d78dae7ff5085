"""Bodies made to tie up whoever reads them: each is answered in a moment, in few words, and nothing of it is kept."""

import gzip
import hashlib
import itertools
import json
import time

import pytest

from ingestion.core.bodies import Shape, look_at
from ingestion.core.requests import FaultyRequestError
from ingestion.models import UsageImport
from ingestion.services.receiving import _request_hash
from mediation.core.reading import frames, unpacking
from mediation.core.spec import parse_spec

from .factories import BY_EVENT, EVENTS, event, feed_of
from .test_api import EVERYTHING, client_of, refused
from .test_body_shapes import CSV, NDJSON, json_record, send

MOST = frames.MAX_RECORD_BYTES


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


# Lines of JSON


def test_a_line_longer_than_a_record_may_be_is_refused_before_it_is_read():
    names = ",".join(f'"{number:07}":1' for number in range(700_000))
    content = f"{json_record()}\n{{{names}}}\n".encode()
    started = time.process_time()
    with pytest.raises(FaultyRequestError) as refused_:
        look_at(content, Shape.NDJSON, parse_spec(EVENTS))
    assert time.process_time() - started < 0.5
    assert [(fault.pointer, fault.code) for fault in refused_.value.faults] == [("/lines/2", "too_long")]
    assert refused_.value.faults[0].detail == "Line 2 is longer than 1,048,576 bytes."


@pytest.mark.parametrize("sign", ["a", "ä"])
def test_a_line_of_json_may_be_as_long_as_a_record(sign):
    most = f'{{"a":"{sign * ((MOST - 8) // len(sign.encode()))}"}}'
    assert len(most.encode()) == MOST
    assert look_at(most.encode(), Shape.NDJSON, parse_spec(EVENTS)).record_count == 1
    with pytest.raises(FaultyRequestError):
        look_at(f"{most[:-2]}b{most[-2:]}".encode(), Shape.NDJSON, parse_spec(EVENTS))


# Repeats


@pytest.mark.django_db
def test_a_reason_that_names_a_shape_is_not_that_shape(client):
    feed, body, key = feed_of(BY_EVENT), json.dumps({"data": [event()]}), {"Idempotency-Key": "k"}
    first = send(client, feed, body, "application/json", path="usage/amend?reason=csv", **key)
    assert first.status_code == 202
    refused(send(client, feed, body, CSV, **key), 422, "idempotency_key_reused")
    assert UsageImport.objects.count() == 1


def test_what_was_kept_of_plain_json_and_its_amendments_is_known_again():
    assert _request_hash(b"{}", "json", "") == hashlib.sha256(b"{}").hexdigest()
    assert _request_hash(b"{}", "json", "why") == hashlib.sha256(b"why\0{}").hexdigest()
    parts = itertools.product([b"", b"a", b"csv"], ["json", "csv", "ndjson"], ["", "a", "csv", "ndjson"])
    assert len({_request_hash(*each) for each in parts}) == 3 * 3 * 4


# Headers


@pytest.mark.django_db
def test_a_length_of_thousands_of_digits_is_none(client):
    address = f"/api/v1/feeds/{feed_of(BY_EVENT).pk}/files/a.csv"
    answer = client.generic("PUT", address, b"a", "application/octet-stream", CONTENT_LENGTH="9" * 5_000)
    refused(answer, 411, "length_required")
