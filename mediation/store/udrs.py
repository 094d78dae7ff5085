"""UDRs and their uniqueness keys, in and out of PostgreSQL."""

from collections.abc import Sequence
from contextlib import suppress

import polars as pl
from django.db import IntegrityError, connection, transaction
from psycopg import errors, sql

from mediation.core.frames import UDRS
from mediation.models import UDR_ID_BITS, Udr, UdrKey
from mediation.store.copying import copy_in, copy_out

UDR_TABLE = Udr._meta.db_table
KEY_TABLE = UdrKey._meta.db_table

# A key that was there already. key: as asked for; udr_id, content_hash: of the UDR that holds it.
HELD_KEYS: dict[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "held_by": pl.Int64,
    "held_hash": pl.String,
}


def copy_in_udrs(udrs: pl.DataFrame, *, feed_id: int) -> int:
    """Write UDRS with their `udr_id`; returns how many."""
    rows = udrs.select(pl.col("udr_id").alias("id"), pl.lit(feed_id).alias("feed_id"), *UDRS)
    return copy_in(rows, UDR_TABLE)


def count_udrs(batches: pl.DataFrame) -> None:
    """Write how many UDRs batches hold. batches: batch_id, udr_count."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_UDRS, [batches["batch_id"].to_list(), batches["udr_count"].to_list()])


COUNT_UDRS = """
UPDATE mediation_udrbatch b SET udr_count = counted.udr_count
FROM unnest(%s::bigint[], %s::int[]) AS counted (id, udr_count) WHERE b.id = counted.id
"""


def claim_keys(keys: pl.DataFrame, *, feed_id: int, replaced_ids: Sequence[int] = ()) -> pl.DataFrame:
    """Write the keys that are new in the feed; returns HELD_KEYS, those that another UDR holds and keeps.

    keys: key, content_hash, udr_id. A key that a UDR of the batches `replaced_ids` holds is taken over. A plain COPY is
    tried first, since most chunks bring only new keys; it is twice as fast as the road by a temporary table. Both write
    in key order, so that two writers of the same keys wait for each other instead of running into a deadlock.
    """
    rows = keys.select(pl.lit(feed_id).alias("feed_id"), "key", "content_hash", "udr_id").sort("key")
    with suppress(errors.UniqueViolation, IntegrityError), transaction.atomic():
        copy_in(rows, KEY_TABLE)
        return pl.DataFrame(schema=HELD_KEYS)
    with connection.cursor() as cursor:
        cursor.execute(
            'CREATE TEMP TABLE IF NOT EXISTS wanted_key (feed_id bigint, key text COLLATE "C", content_hash uuid,'
            " udr_id bigint) ON COMMIT DELETE ROWS"
        )
        cursor.execute("TRUNCATE wanted_key")
        copy_in(rows, "wanted_key")
        cursor.execute(
            f"INSERT INTO {KEY_TABLE} (feed_id, key, content_hash, udr_id)"  # noqa: S608 - our own table names
            " SELECT feed_id, key, content_hash, udr_id FROM wanted_key ORDER BY key ON CONFLICT DO NOTHING"
        )
        written = cursor.rowcount
        if replaced_ids:
            written += _take_over_keys(replaced_ids)
    held = _held_keys()
    if written + held.height != rows.height:
        # A reprocess let go of a key between the two statements. The next try finds it free.
        raise KeysMovedError(f"{rows.height} keys wanted, {written} claimed, {held.height} held by others")
    return held


class KeysMovedError(RuntimeError):
    """Keys changed hands while they were claimed; the transaction must not commit, and can be tried again."""


def _take_over_keys(replaced_ids: Sequence[int]) -> int:
    """Let the wanted UDRs hold the keys of those that they replace; returns how many.

    The batch is looked at again once the row is ours: of two chunks of one attempt that hold the same record, the
    second finds the key gone to the first.
    """
    batches = [list(replaced_ids)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM {KEY_TABLE} held JOIN wanted_key wanted USING (feed_id, key)"  # noqa: S608
            f" WHERE held.udr_id >> {UDR_ID_BITS} = ANY(%s) ORDER BY key FOR UPDATE OF held",
            batches,
        )
        cursor.execute(
            f"UPDATE {KEY_TABLE} held SET udr_id = wanted.udr_id, content_hash = wanted.content_hash"  # noqa: S608
            " FROM wanted_key wanted WHERE held.feed_id = wanted.feed_id AND held.key = wanted.key"
            f" AND held.udr_id >> {UDR_ID_BITS} = ANY(%s)",
            batches,
        )
        return cursor.rowcount


def _held_keys() -> pl.DataFrame:
    query = sql.SQL(
        "SELECT wanted.key, held.udr_id, replace(held.content_hash::text, '-', '') FROM wanted_key wanted"
        " JOIN {} held USING (feed_id, key) WHERE held.udr_id <> wanted.udr_id"
    ).format(sql.Identifier(KEY_TABLE))
    return copy_out(query, HELD_KEYS)


def delete_keys_of(batch_ids: Sequence[int]) -> None:
    """Forget the keys that UDRs of these batches still hold."""
    with connection.cursor() as cursor:
        for batch_id in batch_ids:
            first = batch_id << UDR_ID_BITS
            cursor.execute(
                f"DELETE FROM {KEY_TABLE} WHERE udr_id BETWEEN %s AND %s",  # noqa: S608 - our own table name
                [first, first + (1 << UDR_ID_BITS) - 1],
            )


def delete_udrs_of(batch_ids: Sequence[int]) -> pl.DataFrame:
    """Delete the UDRs of batches that never counted, and their keys; returns import_id and record_number of each."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {"import_id": pl.Int64, "record_number": pl.Int64}
    parts = [pl.DataFrame(schema=schema)]
    delete_keys_of(batch_ids)
    for batch_id in batch_ids:
        first = batch_id << UDR_ID_BITS
        ids = sql.SQL("id BETWEEN {} AND {}").format(first, first + (1 << UDR_ID_BITS) - 1)
        query = sql.SQL("SELECT import_id, record_number FROM {} WHERE {}").format(sql.Identifier(UDR_TABLE), ids)
        parts.append(copy_out(query, schema))
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(UDR_TABLE), ids))
    return pl.concat(parts)
