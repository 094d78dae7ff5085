"""Batches of UDRs: rated once mediated, reversed once superseded."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, QuerySet, Value, When

from mediation import services as mediation
from mediation.core.numbers import sum_exact
from mediation.models import UdrBatch
from mediation.services import require_permission
from mediation.store import ensure_month_partitions, months_around
from rating import store
from rating.models import BucketDraw, Charge
from rating.services.claiming import claim_batches, count_uncharged, finish_batches, lock_batches, note_crash
from rating.services.pricing import CountMismatchError, charge_usage
from rating.services.reversing import reverse_charges, supersede_exceptions

log = structlog.get_logger()

Status = UdrBatch.Status


def rate_batches(*, now: datetime) -> int:
    """Take batches that are ready and rate or reverse them; returns how many were taken, 0 where none is ready.

    A crash rolls the work back, is logged and kept with the batches; it does not stop the caller's loop.
    """
    batches = claim_batches(now=now)
    with mediation.working_on({batch.import_id for batch in batches}):
        _take(batches, now)
    return len(batches)


def _take(batches: Sequence[UdrBatch], now: datetime) -> None:
    to_rate = [batch.pk for batch in batches if batch.status == Status.MEDIATED]
    to_reverse = [batch.pk for batch in batches if batch.status == Status.SUPERSEDED]
    try:
        if to_rate:
            _rate(to_rate, now)
            log.info("usage_rated", batch_ids=to_rate)
        if to_reverse:
            _reverse(to_reverse, now)
            log.info("usage_reversed", batch_ids=to_reverse)
    except Exception:
        note_crash(batches)


@transaction.atomic
def _rate(batch_ids: Sequence[int], now: datetime) -> None:
    batches = lock_batches(batch_ids, Status.MEDIATED)
    if not batches:
        return
    book = store.book()
    outcome = charge_usage(usage=_usage_of(batches, book.prices.needs_extensions), book=book, now=now)
    store.require_total([batch.pk for batch in batches], sum_exact(outcome.charged["amount"]))
    count_uncharged(batches, outcome.refused["udr_id"], by=1)
    finish_batches(batches, status=Status.RATED, now=now)


def _usage_of(batches: Sequence[UdrBatch], with_extensions: bool) -> pl.DataFrame:
    usage = store.usage_of_batches([batch.pk for batch in batches], with_extensions=with_extensions)
    expected = sum(batch.udr_count - batch.voided_count for batch in batches)
    if usage.height != expected:
        raise CountMismatchError(f"the batches count {expected} UDRs that stand, {usage.height} were read")
    return usage


@transaction.atomic
def _reverse(batch_ids: Sequence[int], now: datetime) -> None:
    batches = lock_batches(batch_ids, Status.SUPERSEDED)
    # What was never rated has no charges.
    rated = [batch.pk for batch in batches if batch.finished_at is not None]
    reverse_charges(batch_ids=rated, now=now)
    supersede_exceptions(batch_ids=rated, now=now)
    finish_batches(batches, status=Status.REVERSED, now=now)


@transaction.atomic
def retry_batches(*, batches: QuerySet[UdrBatch], by: User | None, now: datetime) -> int:
    """Let batches that were parked as errored be tried again; returns how many.

    One that was finished before was parked while its charges were being reversed, and goes on there.
    """
    require_permission(by, "rating.rerate_ratingexception")
    parked = batches.filter(status=Status.ERRORED)
    again = Case(When(finished_at__isnull=True, then=Value(Status.MEDIATED)), default=Value(Status.SUPERSEDED))
    count = parked.update(status=again, attempts=0, claimed_until=None, error="")
    if count:
        mediation.ring(name="rate", now=now)
    return count


def make_partitions_ahead(*, now: datetime, back: int = 15, ahead: int = 3) -> int:
    """Make the partitions of charges and draws for the months around `now`; returns how many were missing."""
    months = months_around(now.date(), back=back, ahead=ahead)
    return sum(ensure_month_partitions(model._meta.db_table, months) for model in (Charge, BucketDraw))
