"""Usage taken back by its key: asked for and recorded at once, done by a worker, each key with its outcome."""

import hashlib
import json
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Count, F, QuerySet

from ingestion import selectors, store
from ingestion.core.requests import RequestFault
from ingestion.models import Feed, ImportChunk, KeyToVoid, UsageImport, UsageVoid
from mediation import services as mediation
from mediation.services import acts

log = structlog.get_logger()

PERMISSION = "ingestion.void_usage"
MAX_KEYS = 1_000
MAX_KEY_CHARS = 200
MAX_REASON_CHARS = 1_000
LEASE = timedelta(seconds=20)
TURN = timedelta(seconds=3)  # before a key is looked for again whose import is not mediated yet
GIVE_WAY = timedelta(seconds=10)  # that a void comes again in vain before chunks of its feed let it pass
PATIENCE = timedelta(minutes=15)
MAX_ATTEMPTS = 5
BUSY = "Its import is being mediated again and has not ended for 15 minutes. See to that import, then void it again."

Outcome = KeyToVoid.Outcome


class UnableToVoid(Exception):
    """Usage that is not taken back. `code` for machines, `faults` where there are several."""

    def __init__(self, code: str, message: str, *, faults: Sequence[RequestFault] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.faults = list(faults)


@acts(why="reason")
def ask_void(
    *,
    feed: Feed,
    keys: Sequence[str],
    reason: str,
    by: User | None,
    now: datetime,
    idempotency_key: str | None = None,
) -> UsageVoid:
    """Record that the usage behind these keys of a feed is to be taken back; workers do it. Raises UnableToVoid.

    The same Idempotency-Key with the same keys and reason is answered with the request that it named before.
    """
    mediation.require_permission(by, PERMISSION)
    mediation.require_feeds(by, [feed.pk])
    reason = reason.strip()
    _require_sound(keys, reason)
    content_hash = hashlib.sha256(json.dumps([list(keys), reason]).encode("utf-8", "surrogatepass")).hexdigest()
    if idempotency_key is not None and (known := _known(feed, idempotency_key, content_hash)):
        return known
    _require_second_person(feed, keys, reason, by)
    try:
        with transaction.atomic(), store.waiting_for_a_twin():
            if idempotency_key is not None:
                store.limit_wait()
            void = UsageVoid.objects.create(
                feed=feed,
                reason=reason,
                received_at=now,
                received_by=by,
                idempotency_key=idempotency_key,
                content_hash=content_hash,
                key_count=len(keys),
            )
            KeyToVoid.objects.bulk_create(
                KeyToVoid(void=void, number=number, key=key) for number, key in enumerate(keys, start=1)
            )
            mediation.ring("mediate", now)
    except IntegrityError:
        # Its twin came at the same moment and was faster.
        if idempotency_key is not None and (known := _known(feed, idempotency_key, content_hash)):
            return known
        raise
    except store.TwinInFlight as twin:
        raise UnableToVoid("twin_in_flight", str(twin)) from None
    return void


def _require_sound(keys: Sequence[str], reason: str) -> None:
    """Every fault at once."""
    faults = []
    if not reason:
        faults.append(RequestFault("/reason", "missing_reason", "Say why the usage is taken back."))
    if len(reason) > MAX_REASON_CHARS:
        faults.append(RequestFault("/reason", "too_long", f"A reason has at most {MAX_REASON_CHARS:,} characters."))
    if "\0" in reason or not _is_text(reason):
        faults.append(RequestFault("/reason", "not_text", "A reason is text without NUL."))
    if not keys:
        faults.append(RequestFault("/keys", "no_keys", "There must be at least one key."))
    if len(keys) > MAX_KEYS:
        detail = f"A request takes at most {MAX_KEYS:,} keys; this one has {len(keys):,}. Send several."
        faults.append(RequestFault("/keys", "too_many_keys", detail))
    seen: dict[str, int] = {}
    for place, key in enumerate(keys[:MAX_KEYS]):
        if fault := _fault_of(key, seen.get(key)):
            faults.append(RequestFault(f"/keys/{place}", *fault))
        seen.setdefault(key, place)
    if faults:
        raise UnableToVoid(faults[0].code, faults[0].detail, faults=faults[:100])


def _fault_of(key: str, before: int | None) -> tuple[str, str] | None:
    if not key or "\0" in key or not _is_text(key):
        return "bad_key", "A key is a text, not empty and without NUL."
    if len(key) > MAX_KEY_CHARS:
        return "bad_key", f"No key is longer than {MAX_KEY_CHARS} characters."
    if before is not None:
        return "repeated_key", f"This key stands at place {before} already. Name each once."
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _known(feed: Feed, idempotency_key: str, content_hash: str) -> UsageVoid | None:
    known = UsageVoid.objects.filter(feed=feed, idempotency_key=idempotency_key).first()
    if known is not None and known.content_hash != content_hash:
        message = "This Idempotency-Key was used with other keys or another reason. Send the same, or take a new one."
        raise UnableToVoid("idempotency_key_reused", message)
    return known


def _require_second_person(feed: Feed, keys: Sequence[str], reason: str, by: User | None) -> None:
    count = f"{len(keys):,} record{'s' if len(keys) > 1 else ''}"
    mediation.require_second_person(
        kind="void",
        act="void_usage",
        by=by,
        subject=("ingestion.Feed", str(feed.pk)),
        arguments={"feed": feed.pk, "keys": list(keys), "reason": reason},
        summary=f"Void {count} of {feed}: {'their' if len(keys) > 1 else 'its'} charges are taken back. {reason}",
    )


def void_next(*, now: datetime) -> bool:
    """Work on the next void that waits; False where none does.

    A crash is tried again; what crashes too often is parked as errored with its trace.
    """
    void_id = _claim(now)
    if void_id is None:
        return False
    try:
        _work(void_id, now)
    except Exception:
        log.exception("void_crashed", void_id=void_id)
        _crashed(void_id, traceback.format_exc())
    return True


@transaction.atomic
def _claim(now: datetime) -> int | None:
    void = selectors.voids_to_work(now).select_for_update(skip_locked=True).order_by("pk").first()
    if void is None:
        return None
    UsageVoid.objects.filter(pk=void.pk).update(attempts=F("attempts") + 1, claimed_until=now + LEASE)
    return void.pk


@transaction.atomic
def _work(void_id: int, now: datetime) -> None:
    """Decide every key that can be decided now, in one transaction; the others have their turn in a moment."""
    void = UsageVoid.objects.select_for_update().filter(pk=void_id, status=UsageVoid.Status.WAITING).first()
    if void is None:
        return
    # Asked before the keys are looked for: an import that ends in between is found among them.
    may_come = selectors.under_way_before(void.feed_id, void.received_at).exists()
    waiting = list(void.keys.filter(outcome=Outcome.WAITING).order_by("number"))
    order = mediation.VoidOrder(
        feed_id=void.feed_id,
        request_id=void.tracking_id,
        requested_at=void.received_at,
        reason=void.reason,
        by_id=void.received_by_id,
    )
    try:
        outcomes = mediation.void_keys(keys=[one.key for one in waiting], order=order, now=now)
    except mediation.UsageHeldError:
        void.held_up_since = void.held_up_since or now
        void.attempts, void.claimed_until = 0, now + TURN
        void.save(update_fields=["held_up_since", "attempts", "claimed_until"])
        return
    is_patient = now - void.received_at < PATIENCE
    decided = [one for one in waiting if _decide(one, outcomes, may_come=may_come, is_patient=is_patient)]
    KeyToVoid.objects.bulk_update(decided, ["outcome", "detail", "udr_id"])
    _finish(void, is_done=len(decided) == len(waiting), now=now)


def _decide(one: KeyToVoid, outcomes: Mapping[str, mediation.KeyOutcome], *, may_come: bool, is_patient: bool) -> bool:
    """Give a key its outcome; False where it has to wait for an import that was received before the request."""
    found = outcomes[one.key]
    if is_patient and (found.outcome == "busy" or (found.outcome == "not_found" and may_come)):
        return False
    one.outcome = Outcome.REFUSED if found.outcome == "busy" else Outcome(found.outcome)
    one.detail = BUSY if found.outcome == "busy" else ""
    one.udr_id = found.udr_id
    return True


def _finish(void: UsageVoid, *, is_done: bool, now: datetime) -> None:
    counts = dict(void.keys.values_list("outcome").annotate(n=Count("pk")))
    void.voided_count = counts.get(Outcome.VOIDED, 0)
    void.already_voided_count = counts.get(Outcome.ALREADY_VOIDED, 0)
    void.not_found_count = counts.get(Outcome.NOT_FOUND, 0)
    void.refused_count = counts.get(Outcome.REFUSED, 0)
    void.attempts, void.error = 0, ""
    void.claimed_until = None if is_done else now + TURN
    if is_done:
        void.status, void.ended_at = UsageVoid.Status.COMPLETED, now
    if is_done or void.held_up_since is not None:
        let_go_on(void.feed_id)
    void.held_up_since = None
    if is_done:
        mediation.ring("mediate", now)
    void.save()


@transaction.atomic
def _crashed(void_id: int, trace: str) -> None:
    crashed = UsageVoid.objects.filter(pk=void_id, status=UsageVoid.Status.WAITING)
    crashed.filter(attempts__gte=MAX_ATTEMPTS).update(status=UsageVoid.Status.ERRORED, claimed_until=None)
    UsageVoid.objects.filter(pk=void_id).update(error=trace)


@acts()
@transaction.atomic
def retry_voids(*, voids: QuerySet[UsageVoid], by: User | None, now: datetime) -> int:
    """Let voids that were parked as errored be tried again; returns how many."""
    mediation.require_permission(by, PERMISSION)
    parked = mediation.seen(voids, by).filter(status=UsageVoid.Status.ERRORED)
    count = parked.update(status=UsageVoid.Status.WAITING, attempts=0, error="", claimed_until=None)
    if count:
        mediation.ring("mediate", now)
    return count


def orders_of(imports: Sequence[UsageImport]) -> dict[int, mediation.VoidOrder]:
    """How those of the imports that amend take back what their keys stand for, by import."""
    return {
        one.pk: mediation.VoidOrder(
            feed_id=one.feed_id,
            request_id=one.tracking_id,
            requested_at=one.received_at,
            reason=one.amend_reason,
            by_id=one.received_by_id,
        )
        for one in imports
        if one.amend_reason
    }


def has_to_wait(chunk: ImportChunk, *, now: datetime) -> bool:
    """Whether a chunk came after a void or an amendment that is not done, or amends what may still be on its way.

    What is sent again after a void must find its key free, however soon it comes. While a backfill of its feed is
    swapped, a chunk waits too, and not its worker; and it lets a void pass that never finds the feed free.
    """
    if selectors.is_swapped_now(chunk.feed_id) or selectors.is_void_held_up(chunk.feed_id, since=now - GIVE_WAY):
        return True
    if not selectors.is_corrected_now(chunk.feed_id):
        return False
    own = chunk.usage_import
    voids = selectors.voids_waiting(chunk.feed_id).filter(received_at__lt=own.received_at)
    amendments = selectors.amendments_under_way(chunk.feed_id).filter(usage_import__lt=own.pk)
    earlier = selectors.under_way_before(chunk.feed_id, own.received_at).filter(pk__lt=own.pk)
    return voids.exists() or amendments.exists() or (chunk.amends and earlier.exists())


def put_off(chunk_id: int, *, now: datetime, until: timedelta = TURN) -> None:
    """Let a chunk wait for what came before it; claimed by nobody, and no try counted."""
    claimed = ImportChunk.Status.CLAIMED
    selectors.chunks_waiting(now).filter(pk=chunk_id).update(status=claimed, claimed_until=now + until)


def come_again(chunk_ids: Sequence[int], *, now: datetime) -> None:
    """Let chunks that were claimed in vain have their turn in a moment; the try is not counted."""
    claimed = ImportChunk.objects.filter(pk__in=chunk_ids, status=ImportChunk.Status.CLAIMED)
    claimed.update(attempts=F("attempts") - 1, claimed_until=now + TURN)


def let_go_on(feed_id: int) -> None:
    """Free the chunks that were put off; a chunk that somebody works on has a try counted."""
    waiting = ImportChunk.objects.filter(feed_id=feed_id, status=ImportChunk.Status.CLAIMED, attempts=0)
    waiting.update(status=ImportChunk.Status.WAITING, claimed_until=None)
