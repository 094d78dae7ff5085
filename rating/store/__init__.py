"""Where rating's frames meet PostgreSQL: price lists, payers, periods under lock, counters and grants, charges."""

from .billing import accounts_due, billed_charges, subscriptions_of
from .charges import (
    charges_counted_in,
    charges_of_batches,
    copy_in_charges,
    copy_in_draws,
    draws_of,
    next_entries,
    put_exceptions,
    refused_usage_of,
    require_total,
)
from .payers import payers_by_service, payers_of
from .periods import (
    lock_accounts,
    lock_open_periods,
    lock_periods,
    mark_unsettled,
    periods_as_they_stand,
    periods_known,
    zones_of,
)
from .plans import active_prices, book, bucket_ids_of, classes, plans, rate_ids_of
from .repricings import accounts_charged, chosen_charges, closed_periods_charged, note_accounts, note_other_accounts
from .standing import (
    grants_of,
    put_standing,
    replace_standing,
    standing_of,
    take_off_counters,
    take_off_grants,
)
from .udrs import udr_ranges, usage_of_batches, usage_of_udrs

__all__ = [
    "accounts_charged",
    "accounts_due",
    "active_prices",
    "billed_charges",
    "book",
    "bucket_ids_of",
    "charges_counted_in",
    "charges_of_batches",
    "chosen_charges",
    "classes",
    "closed_periods_charged",
    "copy_in_charges",
    "copy_in_draws",
    "draws_of",
    "grants_of",
    "lock_accounts",
    "lock_open_periods",
    "lock_periods",
    "mark_unsettled",
    "next_entries",
    "note_accounts",
    "note_other_accounts",
    "payers_by_service",
    "payers_of",
    "periods_as_they_stand",
    "periods_known",
    "plans",
    "put_exceptions",
    "put_standing",
    "rate_ids_of",
    "refused_usage_of",
    "replace_standing",
    "require_total",
    "standing_of",
    "subscriptions_of",
    "take_off_counters",
    "take_off_grants",
    "udr_ranges",
    "usage_of_batches",
    "usage_of_udrs",
    "zones_of",
]
