"""Pick-up locations: folders, here or on other machines, that sources drop files into, looked at by a schedule."""

import fnmatch
import posixpath
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from ingestion import store
from ingestion.core.locations import FaultyLocationError, is_finished, location_of
from ingestion.models import Feed, PickupState, UsageImport
from ingestion.services.planning import plan_import
from ingestion.services.receiving import UnableToReceive, receive_file
from mediation import services as mediation

log = structlog.get_logger()

# A file is taken when nobody has written to it for this long: then it is whole.
STABLE_FOR = timedelta(seconds=10)
# After so long no further file of a location is begun: the rest waits for the next look, others have their turn.
MOST_SECONDS = 30
# A location that cannot be opened rests for a minute, two, four, …
LONGEST_REST = timedelta(minutes=30)
MOST_CHARS = 2_000  # of an error
MOST_NAMES = 10


class UnableToPickUp(Exception):
    """A location that cannot be looked into; the message says why and what to do."""


@dataclass(frozen=True)
class Taken:
    """What became of one file of a pick-up location."""

    feed: Feed
    path: str
    usage_import: UsageImport | None
    refusal: str
    is_left: bool = False


@dataclass(frozen=True)
class Look:
    """What lies in a location: how many files, how many of them are to be taken, and some of their names."""

    file_count: int
    wanted_count: int
    names: Sequence[str]


def poll_pickup_locations(*, now: datetime, environment: Mapping[str, str] | None = None) -> list[Taken]:
    """Take every stable file of every enabled feed's location; returns what became of each.

    environment: where credentials stand, by name.
    """
    taken: list[Taken] = []
    for feed in _feeds_to_look_at(now):
        # Another worker, or host, may be at it for as long as its files take.
        with store.alone(f"pickup:{feed.pk}") as is_mine:
            if is_mine:
                taken += _look(feed, now, environment or {})
    return taken


def _feeds_to_look_at(now: datetime) -> QuerySet[Feed]:
    with_location = Feed.objects.filter(is_enabled=True).exclude(pickup_location="")
    return with_location.exclude(pickup_state__next_look_at__gt=now).order_by("pk")


def _look(feed: Feed, now: datetime, environment: Mapping[str, str]) -> list[Taken]:
    """One feed's trouble, such as a server that does not answer, must not keep the others from being looked at."""
    taken: list[Taken] = []
    error = ""
    try:
        _poll(feed, now, environment, taken)
    except (OSError, FaultyLocationError) as trouble:
        error = _told(trouble, feed)
        log.warning("pickup_location_unreachable", feed=feed.api_name, error=error)
    except Exception as trouble:
        error = _told(trouble, feed)
        log.exception("pickup_crashed", feed=feed.api_name)
    _note(feed, now, error, next((one for one in taken if one.is_left), None))
    return taken


def _told(error: Exception, feed: Feed) -> str:
    if isinstance(error, FileNotFoundError):
        return f"There is no {feed.pickup_location}: make it, or correct the location."
    return (str(error) or type(error).__name__)[:MOST_CHARS]


def _note(feed: Feed, now: datetime, error: str, left: Taken | None) -> None:
    """Keep what people see of it on the feed's page; a location that fails rests for longer each time."""
    state = PickupState.objects.filter(feed=feed).first() or PickupState(feed=feed)
    state.looked_at = now
    state.failures = state.failures + 1 if error else 0
    rest = min(timedelta(minutes=2 ** min(state.failures - 1, 10)), LONGEST_REST) if error else timedelta(0)
    state.next_look_at = now + rest - STABLE_FOR if error else None
    if left and not error:
        error = f"{posixpath.basename(left.path)} is left there: {left.refusal}"[:MOST_CHARS]
    if error:
        state.error, state.error_at = error, now
    state.save()


def _poll(feed: Feed, now: datetime, environment: Mapping[str, str], taken: list[Taken]) -> None:
    give_up_at = time.monotonic() + MOST_SECONDS
    location = location_of(feed.pickup_location)
    with store.opened(location, name=feed.pickup_credentials, environment=environment) as system:
        for entry in _files(system, location.path):
            if not _is_wanted(feed, entry, now):
                continue
            if time.monotonic() >= give_up_at:
                log.info("pickup_goes_on_later", feed=feed.api_name)
                return
            taken.append(_take_alone(feed, system, location.path, entry, now))


