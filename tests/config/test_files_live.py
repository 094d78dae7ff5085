"""Files sent to the web server as it runs: the way breaks, senders are slow, and memory stays what it was."""

import base64
import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from knox.models import AuthToken

from config.supervisor import web_command
from ingestion.models import FileUpload, UsageImport
from tests.config.test_up import address_of_test_database, family, wait_until
from tests.ingestion.factories import feed_of, user_with

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
MB = 1 << 20
SIZE = 200 * MB
PART = 32 * MB
SLACK_MB = 40  # of a process: parts of 4 MB, and what Python does not give back


class Server:
    def __init__(self, place, token, url, pid):
        self.place, self.token, self.url, self.pid = place, token, url, pid

    def ask(self, method, content=b"", **headers):
        with closing(http.client.HTTPConnection(self.place, timeout=60)) as connection:
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, self.url, content, self.headers() | named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def headers(self):
        return {"Authorization": f"Token {self.token}", "Content-Type": "application/octet-stream"}

    def begin(self, promised):
        """A connection on which a file of so many bytes is promised, and none is sent yet."""
        host, port = self.place.split(":")
        connection = socket.create_connection((host, int(port)), timeout=60)
        told = self.headers() | {"Host": self.place, "Content-Length": str(promised)}
        lines = [f"PUT {self.url} HTTP/1.1", *(f"{name}: {text}" for name, text in told.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return connection

    def peaks_mb(self):
        """The most memory that each process has had, in MB."""
        found = {}
        for pid in family(self.pid):
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
            found[pid] = int(peak[1]) / 1024
        return found


@pytest.fixture
def server(tmp_path):
    feed = feed_of()
    token = AuthToken.objects.create(user=User.objects.get(pk=user_with("ingestion.add_usageimport").pk))[1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = os.environ | {
        "DATABASE_URL": address_of_test_database(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SLUICE_PAYLOAD_DIR": str(tmp_path),
    }
    process = subprocess.Popen(web_command(place), cwd=settings.BASE_DIR, env=environment)
    try:
        wait_until(lambda: is_served(place))
        yield Server(place, token, f"/api/v1/feeds/{feed.api_name}/files/large.csv", process.pid)
    finally:
        process.terminate()
        process.wait(15)


def is_served(place):
    try:
        return urlopen(f"http://{place}/healthz", timeout=5).status == 200
    except OSError:
        return False


def test_a_large_file_comes_through_over_a_broken_connection_in_bounded_memory(server):
    block = os.urandom(MB)
    content = memoryview(block * (SIZE // MB))
    digest = hashlib.sha256(content).hexdigest()
    for _ in range(20):
        server.ask("HEAD")
    before = server.peaks_mb()

    with closing(server.begin(SIZE)) as connection:
        connection.sendall(content[: SIZE * 2 // 5])
    wait_until(lambda: FileUpload.objects.filter(holder=None, received_size__gt=0).exists())
    came = int(re.fullmatch(r"bytes=0-(\d+)", server.ask("HEAD")[1]["Range"])[1]) + 1
    assert SIZE // 5 < came <= SIZE * 2 // 5

    while came < SIZE:
        part = content[came : came + PART]
        named = {
            "Content_Range": f"bytes {came}-{came + len(part) - 1}/{SIZE}",
            "Content_Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(part).digest()).decode()}:",
        }
        status, _, body = server.ask("PUT", part, **named)
        assert status in (204, 202), body
        came += len(part)

    usage_import = UsageImport.objects.get()
    assert (status, usage_import.content_hash, usage_import.byte_size) == (202, digest, SIZE)
    assert not FileUpload.objects.exists()
    grown = {pid: peak - before[pid] for pid, peak in server.peaks_mb().items() if pid in before}
    print(f"memory of the web processes grew by {', '.join(f'{mb:.0f} MB' for mb in grown.values())}")
    assert max(grown.values()) < SLACK_MB


def test_after_its_process_was_killed_an_upload_goes_on_at_once(server):
    content = os.urandom(20 * MB)
    with closing(server.begin(len(content))) as connection:
        connection.sendall(content[: 9 * MB])
        wait_until(lambda: FileUpload.objects.filter(received_size__gte=8 * MB).exists())
        for pid in family(server.pid):
            if pid != server.pid:
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_served(server.place))
    assert FileUpload.objects.get().holder is not None
    came = FileUpload.objects.get().received_size
    named = {"Content_Range": f"bytes {came}-{len(content) - 1}/{len(content)}"}
    status, _, body = server.ask("PUT", content[came:], **named)
    assert status == 202, body


def test_a_file_that_is_made_an_import_cannot_be_given_up_meanwhile(server):
    content = memoryview(os.urandom(MB) * (SIZE // MB))
    answers = []

    def give_up():
        wait_until(lambda: FileUpload.objects.filter(received_size=SIZE).exists())
        answers.append(server.ask("DELETE"))

    giver = threading.Thread(target=give_up)
    giver.start()
    try:
        status, _, body = server.ask("PUT", content)
    finally:
        giver.join()
    assert status == 202, body
    # It may have been an import already when the server heard of it.
    assert answers[0][0] in (409, 404)


def test_senders_who_are_slow_leave_the_server_to_the_others(server):
    connections = [server.begin(SIZE) for _ in range(3 * settings_of_web()["workers"])]
    ended = threading.Event()

    def dribble():
        while not ended.wait(0.2):
            for connection in connections:
                try:
                    connection.send(b"x")
                except OSError:
                    continue  # it was told to come again

    dribbler = threading.Thread(target=dribble)
    dribbler.start()
    try:
        wait_until(lambda: server.ask("PUT", b"x")[0] == 503)
        seconds = []
        for _ in range(100):
            started = time.monotonic()
            assert is_served(server.place)
            seconds.append(time.monotonic() - started)
    finally:
        ended.set()
        dribbler.join()
        for connection in connections:
            connection.close()
    print(f"while senders are slow, an answer takes {sorted(seconds)[95] * 1000:.0f} ms (p95)")
    assert sorted(seconds)[95] < 1


def settings_of_web():
    """The options of the web server by name."""
    told = [part.removeprefix("--").partition("=") for part in web_command("x") if part.startswith("--")]
    return {name: int(value) for name, _, value in told if value.isdecimal()}
