"""Pick-up from an SFTP server and from an object store, each a real one on this machine, and the trouble with them."""

import os
import socket
import time
from datetime import timedelta

import paramiko
import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from ingestion import services, store
from ingestion.models import PickupState, UsageImport
from ingestion.services import pickups
from tests.object_store import BUCKET, client, keys_in, object_store
from tests.sftp_server import PASSWORD, USER, know, sftp_server

from .factories import counts, event, feed_of, in_threads, user_with, work

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
S3 = {"SLUICE_PICKUP_STORE_ACCESS_KEY_ID": "test", "SLUICE_PICKUP_STORE_SECRET_ACCESS_KEY": "test"}
A_MINUTE = timedelta(minutes=1)


class Sftp:
    """A feed that picks up from a server over `folder`, and the environment in which it does."""

    def __init__(self, folder, port, known):
        self.folder, self.port = folder, port
        self.environment = {"SLUICE_PICKUP_KNOWN_HOSTS": str(known), "SLUICE_PICKUP_CARRIER_PASSWORD": PASSWORD}

    def feed(self, **fields):
        location = f"sftp://{USER}@127.0.0.1:{self.port}/out"
        return feed_of(**{"pickup_location": location, "pickup_credentials": "CARRIER"} | fields)

    def drop(self, name, content, age=60):
        path = self.folder / "out" / name
        path.write_bytes(content)
        os.utime(path, (time.time() - age,) * 2)

    def files(self):
        out = self.folder / "out"
        return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())

    def poll(self, now=None, **environment):
        return services.poll_pickup_locations(now=now or timezone.now(), environment=self.environment | environment)


@pytest.fixture(autouse=True)
def _seen_before(monkeypatch):
    """Every file as one that an earlier look saw: see test_pickups_half_written for when it did not."""
    monkeypatch.setattr(pickups, "_seen_before", lambda feed, entries, now: entries)


@pytest.fixture
def sftp(tmp_path):
    (tmp_path / "out").mkdir()
    with sftp_server(tmp_path) as (port, key):
        yield Sftp(tmp_path, port, know(tmp_path / "known_hosts", port, key))


def line(who="e1"):
    return f"{event(who=who)}\n".encode()


def error_of(feed):
    return PickupState.objects.get(feed=feed).error


def test_a_file_of_an_sftp_server_is_taken_and_moved_there(sftp):
    feed = sftp.feed()
    sftp.drop("may.csv", line())
    sftp.drop("new.csv", line("e2"), age=0)
    sftp.drop("june.csv.part", line("e3"))
    [taken] = sftp.poll()
    work(timezone.now())
    assert counts(taken.usage_import) == ("completed", 1, 0, 0, 0)
    assert sftp.files() == ["done/may.csv", "june.csv.part", "new.csv"]
    assert error_of(feed) == ""
    sftp.drop("may.csv", line())
    sftp.drop("empty.csv", b"")
    sftp.poll()
    assert [name for name in sftp.files() if "failed" in name] == ["failed/empty.csv", "failed/may.csv"]


def test_a_large_file_of_an_sftp_server_comes_whole(sftp):
    sftp.feed()
    content = b"".join(line(f"e{number}") for number in range(200_000))
    sftp.drop("large.csv", content)
    [taken] = sftp.poll()
    assert taken.usage_import.byte_size == len(content)


def test_whoever_has_a_key_needs_no_password(tmp_path):
    (tmp_path / "out").mkdir()
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"), password="a phrase")
    with sftp_server(tmp_path, user_key=key) as (port, host_key):
        sftp = Sftp(tmp_path, port, know(tmp_path / "known", port, host_key))
        del sftp.environment["SLUICE_PICKUP_CARRIER_PASSWORD"]
        feed = sftp.feed()
        sftp.drop("may.csv", line())
        told = {"KEY_FILE": str(tmp_path / "key"), "KEY_PASSPHRASE": "a phrase"}
        named = {f"SLUICE_PICKUP_CARRIER_{name}": text for name, text in told.items()}
        assert [one.refusal for one in sftp.poll(**named)] == [""], error_of(feed)


