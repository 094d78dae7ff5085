"""The counter as a charge met it: usage before it is counted again, with the draws and credits that it was charged."""

from collections.abc import Mapping
from copy import deepcopy
from decimal import Decimal, localcontext
from typing import NamedTuple

import polars as pl

from rating.core.costs import EXACT, Counter, Record, count
from rating.core.costs.costs import base_of
from rating.core.frames import Standing
from rating.core.ledger.counters import CounterKey, Counters
from rating.core.ledger.routing import Work, works
from rating.core.ledger.usage import Owner, Usage, in_order, owners_of, read, with_periods
from rating.core.plans.spec import Rate
from rating.core.tariffs import PriceList

Entry = tuple[int, int]  # udr_id, part
Moved = Mapping[Entry, tuple[Decimal, Decimal]]  # drawn from buckets of units, paid from buckets of money


class Met(NamedTuple):
    """What a record met: its rate, its counter (key None: the rate keeps none) as it stood, and what it counts.

    period_id, owner: by which the rate counts: of the service, the account or the family.
    """

    work: Work
    key: CounterKey | None
    counter: Counter
    record: Record
    period_id: int
    owner: Owner
    matrix_price: Decimal | None


def needs_history(rate: Rate) -> bool:
    """Whether the counter's position, which every charge keeps, is too little to tell what a record cost."""
    return (
        rate.aggregation.function != "each"
        or rate.free_units > 0
        or rate.free_records > 0
        or rate.free_amount > 0
        or rate.flat_at_zero
    )


def met_by(
    entry: Entry,
    matched: pl.DataFrame,
    *,
    prices: PriceList,
    periods: pl.DataFrame,
    opening: Standing,
    moved: Moved,
    as_rated: bool = False,
) -> Met:
    """What the record `entry` met, once all usage of its counter before it was counted.

    matched: MATCHED, of the record and of whatever shares its counter; with `rated_at` where it is to be counted as it
    was rated (as_rated), and not in the order of its dates. periods: BOUNDS. opening: counters of periods before.
    moved: of each charge. Raises what `count` raises where usage before it cannot be counted.
    """
    usage = with_periods(matched, periods)
    owners = owners_of(usage, shared=())
    counters = Counters(opening.counters, opening.seen, owners)
    known = works(prices)
    ordered = in_order(usage)
    if as_rated:
        ordered = ordered.sort("rated_at", maintain_order=True)
    rows = list(read(ordered))
    own = next(each for each in rows if (each.udr_id, each.part) == entry)
    key, _ = counters.find(known[own.rate_key], own)
    if key is not None:
        with localcontext(EXACT):
            for each in rows[: rows.index(own)]:
                work = known[each.rate_key]
                if work.rate_id == key[3] and counters.find(work, each)[0] == key:
                    _count(work, each, key, counters, *moved[each.udr_id, each.part])
    work = known[own.rate_key]
    per = work.rate.counting.per
    return Met(
        work=work,
        key=key,
        counter=deepcopy(counters.find(work, own)[1]),
        record=counters.record(work, own),
        period_id=owners.period(per, own).period_id,
        owner=owners.owner(per, own),
        matrix_price=own.matrix_price,
    )


def _count(work: Work, usage: Usage, key: CounterKey, counters: Counters, drawn: Decimal, credit: Decimal) -> None:
    """Move the counter on by usage that was charged before."""
    record = counters.record(work, usage)
    counted = count(work.rate, counters.met[key], record)
    used = base_of(work.rate, record, counted.remaining - drawn)
    counters.advance(key, record, counted, used=used, credit=credit, keep=False)
