"""The life of UDR batches, and the room that their months have on disk."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
from django.db import transaction

from mediation.models import Udr, UdrBatch
from mediation.store import delete_keys_of, delete_udrs_of, ensure_month_partitions, months_around


@transaction.atomic
def swap_batches(*, import_id: int, replaced_ids: Sequence[int]) -> None:
    """Let the staged batches of an import count and supersede the replaced ones, in one step.

    Keys that the new attempt did not take over are forgotten: their records did not become UDRs this time.
    """
    UdrBatch.objects.filter(import_id=import_id, status=UdrBatch.Status.STAGED).update(status=UdrBatch.Status.MEDIATED)
    gone = (UdrBatch.Status.SUPERSEDED, UdrBatch.Status.REVERSED)
    replaced = UdrBatch.objects.filter(pk__in=replaced_ids).exclude(status__in=gone)
    replaced.update(status=UdrBatch.Status.SUPERSEDED, attempts=0, claimed_until=None)
    delete_keys_of(replaced_ids)


@transaction.atomic
def withdraw_batches(*, import_id: int) -> pl.DataFrame:
    """Take back the staged batches of an import, which never counted: their UDRs and keys are gone as if never written.

    Returns import_id and record_number of each record that had become a UDR of theirs.
    """
    staged = UdrBatch.objects.filter(import_id=import_id, status=UdrBatch.Status.STAGED)
    gone = delete_udrs_of(list(staged.order_by("pk").values_list("pk", flat=True)))
    staged.delete()
    return gone


def make_partitions_ahead(*, now: datetime, back: int = 15, ahead: int = 3) -> int:
    """Make the UDR table's partitions for the months around `now`; returns how many were missing."""
    return ensure_month_partitions(Udr._meta.db_table, months_around(now.date(), back=back, ahead=ahead))
