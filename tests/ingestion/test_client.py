"""The client sends a file so that whatever breaks on the way, nothing is lost and nothing is counted twice."""

import gzip
import io
import json
import re
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.db import connections
from knox.models import AuthToken

from ingestion.api import client
from ingestion.models import Feed, IdempotencyKey, ImportException, UsageImport
from mediation.models import Udr
from mediation.services import bells

from .factories import EVENTS, event, feed_of, user_with, work

ROOT = Path(__file__).parents[2]
README = (ROOT / "ingestion" / "README.md").read_text()
served = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def rows(text, quotes='"', header_rows=0, delimiter=","):
    found = client.rows_of(io.StringIO(text), delimiter=delimiter, quotes=quotes, header_rows=header_rows)
    return [json.loads(row) for row in found]


def items(text):
    return [json.loads(item) for item in client.json_list_of(io.StringIO(text))]


def test_a_row_goes_as_it_stands_in_the_file():
    assert rows('a, "b" ,ü\r\n"1\n2",3\n\nlast') == ['a, "b" ,ü', '"1\n2",3', "last"]
    assert rows("a;'1\n2';b\nc\n", quotes="'", delimiter=";") == ["a;'1\n2';b", "c"]


def test_headers_are_passed_over_and_signs_that_are_no_quotes_mean_nothing():
    assert rows("when,who\n1,2\n", header_rows=1) == ["1,2"]
    assert rows('"5,6\n7,8\n', quotes="") == ['"5,6', "7,8"]
    assert rows('5" pipe,6\n7,8\n') == ['5" pipe,6', "7,8"]


def test_a_quote_that_is_never_closed_is_told():
    with pytest.raises(client.Trouble, match="not closed"):
        rows('"a\n' + "b\n" * 2_000)


@pytest.mark.parametrize(
    "text", ['[{"a": 1}, {"b": [2]}]', '{"data": [{"a": 1},{"b": [2]}]}', ' [ {"a":1} , {"b":[2]}]\n']
)
def test_a_list_is_read_item_by_item(text, monkeypatch):
    for size in (1, 3, 1_000):
        monkeypatch.setattr(client, "BLOCK", 20 if size == 1 else size + 20)
        assert items(text) == [{"a": 1}, {"b": [2]}]


def test_an_empty_list_holds_nothing_and_one_that_breaks_off_is_told():
    assert items("[]") == items('{"data": [ ]}') == []
    for text in ("{}", "", "[{}", "[{},]", "[{} {}]", "[{}] [{}]", '{"data": [{}], "more": 1}', "[" * 100_000):
        with pytest.raises(client.Trouble):
            items(text)


def test_numbers_stay_the_texts_that_they_are():
    text = '{"v": 1.10000000000000000000000001e400, "n": ' + "9" * 5_000 + "}"
    assert list(client.json_list_of(io.StringIO(f"[{text}]"))) == [text]
    assert list(client.json_lines_of(io.StringIO(f"\n{text}\r\n"))) == [text]
    with pytest.raises(client.Trouble, match="Line 2 is not JSON"):
        list(client.json_lines_of(io.StringIO("{}\n{\n")))


def test_requests_hold_a_thousand_records_or_fewer_that_are_long():
    parts = list(client.parts_of(iter(["x"] * 2_500), 1_000))
    assert [(part.number, part.first_record, len(part.records)) for part in parts] == [
        (1, 1, 1_000),
        (2, 1_001, 1_000),
        (3, 2_001, 500),
    ]
    assert [len(part.records) for part in client.parts_of(iter(["x" * 900_000] * 3), 1_000)] == [2, 1]


@pytest.mark.parametrize(("said", "seconds"), [(None, 0), ("7", 7), ("soon", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)])
def test_when_to_come_again_is_a_number_or_a_moment(said, seconds):
    assert client.seconds_of(said) == seconds


class Weather(ThreadingHTTPServer):
    """A proxy before the server: what it does with each post is told by `plan`, and then it lets through."""

    daemon_threads = True

    def __init__(self, behind, plan=()):
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind, self.plan, self.seen, self.lock = behind, list(plan), [], threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(*self.behind())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            trouble = self.server.plan.pop(0) if self.server.plan else None
            self.server.seen.append((trouble, self.headers["Idempotency-Key"], time.monotonic()))
        if trouble == "lost on the way":
            return self.hang_up()
        if isinstance(trouble, bytes):
            return self.answer(200, {}, trouble)
        if isinstance(trouble, int):
            return self.answer(trouble, {"Retry-After": "1"} if trouble == 429 else {}, b"<html>")
        status, headers, content = self.behind(body)
        if trouble == "answer lost":
            return self.hang_up()
        if trouble == "answer cut":
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            return self.hang_up()
        return self.answer(status, headers, content)

    def behind(self, body=None):
        connection = HTTPConnection(*self.server.behind.removeprefix("http://").split(":"), timeout=30)
        headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Connection")}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {}, content

    def answer(self, status, headers, content):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def hang_up(self):
        self.close_connection = True

    def log_message(self, *told):
        pass


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(client, "FIRST_GAP", 0.01)
    monkeypatch.setattr(client, "LONGEST_GAP", 0.05)
    # Connections that persist would keep the test database from being dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.fixture
