"""The end of a period: charges become lines, commitments add theirs, tax is reckoned, totals are drawn."""

from .bills import Adjusted, Bill, Categories, Kind, Line, Subscription, TaxedUsage
from .commitments import commitment_lines
from .frames import SETTLED
from .lines import first_alike, usage_lines
from .statement import Statement, name_of, settle
from .taxing import (
    TableTax,
    TaxableLine,
    TaxAmount,
    TaxCode,
    TaxContext,
    Taxed,
    TaxEngine,
    TaxPart,
    TaxSettings,
    TaxTotal,
    tax_totals,
)

__all__ = [
    "SETTLED",
    "Adjusted",
    "Bill",
    "Categories",
    "Kind",
    "Line",
    "Statement",
    "Subscription",
    "TableTax",
    "TaxAmount",
    "TaxCode",
    "TaxContext",
    "TaxEngine",
    "TaxPart",
    "TaxSettings",
    "TaxTotal",
    "TaxableLine",
    "Taxed",
    "TaxedUsage",
    "commitment_lines",
    "first_alike",
    "name_of",
    "settle",
    "tax_totals",
    "usage_lines",
]