def _files(system: Any, folder: str) -> list[dict[str, Any]]:
    system.invalidate_cache()
    found = sorted(system.ls(folder, detail=True), key=lambda entry: entry["name"])
    # An object store may have an object for the folder itself.
    return [entry for entry in found if entry["type"] == "file" and entry["name"].rstrip("/") != folder]


def look_into_location(*, feed: Feed, by: User | None, environment: Mapping[str, str], now: datetime) -> Look:
    """What lies in a feed's location, without taking anything. Raises UnableToPickUp."""
    mediation.require_permission(by, "ingestion.change_feed")
    mediation.require_feeds(by, [feed.pk])
    try:
        location = location_of(feed.pickup_location)
        with store.opened(location, name=feed.pickup_credentials, environment=environment) as system:
            files = _files(system, location.path)
    except Exception as trouble:
        raise UnableToPickUp(_told(trouble, feed)) from trouble
    wanted = [posixpath.basename(entry["name"]) for entry in files if _is_wanted(feed, entry, now)]
    return Look(len(files), len(wanted), wanted[:MOST_NAMES])


def _take_alone(feed: Feed, system: Any, folder: str, entry: Mapping[str, Any], now: datetime) -> Taken:
    """Take a file; its trouble must not keep those after it in the folder from being taken, now and each time."""
    try:
        return _take(feed, system, folder, entry, now)
    except OSError as error:
        # It may not be read, or another poll that began before was faster and moved it.
        log.warning("file_left_in_pickup", feed=feed.api_name, file=entry["name"], refusal=str(error))
        return Taken(feed, entry["name"], None, _told(error, feed), is_left=True)


def _is_wanted(feed: Feed, entry: Mapping[str, Any], now: datetime) -> bool:
    name = posixpath.basename(entry["name"])
    moment = store.written_at(entry)
    is_stable = moment is None or now.timestamp() - float(moment) >= STABLE_FOR.total_seconds()
    return is_stable and is_finished(name) and fnmatch.fnmatch(name, feed.pickup_pattern)


def _take(feed: Feed, system: Any, folder: str, entry: Mapping[str, Any], now: datetime) -> Taken:
    """Record a file, then move it. A crash between the two finds it again and moves it then."""
    path = entry["name"]
    name = posixpath.basename(path)
    usage_import, refusal = None, ""
    try:
        with store.open_entry(system, entry) as opened:
            usage_import = receive_file(
                feed=feed,
                stream=store.Steady(system, entry, opened),  # type: ignore[arg-type]
                file_name=name,
                source=UsageImport.Source.PICKUP,
                by=None,
                now=now,
            )
        with transaction.atomic():
            plan_import(usage_import=usage_import, now=now)
        refusal = usage_import.error
    except UnableToReceive as error:
        refusal = str(error)
        if error.earlier is None:
            # Nothing is wrong with the file: it waits until the feed can be used.
            log.warning("file_left_in_pickup", feed=feed.api_name, file=name, refusal=refusal)
            return Taken(feed, path, None, refusal, is_left=True)
        if error.earlier.file_name == name and not _was_moved(system, folder, name):
            usage_import, refusal = error.earlier, error.earlier.error
    except FileNotFoundError:
        return Taken(feed, path, None, f"{name} vanished before it could be read.")
    _move(system, path, posixpath.join(folder, "failed" if refusal else "done", name), now)
    log.info("file_picked_up", feed=feed.api_name, file=name, refusal=refusal)
    return Taken(feed, path, usage_import, refusal)


def _was_moved(system: Any, folder: str, name: str) -> bool:
    """Whether a file of this name was moved before: if not, we died after recording this one and before moving it."""
    return any(system.exists(posixpath.join(folder, target, name)) for target in ("done", "failed"))


def _move(system: Any, path: str, target: str, now: datetime) -> None:
    system.makedirs(posixpath.dirname(target), exist_ok=True)
    if system.exists(target):
        stem, extension = posixpath.splitext(target)
        target = f"{stem}.{now:%Y%m%dT%H%M%S%f}{extension}"
    system.mv(path, target)
