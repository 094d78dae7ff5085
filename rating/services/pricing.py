"""Usage into charges and rating exceptions: read, think, write, in the caller's transaction."""

from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from rating import store
from rating.core import charging
from rating.core.frames import Priced
from rating.core.ledger import price_usage
from rating.core.matching import Book, choose_payers, match_usage
from rating.core.tariffs import PriceList


class CountMismatchError(RuntimeError):
    """UDRs went in that came out neither as charge nor as exception, or twice; the transaction must not commit."""


@dataclass(frozen=True)
class Matched:
    """Usage with who pays and by which rate. matched: MATCHED; refused: REFUSED."""

    matched: pl.DataFrame
    refused: pl.DataFrame


@dataclass(frozen=True)
class Charged:
    """What became of UDRs: every one is charged or refused. charged: CHARGES; draws: DRAW_ROWS; refused: REFUSED."""

    charged: pl.DataFrame
    draws: pl.DataFrame
    refused: pl.DataFrame


def find_rates(*, usage: pl.DataFrame, book: Book, now: datetime) -> Matched:
    """Who pays for usage, and by which rate. usage: USAGE. book: as `store.book` reads it."""
    chosen = choose_payers(usage, book.classes)
    book = replace(book, payers=store.payers_of(chosen.rated["identifier"], now))
    found = match_usage(chosen.rated, book=book)
    return Matched(found.rated, pl.concat([chosen.refused, found.refused]))


def charge_usage(*, usage: pl.DataFrame, book: Book, now: datetime, entries: pl.DataFrame | None = None) -> Charged:
    """Charge UDRs that have no charge, and write what came of it. usage: USAGE.

    entries: udr_id, entry, of those that were charged before and taken back. Each step's frame takes the place of the
    one before: together they would hold a worker's memory several times.
    """
    count = usage["udr_id"].n_unique()
    found = find_rates(usage=usage, book=book, now=now)
    del usage
    periods = lock_what_counts(matched=found.matched, prices=book.prices)
    priced = _price(found.matched, book.prices, periods)
    refused = pl.concat([found.refused, priced.refused])
    del found
    outcome = outcome_of(priced=priced, refused=refused, prices=book.prices, now=now, entries=entries)
    require_all(count, outcome)
    store.put_standing(priced.standing)
    write(outcome, now)
    return outcome


def quote_usage(*, usage: pl.DataFrame, book: Book, now: datetime) -> Charged:
    """What `charge_usage` would come to as things stand, with nothing written and nothing locked."""
    found = find_rates(usage=usage, book=book, now=now)
    periods = store.periods_as_they_stand(_months(found.matched, book.prices))
    priced = _price(found.matched, book.prices, periods)
    refused = pl.concat([found.refused, priced.refused])
    outcome = outcome_of(priced=priced, refused=refused, prices=book.prices, now=now)
    require_all(usage["udr_id"].n_unique(), outcome)
    return outcome


def lock_what_counts(*, matched: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """Lock the periods that usage counts in, and the accounts whose grants outlast them or serve others: BOUNDS."""
    periods = store.lock_open_periods(_months(matched, prices))
    lock_lasting(matched=matched, prices=prices)
    return periods


def lock_lasting(*, matched: pl.DataFrame, prices: PriceList) -> None:
    """Lock the accounts of usage whose counters or grants are not of one period alone."""
    lasting = [each.key for each in prices.rates if prices.outlasts_periods(each)]
    met = matched.filter(pl.col("rate_key").is_in(lasting))
    if not met.is_empty():
        store.lock_accounts(pl.concat([met["account_id"], met["family_id"]]).unique().to_list())


def _months(matched: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """The months of usage by account, and of the topmost account where families share: account_id, time_zone, month."""
    months = matched.select("account_id", "time_zone", "month").unique()
    if not prices.shares_in_families:
        return months
    families = matched.filter(pl.col("family_id") != pl.col("account_id")).select("family_id", "month").unique()
    zones = store.zones_of(families["family_id"])
    of_families = families.join(zones, left_on="family_id", right_on="account_id")
    return pl.concat(
        [months, of_families.select(account_id="family_id", time_zone="time_zone", month="month")]
    ).unique()


def _price(matched: pl.DataFrame, prices: PriceList, periods: pl.DataFrame) -> Priced:
    standing = store.standing_of(matched, prices, periods)
    return price_usage(matched, prices=prices, periods=periods, standing=standing)


def outcome_of(
    *, priced: Priced, refused: pl.DataFrame, prices: PriceList, now: datetime, entries: pl.DataFrame | None = None
) -> Charged:
    """The rows of what was priced."""
    charged = charging.charges_of(priced.rated, prices, now, entries=entries)
    return Charged(charged, charging.draw_rows_of(priced.draws, charged), refused)


def require_all(count: int, outcome: Charged) -> None:
    """Raise CountMismatchError unless `count` UDRs were charged or refused, each once."""
    charged, refused = outcome.charged["udr_id"].n_unique(), outcome.refused.height
    if charged + refused != count or outcome.refused["udr_id"].n_unique() != refused:
        raise CountMismatchError(f"{count} UDRs became charges of {charged} and {refused} exceptions")


def write(outcome: Charged, now: datetime) -> None:
    """Write charges, draws and exceptions."""
    store.copy_in_charges(outcome.charged)
    store.copy_in_draws(outcome.draws)
    store.put_exceptions(outcome.refused, now)
