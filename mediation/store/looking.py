"""UDRs and keys as they stand, looked at without a claim."""

from collections.abc import Sequence

import polars as pl
from psycopg import sql

from mediation.core.frames import UDRS
from mediation.models import UDR_ID_BITS, Udr, UdrKey
from mediation.store.copying import copy_out, in_array
from mediation.store.udrs import HELD_KEYS


def udrs_of_batches(batch_ids: Sequence[int], *, last_number: int) -> pl.DataFrame:
    """UDRS of batches, up to a record number."""
    if not batch_ids:
        return pl.DataFrame(schema=UDRS)
    ranges = [
        sql.SQL("(id >= {} AND id < {})").format(sql.Literal(one << UDR_ID_BITS), sql.Literal((one + 1) << UDR_ID_BITS))
        for one in batch_ids
    ]
    query = sql.SQL("SELECT {} FROM {} WHERE record_number <= {} AND ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, UDRS)),
        sql.Identifier(Udr._meta.db_table),
        sql.Literal(last_number),
        sql.SQL(" OR ").join(ranges),
    )
    return copy_out(query, UDRS)


def holders_of(keys: pl.Series, *, feed_id: int, other_than: Sequence[int]) -> pl.DataFrame:
    """HELD_KEYS: which of these keys UDRs of a feed hold, those of the batches `other_than` left out."""
    query = sql.SQL(
        "SELECT key, udr_id, replace(content_hash::text, '-', '') FROM {} WHERE feed_id = {} AND {}"
        " AND NOT udr_id >> {} = ANY({}::bigint[])"
    ).format(
        sql.Identifier(UdrKey._meta.db_table),
        sql.Literal(feed_id),
        in_array("key", keys.to_list(), "text"),
        sql.Literal(UDR_ID_BITS),
        sql.Literal(list(other_than)),
    )
    return copy_out(query, HELD_KEYS)
