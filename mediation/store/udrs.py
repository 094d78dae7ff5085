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


def claim_keys(keys: pl.DataFrame, *, feed_id: int) -> pl.DataFrame:
    """Write the keys that are new in the feed; returns HELD_KEYS, those that were there already.

    keys: key, content_hash, udr_id. A plain COPY is tried first, since most chunks bring only new keys; it is twice as
    fast as the road by a temporary table. Both write in key order, so that two writers of the same keys wait for each
    other instead of running into a deadlock.
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
    return _held_keys()


def _held_keys() -> pl.DataFrame:
    query = sql.SQL(
        "SELECT wanted.key, held.udr_id, replace(held.content_hash::text, '-', '') FROM wanted_key wanted"
        " JOIN {} held USING (feed_id, key) WHERE held.udr_id <> wanted.udr_id"
    ).format(sql.Identifier(KEY_TABLE))
    return copy_out(query, HELD_KEYS)


def move_keys(keys: pl.DataFrame, *, feed_id: int) -> None:
    """Let UDRs that replace others hold their keys. keys: key, content_hash, udr_id; the keys exist."""
    if keys.is_empty():
        return
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE wanted_key")
        copy_in(keys.select(pl.lit(feed_id).alias("feed_id"), "key", "content_hash", "udr_id"), "wanted_key")
        cursor.execute(
            f"UPDATE {KEY_TABLE} held SET udr_id = wanted.udr_id, content_hash = wanted.content_hash"  # noqa: S608
            " FROM wanted_key wanted WHERE held.feed_id = wanted.feed_id AND held.key = wanted.key"
        )


def delete_keys_of(batch_ids: Sequence[int]) -> None:
    """Forget the keys that UDRs of these batches still hold."""
    with connection.cursor() as cursor:
        for batch_id in batch_ids:
            first = batch_id << UDR_ID_BITS
            cursor.execute(
                f"DELETE FROM {KEY_TABLE} WHERE udr_id BETWEEN %s AND %s",  # noqa: S608 - our own table name
                [first, first + (1 << UDR_ID_BITS) - 1],
            )
