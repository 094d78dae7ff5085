"""Pick-up locations: folders, here or on other machines, that sources drop files into, looked at by a schedule."""

import fnmatch
import posixpath
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet

from ingestion import store
from ingestion.core.locations import FaultyLocationError, Grounds, Kind, is_finished, location_of
from ingestion.models import Feed, PickupState, UsageImport
from ingestion.services.planning import plan_import
from ingestion.services.receiving import UnableToReceive, receive_file
from mediation import services as mediation

log = structlog.get_logger()

# A file is taken when nobody has written to it for this long: then it is whole. Its own machine's clock may be wrong,
# so two looks by ours must have seen it the same; an object store shows whole objects alone.
STABLE_FOR = timedelta(seconds=10)
MOST_SEEN = 1_000  # files of a location that a look remembers
# After so long no further file of a location is begun: the rest waits for the next look, others have their turn.
MOST_SECONDS = 30
# After so long no further location is looked into. What is at hand then still has the end of a transfer, and what is
# left of the task's time in config/schedules.py to be kept and planned in.
MOST_SECONDS_OF_ALL = 120
# A file that held a worker for so long and did not come, for whatever reason, is not tried again at once.
COSTLY_SECONDS = 30
# A location that cannot be opened, or a file of which does not come, rests for a minute, two, four, …
LONGEST_REST = timedelta(minutes=30)
MOST_CHARS = 2_000  # of an error
MOST_NAMES = 10
NO_FOLDERS = Grounds()


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
    is_costly: bool = False  # and it held its worker for long


@dataclass(frozen=True)
class _Round:
    """A poll under way: when it began, where credentials stand, and where folders may lie."""

    now: datetime
    environment: Mapping[str, str]
    grounds: Grounds
    started: float = field(default_factory=lambda: time.monotonic())

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def later(self) -> datetime:
        """The moment that it is by now."""
        return self.now + timedelta(seconds=self.seconds())


@dataclass(frozen=True)
class Look:
    """What lies in a location: how many files, how many of them are to be taken, and some of their names."""

    file_count: int
    wanted_count: int
    names: Sequence[str]


def poll_pickup_locations(
    *, now: datetime, environment: Mapping[str, str] | None = None, grounds: Grounds = NO_FOLDERS
) -> list[Taken]:
    """Take every stable file of every enabled feed's location; returns what became of each.

    environment: where credentials stand, by name. grounds: where folders of this machine may lie.
    """
    taken: list[Taken] = []
    turn = _Round(now, environment or {}, grounds)
    # A server may be slow for minutes: one worker of all waits for servers, the others are there for everything else.
    with mediation.sole("pickups elsewhere") as may_go_out:
        for feed in _feeds_to_look_at(now):
            if turn.seconds() >= MOST_SECONDS_OF_ALL:
                log.info("pickups_go_on_later")
                break
            if may_go_out or not _is_elsewhere(feed):
                taken += _look_alone(feed, turn)
    return taken


def _feeds_to_look_at(now: datetime) -> QuerySet[Feed]:
    """Those first that nobody looked at for longest: a poll may end before it is through."""
    with_location = Feed.objects.filter(is_enabled=True).exclude(pickup_location="")
    ready = with_location.exclude(pickup_state__next_look_at__gt=now)
    return ready.order_by(F("pickup_state__looked_at").asc(nulls_first=True), "pk")


def _is_elsewhere(feed: Feed) -> bool:
    try:
        return location_of(feed.pickup_location).kind != Kind.FOLDER
    except FaultyLocationError:
        return False


def _look_alone(feed: Feed, turn: _Round) -> list[Taken]:
    # Another worker, or host, may be at it for as long as its files take.
    with mediation.sole(f"pickup:{feed.pk}") as is_mine:
        return _look(feed, turn) if is_mine and not _was_cut_short(feed, turn) else []


def _was_cut_short(feed: Feed, turn: _Round) -> bool:
    """Whether who looked last was killed over a file: told now, as he could not; and it rests as after any trouble."""
    begun = PickupState.objects.filter(feed=feed).exclude(begun_file="").values_list("begun_file", flat=True).first()
    if begun is None:
        return False
    error = f"The worker that took {begun} was ended before it was through: it is tried again."
    log.warning("pickup_cut_short", feed=feed.api_name, file=begun)
    _note(feed, turn, error[:MOST_CHARS])
    return True


def _look(feed: Feed, turn: _Round) -> list[Taken]:
    """One feed's trouble, such as a server that does not answer, must not keep the others from being looked at."""
    taken: list[Taken] = []
    error = ""
    try:
        _poll(feed, turn, taken)
    except (OSError, FaultyLocationError) as trouble:
        error = _told(trouble, feed)
        log.warning("pickup_location_unreachable", feed=feed.api_name, error=error)
    except Exception as trouble:
        error = _told(trouble, feed)
        log.exception("pickup_crashed", feed=feed.api_name)
    left = [one for one in taken if one.is_left]
    if left and left[-1].is_costly:
        error = error or _told_left(left[-1])
    _note(feed, turn, error, remark=_told_left(left[0]) if left else "")
    return taken


def _told(error: Exception, feed: Feed) -> str:
    if isinstance(error, FileNotFoundError):
        return f"There is no {feed.pickup_location}: make it, or correct the location."
    return (str(error) or type(error).__name__)[:MOST_CHARS]


def _told_left(left: Taken) -> str:
    return f"{posixpath.basename(left.path)} is left there: {left.refusal}"[:MOST_CHARS]


