"""The walk of usage from who pays to everything that pricing reads of it."""

import polars as pl

from rating.core.frames import REFUSED, Rated, empty

from .book import PAID, Book
from .costing import add_costs
from .describing import describe_matched
from .local_time import add_months
from .paying import find_payers
from .refusing import refuse_wholes
from .searching import find_rates, find_versions
from .splitting import MOST_PARTS, cut_at_boundaries, refuse_crumbs, rejoin, share_amounts


def match_usage(chosen: pl.DataFrame, *, book: Book) -> Rated:
    """Find who pays for usage, by which plan, version and rate, and what the rate asks of it.

    chosen: as `choose_payers` leaves it, one row a record. Returns schema MATCHED, one row a record or, where a group
    splits records at the boundaries of time periods, one for each part: its date is when it starts, its month that in
    which its record starts, so that one billing period counts the whole record. Refuses, as a whole, what cannot be
    rated, with the message that says what is missing.
    """
    paid = find_payers(chosen, book)
    parts = _match_parts(paid.rated, book)
    described = describe_matched(add_costs(_add_months(parts.rated), book), book)
    refused = pl.concat([paid.refused, parts.refused, described.refused])
    if parts.rated.height + parts.refused.height == paid.rated.height:
        return Rated(described.rated, refused)
    return refuse_wholes(Rated(described.rated, refused), chosen)


def _match_parts(paid: pl.DataFrame, book: Book) -> Rated:
    """Match records with their rates; what a boundary cuts off is matched anew until nothing is left."""
    matched, refused = [], [empty(REFUSED)]
    left = paid
    for _ in range(MOST_PARTS):
        dated = find_versions(left, book)
        rated = find_rates(dated.rated, book)
        cut = cut_at_boundaries(rated.rated, book.prices.rates)
        refused += [dated.refused, rated.refused]
        matched.append(cut.whole)
        left = cut.rest.select(*PAID)
        if left.is_empty():
            break
    refused.append(refuse_crumbs(left))
    if len(matched) > 1:
        columns = [*PAID, "version_id", "rate_key"]
        parts = rejoin(pl.concat(each.select(columns) for each in matched))
        return Rated(share_amounts(parts), pl.concat(refused))
    return Rated(matched[0], pl.concat(refused))


def _add_months(rated: pl.DataFrame) -> pl.DataFrame:
    """Add `month`, that in which each record starts: the earliest of its parts."""
    dated = add_months(rated)
    if not (rated["part"] > 0).any():
        return dated
    return dated.with_columns(pl.col("month").min().over("udr_id"))
