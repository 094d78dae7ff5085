"""Who works on which batches: claims, attempts, and parking what keeps crashing."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from mediation.models import UDR_ID_BITS, UdrBatch
from rating import selectors

log = logging.getLogger(__name__)

CLAIM = timedelta(seconds=20)
MAX_ATTEMPTS = 5
MAX_UDRS = 200_000
MAX_BATCHES = 2_000


def claim_batches(*, now: datetime) -> list[UdrBatch]:
    """Claim batches of one status that are ready, about 200,000 UDRs together; superseded ones come first.

    A batch that was tried before comes alone: if it is the one that crashes, it takes no other with it. One that was
    tried five times is parked as errored and returned with that status.
    """
    tried: set[int] = set()
    while True:
        ready = list(selectors.batches_waiting(now).exclude(pk__in=tried).order_by("-status", "pk")[:MAX_BATCHES])
        chosen = _together(ready)
        if not chosen:
            return []
        claimed = _claim([batch.pk for batch in chosen], now)
        if claimed:
            return claimed
        tried.update(batch.pk for batch in chosen)  # others hold them


def _together(ready: Sequence[UdrBatch]) -> list[UdrBatch]:
    """The first batches that go well into one transaction."""
    chosen: list[UdrBatch] = []
    udr_count = 0
    for batch in ready:
        udr_count += batch.udr_count
        is_like_first = not chosen or (batch.status == chosen[0].status and not batch.attempts)
        if chosen and (udr_count > MAX_UDRS or not is_like_first):
            break
        chosen.append(batch)
        if batch.attempts:
            break
    return chosen


@transaction.atomic
def _claim(batch_ids: Sequence[int], now: datetime) -> list[UdrBatch]:
    # A worker at work holds its rows' locks however long it takes; a killed one holds none.
    ready = selectors.batches_waiting(now).filter(pk__in=batch_ids)
    batches = list(ready.select_for_update(skip_locked=True).order_by("pk"))
    worn = [batch.pk for batch in batches if batch.attempts >= MAX_ATTEMPTS]
    if worn:
        _park(worn)
    fresh = [batch.pk for batch in batches if batch.attempts < MAX_ATTEMPTS]
    UdrBatch.objects.filter(pk__in=fresh).update(attempts=F("attempts") + 1, claimed_until=now + CLAIM)
    return list(UdrBatch.objects.filter(pk__in=[batch.pk for batch in batches]).order_by("pk"))


def _park(batch_ids: Sequence[int]) -> None:
    parked = UdrBatch.objects.filter(pk__in=batch_ids)
    parked.filter(error="").update(error=f"The worker died in each of {MAX_ATTEMPTS} attempts.")
    parked.update(status=UdrBatch.Status.ERRORED, claimed_until=None)
    log.error("batches parked", extra={"batch_ids": list(batch_ids)})


def lock_batches(batch_ids: Iterable[int], status: str) -> list[UdrBatch]:
    """Lock those batches that are still in `status`, for the work's transaction."""
    batches = UdrBatch.objects.select_for_update().filter(pk__in=list(batch_ids), status=status)
    return list(batches.order_by("pk"))


def finish_batches(batches: Iterable[UdrBatch], *, status: str, now: datetime) -> None:
    """Flip locked batches to what their work made of them."""
    finished = UdrBatch.objects.filter(pk__in=[batch.pk for batch in batches])
    finished.update(status=status, finished_at=now, claimed_until=None, error="")


def count_uncharged(batches: Iterable[UdrBatch], udr_ids: Iterable[int], *, by: int) -> None:
    """Move the uncharged count of locked batches by `by` for each of these UDRs."""
    of_batch = Counter(udr_id >> UDR_ID_BITS for udr_id in udr_ids)
    changed = [batch for batch in batches if of_batch[batch.pk]]
    for batch in changed:
        batch.uncharged_count += by * of_batch[batch.pk]
    UdrBatch.objects.bulk_update(changed, ["uncharged_count"])


def note_crash(batches: Iterable[UdrBatch]) -> None:
    """Keep the trace of the exception at hand with the batches; they are tried again when their claim has run out."""
    batch_ids = [batch.pk for batch in batches]
    log.exception("rating crashed", extra={"batch_ids": batch_ids})
    UdrBatch.objects.filter(pk__in=batch_ids, status__in=selectors.READY).update(error=traceback.format_exc())
