"""What periods counted, priced again in the order of dates: the statement is the same whatever order usage came in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from rating import store
from rating.core import charging, repricing
from rating.core.frames import BOUNDS, CHARGES, DRAW_ROWS, MATCHED, REFUSED, USAGE, Priced, Standing, empty
from rating.core.ledger import price_usage
from rating.core.matching import Book, describe_matched
from rating.core.periods import add_months, span_of
from rating.core.tariffs import PricedRate
from rating.services.exceptions import move_exceptions
from rating.services.pricing import Charged, Matched, find_rates, lock_lasting, outcome_of, write


@dataclass(frozen=True)
class Repriced:
    """Periods priced again, with nothing written yet.

    periods: with their months. before: CHARGES that were looked at; taken, made: what differs. reduced_grants: those
    that others draw on too, without these charges; dropped_grants: those that only these drew on, by their keys.
    reduced_counters, dropped_counters (account_id, rate_id): the same of counters that never restart.
    """

    periods: pl.DataFrame
    priced: Priced
    before: pl.DataFrame
    taken: pl.DataFrame
    made: Charged
    reduced_grants: pl.DataFrame
    dropped_grants: pl.DataFrame
    reduced_counters: pl.DataFrame
    dropped_counters: pl.DataFrame


def periods_together(period_ids: Sequence[int], *, book: Book, is_locked: bool = True) -> pl.DataFrame:
    """These periods and those that are priced with them, under lock unless said otherwise: as `store.lock_periods`."""
    prices = book.prices
    if not prices.shares_in_families and not any(map(prices.links_periods, prices.rates)):
        return (store.lock_periods if is_locked else store.periods_known)(period_ids)
    known = _with_months(store.periods_beside(period_ids, in_families=prices.shares_in_families))
    # What closed periods met by themselves matters only where something of it goes on.
    unfinished = known.filter(pl.col("period_id").is_in(list(period_ids)) | ~pl.col("is_closed"))
    met = repricing.with_rate_keys(store.rates_charged(unfinished["period_id"].to_list()), prices)
    chosen = repricing.priced_together(period_ids, known, met, prices)["period_id"].to_list()
    return (store.lock_periods if is_locked else store.periods_known)(chosen)


def reprice_periods(
    *, periods: pl.DataFrame, book: Book, now: datetime, chosen: Sequence[int] = (), is_locked: bool = True
) -> Repriced:
    """Price again what periods counted, as far as it depends on other usage, and what is chosen, by rates of today.

    periods: as `periods_together` gives them. chosen: UDRs of theirs whose payer and rate are
    looked up anew; with them the open rating exceptions of the periods. Independent usage that is not chosen stays as
    it is. Where chosen usage is another account's now, the period that charges it there is priced again too.
    is_locked: False makes and locks nothing, for answers that are not written.
    """
    is_chosen = pl.col("udr_id").is_in(pl.Series(list(chosen), dtype=pl.Int64).implode())
    months = _with_months(periods)
    charges = _charges_in(months, book)
    anew = _anew(charges.filter(is_chosen), months, book, now)
    known = months.height
    found, months = _moved(anew.matched, months, is_locked)
    if months.height > known:
        charges = pl.concat([charges, _charges_in(months[known:], book)])
    depends = pl.col("rate_key").is_in([each.key for each in book.prices.rates if _depends(each, book)])
    before = _whole(charges.filter(is_chosen | depends), charges)
    kept = _described(before.filter(~is_chosen), months, book)
    matched = pl.concat([kept, found])
    if is_locked:
        lock_lasting(matched=matched, prices=book.prices)
    entries = _entries(before, matched, book) if is_locked else None
    return _priced(before, matched, anew.refused, months, book, now, entries)


def _priced(
    before: pl.DataFrame,
    matched: pl.DataFrame,
    refused: pl.DataFrame,
    months: pl.DataFrame,
    book: Book,
    now: datetime,
    entries: pl.DataFrame | None,
) -> Repriced:
    draws = store.draws_of(before)
    bounds = months.select(*BOUNDS)
    charged_by = before["rate_key"].drop_nulls().unique()
    stands = _with_drawn(store.standing_of(matched, book.prices, bounds, also=charged_by), draws)
    opening = repricing.without(stands, before, draws, book.prices, months["period_id"])
    priced = price_usage(matched, prices=book.prices, periods=bounds, standing=opening)
    made = outcome_of(
        priced=priced,
        refused=pl.concat([refused, priced.refused]),
        prices=book.prices,
        now=now,
        entries=entries,
    )
    before = before.select(*CHARGES)
    found = repricing.difference(before, draws, made.charged, made.draws)
    made_draws = made.draws.join(found.made, left_on="charge_id", right_on="id", how="semi")
    return Repriced(
        periods=months,
        priced=priced,
        before=before,
        taken=found.taken,
        made=Charged(found.made, made_draws, made.refused),
        reduced_grants=opening.grants.join(stands.grants, on=opening.grants.columns, how="anti", nulls_equal=True),
        dropped_grants=repricing.untouched(stands.grants, opening.grants),
        reduced_counters=opening.counters.filter(pl.col("period_id") == 0),
        dropped_counters=_counting_anew(months["account_id"], matched["family_id"], book),
    )


def _counting_anew(account_ids: pl.Series, family_ids: pl.Series, book: Book) -> pl.DataFrame:
    """Whose counters begin anew, of which rates, since all that they ever counted is priced again."""
    rate_ids = sorted({each.rate_id for each in book.prices.rates if book.prices.counts_for_ever(each)})
    owners = pl.concat([account_ids, family_ids]).unique().to_frame("account_id")
    return owners.join(pl.DataFrame({"rate_id": rate_ids}, schema={"rate_id": pl.Int64}), how="cross")


def _with_drawn(stands: Standing, draws: pl.DataFrame) -> Standing:
    """Also the grants that the charges drew on before: what they are priced by now may draw on none of them."""
    drawn = store.grants_of(draws["account_id"]).join(draws, on=repricing.GRANT, how="semi")
    both = pl.concat([stands.grants, drawn]).unique(repricing.GRANT, keep="first", maintain_order=True)
    return replace(stands, grants=both)


def _whole(before: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Charges with the other parts of their records, whose amount they share; one period counts them all."""
    split = charges.filter(pl.col("part") > 0)
    if split.is_empty():
        return before
    parts = charges.join(split, on="udr_id", how="semi").join(before, on="udr_id", how="semi", maintain_order="left")
    return pl.concat([before.join(split, on="udr_id", how="anti", maintain_order="left"), parts])


