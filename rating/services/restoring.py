"""UDRs that count again since a backfill was reverted, charged again."""

import logging
import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from mediation.models import UDR_ID_BITS, RestoredUdr, UdrBatch, VoidedUdr
from rating import selectors, store
from rating.models import RatingException
from rating.services.claiming import count_uncharged, lock_batches
from rating.services.pricing import charge_usage

log = logging.getLogger(__name__)

AT_ONCE = 5_000
LONGEST_GAP = timedelta(hours=1)


def charge_restored(*, now: datetime) -> int:
    """Charge what counts again and was taken back before; returns how many were looked at.

    0 where none waits, or others hold them: those that a backfill is just replacing again are left to it. What crashed
    is kept with its trace and tried again alone, after gaps that grow to an hour: a period does not close while it
    waits.
    """
    waiting = selectors.restored_waiting(now)
    udr_ids = list(waiting.filter(attempts=0).order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
    udr_ids = udr_ids or list(waiting.order_by("next_try_at", "pk").values_list("pk", flat=True)[:1])
    if not udr_ids:
        return 0
    try:
        return _charge(udr_ids, now)
    except Exception:
        log.exception("charging restored usage crashed", extra={"count": len(udr_ids)})
        _put_off(udr_ids, now)
    return len(udr_ids)


@transaction.atomic
def _charge(udr_ids: Sequence[int], now: datetime) -> int:
    rows = RestoredUdr.objects.select_for_update(skip_locked=True).filter(pk__in=udr_ids).order_by("pk")
    dates = dict(rows.values_list("pk", "udr_date"))
    # The batches first, as rating does. What was replaced or voided since costs nothing, as it does now.
    batches = lock_batches({udr_id >> UDR_ID_BITS for udr_id in dates}, UdrBatch.Status.RATED)
    rated = {batch.pk for batch in batches}
    voided = set(VoidedUdr.objects.filter(pk__in=dates).values_list("pk", flat=True))
    ours = [udr_id for udr_id in dates if udr_id >> UDR_ID_BITS in rated and udr_id not in voided]
    if ours:
        # What is refused again opens the exception that it had.
        closed = RatingException.objects.filter(udr_id__in=ours, status=RatingException.Status.SUPERSEDED)
        closed.update(status=RatingException.Status.RESOLVED, close_reason="The usage counts again.")
        book = store.book()
        earliest, latest = min(dates[one] for one in ours), max(dates[one] for one in ours)
        usage = store.usage_of_udrs(ours, earliest, latest, with_extensions=book.prices.needs_extensions)
        entries = store.next_entries(ours, earliest, latest + book.prices.longest_record)
        outcome = charge_usage(usage=usage, book=book, now=now, entries=entries)
        count_uncharged(batches, outcome.refused["udr_id"], by=1)
    RestoredUdr.objects.filter(pk__in=list(dates)).delete()
    return len(dates)


def _put_off(udr_ids: Sequence[int], now: datetime) -> None:
    trace = traceback.format_exc()
    for row in RestoredUdr.objects.filter(pk__in=udr_ids):
        gap = min(timedelta(seconds=2 ** min(row.attempts, 20)), LONGEST_GAP)
        RestoredUdr.objects.filter(pk=row.pk).update(
            attempts=min(row.attempts + 1, 1_000), next_try_at=now + gap, error=trace
        )
