"""Charges taken back: what a superseded batch had charged, drawn and counted."""

from collections.abc import Callable, Sequence
from datetime import datetime

import polars as pl

from rating import store
from rating.core import charging, repricing
from rating.core.periods import add_months
from rating.core.tariffs import PriceList
from rating.models import RatingException


def reverse_charges(*, batch_ids: Sequence[int] = (), udr_ids: Sequence[int] = (), now: datetime) -> int:
    """Reverse the charges of batches, or of UDRs, in the caller's transaction; returns how many there were.

    A reversal is billed in its charge's period, or in the account's earliest open one where that is closed. Grants and
    counters are given back; what was charged after these keeps the tiers it was priced in until its period is put in
    order, which it is marked for.
    """
    charges, billed = _locked(
        lambda: store.charges_of_udrs(udr_ids) if udr_ids else store.charges_of_batches(batch_ids)
    )
    if charges.is_empty():
        return 0
    prices = store.book().prices
    charges = repricing.with_rate_keys(charges, prices)
    draws = store.draws_of(charges)
    store.lock_accounts([*draws["account_id"].unique(), *_lasting_accounts(charges, prices)])
    back = charging.given_back(draws, store.grants_of(draws["account_id"]))
    reversals = charging.reversals_of(charges, billed, now)
    if reversals.height != charges.height:
        raise RuntimeError(f"{charges.height} charges were to be reversed, {reversals.height} are")
    store.copy_in_charges(reversals)
    store.copy_in_draws(back)
    store.take_off_grants(repricing.drawn_by(back))
    store.take_off_refills(repricing.refilled_by(draws))
    store.take_off_counters(repricing.counted_by(charges, prices))
    store.mark_unsettled(_disturbed(charges, prices))
    return charges.height


def _lasting_accounts(charges: pl.DataFrame, prices: PriceList) -> list[int]:
    """The accounts of charges whose counters are not of a period, so that its lock does not guard them."""
    lasting = [each.key for each in prices.rates if prices.outlasts_periods(each)]
    return charges.filter(pl.col("rate_key").is_in(lasting))["account_id"].unique().to_list()


def _locked(standing: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The standing charges, with their periods under lock, and which period bills what corrects each.

    Somebody may have put a period in order while we waited for it: what stands now is asked again until it stays.
    """
    charges = standing()
    while not charges.is_empty():
        billed = billed_anew(charges)
        again = standing()
        if again["id"].sort().equals(charges["id"].sort()):
            return charges, billed
        charges = again
    return charges, charges.select("id", billed_id="period_id")


def _disturbed(charges: pl.DataFrame, prices: PriceList) -> list[int]:
    """The periods in which other usage may cost something else now."""
    followed = pl.col("usage_class_id").is_in(sorted(prices.followed_class_ids))
    disturbs = pl.col("tier_position").is_not_null() | (pl.col("bucket_quantity") != 0) | (pl.col("credit") != 0)
    return charges.filter(disturbs | followed)["counting_period_id"].unique().to_list()


def billed_anew(charges: pl.DataFrame) -> pl.DataFrame:
    """Lock the periods of charges; returns which bills what corrects them: id (of the charge), billed_id."""
    locked = store.lock_periods([*charges["period_id"].unique(), *charges["counting_period_id"].unique()])
    is_open = pl.col("period_id").is_in(locked.filter(~pl.col("is_closed"))["period_id"].implode())
    in_open, in_closed = charges.filter(is_open), charges.filter(~is_open)
    return pl.concat([in_open.select("id", billed_id="period_id"), _moved(in_closed)])


def _moved(charges: pl.DataFrame) -> pl.DataFrame:
    if charges.is_empty():
        return charges.select("id", billed_id="period_id")
    # The parts of a record are taken back together, wherever it ended.
    started = charges.select("id", "account_id", date=pl.col("date").min().over("udr_id"))
    zoned = started.join(store.zones_of(charges["account_id"]), on="account_id")
    dated = add_months(zoned)
    periods = store.lock_open_periods(dated.select("account_id", "time_zone", "month").unique())
    return dated.join(periods, on=["account_id", "month"]).select("id", billed_id="period_id")


def supersede_exceptions(*, batch_ids: Sequence[int], now: datetime) -> int:
    """Close the open rating exceptions of batches that a reprocess replaced; returns how many."""
    return sum(
        RatingException.objects.filter(udr_id__gte=first, udr_id__lt=after, status=RatingException.Status.OPEN).update(
            status=RatingException.Status.SUPERSEDED, closed_at=now, close_reason="The import was reprocessed."
        )
        for first, after in store.udr_ranges(batch_ids)
    )
