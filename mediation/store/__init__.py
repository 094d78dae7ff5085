"""Where frames meet PostgreSQL: COPY for every room, the UDRs and their keys, monthly partitions, lookup tables."""

from mediation.store.by_batch import RowsByBatch
from mediation.store.copying import CopyMismatchError, copy_in, copy_out, in_array
from mediation.store.exporting import (
    NameOf,
    csv_pieces,
    number_headers,
    one_moment,
    query_as_csv,
    rows_of_cells,
    totals,
)
from mediation.store.lookups import lookup_rows, tables, tables_of
from mediation.store.partitions import ensure_month_partitions, months_around
from mediation.store.udrs import KeysMovedError, claim_keys, copy_in_udrs, count_udrs, delete_keys_of, delete_udrs_of
from mediation.store.voids import (
    HeldKey,
    UsageHeldError,
    free_keys,
    held_keys,
    lock_voids,
    lock_voids_soon,
    places_of,
    voided_keys,
    voided_since,
)

__all__ = [
    "CopyMismatchError",
    "HeldKey",
    "KeysMovedError",
    "NameOf",
    "RowsByBatch",
    "UsageHeldError",
    "claim_keys",
    "copy_in",
    "copy_in_udrs",
    "copy_out",
    "count_udrs",
    "csv_pieces",
    "delete_keys_of",
    "delete_udrs_of",
    "ensure_month_partitions",
    "free_keys",
    "held_keys",
    "in_array",
    "lock_voids",
    "lock_voids_soon",
    "lookup_rows",
    "months_around",
    "number_headers",
    "one_moment",
    "places_of",
    "query_as_csv",
    "rows_of_cells",
    "tables",
    "tables_of",
    "totals",
    "voided_keys",
    "voided_since",
]
