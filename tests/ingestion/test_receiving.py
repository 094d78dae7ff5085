"""Taking usage in: files once, folders polled, and nothing half stored."""

import hashlib
import io
import os
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.core.exceptions import PermissionDenied

from ingestion import selectors, services, store
from ingestion.models import ImportBody, UsageImport
from ingestion.services import pickups
from mediation.models import Udr

from .factories import ANYWHERE, NOW, FeedFactory, counts, event, feed_of, filed, posted, user_with, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]

# Files


def test_a_file_is_kept_under_its_content_hash():
    usage_import = filed(feed_of(), event("a"))
    assert usage_import.content_hash == hashlib.sha256(f"{event('a')}\n".encode()).hexdigest()
    assert usage_import.payload.name == f"{usage_import.content_hash[:2]}/{usage_import.content_hash}"
    assert usage_import.payload.read() == f"{event('a')}\n".encode()
    assert usage_import.byte_size == len(event("a")) + 1


def test_the_same_file_twice_is_refused_with_a_link_to_the_first():
    feed = feed_of()
    first = filed(feed, event("a"), name="may.csv")
    with pytest.raises(services.UnableToReceive, match=r"had this very file before: may.csv on 2026-05-20") as refusal:
        filed(feed, event("a"), name="june.csv")
    assert (refusal.value.code, refusal.value.earlier) == ("same_file", first)
    assert str(first.tracking_id) in str(refusal.value)
    assert UsageImport.objects.count() == 1


def test_the_same_file_again_by_insistence_gives_duplicates():
    feed = feed_of()
    filed(feed, event("a"), event("b", value="x"))
    again = filed(feed, event("a"), event("b", value="x"), allow_repeat=True)
    work()
    assert counts(again) == ("completed", 0, 1, 0, 1)
    assert Udr.objects.count() == 1


def test_the_same_bytes_are_another_file_in_another_feed_and_after_a_failure():
    filed(feed_of(), event("a"))
    filed(feed_of(), event("a"))
    feed = feed_of()
    filed(feed, b"")
    work()
    assert counts(filed(feed, b""))[0] == "received"
    work()


def test_a_payload_that_a_crash_cut_short_is_written_anew():
    feed = feed_of()
    usage_import = filed(feed, event("a"))
    with usage_import.payload.storage.open(usage_import.payload.name, "wb") as file:
        file.write(b"2")
    again = filed(feed, event("a"), allow_repeat=True)
    assert again.payload.name == usage_import.payload.name
    work()
    assert counts(again)[0] == "completed"


@pytest.mark.parametrize(
    ("feed", "code"),
    [
        (lambda: feed_of(is_enabled=False), "feed_disabled"),
        (lambda: FeedFactory(), "profile_not_active"),
    ],
)
@pytest.mark.parametrize("door", [posted, filed])
def test_a_feed_that_cannot_take_usage_says_why_and_stores_nothing(feed, code, door):
    with pytest.raises(services.UnableToReceive) as refusal:
        door(feed(), event())
    assert refusal.value.code == code
    assert UsageImport.objects.count() == ImportBody.objects.count() == 0


def test_a_stream_that_breaks_off_stores_nothing():
    stream = io.BytesIO(b"x")
    stream.read = lambda size: (_ for _ in ()).throw(OSError("connection lost"))
    with pytest.raises(OSError, match="connection lost"):
        services.receive_file(feed=feed_of(), stream=stream, file_name="x", source="upload", by=None, now=NOW)
    assert UsageImport.objects.count() == 0


def test_taking_usage_in_asks_for_the_permission():
    feed, someone = feed_of(), user_with("ingestion.view_usageimport")
    with pytest.raises(PermissionDenied):
        posted(feed, event(), by=someone)
    with pytest.raises(PermissionDenied):
        services.receive_file(feed=feed, stream=io.BytesIO(b"x"), file_name="x", source="upload", by=someone, now=NOW)
    assert posted(feed, event(), by=user_with("ingestion.add_usageimport")).received_by is not None
    work()


def test_feeds_are_found_by_number_and_by_api_name():
    feed = feed_of(api_name="calls-at")
    assert selectors.feed_by("calls-at") == selectors.feed_by(str(feed.pk)) == feed
    for nothing in ("calls", "9" * 30, "٣", "", "0"):
        assert selectors.feed_by(nothing) is None


# Pick-up locations


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "in"


@pytest.fixture(autouse=True)
def _seen_before(monkeypatch):
    """Every file as one that an earlier look saw: see test_pickups_half_written for when it did not."""
    monkeypatch.setattr(pickups, "_seen_before", lambda feed, entries, now: entries)


def drop(folder, name, *lines, age=60, content=None):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(("\n".join(lines) + "\n").encode() if content is None else content)
    os.utime(path, (NOW.timestamp() - age,) * 2)
    return path