def _charges_in(months: pl.DataFrame, book: Book) -> pl.DataFrame:
    return repricing.with_rate_keys(store.charges_counted_in(months["period_id"].to_list()), book.prices)


def _depends(rate: PricedRate, book: Book) -> bool:
    """Whether what the rate's usage costs may change with other usage, or other usage follows how much there is."""
    if rate.is_cost:
        return False
    if rate.keeps_counter or rate.bucket_keys or rate.rate.tier_by:
        return True
    return rate.usage_class_id in book.prices.followed_class_ids


def _with_months(periods: pl.DataFrame) -> pl.DataFrame:
    """Periods with the month that each is: half a month on, so that it is that month in every zone."""
    dated = periods.with_columns(date=pl.col("starts_at").dt.offset_by("14d"))
    return add_months(dated).drop("date")


def _described(charges: pl.DataFrame, months: pl.DataFrame, book: Book) -> pl.DataFrame:
    """Charged usage as matching left it, schema MATCHED: by the payer and the rate that its charge names."""
    usage = _usage_of(charges, book)
    payers = store.payers_by_service(charges["service_id"])
    known = repricing.known_usage(charges, usage, payers, months)
    described = describe_matched(known, book)
    if not described.refused.is_empty():
        raise RuntimeError(f"charged usage lost what its rate takes: {described.refused['message'][0]}")
    return described.rated


def _usage_of(charges: pl.DataFrame, book: Book) -> pl.DataFrame:
    if charges.is_empty():
        return empty(USAGE)
    earliest, latest = span_of(charges["date"])
    numbers = charges["udr_id"].unique().to_list()
    return store.usage_of_udrs(
        numbers, earliest - book.prices.longest_record, latest, with_extensions=book.prices.needs_extensions
    )


