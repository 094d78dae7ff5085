"""Usage priced one record after the other, in order: the counter, the buckets, the amount, the money that pays it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

import polars as pl

from mediation.core.numbers import AMOUNT, QUANTITY
from rating.core.costs import Counter, NoCount, NoPrice, NoTier, cost_of, count, round_away
from rating.core.frames import LEVEL, PRICED, REFUSED, empty

from .counters import Counters
from .grants import ZERO, Grants
from .routing import Work
from .totals import Totals
from .usage import Owners, Usage, read

LARGEST = Decimal("999999999999999.999999")  # what a QUANTITY holds
LARGEST_AMOUNT = Decimal(10) ** 21 - 1  # one more could round up to 22 digits
LARGEST_POSITION = Decimal(10) ** 25

TOO_MUCH = "The usage comes to a quantity of {}, more than can be priced. Mend the rate's increment, then rerate."
TOO_DEAR = "The usage costs more than 21 digits can hold. Correct the record at its source."
TOO_HIGH = "The usage reaches {}, above {}, where the last tier of rate {} ends. Add a tier without end, then rerate."

# What pricing adds to a row, beside its billing period.
ADDED = {
    "rated_quantity": QUANTITY,
    "free_quantity": QUANTITY,
    "bucket_quantity": QUANTITY,
    "tier_position": LEVEL,
    "credit": AMOUNT,
    "charged_amount": AMOUNT,
}


class Refusal(Exception):
    """A record that cannot be charged: its cause, and a message fit for a person."""

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause = cause


def told(number: Decimal) -> str:
    """A number as a person writes it."""
    return f"{number.normalize():f}"


@dataclass
class Ledger:
    """Prices usage in order. totals: what was used of classes that choose the tier of another."""

    works: list[Work]
    class_ids: Mapping[str, int]
    owners: Owners
    counters: Counters
    grants: Grants
    totals: Totals
    lines: list[tuple[object, ...]] = field(default_factory=list)
    refused: list[tuple[int, str, str]] = field(default_factory=list)

    def price(self, ordered: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(PRICED, REFUSED) of usage in order (see `usage.in_order`); a record's parts go or are refused together."""
        for _, parts in groupby(read(ordered), key=attrgetter("udr_id")):
            self._price_record(tuple(parts))
        return self._rated(ordered), self._refusals(ordered)

    def _price_record(self, parts: tuple[Usage, ...]) -> None:
        mark, has_parts = self.grants.begin(), len(parts) > 1
        self.counters.begin()
        try:
            priced = [self._price_part(usage, has_parts) for usage in parts]
        except Refusal as refusal:
            self.grants.undo(mark)
            self.counters.undo()
            self.refused.append((parts[0].row, refusal.cause, str(refusal)))
        else:
            self.lines += priced

    def _price_part(self, usage: Usage, has_parts: bool) -> tuple[object, ...]:
        """One row: (row, *ADDED). Raises Refusal, having drawn perhaps, but not counted."""
        work = self.works[usage.rate_key]
        try:
            return self._priced(work, usage, has_parts)
        except NoTier as missing:
            message = TOO_HIGH.format(told(missing.total), told(missing.bound), work.place)
            raise Refusal("no_rate", message) from missing
        except (NoPrice, NoCount) as missing:
            message = f"{missing} Mend rate {work.place}, or correct the record, then rerate."
            raise Refusal("no_rate", message) from missing

    def _priced(self, work: Work, usage: Usage, has_parts: bool) -> tuple[object, ...]:
        """Counted and rounded; drawn from units; priced; rounded; paid from money."""
        rate = work.rate
        key, counter = self.counters.find(work, usage)
        record = self.counters.record(work, usage)
        counted = count(rate, counter, record)
        if abs(counted.rated_quantity) > LARGEST:
            raise Refusal("system_error", TOO_MUCH.format(told(counted.rated_quantity)))
        need = counted.remaining
        drawn, drawn_cost = ZERO, ZERO
        if work.units and need > 0:
            drawn, drawn_cost = self.grants.draw(self.grants.serving(work.units, usage), need, usage)
        cost = cost_of(
            rate,
            counter,
            counted,
            record,
            billable=need - drawn,
            matrix_price=usage.matrix_price,
            tier_total=self._tier_total(work, usage) if rate.tier_by else None,
        )
        after, position = cost.after + drawn_cost, counter.position
        if abs(after - cost.before) > LARGEST_AMOUNT or abs(position + cost.used) > LARGEST_POSITION:
            raise Refusal("system_error", TOO_DEAR)
        amount = round_away(after, work.places)
        if cost.before:
            amount -= round_away(cost.before, work.places)
        credit = ZERO
        if work.money and amount:
            credit, topped_up = self._pay(work, counter, usage, amount)
            amount += round_away(topped_up, work.places)
        self.counters.advance(key, record, counted, used=cost.used, credit=credit, keep=has_parts)
        row = (usage.row, counted.rated_quantity, counted.free_quantity, drawn)
        return (*row, position if key else None, credit, amount - credit)

    def _pay(self, work: Work, counter: Counter, usage: Usage, amount: Decimal) -> tuple[Decimal, Decimal]:
        """(credit, what filling it up cost) of an amount. An amount below zero gives back what credit had paid."""
        serving = self.grants.serving(work.money, usage)
        if amount > 0:
            return self.grants.draw(serving, amount, usage)
        if counter.credit > 0:
            return -self.grants.give_back(serving, min(-amount, counter.credit), usage), ZERO
        return ZERO, ZERO

    def _tier_total(self, work: Work, usage: Usage) -> Decimal:
        """How much the owner used of the class that chooses the tier."""
        per = work.rate.counting.per
        class_id = self.class_ids.get(work.rate.tier_by or "")
        if class_id is None:
            return ZERO
        owner, period = self.owners.owner(per, usage), self.owners.period(per, usage)
        return self.totals.get((per, period.period_id, owner, class_id), ZERO)

    def _rated(self, ordered: pl.DataFrame) -> pl.DataFrame:
        rows = pl.Series([line[0] for line in self.lines], dtype=pl.UInt32)
        columns = list(zip(*self.lines, strict=True))[1:] or [() for _ in ADDED]
        added = [
            pl.Series(name, values, dtype=kind) for (name, kind), values in zip(ADDED.items(), columns, strict=True)
        ]
        return ordered[rows].with_columns(added).select(*PRICED)

    def _refusals(self, ordered: pl.DataFrame) -> pl.DataFrame:
        """REFUSED, one row a record: its date is that of its first part, its value that of all."""
        if not self.refused:
            return empty(REFUSED)
        rows, causes, messages = zip(*self.refused, strict=True)
        first = ordered[list(rows)].with_columns(
            udr_date="date", cause=pl.Series(causes, dtype=pl.String), message=pl.Series(messages, dtype=pl.String)
        )
        values = ordered.join(first.select("udr_id"), on="udr_id", how="semi").group_by("udr_id")
        whole = values.agg(pl.col("value").sum())
        told = first.drop("value").join(whole, on="udr_id", how="left", maintain_order="left")
        return told.with_columns(identifier=pl.lit(None, pl.String)).select(*REFUSED)
