"""The chapters of an explanation that reckon: what counts, what is drawn, what it costs, in numbers that add up."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from rating.core.costs import Record, Step
from rating.core.costs.prices import plain
from rating.core.explaining import About, Chapter, Fact, Met, Reckoning, recall, reckon
from rating.core.tariffs import PricedRate
from rating.models import Account, Charge, Service

from .asking import Asked, in_utc

SHARED = {"service": "the service", "account": "the account", "family": "the accounts of the family"}
RESTARTS = {
    "period": "starts again with each billing period",
    "day": "starts again each day",
    "hour": "starts again each hour",
    "import": "starts again with each import",
    "record": "starts again with each record",
    "never": "never starts again",
}
MOVES = {"draw": "drawn from", "give_back": "given back to", "refill": "filled into"}
COUNTING = ("measured", "counted", "transformed", "rounded", "risen", "free", "drawn", "billable")


def reckoning_of(asked: Asked) -> tuple[Reckoning, Met | None]:
    """How the charge comes to its amount: as counted in order of date, else as it was rated, else as it says itself."""
    priced, charged = asked.priced, asked.charged()
    met, total = None, None
    for as_rated in (False, True):
        met = asked.met(as_rated=as_rated)
        if met is None or priced is None:
            break
        total = asked.tier_total(met)
        found = reckon(
            priced.rate,
            met.counter,
            met.record,
            charged,
            places=priced.group.amount_precision,
            matrix_price=met.matrix_price,
            tier_total=total,
        )
        if found is not None:
            return found, met
    rate = priced.rate if priced else None
    record = met.record if met else _record_of(asked)
    matrix_price = met.matrix_price if met else None
    return recall(rate, record, charged, matrix_price=matrix_price, tier_total=total), met


def _record_of(asked: Asked) -> Record:
    row, amounts = asked.row.row(0, named=True), asked.known["amount"].to_list()
    return Record(row["date"], row["quantity"], amounts[0] if amounts else None, row["cost"], part=row["part"])


def chapters_of(asked: Asked, moves: pl.DataFrame, reckoning: Reckoning, met: Met | None) -> Iterator[Chapter]:
    """From the measured quantity to what is charged. moves: DRAW_ROWS. Of a reversal both are turned round."""
    counted = [_fact(step) for step in reckoning.steps if step.name in COUNTING]
    yield Chapter("quantity", "From what was measured to what is priced", tuple(counted))
    yield Chapter("counter", "The counter", tuple(_counter_facts(asked, reckoning, met)))
    drawn = [_draw_fact(asked, move) for move in moves.iter_rows(named=True)]
    none = Fact("none", "Nothing was drawn from a bucket.")
    yield Chapter("buckets", "Buckets", tuple(drawn) or (none,))
    priced = [_fact(step) for step in reckoning.steps if step.name not in COUNTING]
    yield Chapter("price", "The price", (*_unwhole(reckoning), *priced))


def _fact(step: Step) -> Fact:
    return Fact(step.name, step.text, step.quantity, step.amount)


def _unwhole(reckoning: Reckoning) -> Iterator[Fact]:
    if not reckoning.is_whole:
        yield Fact(
            "changed",
            "Usage that shared its counter when it was rated has been taken back or put in another order since. The "
            "steps are told from what the charge itself says; the period's closing puts it in order.",
        )


def _counter_facts(asked: Asked, reckoning: Reckoning, met: Met | None) -> Iterator[Fact]:
    priced = asked.priced
    if priced is None or asked.charge.tier_position is None:
        yield Fact("none", "The rate keeps no counter: no other usage changes what this record costs.")
        return
    yield Fact("whose", _whose(asked, priced, met), about=_owner_of(asked.charge, priced))
    before, after = reckoning.before, reckoning.after
    if reckoning.is_whole and asked.has_history:
        records = f"{before.records:,} {'record' if before.records == 1 else 'records'}"
        counted = f", {plain(before.level)} counted" if priced.rate.aggregation.function != "each" else ""
        yield Fact("before", f"Before this record: {records}{counted}, {plain(before.position)} priced.")
        counted = f"{plain(after.level)} counted, " if counted else ""
        yield Fact("after", f"After it: {counted}{plain(after.position)} priced.")
    else:
        yield Fact("before", f"Before this record: {plain(before.position)} priced.")
        yield Fact("after", f"After it: {plain(after.position)} priced.")


def _whose(asked: Asked, priced: PricedRate, met: Met | None) -> str:
    counting, charge = priced.rate.counting, asked.charge
    name = {"service": str(charge.service), "account": str(charge.account)}.get(counting.per, "")
    if counting.per == "family":
        name = str(Account.objects.get(pk=asked.family_id))
    apart = ""
    if counting.by and met is not None and met.key is not None:
        apart = f", apart by {' and '.join(counting.by)}: {met.key[4]}"
    return f"Usage of {SHARED[counting.per]} {name} counts together{apart}; the counter {RESTARTS[counting.restarts]}."


def _owner_of(charge: Charge, priced: PricedRate) -> About:
    if priced.rate.counting.per == "service":
        return About("service", charge.service_id)
    return About("account", charge.account_id)


def _draw_fact(asked: Asked, move: dict[str, Any]) -> Fact:
    """One movement of a bucket: how much, of whose grant, and what was left."""
    unit = f" {asked.charge.currency}" if asked.is_of_money(move["bucket_id"]) else ""
    service = Service.objects.filter(pk=move["service_id"]).first() if move["service_id"] else None
    owner = service or Account.objects.filter(pk=move["account_id"]).first()
    since = in_utc(move["starts_at"])
    cost = f" That costs {plain(move['amount'])}." if move["amount"] else ""
    bucket, verb = asked.buckets[move["bucket_id"]], MOVES[move["kind"]]
    text = (
        f"{plain(abs(move['quantity']))}{unit} {verb} “{bucket}” of {owner}, granted from {since}; "
        f"{plain(move['left'])}{unit} left.{cost}"
    )
    return Fact(move["kind"], text, about=About("draws", move["charge_id"]))