def test_a_host_that_is_not_known_is_refused_with_how_to_add_it(sftp, tmp_path):
    feed = sftp.feed()
    assert sftp.poll(SLUICE_PICKUP_KNOWN_HOSTS=str(tmp_path / "nobody")) == []
    assert "is not known: ecdsa-sha2-nistp256 SHA256:" in error_of(feed)
    assert f"ssh-keyscan -t ecdsa-sha2-nistp256 -p {sftp.port} 127.0.0.1 >> {tmp_path}/nobody" in error_of(feed)


def test_a_host_that_shows_another_key_is_refused(sftp, tmp_path):
    feed = sftp.feed()
    other = know(tmp_path / "other", sftp.port, paramiko.ECDSAKey.generate())
    sftp.poll(SLUICE_PICKUP_KNOWN_HOSTS=str(other))
    assert "shows another host key" in error_of(feed)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"SLUICE_PICKUP_CARRIER_PASSWORD": "wrong"}, "does not let carrier in"),
        ({"SLUICE_PICKUP_CARRIER_PASSWORD": ""}, "SLUICE_PICKUP_CARRIER_KEY_FILE (or _PASSWORD): set it"),
        ({"SLUICE_PICKUP_CARRIER_KEY_FILE": "/nowhere/key"}, "is not there"),
    ],
)
def test_credentials_that_do_not_fit_are_told_without_being_shown(sftp, told, said):
    feed = sftp.feed()
    sftp.poll(**told)
    assert said in error_of(feed)
    assert "wrong" not in error_of(feed)


def test_a_file_that_grows_while_it_is_read_is_left_there(sftp, monkeypatch):
    feed = sftp.feed()
    sftp.drop("may.csv", line())
    opened = store.open_entry

    def grow(system, entry):
        found = opened(system, entry)
        sftp.drop("may.csv", line() * 2, age=0)
        return found

    monkeypatch.setattr(store, "open_entry", grow)
    [left] = sftp.poll()
    assert (left.is_left, left.refusal) == (True, "somebody writes to it")
    assert error_of(feed) == "may.csv is left there: somebody writes to it"
    assert sftp.files() == ["may.csv"]
    assert not UsageImport.objects.exists()


def test_a_file_that_comes_too_slowly_is_left_there(sftp, monkeypatch):
    sftp.feed()
    sftp.drop("may.csv", line())
    monkeypatch.setattr("ingestion.store.places.GRACE_SECONDS", -60)
    assert "at less than 256 KiB a second" in sftp.poll()[0].refusal


def test_a_server_that_says_nothing_is_given_up_and_rests_while_others_are_looked_at(sftp):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = sftp.feed(pickup_location=f"sftp://carrier@127.0.0.1:{silent.getsockname()[1]}/out")
        sftp.feed()
        sftp.drop("may.csv", line())
        started, now = time.monotonic(), timezone.now()
        [taken] = sftp.poll(now)
        assert time.monotonic() - started < 60
    assert taken.usage_import is not None
    state = PickupState.objects.get(feed=dead)
    assert (state.failures, state.error_at) == (1, now)
    rests = []
    for _ in range(6):
        sftp.environment |= {"SLUICE_PICKUP_CARRIER_PASSWORD": ""}
        sftp.poll(state.next_look_at)
        before, state = state, PickupState.objects.get(feed=dead)
        rests.append(round((state.next_look_at - before.next_look_at) / A_MINUTE))
    assert rests == [2, 4, 8, 16, 30, 30]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_file_is_claimed_once_by_pollers_at_the_same_time(sftp):
    sftp.feed()
    sftp.drop("may.csv", b"".join(line(f"e{number}") for number in range(50_000)))
    taken = []
    assert in_threads(lambda: taken.extend(sftp.poll()), 4) == []
    assert [one.refusal for one in taken] == [""]
    assert sftp.files() == ["done/may.csv"]


