"""The verbs of mediation, in the order in which a record meets them.

lines of a CSV file ─► load_lookup_rows        lookups       what profiles look texts up in
draft a profile ─► activate a version          profiles      what a record means, decided before it comes
bytes of an import ─► read_part, read_rows     mediating     RECORDS: a row each, its source fields as text
rows of one record ─► mark_rows, combine_parts combining     one record of all of them, once they are all there
RECORDS ─► mediate                             mediating     kept · skipped · duplicate · rejected
     kept ─► UDRs and keys by COPY, one batch an import      batches     staged ─► mediated ─► rated
a group's correction undone ─► take_back_batches batches   as long as nothing of it is rated
an import read again ─► swap_batches           batches       the new attempt's UDRs count, the old are superseded
usage taken back by its key ─► void_keys       voiding       the UDR counts no more, its key is free
usage of a backfill ─► close_window            backfilling   held apart, then in place of all else in its window
a refused envelope ─► withdraw_batches         batches       what was staged is gone as if it had never been written
work is ready ─► ring ─► answer                bells         wakes a worker, once however many ring
"""

from mediation.core.reading import UnreadableError
from mediation.services.acting import acting, acts, coming_by, note_reason, request_at_hand, tell_database, teller
from mediation.services.approving import NeedsSecondPerson, asks_for_second_person, require_second_person, value_of
from mediation.services.backfilling import (
    BusyError,
    ClassDifference,
    SwapOrder,
    Swapped,
    close_window,
    difference_of,
    drop_window,
    lock_window,
    open_window,
    reopen_window,
)
from mediation.services.batches import (
    NEVER_RATED,
    are_charged,
    make_partitions_ahead,
    swap_batches,
    take_back_batches,
    withdraw_batches,
)
from mediation.services.bells import answer, linger, ring, ring_now, sole
from mediation.services.combining import Combination, combine_parts, mark_rows, window_of
from mediation.services.lookups import LineFault, UnableToLoad, load_lookup_rows
from mediation.services.mediating import Outcome, cut, mediate, read_part, read_rows, scan_file, scan_rows, write_out
from mediation.services.origins import working_on
from mediation.services.permissions import require_permission
from mediation.services.profiles import UnableToActivate, activate_version, create_draft, update_draft
from mediation.services.seeing import feeds_seen, narrow, require_feeds, seen
from mediation.services.specs import spec_of
from mediation.services.voiding import (
    KeyOutcome,
    VoidOrder,
    lock_usage,
    lock_usage_soon,
    void_keys,
)
from mediation.store import UsageHeldError

__all__ = [
    "NEVER_RATED",
    "BusyError",
    "ClassDifference",
    "Combination",
    "KeyOutcome",
    "LineFault",
    "NeedsSecondPerson",
    "Outcome",
    "SwapOrder",
    "Swapped",
    "UnableToActivate",
    "UnableToLoad",
    "UnreadableError",
    "UsageHeldError",
    "VoidOrder",
    "acting",
    "activate_version",
    "acts",
    "answer",
    "are_charged",
    "asks_for_second_person",
    "close_window",
    "combine_parts",
    "coming_by",
    "create_draft",
    "cut",
    "difference_of",
    "drop_window",
    "feeds_seen",
    "linger",
    "load_lookup_rows",
    "lock_usage",
    "lock_usage_soon",
    "lock_window",
    "make_partitions_ahead",
    "mark_rows",
    "mediate",
    "narrow",
    "note_reason",
    "open_window",
    "read_part",
    "read_rows",
    "reopen_window",
    "request_at_hand",
    "require_feeds",
    "require_permission",
    "require_second_person",
    "ring",
    "ring_now",
    "scan_file",
    "scan_rows",
    "seen",
    "sole",
    "spec_of",
    "swap_batches",
    "take_back_batches",
    "tell_database",
    "teller",
    "update_draft",
    "value_of",
    "void_keys",
    "window_of",
    "withdraw_batches",
    "working_on",
    "write_out",
]
