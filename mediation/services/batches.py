"""The life of UDR batches, and the room that their months have on disk."""

from collections.abc import Collection, Sequence
from datetime import datetime

import polars as pl
from django.db import transaction
from django.db.models import Case, Q, Sum, Value, When

from mediation.models import BackfillWindow, Udr, UdrBatch
from mediation.store import delete_keys_of, delete_udrs_of, ensure_month_partitions, months_around

# An errored batch that was finished before was parked while its charges were being reversed.
WAS_RATED = Q(status=UdrBatch.Status.RATED) | Q(status=UdrBatch.Status.ERRORED, finished_at__isnull=False)

# What rating has nothing of to take back: an errored one crashed before it was ever rated, a reversed one is over.
NEVER_RATED = Q(status__in=(UdrBatch.Status.HELD, UdrBatch.Status.MEDIATED, UdrBatch.Status.REVERSED)) | Q(
    status=UdrBatch.Status.ERRORED, finished_at=None
)


def are_charged(*, import_ids: Collection[int], now: datetime) -> bool:
    """Whether UDRs of these imports are charged, or a worker is rating them right now; in the caller's transaction."""
    batches = UdrBatch.objects.filter(import_id__in=import_ids)
    mediated = Q(status=UdrBatch.Status.MEDIATED)
    if batches.filter(WAS_RATED | mediated & Q(claimed_until__gte=now)).exists():
        return True
    # A claim runs out while its worker goes on, which still holds the rows.
    free_ids = {batch.pk for batch in batches.filter(mediated).select_for_update(skip_locked=True).order_by("pk")}
    return batches.filter(WAS_RATED | mediated).exclude(pk__in=free_ids).exists()


@transaction.atomic
def swap_batches(*, import_id: int, replaced_ids: Sequence[int]) -> None:
    """Let the staged batches of an import count and supersede the replaced ones, in one step.

    Keys that the new attempt did not take over are forgotten: their records did not become UDRs this time. What was
    never rated has nothing to take back and is reversed at once: parked, it would pass for what is still to be rated.
    Those of a backfill that is not closed are held on.
    """
    staged = UdrBatch.objects.filter(import_id=import_id, status=UdrBatch.Status.STAGED)
    held = BackfillWindow.objects.filter(status=BackfillWindow.Status.HELD).values("pk")
    staged.filter(backfill_id__in=held).update(status=UdrBatch.Status.HELD)
    staged.update(status=UdrBatch.Status.MEDIATED)
    gone = (UdrBatch.Status.SUPERSEDED, UdrBatch.Status.REVERSED)
    replaced = UdrBatch.objects.filter(pk__in=replaced_ids).exclude(status__in=gone)
    # A worker that is rating one right now is waited for, and the row looked at anew.
    replaced.update(
        status=Case(When(WAS_RATED, then=Value(UdrBatch.Status.SUPERSEDED)), default=Value(UdrBatch.Status.REVERSED)),
        attempts=0,
        claimed_until=None,
    )
    delete_keys_of(replaced_ids)


@transaction.atomic
def withdraw_batches(*, batch_ids: Sequence[int]) -> pl.DataFrame:
    """Take back staged batches, which never counted: their UDRs and keys are gone as if never written.

    Returns import_id and record_number of each record that had become a UDR of theirs.
    """
    staged = UdrBatch.objects.filter(pk__in=batch_ids, status=UdrBatch.Status.STAGED)
    gone = delete_udrs_of(list(staged.order_by("pk").values_list("pk", flat=True)))
    staged.delete()
    return gone


@transaction.atomic
def take_back_batches(*, batch_ids: Sequence[int]) -> int:
    """Let batches that were never rated count no more; returns 0, or how many UDRs are in batches that were.

    Where some were rated, or a worker is rating them right now, nothing is changed. Their keys are forgotten.
    """
    batches = UdrBatch.objects.filter(pk__in=batch_ids)
    free = batches.filter(NEVER_RATED).select_for_update(skip_locked=True).order_by("pk")
    ids = [batch.pk for batch in free]
    others = batches.exclude(pk__in=ids).aggregate(count=Sum("udr_count"))["count"] or 0
    if others:
        return others
    batches.update(status=UdrBatch.Status.REVERSED, attempts=0, claimed_until=None, error="")
    delete_keys_of(ids)
    return 0


def make_partitions_ahead(*, now: datetime, back: int = 15, ahead: int = 3) -> int:
    """Make the UDR table's partitions for the months around `now`; returns how many were missing."""
    return ensure_month_partitions(Udr._meta.db_table, months_around(now.date(), back=back, ahead=ahead))
