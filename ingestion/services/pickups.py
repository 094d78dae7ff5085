"""Pick-up locations: a folder that sources drop files into, looked at by a schedule."""

import fnmatch
import posixpath
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import fsspec
import structlog
from django.db import transaction

from ingestion.models import Feed, UsageImport
from ingestion.services.planning import plan_import
from ingestion.services.receiving import UnableToReceive, receive_file

log = structlog.get_logger()

# A file is taken when nobody has written to it for this long: then it is whole.
STABLE_FOR = timedelta(seconds=10)


@dataclass(frozen=True)
class Taken:
    """What became of one file of a pick-up location."""

    feed: Feed
    path: str
    usage_import: UsageImport | None
    refusal: str


def poll_pickup_locations(*, now: datetime) -> list[Taken]:
    """Take every stable file of every enabled feed's location; returns what became of each."""
    taken: list[Taken] = []
    for feed in Feed.objects.filter(is_enabled=True).exclude(pickup_location=""):
        try:
            taken += _poll(feed, now)
        except OSError as error:
            log.warning("pickup_location_unreachable", feed=feed.api_name, error=str(error))
        except Exception:
            # One feed's trouble, such as an address that means nothing, must not keep the others from being looked at.
            log.exception("pickup_crashed", feed=feed.api_name)
    return taken


def _poll(feed: Feed, now: datetime) -> list[Taken]:
    system, folder = fsspec.core.url_to_fs(feed.pickup_location)
    system.invalidate_cache()
    found = sorted(system.ls(folder, detail=True), key=lambda entry: entry["name"])
    files = [entry for entry in found if entry["type"] == "file" and _is_wanted(feed, entry, now)]
    return [_take_alone(feed, system, folder, entry["name"], now) for entry in files]


def _take_alone(feed: Feed, system: Any, folder: str, path: str, now: datetime) -> Taken:
    """Take a file; its trouble must not keep those after it in the folder from being taken, now and each time."""
    try:
        return _take(feed, system, folder, path, now)
    except OSError as error:
        # It may not be read, or another poll that began before was faster and moved it.
        log.warning("file_left_in_pickup", feed=feed.api_name, file=path, refusal=str(error))
        return Taken(feed, path, None, str(error))


def _is_wanted(feed: Feed, entry: dict[str, Any], now: datetime) -> bool:
    name = posixpath.basename(entry["name"])
    written = entry.get("mtime") or entry.get("LastModified")
    moment = written.timestamp() if isinstance(written, datetime) else written
    is_stable = moment is None or now.timestamp() - float(moment) >= STABLE_FOR.total_seconds()
    return is_stable and not name.startswith(".") and fnmatch.fnmatch(name, feed.pickup_pattern)


def _take(feed: Feed, system: Any, folder: str, path: str, now: datetime) -> Taken:
    """Record a file, then move it. A crash between the two finds it again and moves it then."""
    name = posixpath.basename(path)
    usage_import, refusal = None, ""
    try:
        with system.open(path, "rb") as stream:
            usage_import = receive_file(
                feed=feed, stream=stream, file_name=name, source=UsageImport.Source.PICKUP, by=None, now=now
            )
        with transaction.atomic():
            plan_import(usage_import=usage_import, now=now)
        refusal = usage_import.error
    except UnableToReceive as error:
        refusal = str(error)
        if error.earlier is None:
            # Nothing is wrong with the file: it waits until the feed can be used.
            log.warning("file_left_in_pickup", feed=feed.api_name, file=name, refusal=refusal)
            return Taken(feed, path, None, refusal)
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
