"""Slow servers and killed workers: one worker at a time waits for servers, each transfer ends, and trouble rests."""

import os
import threading
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import fsspec
import pytest
from django.db import connections

from ingestion import services, store
from ingestion.core.locations import location_of
from ingestion.models import PickupState
from ingestion.services import pickups
from tests.config.crowd import person

from .factories import ANYWHERE, NOW, FeedFactory, event, feed_of
from .test_pickup_page import CHANGES, page_of

pytestmark = pytest.mark.django_db
A_MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _seen_before(monkeypatch):
    """Every file as one that an earlier look saw: see test_pickups_half_written for when it did not."""
    monkeypatch.setattr(pickups, "_seen_before", lambda feed, entries, now: entries)


@pytest.fixture
def near(monkeypatch):
    """Servers whose files lie here."""

    @contextmanager
    def opened(location, **_):
        yield fsspec.filesystem("file", skip_instance_cache=True)

    monkeypatch.setattr(store, "opened", opened)


def server_of(folder, feed=None):
    folder.mkdir()
    location = f"sftp://carrier@host.example{folder}"
    return FeedFactory(profile=feed.profile, pickup_location=location) if feed else feed_of(pickup_location=location)


def drop(feed, *names):
    for name in names:
        path = f"{location_of(feed.pickup_location).path}/{name}"
        with open(path, "w") as file:
            file.write(f"{event(f'{feed.pk} {name}')}\n")
        os.utime(path, (NOW.timestamp() - 60,) * 2)


def poll(now=NOW):
    return services.poll_pickup_locations(now=now, grounds=ANYWHERE)


def names_of(taken):
    return [os.path.basename(one.path) for one in taken]


def polled_while(monkeypatch, *, is_inside):
    """What a second poll takes while a first one reads a file of a feed that `is_inside` names."""
    reads, may_end = threading.Event(), threading.Event()
    read = store.Steady.read

    def slow(self, count):
        if is_inside(self._entry["name"]) and threading.current_thread().name == "first":
            reads.set()
            may_end.wait(30)
        return read(self, count)

    def first():
        try:
            poll()
        finally:
            connections.close_all()

    monkeypatch.setattr(store.Steady, "read", slow)
    thread = threading.Thread(target=first, name="first")
    thread.start()
    try:
        assert reads.wait(30)
        return poll()
    finally:
        may_end.set()
        thread.join()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_one_worker_waits_for_servers_while_another_looks_into_folders(near, tmp_path, monkeypatch):
    slow = server_of(tmp_path / "slow")
    other = server_of(tmp_path / "other", slow)
    (tmp_path / "here").mkdir()
    here = FeedFactory(profile=slow.profile, pickup_location=f"{tmp_path}/here")
    for feed in (slow, other, here):
        drop(feed, "may.csv")
    taken = polled_while(monkeypatch, is_inside=lambda name: "/slow/" in name)
    assert [one.feed for one in taken] == [here]
    assert (tmp_path / "other" / "done" / "may.csv").exists()


def test_a_transfer_has_an_end_in_all_and_rests_for_longer_each_time(near, tmp_path, monkeypatch):
    feed, now, rests = server_of(tmp_path / "out"), NOW, []
    drop(feed, "may.csv")
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.store.places.LONGEST_SECONDS", -1)
        for _ in range(7):
            [late] = poll(now)
            state = PickupState.objects.get()
            rests.append(round((state.next_look_at - now) / A_MINUTE))
            assert poll(state.next_look_at - A_MINUTE / 2) == []
            now = state.next_look_at
    assert (late.is_left, late.usage_import) == (True, None)
    size = (tmp_path / "out" / "may.csv").stat().st_size
    assert state.error.startswith(f"may.csv is left there: {size} of its {size} bytes came in -1 seconds")
    assert rests == [1, 2, 4, 8, 16, 30, 30]
    assert names_of(poll(now)) == ["may.csv"]
    assert PickupState.objects.get().failures == 0


def test_a_rest_begins_when_the_transfer_was_given_up(near, tmp_path, monkeypatch):
    feed, passed = server_of(tmp_path / "out"), [0.0]
    drop(feed, "may.csv")

    def give_up(self, count):
        passed[0] += 900
        raise TimeoutError("too slow")

    monkeypatch.setattr(store.Steady, "read", give_up)
    monkeypatch.setattr(pickups, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    poll()
    assert PickupState.objects.get().next_look_at == NOW + timedelta(minutes=16) - pickups.STABLE_FOR


def test_every_file_of_a_folder_has_its_turn_before_those_that_do_not_come(near, tmp_path, monkeypatch):
    feed, now, seen = server_of(tmp_path / "out"), NOW, []
    drop(feed, "a.csv", "b.csv", "c.csv", "d.csv")
    read = store.Steady.read

    def stuck(self, count):
        seen.append(os.path.basename(self._entry["name"])) if not self._came else None
        if seen[-1] in ("a.csv", "c.csv"):
            raise TimeoutError("it does not come")
        return read(self, count)

    monkeypatch.setattr(store.Steady, "read", stuck)
    for _ in range(4):
        poll(now)
        now = PickupState.objects.get().next_look_at
    assert seen == ["a.csv", "b.csv", "c.csv", "d.csv", "a.csv", "c.csv"]


def test_a_worker_that_is_killed_leaves_a_trace_and_the_location_rests_for_longer_each_time(
    near, tmp_path, monkeypatch
):
    feed, now, rests = server_of(tmp_path / "out"), NOW, []
    drop(feed, "april.csv", "may.csv")
    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr(store.Steady, "read", lambda self, count: (_ for _ in ()).throw(SystemExit))
            with pytest.raises(SystemExit):
                poll(now)
        begun = PickupState.objects.get().begun_file
        assert f"It began with {begun} " in page_of(feed, person(*CHANGES))
        assert poll(now) == []
        state = PickupState.objects.get()
        assert state.error == f"The worker that took {begun} was ended before it was through: it is tried again."
        rests.append((begun, round((state.next_look_at - now) / A_MINUTE)))
        now = state.next_look_at
    assert rests == [("april.csv", 1), ("may.csv", 2), ("april.csv", 4)]
    assert "It fails, " in page_of(feed, person(*CHANGES))
    assert names_of(poll(now)) == ["may.csv", "april.csv"]
    state = PickupState.objects.get()
    assert (state.failures, state.begun_file, state.next_look_at) == (0, "", None)


def test_a_poll_has_an_end_and_the_next_begins_with_whom_nobody_looked_at(near, tmp_path, monkeypatch):
    first = server_of(tmp_path / "1")
    second = server_of(tmp_path / "2", first)
    drop(first, "may.csv")
    drop(second, "may.csv")
    passed = [0.0]
    monkeypatch.setattr(pickups, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    read = store.Steady.read

    def slow(self, count):
        passed[0] += pickups.MOST_SECONDS_OF_ALL
        return read(self, count)

    monkeypatch.setattr(store.Steady, "read", slow)
    assert [one.feed for one in poll()] == [first]
    drop(first, "june.csv")
    assert [one.feed for one in poll(NOW + A_MINUTE)] == [second]
    assert [one.feed for one in poll(NOW + 2 * A_MINUTE)] == [first]
