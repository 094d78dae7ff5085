"""From usage to the rate that prices it: who pays, which plan and version, which group and rate, and what they ask."""

from .book import CHOSEN, CLASSES, KNOWN, PAYERS, PLANS, Book
from .choosing import choose_payers
from .costing import add_costs
from .describing import describe_matched
from .splitting import share_amounts
from .walk import match_usage

__all__ = [
    "CHOSEN",
    "CLASSES",
    "KNOWN",
    "PAYERS",
    "PLANS",
    "Book",
    "add_costs",
    "choose_payers",
    "describe_matched",
    "match_usage",
    "share_amounts",
]
