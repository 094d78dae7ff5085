"""Usage taken back by its key: the UDR stays as it is and counts no more, its key is free for what comes later."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from mediation import selectors, store
from mediation.models import UDR_ID_BITS, UdrBatch, VoidedUdr
from mediation.services.bells import ring
from mediation.store import KeysMovedError


@dataclass(frozen=True)
class VoidOrder:
    """Who takes usage of a feed back, and why.

    request_id: the tracking id under which it was asked for; requested_at: when. by_id: of the user; None: the house.
    """

    feed_id: int
    request_id: UUID
    requested_at: datetime
    reason: str
    by_id: int | None


@dataclass(frozen=True)
class KeyOutcome:
    """What became of a key that was to be voided: voided, already_voided, not_found, or busy for now.

    udr_id: the UDR that is or was voided. Busy: an import that holds the key is being mediated again.
    """

    outcome: str
    udr_id: int | None


def lock_usage(feed_id: int, *, is_alone: bool) -> None:
    """Wait until no usage of a feed is taken back or swapped, until the end of the transaction.

    For who locks imports before he mediates of them: whoever swaps a backfill asks for them last. is_alone: he takes
    usage back himself, and waits for who mediates, too.
    """
    store.lock_voids(feed_id, is_alone=is_alone)


def lock_usage_soon(feed_id: int) -> None:
    """Be alone with the usage of a feed, until the end of the transaction; raises UsageHeldError within a second.

    For who takes usage back and can come again: a chunk, or an import that is swapped, may take half a minute.
    """
    store.lock_voids_soon(feed_id)


@transaction.atomic
def void_keys(*, keys: Sequence[str], order: VoidOrder, now: datetime) -> dict[str, KeyOutcome]:
    """Take the usage behind keys of a feed back, in the caller's transaction if there is one; each key's outcome.

    Nobody mediates usage of the feed meanwhile: raises UsageHeldError where somebody does and is not through within a
    second. A worker that is rating one of the batches right now is waited for.
    """
    lock_usage_soon(order.feed_id)
    held = {key: one.udr_id for key, one in store.held_keys(order.feed_id, keys).items()}
    counting = void_udrs(held=held, order=order, now=now)
    before = store.voided_keys(order.feed_id, [key for key in keys if key not in held])
    outcomes = {}
    for key in keys:
        if key in held:
            outcomes[key] = KeyOutcome("voided" if held[key] in counting else "busy", held[key])
        else:
            outcomes[key] = KeyOutcome("already_voided" if key in before else "not_found", before.get(key))
    return outcomes


def void_udrs(
    *, held: Mapping[str, int], order: VoidOrder, now: datetime, replaced_by: Mapping[str, int] | None = None
) -> frozenset[int]:
    """Void the UDRs that hold these keys, where their batch counts; returns which. `store.lock_voids` is held alone.

    replaced_by: the UDR that takes the place of each key's. Batches are locked before their keys, as a swap does.
    """
    batches = list(
        UdrBatch.objects.select_for_update()
        .filter(pk__in={udr_id >> UDR_ID_BITS for udr_id in held.values()}, status__in=selectors.COUNTING)
        .order_by("pk")
    )
    by_id = {batch.pk: batch for batch in batches}
    counting = {key: udr_id for key, udr_id in held.items() if udr_id >> UDR_ID_BITS in by_id}
    if not counting:
        return frozenset()
    places = store.places_of(list(counting.values()))
    rows = []
    for key, udr_id in counting.items():
        date, import_id, number = places[udr_id]
        rows.append(
            VoidedUdr(
                pk=udr_id,
                udr_date=date,
                feed_id=order.feed_id,
                key=key,
                import_id=import_id,
                record_number=number,
                requested_at=order.requested_at,
                request_id=order.request_id,
                voided_at=now,
                voided_by_id=order.by_id,
                reason=order.reason,
                replaced_by=(replaced_by or {}).get(key),
                # What was never rated has no charges, and is not rated any more.
                settled_at=None if by_id[udr_id >> UDR_ID_BITS].finished_at else now,
            )
        )
    VoidedUdr.objects.bulk_create(rows)
    _count(counting.values())
    if store.free_keys(list(counting.values())) != len(counting):
        raise KeysMovedError(f"{len(counting)} UDRs are voided, and not as many keys are free")
    ring("rate", now)
    return frozenset(counting.values())


def _count(udr_ids: Iterable[int]) -> None:
    for batch_id, count in Counter(udr_id >> UDR_ID_BITS for udr_id in udr_ids).items():
        UdrBatch.objects.filter(pk=batch_id).update(voided_count=F("voided_count") + count)