def test_after_half_a_minute_the_rest_waits_for_the_next_look(sftp, monkeypatch):
    sftp.feed()
    sftp.drop("may.csv", line("a"))
    sftp.drop("june.csv", line("b"))
    monkeypatch.setattr(pickups, "MOST_SECONDS", 0)
    assert sftp.poll() == []
    monkeypatch.setattr(pickups, "MOST_SECONDS", 30)
    assert len(sftp.poll()) == 2


def test_a_location_is_tried_without_taking_anything(sftp):
    feed = sftp.feed(pickup_pattern="*.csv")
    sftp.drop("may.csv", line())
    sftp.drop("readme.txt", b"x")
    user = user_with("ingestion.change_feed")
    told = {"feed": feed, "environment": sftp.environment, "now": timezone.now()}
    look = services.look_into_location(by=user, **told)
    assert (look.file_count, look.wanted_count, look.names) == (2, 1, ["may.csv"])
    assert sftp.files() == ["may.csv", "readme.txt"]
    feed.pickup_location += "/nowhere"
    with pytest.raises(services.UnableToPickUp, match="There is no sftp://"):
        services.look_into_location(by=user, **told)
    with pytest.raises(PermissionDenied):
        services.look_into_location(by=user_with(), **told)


# An object store


@pytest.fixture(scope="module")
def address():
    with object_store() as found:
        yield found


def test_a_file_of_a_bucket_is_taken_and_moved_there(address):
    environment = S3 | {"SLUICE_PICKUP_STORE_ENDPOINT": address}
    feed = feed_of(pickup_location=f"s3://{BUCKET}/out", pickup_credentials="STORE", pickup_pattern="*.csv")
    content = b"".join(line(f"e{number}") for number in range(1_000))
    for key, body in {"out/": b"", "out/may.csv": content, "out/a.txt": b"x", "out/empty.csv": b""}.items():
        client(address).put_object(Bucket=BUCKET, Key=key, Body=body)
    later = timezone.now() + timedelta(seconds=15)
    assert services.poll_pickup_locations(now=timezone.now() - A_MINUTE, environment=environment) == []
    taken = services.poll_pickup_locations(now=later, environment=environment)
    assert error_of(feed) == ""
    assert [bool(one.refusal) for one in taken] == [True, False]
    assert keys_in(address) == ["out/", "out/a.txt", "out/done/may.csv", "out/failed/empty.csv"]
    work(later)
    assert counts(taken[1].usage_import)[:2] == ("completed", 1_000)
    look = services.look_into_location(
        feed=feed, by=user_with("ingestion.change_feed"), environment=environment, now=later
    )
    assert (look.file_count, look.wanted_count) == (1, 0)


def test_a_bucket_that_cannot_be_opened_is_told(address):
    feed = feed_of(pickup_location="s3://nowhere/out", pickup_credentials="STORE")
    services.poll_pickup_locations(now=timezone.now(), environment={})
    assert "no SLUICE_PICKUP_STORE_ACCESS_KEY_ID" in error_of(feed)
    later = timezone.now() + timedelta(hours=1)
    services.poll_pickup_locations(now=later, environment=S3 | {"SLUICE_PICKUP_STORE_ENDPOINT": address})
    assert "nowhere" in error_of(feed)


def test_an_object_store_that_says_nothing_is_given_up_within_a_minute():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = S3 | {"SLUICE_PICKUP_STORE_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        feed = feed_of(pickup_location=f"s3://{BUCKET}/out", pickup_credentials="STORE")
        started = time.monotonic()
        services.poll_pickup_locations(now=timezone.now(), environment=environment)
        assert time.monotonic() - started < 60
    assert error_of(feed)
