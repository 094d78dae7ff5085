"""The screens of rating: what usage costs, who pays, what was charged, what could not be."""

from . import accounts, batches, charges, exception_rerates, exceptions, plans, repricings, statements, taxes

__all__ = [
    "accounts",
    "batches",
    "charges",
    "exception_rerates",
    "exceptions",
    "plans",
    "repricings",
    "statements",
    "taxes",
]
