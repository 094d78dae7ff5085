"""Bodies sent to the real web server through a plain socket: announced, in pieces, too large, and never sent."""

import gzip
import json
import os
import socket
import subprocess
import time
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import connection
from knox.models import AuthToken

from config.supervisor import web_command
from ingestion.models import ImportBody

from .factories import EVENTS, feed_of, user_with

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
BODY = b'{"Date": "2026-05-01T10:00:00Z", "Id": "e1", "Value": 1.50}\n'
SECONDS = 120  # the machine may be busy, and a web process makes the API's document for its first request


@pytest.fixture(scope="module")
def place(django_db_setup):
    """Where a web server listens that `up` would start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = probe.getsockname()
    told = connection.settings_dict
    user = f"{quote(told['USER'])}:{quote(told['PASSWORD'])}@" if told["USER"] else ""
    where = urlencode({"host": told["HOST"], "port": told["PORT"] or 5432})
    environment = os.environ | {"DATABASE_URL": f"postgres://{user}/{told['NAME']}?{where}"}
    command = web_command("{}:{}".format(*found))
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, start_new_session=True)
    try:
        wait_for(found, process)
        yield found
    finally:
        process.terminate()
        process.wait(SECONDS)


def wait_for(place, process):
    for _ in range(SECONDS * 10):
        assert process.poll() is None
        try:
            return socket.create_connection(place, 1).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(place)


@pytest.fixture
def token():
    return AuthToken.objects.create(user=user_with("ingestion.add_usageimport"))[1]


def head(feed, token, **headers):
    told = {"Host": "localhost", "Authorization": f"Token {token}", "Content-Type": "application/x-ndjson"}
    told |= {name.replace("_", "-"): str(value) for name, value in headers.items()}
    lines = [f"POST /api/v1/feeds/{feed}/usage HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Line:
    """A connection to the web server."""

    def __init__(self, place):
        self.socket = socket.create_connection(place, SECONDS)
        self.file = self.socket.makefile("rb")

    def send(self, content):
        self.socket.sendall(content)

    def answer(self):
        """Status, headers and body of the next answer."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.file.read(int(headers.get("content-length", 0)))
        return status, headers, json.loads(body) if body else None


def test_an_announced_body_is_asked_for_and_taken(place, token):
    feed, line = feed_of(EVENTS), Line(place)
    packed = gzip.compress(BODY)
    line.send(head(feed.pk, token, Expect="100-continue", Content_Encoding="gzip", Content_Length=len(packed)))
    assert line.answer()[0] == 100
    line.send(packed)
    assert line.answer()[0] == 202
    assert bytes(ImportBody.objects.get().content) == BODY


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"Content_Length": 11 << 20}, 413, "too_large"),
        ({"Content_Length": 11 << 20, "Content_Encoding": "gzip"}, 413, "too_large"),
        ({"Content_Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content_Encoding": "br"}, 415, "unsupported_encoding"),
        ({"Authorization": "Token nonsense"}, 401, "authentication_failed"),
        ({"feed": "nowhere"}, 404, "unknown_feed"),
    ],
    ids=["size", "packed size", "type", "packing", "token", "feed"],
)
def test_an_announced_body_that_is_refused_by_its_headers_never_has_to_come(place, token, change, status, code):
    feed, line = change.pop("feed", None) or feed_of(EVENTS).pk, Line(place)
    line.send(head(feed, token, **{"Expect": "100-continue", "Content_Length": 1_000, **change}))
    assert line.answer()[0] == 100
    found, _, problem = line.answer()
    assert (found, problem["code"]) == (status, code)
    assert line.file.read() == b"", "whoever does not send what he announced is hung up on"
    assert not ImportBody.objects.exists()


def test_a_body_in_pieces_whose_size_nobody_said(place, token):
    feed, line = feed_of(EVENTS), Line(place)
    line.send(head(feed.pk, token, Transfer_Encoding="chunked"))
    for piece in (BODY[:10], BODY[10:], BODY):
        line.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    line.send(b"0\r\n\r\n")
    status, _, accepted = line.answer()
    assert (status, accepted["record_count"]) == (202, 2)
    assert bytes(ImportBody.objects.get().content) == BODY * 2


def test_more_pieces_than_are_taken(place, token):
    feed, line = feed_of(EVENTS), Line(place)
    line.send(head(feed.pk, token, Transfer_Encoding="chunked"))
    piece = b" " * (1 << 20)
    for _ in range(settings.DATA_UPLOAD_MAX_MEMORY_SIZE // len(piece)):
        line.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    line.send(b"1\r\n \r\n0\r\n\r\n")
    status, _, problem = line.answer()
    assert (status, problem["code"]) == (413, "too_large")
    assert not ImportBody.objects.exists()
