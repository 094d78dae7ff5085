"""Windows that backfills replace: what comes into one is held apart, then swapped in one step, or taken back again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Value, When

from mediation import store
from mediation.core.voiding import Window
from mediation.models import BackfillWindow, UdrBatch
from mediation.services.batches import WAS_RATED
from mediation.services.bells import ring
from mediation.store import backfills

Status = BackfillWindow.Status
NEVER = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Hold:
    """How records that came by a backfill are mediated: into its window, under the keys of `key_space`.

    is_held: their batches do not count yet. is_gone: the backfill was given up or taken back, and they with it.
    """

    window: Window
    key_space: int
    is_held: bool
    is_gone: bool


@dataclass(frozen=True)
class SwapOrder:
    """A backfill that is closed or reverted, who opened it when, and why. arrivals: when its imports were received.

    request_id: its tracking id. received_until: the latest moment of arrival of what may lie in its window.
    """

    backfill_id: int
    request_id: UUID
    opened_at: datetime
    reason: str
    by_id: int | None
    arrivals: Mapping[int, datetime]
    received_until: datetime


@dataclass(frozen=True)
class Swapped:
    """How many UDRs count now, how many count no more, and how many of the backfill do not since others hold keys."""

    let_in: int
    replaced: int
    left_out: int


class BusyError(Exception):
    """An import of the feed is being mediated again: what of it lies in the window is not known before it ends."""


def open_window(*, backfill_id: int, feed_id: int, starts_at: datetime, ends_at: datetime) -> None:
    """Let what comes by this backfill be held apart, in the caller's transaction."""
    BackfillWindow.objects.create(id=backfill_id, feed_id=feed_id, starts_at=starts_at, ends_at=ends_at)


def hold_of(backfill_id: int | None, feed_id: int) -> Hold | None:
    """How records of a backfill are mediated now; None for usage that came by none. `store.lock_voids` is held."""
    if backfill_id is None:
        return None
    row = BackfillWindow.objects.get(pk=backfill_id)
    is_held = row.status == Status.HELD
    # A window that is gone replaces all that came by it.
    return Hold(
        window=_window(row),
        key_space=-backfill_id if is_held else feed_id,
        is_held=is_held,
        is_gone=row.status == Status.GONE,
    )


def replaced_windows(feed_id: int, *, since: datetime, besides: Hold | None) -> list[Window]:
    """The windows of a feed that backfills have replaced after a moment; one that is gone replaces its own records."""
    rows = BackfillWindow.objects.filter(feed_id=feed_id, status=Status.COUNTING, counts_since__gte=since)
    rows = rows.exclude(pk=besides.window.backfill_id) if besides else rows
    found = [_window(row) for row in rows.order_by("pk")]
    if besides is not None and besides.is_gone:
        own = besides.window
        found.append(Window(own.backfill_id, own.starts_at, own.ends_at, NEVER))
    return found


def _window(row: BackfillWindow) -> Window:
    return Window(row.pk, row.starts_at, row.ends_at, row.counts_since)


def lock_window(backfill_id: int) -> None:
    """Have nobody mediate usage of its feed until the end of the transaction. Raises BusyError."""
    feed_id = BackfillWindow.objects.get(pk=backfill_id).feed_id
    store.lock_voids(feed_id, is_alone=True)
    if UdrBatch.objects.filter(feed_id=feed_id, status=UdrBatch.Status.STAGED).exists():
        raise BusyError("an import of the feed is being mediated again")


@transaction.atomic
def close_window(*, order: SwapOrder, now: datetime) -> Swapped:
    """Let what came by a backfill count in place of everything else in its window, in one step.

    The replaced UDRs stay as they are and count no more, like voided ones; rating takes their charges back. Raises
    BusyError.
    """
    row = _lock(order, Status.HELD)
    told = _told(row, order, now)
    let_in, replaced, left_out = backfills.swap_in(told)
    row.status, row.counts_since = Status.COUNTING, max(now, order.received_until)
    row.save(update_fields=["status", "counts_since"])
    ring("rate", now)
    return Swapped(let_in, replaced, left_out)


@transaction.atomic
def reopen_window(*, order: SwapOrder, now: datetime) -> Swapped:
    """Take back what came by a closed backfill, and let count again what it replaced. Raises BusyError.

    What came since with the same key keeps its place; what was voided since stays voided.
    """
    row = _lock(order, Status.COUNTING)
    told = _told(row, order, now)
    own_ids = backfills.lock_what_was_swapped(told)
    own = UdrBatch.objects.filter(pk__in=own_ids)
    gone = (UdrBatch.Status.SUPERSEDED, UdrBatch.Status.REVERSED)
    own.exclude(status__in=gone).update(
        status=Case(When(WAS_RATED, then=Value(UdrBatch.Status.SUPERSEDED)), default=Value(UdrBatch.Status.REVERSED)),
        attempts=0,
        claimed_until=None,
    )
    store.delete_keys_of(own_ids)
    restored = backfills.bring_back(told)
    row.status = Status.GONE
    row.save(update_fields=["status"])
    ring("rate", now)
    return Swapped(restored, 0, 0)


@transaction.atomic
def drop_window(*, order: SwapOrder) -> None:
    """Give up what came by a backfill that was never closed: it never counts."""
    row = _lock(order, Status.HELD)
    batches = UdrBatch.objects.filter(backfill_id=row.pk)
    list(batches.select_for_update().order_by("pk").values_list("pk", flat=True))
    batches.filter(status=UdrBatch.Status.HELD).update(status=UdrBatch.Status.REVERSED)
    backfills.drop_held_keys(row.pk)
    row.status = Status.GONE
    row.save(update_fields=["status"])


def _lock(order: SwapOrder, status: str) -> BackfillWindow:
    lock_window(order.backfill_id)
    return BackfillWindow.objects.select_for_update().get(pk=order.backfill_id, status=status)


def _told(row: BackfillWindow, order: SwapOrder, now: datetime) -> dict[str, object]:
    return backfills.arguments_of(
        _window(row),
        feed_id=row.feed_id,
        now=now,
        request_id=order.request_id,
        opened_at=order.opened_at,
        by_id=order.by_id,
        reason=order.reason,
        arrivals=order.arrivals,
    )


@dataclass(frozen=True)
class ClassDifference:
    """What a backfill changes in a usage class: records and quantities of its own, and of what it replaces."""

    usage_class: str
    count: int
    value: Decimal
    replaced_count: int
    replaced_value: Decimal


def difference_of(*, backfill_id: int) -> list[ClassDifference]:
    """What a backfill would change, or changed, class by class; of nothing but UDRs that count or would."""
    row = BackfillWindow.objects.get(pk=backfill_id)
    told = {"backfill": row.pk, "feed": row.feed_id, "starts_at": row.starts_at, "ends_at": row.ends_at}
    return [ClassDifference(name, *rest) for name, *rest in backfills.difference_of(told)]