def token():
    return AuthToken.objects.create(user=user_with("ingestion.add_usageimport"))[1]


@pytest.fixture
def weather(live_server, quick):
    proxy = Weather(live_server.url)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    yield proxy
    proxy.shutdown()
    thread.join()
    proxy.server_close()


@pytest.fixture
def send(weather, token, monkeypatch, capsys):
    """A function that sends a file as the command does; returns the exit code and what is printed."""

    def sending(path, *options, feed="calls", by=token):
        monkeypatch.setenv("SLUICE_TOKEN", by)
        monkeypatch.setattr(
            sys, "argv", ["client.py", weather.url, feed, str(path), "--patience=20", *map(str, options)]
        )
        return client.main(), capsys.readouterr()

    return sending


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("".join(f"{event(f'e{number}')}\n" for number in range(2_345)))
    return path


@pytest.fixture
def calls(db):
    return feed_of(api_name="calls")


def everything_once(count=2_345, requests=None):
    work()
    assert Udr.objects.count() == count
    assert set(UsageImport.objects.values_list("duplicate_count", "exception_count")) == {(0, 0)}
    assert requests is None or UsageImport.objects.count() == requests


@served
def test_a_file_goes_in_requests_of_a_thousand(calls, send, file):
    code, told = send(file)
    assert (code, told.out) == (0, "taken       2,345 records in 3 requests\n")
    assert "100% read, 2,345 records taken" in told.err
    everything_once(requests=3)


@served
def test_whatever_breaks_nothing_is_lost_and_nothing_doubled(calls, send, file, weather):
    weather.plan = ["lost on the way", "answer lost", 503, "answer cut", "answer lost", 502, "lost on the way", 500] * 4
    code, told = send(file, "--size=100", "--flights=3")
    assert code == 0, told.err
    assert not weather.plan
    assert "tries more" in told.err
    everything_once(requests=24)


@served
def test_a_client_that_is_started_again_repeats_nothing(calls, send, file, weather):
    weather.plan = [None, None, *["answer lost"] * 500]
    code, told = send(file, "--size=500", "--patience=0.2")
    assert code == 3
    assert "Nothing is lost or doubled if the same file is sent again." in told.err
    weather.plan = []
    assert send(file, "--size=500")[0] == 0
    everything_once(requests=5)
    assert IdempotencyKey.objects.count() == 5


@served
def test_it_comes_again_when_the_server_says_so(calls, send, file, weather):
    weather.plan = [429]
    assert send(file, "--size=1000", "--flights=1")[0] == 0
    (_, key, refused_at), (_, again, sent_at), *_ = weather.seen
    assert key == again
    assert sent_at - refused_at >= 1.0


@served
def test_other_bytes_or_other_requests_have_other_keys(calls, send, file, weather):
    send(file)
    send(file, "--size=500")
    file.write_text(event("another"))
    send(file)
    keys = [key for _, key, _ in weather.seen]
    assert len(set(keys)) == len(keys) == 3 + 5 + 1


@served
@pytest.mark.parametrize(("status", "says"), [(301, "no answer of Sluice"), (200, "no answer of Sluice")])
def test_what_is_no_answer_of_sluice_ends_it(calls, send, file, weather, status, says):
    weather.plan = [status] * 9
    code, told = send(file)
    assert (code, says in told.err) == (2, True)
    assert not UsageImport.objects.exists()


@served
def test_an_answer_by_somebody_else_is_no_receipt(calls, send, file, weather):
    """Of five requests one comes to a portal that says yes to everything."""
    weather.plan = [None, b'{"ok": true}']
    code, told = send(file, "--size=500")
    assert (code, "no answer of Sluice" in told.err) == (2, True)
    assert send(file, "--size=500")[0] == 0
    everything_once(requests=5)


@served
def test_whatever_a_sender_stumbles_over_ends_it_with_a_word(calls, send, file, monkeypatch):
    monkeypatch.setattr(client.Server, "_ask_once", lambda *_: {}["nothing that anybody thought of"])
    code, told = send(file, "--size=10")
    assert (code, "KeyError" in told.err) == (2, True)


@served
def test_a_token_from_a_file_may_end_with_its_line(calls, send, file, token):
    assert send(file, by=f"{token}\n")[0] == 0
    code, told = send(file, by=f"{token[:5]} {token[5:]}")
    assert (code, "no token is" in told.err) == (2, True)


