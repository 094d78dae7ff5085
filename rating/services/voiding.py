"""What voided UDRs were charged, taken back."""

import logging
import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from mediation.models import UDR_ID_BITS, UdrBatch, VoidedUdr
from rating import selectors
from rating.models import RatingException
from rating.services.claiming import count_uncharged, lock_batches
from rating.services.reversing import reverse_charges

log = logging.getLogger(__name__)

AT_ONCE = 2_000  # a third of a second; in portions of 500 a million takes half as long again
LONGEST_GAP = timedelta(hours=1)
UNCHARGED = (RatingException.Status.OPEN, RatingException.Status.WRITTEN_OFF)


def reverse_voided(*, now: datetime) -> int:
    """Take back what voided UDRs were charged; returns how many were looked at, 0 where none waits or others hold them.

    What crashed is kept with its trace and tried again alone, after gaps that grow to an hour: a period does not close
    while it waits.
    """
    waiting = selectors.voids_waiting(now)
    udr_ids = list(waiting.filter(attempts=0).order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
    udr_ids = udr_ids or list(waiting.order_by("next_try_at", "pk").values_list("pk", flat=True)[:1])
    if not udr_ids:
        return 0
    try:
        return _reverse(udr_ids, now)
    except Exception:
        log.exception("voiding crashed", extra={"udr_ids": udr_ids})
        _put_off(udr_ids, now)
    return len(udr_ids)


@transaction.atomic
def _reverse(udr_ids: Sequence[int], now: datetime) -> int:
    rows = VoidedUdr.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=udr_ids, settled_at=None)
    ours = [row.pk for row in rows.order_by("pk")]
    # The batches first, as rating does. One that was replaced meanwhile takes all of its charges back by itself.
    batches = lock_batches({udr_id >> UDR_ID_BITS for udr_id in ours}, UdrBatch.Status.RATED)
    rated = {batch.pk for batch in batches}
    charged = [udr_id for udr_id in ours if udr_id >> UDR_ID_BITS in rated]
    if charged:
        reverse_charges(udr_ids=charged, now=now)
        _supersede(batches, charged, now)
    VoidedUdr.objects.filter(pk__in=ours).update(settled_at=now, error="")
    return len(ours)


def _supersede(batches: Sequence[UdrBatch], udr_ids: Sequence[int], now: datetime) -> None:
    """Close the rating exceptions of voided UDRs: nobody waits for them to be charged."""
    found = RatingException.objects.select_for_update(of=("self",)).filter(udr_id__in=udr_ids, status__in=UNCHARGED)
    uncharged = list(found.values_list("udr_id", flat=True))
    count_uncharged(batches, uncharged, by=-1)
    RatingException.objects.filter(udr_id__in=uncharged).update(
        status=RatingException.Status.SUPERSEDED, closed_at=now, close_reason="The usage was voided."
    )


def _put_off(udr_ids: Sequence[int], now: datetime) -> None:
    trace = traceback.format_exc()
    for row in VoidedUdr.objects.filter(pk__in=udr_ids, settled_at=None):
        gap = min(timedelta(seconds=2**row.attempts), LONGEST_GAP) if row.attempts < 20 else LONGEST_GAP
        VoidedUdr.objects.filter(pk=row.pk, settled_at=None).update(
            attempts=min(row.attempts + 1, 1_000), next_try_at=now + gap, error=trace
        )
