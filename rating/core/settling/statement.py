"""A period's statement: lines of usage and of commitments, their tax, and the totals."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

import polars as pl

from rating.core.costs import EXACT
from rating.core.tariffs import PriceList

from .adjusting import categorised_as_before, taxed_as_before
from .bills import ZERO, Bill, Categories, Line
from .commitments import INSTANT, commitment_lines
from .frames import SETTLED
from .lines import first_alike, usage_lines
from .spending import spending
from .taxing import TaxableLine, TaxAmount, TaxContext, Taxed, TaxEngine


@dataclass(frozen=True)
class Statement:
    """What an account owes for a period.

    amount: the exact sum of the lines. subtotal: the sum of the rounded lines, without tax where prices contain it;
    subtotal + tax_total = total. faults: what keeps the statement from being closed, in words.
    """

    period_id: int
    lines: tuple[Line, ...]
    tax_amounts: tuple[TaxAmount, ...]
    amount: Decimal
    subtotal: Decimal
    tax_total: Decimal
    total: Decimal
    faults: tuple[str, ...] = ()


def settle(
    charges: pl.DataFrame,
    *,
    bills: Sequence[Bill],
    prices: PriceList,
    categories: Categories,
    tax: TaxEngine | None = None,
) -> list[Statement]:
    """The statement of each bill, in the order of `bills`; of a period without charges too.

    charges: SETTLED, of any number of periods; those of other periods are left out. categories: tax category by
    usage class id. tax: None for no tax at all. The answer does not depend on the order of the rows. Codes of tax and
    exemptions hold as of the last moment of the period; adjustments are taxed as the statement was that they adjust
    (see `Bill.adjusted`). Raises OverflowError where 38 digits cannot hold a sum.
    """
    known = {bill.period_id: bill for bill in bills}
    own = first_alike(charges.select(*SETTLED).filter(pl.col("period_id").is_in(list(known))), prices)
    own = taxed_as_before(own, bills=bills, prices=prices)
    currencies = {period_id: bill.currency for period_id, bill in known.items()}
    lines = usage_lines(own, prices=prices, currencies=currencies, categories=categories)
    spent = spending(own, bills, prices)
    statements = []
    for bill in bills:
        used = categorised_as_before(lines.get(bill.period_id, []), bill.adjusted)
        promised = commitment_lines(bill, used, spent.get(bill.period_id, ()), prices=prices, categories=categories)
        statements.append(_statement(bill, (*used, *promised), tax))
    return statements


def name_of(line: Line) -> str:
    """What a line is about, in words: its rate and tier, or its commitment."""
    if line.commitment:
        return line.commitment
    name = f"{line.group} / {line.rate}" if line.rate else f"usage class {line.usage_class_id}"
    return f"{name}, tier {line.tier}" if line.tier else name


def _statement(bill: Bill, lines: tuple[Line, ...], tax: TaxEngine | None) -> Statement:
    context = TaxContext(bill.currency, bill.is_tax_exempt, bill.exempt_categories, bill.jurisdiction)
    taxable = [_taxable(bill, number, line) for number, line in enumerate(lines, start=1)]
    taxed = tax.tax(taxable, context=context) if tax else Taxed(())
    with localcontext(EXACT):
        tax_total = sum((each.amount for each in taxed.amounts), ZERO)
        rounded = sum((line.line_amount for line in lines), ZERO)
        subtotal = rounded - tax_total if taxed.is_inclusive else rounded
        return Statement(
            period_id=bill.period_id,
            lines=lines,
            tax_amounts=taxed.amounts,
            amount=sum((line.amount for line in lines), ZERO),
            subtotal=subtotal,
            tax_total=tax_total,
            total=subtotal + tax_total,
            faults=taxed.faults,
        )


def _taxable(bill: Bill, number: int, line: Line) -> TaxableLine:
    adjusted = bill.adjusted.get(line.adjusts) if line.adjusts else None
    return TaxableLine(
        number=number,
        name=name_of(line),
        category=line.tax_category,
        mixed_categories=line.mixed_categories,
        jurisdiction=line.jurisdiction,
        amount=line.line_amount,
        at=adjusted.at if adjusted else bill.ends_at - INSTANT,
        context=TaxContext(bill.currency, adjusted.is_tax_exempt, adjusted.exempt_categories) if adjusted else None,
    )
