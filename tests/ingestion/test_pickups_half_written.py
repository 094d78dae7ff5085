"""A file is taken when two looks by our own clock saw it the same: another machine's clock says nothing of now."""

import os
from datetime import timedelta

import pytest

from ingestion import services
from ingestion.models import PickupState
from ingestion.services import pickups

from .factories import ANYWHERE, NOW, event, feed_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    feed_of(pickup_location=str(tmp_path))
    return tmp_path


def write(path, text, mode="a"):
    """By a machine whose clock is an hour behind."""
    with open(path, mode) as file:
        file.write(text)
    os.utime(path, (NOW.timestamp() - 3600,) * 2)


def names(seconds):
    taken = services.poll_pickup_locations(now=NOW + timedelta(seconds=seconds), grounds=ANYWHERE)
    return [os.path.basename(one.path) for one in taken]


def test_a_file_that_is_still_written_is_not_taken_though_its_machine_calls_it_old(folder):
    write(folder / "a.csv", f"{event('e1')}\n")
    assert names(0) == []
    write(folder / "a.csv", f"{event('e2')}\n")
    assert names(60) == []
    assert names(65) == []
    assert names(120) == ["a.csv"]
    assert (folder / "done" / "a.csv").read_text().count("\n") == 2
    names(180)
    assert PickupState.objects.get().seen == {}


def test_a_file_that_was_replaced_by_another_of_its_name_is_looked_at_anew(folder):
    write(folder / "a.csv", f"{event('e1')}\n")
    names(0)
    (folder / "a.csv").unlink()
    assert names(60) == []
    write(folder / "a.csv", f"{event('e1')}\n")
    assert names(120) == []
    assert names(180) == ["a.csv"]


def test_what_is_remembered_is_bounded_and_still_every_file_has_its_turn(folder, monkeypatch):
    monkeypatch.setattr(pickups, "MOST_SEEN", 2)
    for name in ("c", "d", "e"):
        write(folder / f"{name}.csv", f"{event(name)}\n")
    assert names(0) == []
    assert len(PickupState.objects.get().seen) == 2
    write(folder / "a.csv", f"{event('a')}\n")
    assert names(60) == ["c.csv", "d.csv"]
    assert sorted(names(120) + names(180)) == ["a.csv", "e.csv"]


def test_a_name_of_bytes_that_are_no_text_keeps_no_other_file_waiting(folder):
    feed = pickups.Feed.objects.get()
    entries = [{"name": "/in/\udcff.csv", "size": 1, "mtime": 1.0}, {"name": "/in/b.csv", "size": 1, "mtime": 1.0}]
    assert pickups._seen_before(feed, entries, NOW) == []
    assert pickups._seen_before(feed, entries, NOW + timedelta(minutes=1)) == sorted(
        entries, key=lambda one: one["name"]
    )
