"""Where rating's frames meet PostgreSQL: tariffs, periods and balances under lock, charges and exceptions."""

from .charges import (
    charges_of_batches,
    copy_in_charges,
    give_back,
    mark_used,
    put_balances,
    put_exceptions,
    put_positions,
    require_total,
)
from .periods import lock_open_periods, lock_periods, zones_of
from .tariffs import balances_of, payers_of, positions_of, price_list
from .udrs import udr_ranges, udrs_of_batches, udrs_of_ids

__all__ = [
    "balances_of",
    "charges_of_batches",
    "copy_in_charges",
    "give_back",
    "lock_open_periods",
    "lock_periods",
    "mark_used",
    "payers_of",
    "positions_of",
    "price_list",
    "put_balances",
    "put_exceptions",
    "put_positions",
    "require_total",
    "udr_ranges",
    "udrs_of_batches",
    "udrs_of_ids",
    "zones_of",
]