def _anew(chosen: pl.DataFrame, months: pl.DataFrame, book: Book, now: datetime) -> Matched:
    """Usage that looks for its payer and rate again: what is chosen, and what the periods' accounts have refused.

    What stays with its account keeps the month of the period that counted it; of what was refused only that is taken
    which these periods count.
    """
    waiting = store.refused_usage_of(months, with_extensions=book.prices.needs_extensions)
    usage = pl.concat([_usage_of(chosen, book), waiting]).unique("udr_id", keep="first", maintain_order=True)
    if usage.is_empty():
        return Matched(empty(MATCHED), empty(REFUSED))
    found = find_rates(usage=usage, book=book, now=now)
    counted = chosen.select("udr_id", "account_id", period_id="counting_period_id").unique("udr_id")
    was = counted.join(months.select("period_id", was_in="month"), on="period_id")
    placed = found.matched.join(was.drop("period_id"), on=["udr_id", "account_id"], how="left", maintain_order="left")
    placed = placed.with_columns(month=pl.coalesce("was_in", "month")).select(found.matched.columns)
    is_chosen = pl.col("udr_id").is_in(chosen["udr_id"].unique().implode())
    # Closed periods that are only priced again beside open ones take nothing that they did not have.
    taking = months if chosen.height else months.filter(~pl.col("is_closed"))
    here = placed.join(taking, on=["account_id", "month"], how="semi").filter(~is_chosen)
    return Matched(pl.concat([placed.filter(is_chosen), here]), found.refused)


def _moved(matched: pl.DataFrame, months: pl.DataFrame, is_locked: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Usage with the months of the periods that count it now, and the periods with those that others' accounts add."""
    asked = matched.join(months, on=["account_id", "month"], how="anti").select("account_id", "time_zone", "month")
    if asked.is_empty():
        return matched, months
    found = (store.lock_open_periods if is_locked else store.periods_as_they_stand)(asked.unique())
    zoned = found.join(asked.unique(), on=["account_id", "month"]).with_columns(is_closed=pl.lit(False))
    further = zoned.join(months, on="period_id", how="anti").unique("period_id", keep="first")
    months = pl.concat([months, further.select(months.columns)])
    # Several months may be charged by one period: they all take the month that it goes by here.
    by_period = found.select("account_id", "month", "period_id").join(
        months.select("period_id", goes_by="month"), on="period_id"
    )
    placed = matched.join(by_period, on=["account_id", "month"], how="left", maintain_order="left")
    return placed.with_columns(month=pl.coalesce("goes_by", "month")).select(matched.columns), months


def _entries(before: pl.DataFrame, matched: pl.DataFrame, book: Book) -> pl.DataFrame | None:
    if matched.is_empty():
        return None
    earliest, latest = span_of(pl.concat([before["date"], matched["date"]]))
    latest += book.prices.longest_record
    return store.next_entries(matched["udr_id"].unique().to_list(), earliest, latest)


def apply(repriced: Repriced, *, now: datetime) -> int:
    """Take back what does not stand any more and write what stands instead; returns how many charges were made.

    What a closed period counted is corrected by adjustments that the account's earliest open period bills.
    """
    taken, made = repriced.taken, repriced.made.charged
    billed = _billed(pl.concat([taken, made]), repriced.periods)
    drawn = store.draws_of(taken)
    store.copy_in_draws(charging.given_back(drawn, store.grants_of(drawn["account_id"])))
    store.copy_in_charges(charging.reversals_of(taken, billed, now))
    store.replace_standing(
        period_ids=repriced.periods["period_id"].to_list(),
        dropped=repriced.dropped_grants,
        dropped_counters=repriced.dropped_counters,
        reduced=repriced.reduced_grants,
        reduced_counters=repriced.reduced_counters,
        changed=repriced.priced.standing,
    )
    placed = made.join(billed, on="id", how="left", maintain_order="left").with_columns(period_id="billed_id")
    placed = placed.select(*CHARGES).sort("period_id", maintain_order=True)
    write(Charged(placed, repriced.made.draws.select(*DRAW_ROWS), repriced.made.refused), now)
    move_exceptions(before=repriced.before, made=made, refused=repriced.made.refused, now=now)
    return made.height


def _billed(charges: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """The periods that bill these rows: where they are counted, or the earliest open one after it: id, billed_id."""
    closed = periods.filter("is_closed")
    is_closed = pl.col("counting_period_id").is_in(closed["period_id"].implode())
    here = charges.filter(~is_closed).select("id", billed_id="counting_period_id")
    late = charges.filter(is_closed)
    if late.is_empty():
        return here
    months = closed.select("account_id", "time_zone", "month").unique()
    opened = store.lock_open_periods(months).select("account_id", "month", billed_id="period_id")
    to = closed.select("account_id", "month", counting_period_id="period_id").join(opened, on=["account_id", "month"])
    moved = late.join(to.select("counting_period_id", "billed_id"), on="counting_period_id", how="left")
    return pl.concat([here, moved.select("id", "billed_id")])