@pytest.mark.parametrize("address", ["localhost", "http://", "http://localhost:99999", "http://localhost:x"])
def test_what_is_no_address_is_told_before_anything_is_read(address):
    with pytest.raises(client.Trouble, match="is no address"):
        client.Server(address, "t", 1)


@served
def test_a_refusal_ends_it_at_once_with_every_fault(calls, send, tmp_path, weather):
    Feed.objects.update(profile=feed_of(EVENTS).profile)
    (tmp_path / "calls.ndjson").write_text('{"a": 1}\n2\n"3"\n')
    code, told = send(tmp_path / "calls.ndjson")
    assert code == 2
    assert "Records 1 to 3: 400 record_not_read" in told.err
    assert "/data/1: " in told.err
    assert "/data/2: " in told.err
    assert len(weather.seen) == 1


@served
@pytest.mark.parametrize(
    ("feed", "by", "says"), [("strange", None, "404 unknown_feed"), ("calls", "wrong", "401 authentication_failed")]
)
def test_an_unknown_feed_and_a_wrong_token_end_it_at_once(calls, send, file, token, weather, feed, by, says):
    code, told = send(
        file,
        feed=feed,
        by=by or token,
    )
    assert (code, says in told.err) == (2, True)
    assert len(weather.seen) <= 4


@served
def test_json_lists_lines_and_packed_files_are_sent_too(send, tmp_path):
    feed_of(EVENTS, api_name="calls")
    made = [{"Date": "2026-05-01T10:00:00Z", "Id": f"e{n}", "Value": n} for n in range(30)]
    (tmp_path / "a.json").write_text(json.dumps(made[:10], indent=1))
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, made[10:20])))
    (tmp_path / "c.ndjson.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, made[20:])).encode()))
    for name in ("a.json", "b.jsonl", "c.ndjson.gz"):
        assert send(tmp_path / name)[0] == 0
    everything_once(30, requests=3)


@served
def test_a_file_that_cannot_be_read_ends_it_with_a_word(calls, send, tmp_path):
    (tmp_path / "latin.csv").write_bytes(event("Zürich").encode("latin-1"))
    assert send(tmp_path / "latin.csv")[0] == 2
    assert send(tmp_path / "latin.csv", "--encoding=latin-1")[0] == 0
    code, told = send(tmp_path / "missing.csv")
    assert (code, "missing.csv" in told.err) == (2, True)
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(b"x" * 1_000)[:20])
    assert send(tmp_path / "broken.csv.gz")[0] == 2


@pytest.fixture
def worker(quick, monkeypatch):
    """Does what waits while the test goes on."""
    monkeypatch.setattr(bells, "async_task", lambda *task, **options: None)
    is_over = threading.Event()

    def working():
        while not is_over.wait(0.05):
            work()
        connections.close_all()

    thread = threading.Thread(target=working)
    thread.start()
    yield
    is_over.set()
    thread.join()


@served
def test_the_example_of_the_readme_is_what_happens(live_server, worker, token, tmp_path):
    feed_of(api_name="calls")
    sent, told = (
        re.search(rf"^```{kind} client\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1] for kind in ("csv", "console")
    )
    (tmp_path / "calls.csv").write_text(sent)
    place = {"https://sluice.example": live_server.url, "python client.py": f"{sys.executable} {client.__file__}"}
    for command, said in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", told, re.MULTILINE):
        for before, after in place.items():
            command = command.replace(before, after)
        done = subprocess.run(  # noqa: S602 - the README's own lines
            command,
            shell=True,
            cwd=tmp_path,
            env={"SLUICE_TOKEN": token, "PATH": "/bin:/usr/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout == said, done.stderr


@served
def test_waiting_tells_each_exception_by_its_place_in_the_file(calls, worker, send, file):
    lines = file.read_text().splitlines()
    lines[1_499] = event("bad", value="x")
    lines[2_000] = lines[0]
    file.write_text("\n".join(lines))
    code, told = send(file, "--wait", "--quiet")
    assert (code, told.err) == (1, "")
    assert "record 1,500: bad_number in Value: " in told.out
    assert told.out.endswith("imported    2,343\nexceptions  1\nskipped     0\nduplicates  1\n")
    assert ImportException.objects.count() == 1


def test_it_needs_nothing_but_python(tmp_path):
    alone = tmp_path / "client.py"
    alone.write_text(Path(client.__file__).read_text())
    command = [sys.executable, "-I", "-S", alone, "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    assert "Exit codes" in told.stdout


def test_without_a_token_nothing_is_sent(tmp_path):
    command = [sys.executable, client.__file__, "http://127.0.0.1:9", "calls", "calls.csv"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert told.returncode == 2
    assert "SLUICE_TOKEN" in told.stderr
