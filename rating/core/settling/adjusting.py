"""How what corrects a closed statement is taxed: where and as what that statement's own lines were."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from rating.core.tariffs import PriceList

from .bills import Adjusted, Bill, Line
from .frames import SETTLED

PLACE = ("period_id", "adjusts", "service_id", "usage_class_id", "jurisdiction")


def taxed_as_before(charges: pl.DataFrame, *, bills: Sequence[Bill], prices: PriceList) -> pl.DataFrame:
    """Charges that correct a closed statement, in the jurisdiction that was used for it; all others as they are.

    charges: SETTLED; so is the answer. A service that was billed there (a charge of its class is reversed) and one that
    is taxed where its account is follow the statement's lines of their rates, or else of their class, where these name
    one jurisdiction. Usage of another service comes to the statement for the first time, so that it is taxed where the
    service is today; as is what the lines do not tell (none of the class, or several jurisdictions): they name no
    service.
    """
    known = {bill.period_id: bill for bill in bills}
    moved: list[tuple[Any, ...]] = []
    for *place, rates, is_reversed in _corrections(charges):
        period_id, adjusts, _, usage_class_id, today = place
        bill = known[period_id]
        if adjusts in bill.adjusted and (is_reversed or today == bill.jurisdiction):
            rate_ids = {None if key is None else prices.rates[key].rate_id for key in rates}
            used = _jurisdiction(bill.adjusted[adjusts], usage_class_id, rate_ids, today)
            if used != today:
                moved.append((*place, used))
    if not moved:
        return charges
    schema = {name: SETTLED[name] for name in PLACE} | {"used": pl.String}
    found = charges.join(pl.DataFrame(moved, schema, orient="row"), on=PLACE, how="left", nulls_equal=True)
    return found.with_columns(jurisdiction=pl.coalesce("used", "jurisdiction")).select(*SETTLED)


def categorised_as_before(lines: Iterable[Line], adjusted: Mapping[str, Adjusted]) -> list[Line]:
    """Lines whose adjustments have the tax category that their usage class had in the statement they correct."""
    return [
        replace(line, tax_category=_category(adjusted[line.adjusts], line))
        if line.adjusts is not None and line.adjusts in adjusted
        else line
        for line in lines
    ]


def _corrections(charges: pl.DataFrame) -> list[tuple[Any, ...]]:
    """PLACE of what corrects statements, the keys of its rates (where there are reversals, of theirs), if any is."""
    is_reversal = pl.col("kind") == "reversal"
    corrections = charges.filter(pl.col("adjusts").is_not_null()).group_by(PLACE)
    found = corrections.agg(
        is_reversed=is_reversal.any(),
        rates=pl.col("rate_key").unique(),
        undone=pl.col("rate_key").filter(is_reversal).unique(),
    )
    rates = pl.when("is_reversed").then("undone").otherwise("rates")
    return found.select(*PLACE, rates.alias("rates"), "is_reversed").rows()


def _jurisdiction(adjusted: Adjusted, usage_class_id: int, rate_ids: Collection[int | None], today: str) -> str:
    own = [each for each in adjusted.usage if each.usage_class_id == usage_class_id]
    of_rates = {each.jurisdiction for each in own if each.rate_id in rate_ids}
    return _told(of_rates or {each.jurisdiction for each in own}, today)


def _category(adjusted: Adjusted, line: Line) -> str | None:
    own = {each.tax_category for each in adjusted.usage if each.usage_class_id == line.usage_class_id}
    return _told(own, line.tax_category or "")


def _told(used: Collection[str], today: str) -> str:
    """The one that was used; today's where none or several were."""
    return next(iter(used)) if len(used) == 1 else today
