"""Payloads in an object store: received, cut, mediated by ranges and handed out, against a server that speaks S3."""

import gzip
import hashlib
import io
import socket
import time
import tracemalloc

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse
from rest_framework.test import APIClient

from config.object_storage import ObjectStorage, Ranges
from ingestion import services
from ingestion.models import ImportChunk
from tests.config.crowd import person
from tests.ingestion.factories import NOW, counts, event, feed_of, filed, user_with, work
from tests.object_store import BUCKET, KEYS, keys_in, object_store

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
MB = 1 << 20


@pytest.fixture(scope="module")
def address():
    with object_store() as found:
        yield found


@pytest.fixture(autouse=True)
def payloads(address, settings, monkeypatch):
    """The payload store, empty."""
    for name, text in KEYS.items():
        monkeypatch.setenv(name, text)
    options = {"bucket_name": BUCKET, "endpoint_url": address, "location": "payloads"}
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "config.object_storage.ObjectStorage", "OPTIONS": options}
    }
    yield default_storage
    for key in keys_in(address):
        default_storage.delete(key.removeprefix("payloads/"))


@pytest.fixture
def ranges(monkeypatch):
    """The (start, length) of each read from the store."""
    asked = []
    readinto = Ranges.readinto

    def told(self, buffer):
        start = self.tell()
        asked.append((start, readinto(self, buffer)))
        return asked[-1][1]

    monkeypatch.setattr(Ranges, "readinto", told)
    return asked


def lines(count):
    return "".join(f"{event(who=f'e{number}')}\n" for number in range(count)).encode()


def test_a_file_is_kept_there_once_mediated_and_handed_out(address):
    content = lines(50)
    usage_import = filed(feed_of(), content)
    work()
    assert counts(usage_import) == ("completed", 50, 0, 0, 0)
    assert keys_in(address) == [f"payloads/{usage_import.payload.name}"]
    seen = person("ingestion.view_usageimport", "ingestion.view_importexception")
    answer = seen.get(reverse("admin:ingestion_usageimport_payload", args=[usage_import.pk]))
    assert b"".join(answer.streaming_content) == content
    filed(feed_of(), content)
    assert len(keys_in(address)) == 1


def test_a_packed_file_is_unpacked_into_the_store(address):
    usage_import = filed(feed_of(), gzip.compress(lines(50)), name="usage.csv.gz")
    work()
    assert counts(usage_import) == ("completed", 50, 0, 0, 0)
    assert len(keys_in(address)) == 2


def test_a_file_is_written_part_by_part_in_bounded_memory():
    content = bytes(range(256)) * (96 * MB // 256)
    digest, stream = hashlib.sha256(content).hexdigest(), io.BytesIO(content)
    feed = feed_of()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    usage_import = services.receive_file(
        feed=feed, stream=stream, file_name="large.csv", source="upload", by=None, now=NOW
    )
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    print(f"96 MB are written with at most {peak / MB:.0f} MB in memory")
    assert peak < 40 * MB
    stored = default_storage.open(usage_import.payload.name)
    assert hashlib.file_digest(stored, "sha256").hexdigest() == digest == usage_import.content_hash


def test_each_chunk_of_a_file_is_read_by_itself(ranges):
    content = lines(300_000)
    usage_import = filed(feed_of(), content)
    assert ranges == []
    services.plan_next_import(now=NOW)
    assert max(length for _, length in ranges) <= 8 * MB
    assert sum(length for _, length in ranges) < len(content) + 16 * MB
    del ranges[:]
    services.mediate_next_chunks(now=NOW)
    chunk = ImportChunk.objects.get(usage_import=usage_import, number=1)
    assert chunk.status == "done"
    assert ranges[0][0] == chunk.byte_start
    assert sum(length for _, length in ranges) <= (chunk.byte_end - chunk.byte_start) + 8 * MB


def test_a_file_that_comes_in_parts_leaves_only_itself(address, django_capture_on_commit_callbacks):
    content, feed, user = lines(50), feed_of(), user_with("ingestion.add_usageimport")
    client = APIClient()
    client.force_authenticate(user)
    url = reverse("api:file", args=[feed.api_name, "may.csv"])
    with django_capture_on_commit_callbacks(execute=True):
        for start, end in ((0, 700), (700, len(content))):
            told = {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}
            answer = client.generic("PUT", url, content[start:end], "text/csv", headers=told)
    assert answer.status_code == 202
    assert [key.count("uploads") for key in keys_in(address)] == [0]
    services.expire_uploads(now=NOW)


def test_an_object_is_read_from_any_place():
    name = default_storage.save("place", ContentFile(b"0123456789"))
    with default_storage.open(name) as found:
        assert found.read(3) == b"012"
        found.seek(-2, io.SEEK_END)
        assert (found.tell(), found.read(), found.read()) == (8, b"89", b"")
        found.seek(5)
        assert found.read(2) == b"56"


def test_what_is_not_there_is_told_as_by_a_folder():
    with pytest.raises(FileNotFoundError):
        default_storage.open("nothing")
    with pytest.raises(ValueError, match="read as bytes"):
        default_storage.open("nothing", "w")


def test_a_server_that_says_nothing_is_given_up_within_a_minute():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        dead = ObjectStorage(bucket_name=BUCKET, endpoint_url=f"http://127.0.0.1:{port}")
        started = time.monotonic()
        with pytest.raises(Exception, match=r"[Tt]imeout|timed out"):
            dead.exists("anything")
    assert time.monotonic() - started < 60