def poll(now=NOW):
    return services.poll_pickup_locations(now=now, grounds=ANYWHERE)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_stable_file_is_taken_recorded_and_moved(folder):
    feed = feed_of(pickup_location=str(folder), pickup_pattern="*.csv")
    drop(folder, "may.csv", event("a"))
    drop(folder, "still-written.csv", event("b"), age=3)
    drop(folder, ".hidden.csv", event("c"))
    drop(folder, "readme.txt", "no usage")
    (folder / "a-folder.csv").mkdir()
    [taken] = poll()
    assert (taken.usage_import.file_name, taken.usage_import.source) == ("may.csv", "pickup")
    assert files(folder) == [".hidden.csv", "done/may.csv", "readme.txt", "still-written.csv"]
    work()
    assert counts(taken.usage_import) == ("completed", 1, 0, 0, 0)
    [later] = poll(now=NOW + timedelta(seconds=20))
    assert later.usage_import.file_name == "still-written.csv"
    assert poll(now=NOW + timedelta(minutes=1)) == []
    assert UsageImport.objects.filter(feed=feed).count() == 2


@pytest.mark.parametrize("content", [b"", b"a\rb\r"])
def test_a_file_that_cannot_be_read_goes_to_failed(folder, content):
    feed_of(pickup_location=str(folder))
    drop(folder, "may.csv", content=content)
    [taken] = poll()
    assert taken.usage_import.status == "failed"
    assert taken.refusal == taken.usage_import.error
    assert files(folder) == ["failed/may.csv"]


def test_a_file_that_came_before_goes_to_failed_and_a_name_may_come_again(folder):
    feed_of(pickup_location=str(folder))
    for content in ("a", "b", "a"):
        drop(folder, "may.csv", event(content))
        [taken] = poll()
    assert "had this very file before" in taken.refusal
    assert files(folder) == ["done/may.20260520T120000000000.csv", "done/may.csv", "failed/may.csv"]
    assert UsageImport.objects.count() == 2


def test_a_crash_between_recording_and_moving_takes_no_file_twice(folder):
    feed_of(pickup_location=str(folder))
    drop(folder, "may.csv", event("a"))
    with patch.object(pickups, "_move", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        poll()
    assert files(folder) == ["may.csv"]
    assert poll(now=NOW + timedelta(days=1)) == []
    [taken] = poll(now=NOW + timedelta(days=2))
    assert (taken.refusal, taken.usage_import) == ("", UsageImport.objects.get())
    assert files(folder) == ["done/may.csv"]
    work()


def _take_or_crash(crash, *, file_name, **given):
    if file_name == "april.csv":
        raise crash
    return services.receive_file(file_name=file_name, **given)


def test_a_file_that_cannot_be_opened_keeps_no_other_from_being_taken(folder):
    feed_of(pickup_location=str(folder))
    drop(folder, "april.csv", event("a"))
    drop(folder, "may.csv", event("b"))
    crash = PermissionError("april.csv: permission denied")
    with patch.object(pickups, "receive_file", side_effect=lambda **given: _take_or_crash(crash, **given)):
        refused, taken = poll()
    assert (refused.usage_import, "permission denied" in refused.refusal) == (None, True)
    assert taken.usage_import is not None
    assert files(folder) == ["april.csv", "done/may.csv"]
    assert poll()[0].usage_import is not None


def test_a_file_waits_where_the_feed_cannot_take_it_yet(folder):
    feed = feed_of(pickup_location=str(folder))
    drop(folder, "may.csv", event("a"))
    feed.profile.versions.update(status="draft")
    [left] = poll()
    assert "no active version" in left.refusal
    assert files(folder) == ["may.csv"]
    feed.profile.versions.update(status="active")
    poll()
    assert files(folder) == ["done/may.csv"]


def test_a_file_that_vanishes_is_told(folder):
    feed_of(pickup_location=str(folder))
    drop(folder, "may.csv", event("a"))
    with patch.object(pickups, "receive_file", side_effect=FileNotFoundError):
        [gone] = poll()
    assert "vanished" in gone.refusal


def test_a_folder_that_cannot_be_reached_keeps_no_other_feed_waiting(folder):
    feed_of(pickup_location=str(folder / "nowhere"))
    feed_of(pickup_location="nonsense://x")
    feed_of(pickup_location=str(folder))
    feed_of(pickup_location=str(folder / "off"), is_enabled=False)
    drop(folder, "may.csv", event("a"))
    assert [one.usage_import.file_name for one in poll()] == ["may.csv"]


def test_the_length_of_a_file_in_memory_is_known_like_any_other():
    assert store.hash_of(io.BytesIO(b"ab")) == (hashlib.sha256(b"ab").hexdigest(), 2)
