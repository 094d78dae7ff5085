"""Charges taken back: what a superseded batch had charged, drawn and climbed."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from rating import store
from rating.core import charging
from rating.core.periods import add_months
from rating.models import RatingException


def reverse_charges(*, batch_ids: Sequence[int], now: datetime) -> int:
    """Reverse the charges of batches in the caller's transaction; returns how many there were.

    A reversal stands in its charge's period, or in the account's earliest open one where that is closed. Balances and
    positions are given back in open periods only: what a closed one used up stays as its statement says. Charges that
    were made after these keep the tiers they were priced in.
    """
    charges = store.charges_of_batches(batch_ids)
    if charges.is_empty():
        return 0
    locked = store.lock_periods(charges["period_id"].unique().to_list())
    is_open = pl.col("period_id").is_in(locked.filter(~pl.col("is_closed"))["period_id"].implode())
    in_open, in_closed = charges.filter(is_open), charges.filter(~is_open)
    periods = pl.concat([in_open.select("id", "period_id"), _moved(in_closed)])
    reversals = charging.reversals_of(charges, periods, now)
    if reversals.height != charges.height:
        raise RuntimeError(f"{charges.height} charges were to be reversed, {reversals.height} are")
    store.copy_in_charges(reversals)
    store.give_back(charging.climbed_by(in_open), charging.drawn_by(in_open))
    return charges.height


def _moved(charges: pl.DataFrame) -> pl.DataFrame:
    """The open periods that take the reversals of charges in closed ones: id (of the charge), period_id."""
    if charges.is_empty():
        return charges.select("id", "period_id")
    zoned = charges.select("id", "date", "account_id").join(store.zones_of(charges["account_id"]), on="account_id")
    dated = add_months(zoned)
    periods = store.lock_open_periods(dated.select("account_id", "time_zone", "month").unique())
    return dated.join(periods, on=["account_id", "month"]).select("id", "period_id")


def supersede_exceptions(*, batch_ids: Sequence[int], now: datetime) -> int:
    """Close the open rating exceptions of batches that a reprocess replaced; returns how many."""
    return sum(
        RatingException.objects.filter(udr_id__gte=first, udr_id__lt=after, status=RatingException.Status.OPEN).update(
            status=RatingException.Status.SUPERSEDED, closed_at=now, close_reason="The import was reprocessed."
        )
        for first, after in store.udr_ranges(batch_ids)
    )