def _note(feed: Feed, turn: _Round, error: str, *, remark: str = "") -> None:
    """Keep what people see of it on the feed's page; a location that fails rests for longer each time.

    remark: told, but no reason to rest.
    """
    state = PickupState.objects.filter(feed=feed).first() or PickupState(feed=feed)
    state.looked_at = turn.now
    state.failures = state.failures + 1 if error else 0
    rest = min(timedelta(minutes=2 ** min(state.failures - 1, 10)), LONGEST_REST) if error else timedelta(0)
    state.next_look_at = turn.later() + rest - STABLE_FOR if error else None
    state.held_up_by = state.begun_file if error else ""
    state.begun_file, state.begun_at = "", None
    if error or remark:
        state.error, state.error_at = error or remark, turn.now
    state.save()


def _note_begun(feed: Feed, name: str, turn: _Round) -> None:
    """Whoever looks next and finds this knows that the worker was killed over the file."""
    begun = {"begun_file": name, "begun_at": turn.later()}
    PickupState.objects.update_or_create(feed=feed, defaults=begun, create_defaults=begun | {"looked_at": turn.now})


def _poll(feed: Feed, turn: _Round, taken: list[Taken]) -> None:
    give_up_at = time.monotonic() + MOST_SECONDS
    location = location_of(feed.pickup_location)
    with store.opened(
        location, name=feed.pickup_credentials, environment=turn.environment, grounds=turn.grounds
    ) as system:
        wanted = [one for one in _files(system, location.path) if _is_wanted(feed, one, turn.now)]
        if location.kind != Kind.S3:
            wanted = _seen_before(feed, wanted, turn.now)
        for entry in _in_turn(feed, wanted):
            if time.monotonic() >= give_up_at:
                log.info("pickup_goes_on_later", feed=feed.api_name)
                return
            _note_begun(feed, posixpath.basename(entry["name"]), turn)
            taken.append(_take_alone(feed, system, location.path, entry, turn.now))
            if taken[-1].is_costly:
                return


def _seen_before(feed: Feed, entries: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Those that a look of a while ago saw as they are now; the others are remembered for the next look."""
    known: dict[str, Any] = PickupState.objects.filter(feed=feed).values_list("seen", flat=True).first() or {}
    seen, found = {}, []
    # Those come first that are remembered: else new names would push out others before their second look.
    for entry in sorted(entries, key=lambda one: _key(one) not in known):
        key, like = _key(entry), [entry["size"], store.written_at(entry)]
        *before, since = known.get(key, [None])
        seen[key] = [*like, since if before == like else now.timestamp()]
        if before == like and now.timestamp() - since >= STABLE_FOR.total_seconds():
            found.append(entry)
    seen = dict(list(seen.items())[:MOST_SEEN])
    if seen != known:
        PickupState.objects.update_or_create(
            feed=feed, defaults={"seen": seen}, create_defaults={"seen": seen, "looked_at": now}
        )
    return sorted(found, key=lambda one: one["name"])


def _key(entry: Mapping[str, Any]) -> str:
    """A name that JSON can hold, whatever bytes it is of."""
    return ascii(posixpath.basename(entry["name"]))


def _in_turn(feed: Feed, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those first that come after the file that held up the last look: else nobody would ever get past it."""
    held_up_by = PickupState.objects.filter(feed=feed).values_list("held_up_by", flat=True).first() or ""
    return sorted(entries, key=lambda entry: posixpath.basename(entry["name"]) <= held_up_by)


def _files(system: Any, folder: str) -> list[dict[str, Any]]:
    system.invalidate_cache()
    found = sorted(system.ls(folder, detail=True), key=lambda entry: entry["name"])
    # An object store may have an object for the folder itself.
    return [entry for entry in found if entry["type"] == "file" and entry["name"].rstrip("/") != folder]


def require_allowed_location(*, location: str, grounds: Grounds) -> None:
    """Raise UnableToPickUp where a location cannot be one, or is a folder of this machine that may not be one."""
    try:
        place = location_of(location)
        if place.kind == Kind.FOLDER:
            store.require_within(place.path, grounds)
    except (store.OutOfBounds, FaultyLocationError) as fault:
        raise UnableToPickUp(str(fault)) from None


def look_into_location(
    *, feed: Feed, by: User | None, environment: Mapping[str, str], grounds: Grounds = NO_FOLDERS, now: datetime
) -> Look:
    """What lies in a feed's location, without taking anything. Raises UnableToPickUp."""
    mediation.require_permission(by, "ingestion.change_feed")
    mediation.require_feeds(by, [feed.pk])
    try:
        location = location_of(feed.pickup_location)
        with store.opened(location, name=feed.pickup_credentials, environment=environment, grounds=grounds) as system:
            files = _files(system, location.path)
    except Exception as trouble:
        raise UnableToPickUp(_told(trouble, feed)) from trouble
    wanted = [posixpath.basename(entry["name"]) for entry in files if _is_wanted(feed, entry, now)]
    return Look(len(files), len(wanted), wanted[:MOST_NAMES])


def _take_alone(feed: Feed, system: Any, folder: str, entry: Mapping[str, Any], now: datetime) -> Taken:
    """Take a file; its trouble must not keep those after it in the folder from being taken, now and each time."""
    started = time.monotonic()
    try:
        return _take(feed, system, folder, entry, now)
    except OSError as error:
        # It may not be read, or another poll that began before was faster and moved it.
        log.warning("file_left_in_pickup", feed=feed.api_name, file=entry["name"], refusal=str(error))
        is_costly = isinstance(error, TimeoutError) or time.monotonic() - started >= COSTLY_SECONDS
        return Taken(feed, entry["name"], None, _told(error, feed), is_left=True, is_costly=is_costly)


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
