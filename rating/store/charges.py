"""Charges, balances and rating exceptions, in and out of PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import polars as pl
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from mediation.models import UDR_ID_BITS
from mediation.store import CopyMismatchError, copy_in, copy_out
from rating.core.frames import CHARGES, ENTRY_BITS
from rating.models import Charge, RatingException
from rating.store.udrs import within

CHARGE_TABLE = Charge._meta.db_table
EXCEPTION_TABLE = RatingException._meta.db_table
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, CHARGES))


def copy_in_charges(charges: pl.DataFrame) -> int:
    """Write CHARGES; returns how many. The primary key refuses a UDR's second charge."""
    return copy_in(charges, CHARGE_TABLE)


def mark_used(rate_ids: Sequence[int]) -> None:
    """Let rates that charges are made with stay as they are: the database refuses to change them from now on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rating_rate SET is_used = true WHERE id IN"
            " (SELECT id FROM rating_rate WHERE id = ANY(%s) AND NOT is_used ORDER BY id FOR UPDATE)",
            [list(rate_ids)],
        )


def require_total(batch_ids: Sequence[int], total: Decimal) -> None:
    """Raise CopyMismatchError unless PostgreSQL, whose sums have no bound, adds the batches' charges to `total`."""
    query = sql.SQL("SELECT coalesce(sum(amount), 0) FROM rating_charge WHERE {batches}").format(
        batches=within("id", batch_ids, UDR_ID_BITS + ENTRY_BITS)
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        (found,) = cursor.fetchone() or (None,)
    if found != total:
        raise CopyMismatchError(f"the charges come to {found}, {total} was computed")


def charges_of_batches(batch_ids: Sequence[int]) -> pl.DataFrame:
    """The charges of batches that are not reversed yet, schema CHARGES."""
    query = sql.SQL(
        "SELECT {columns} FROM rating_charge c WHERE {batches} AND kind = 'charge' AND NOT EXISTS"
        " (SELECT FROM rating_charge r WHERE r.id = c.id + 1 AND r.date = c.date)"
    ).format(columns=COLUMNS, batches=within("id", batch_ids, UDR_ID_BITS + ENTRY_BITS))
    return copy_out(query, CHARGES)


def put_positions(positions: pl.DataFrame) -> None:
    """Write POSITIONS over what stands."""
    _put(positions, "rating_tierposition", ["period_id", "service_id", "rate_id"], "quantity")


def put_balances(balances: pl.DataFrame) -> None:
    """Write BALANCES over what stands."""
    _put(balances, "rating_bucketbalance", ["period_id", "service_id", "bucket_id"], "used")


def _put(rows: pl.DataFrame, table: str, keys: list[str], value: str) -> None:
    if rows.is_empty():
        return
    parts = {
        "table": sql.Identifier(table),
        "new": sql.Identifier(f"new_{value}"),
        "keys": sql.SQL(", ").join(map(sql.Identifier, keys)),
        "value": sql.Identifier(value),
    }
    with connection.cursor() as cursor:
        _make_temporary(cursor, f"new_{value}", keys, value)
        copy_in(rows.select(*keys, value), f"new_{value}")
        cursor.execute(
            sql.SQL(
                "INSERT INTO {table} ({keys}, {value}) SELECT {keys}, {value} FROM {new}"
                " ON CONFLICT ({keys}) DO UPDATE SET {value} = EXCLUDED.{value}"
            ).format(**parts)
        )
        _require_count(cursor.rowcount, rows.height, table)


def give_back(climbed: pl.DataFrame, drawn: pl.DataFrame) -> None:
    """Subtract what reversed charges had added. climbed, drawn: the keys of POSITIONS or BALANCES, and sum."""
    _subtract(climbed, "rating_tierposition", ["period_id", "service_id", "rate_id"], "quantity")
    _subtract(drawn, "rating_bucketbalance", ["period_id", "service_id", "bucket_id"], "used")


def _subtract(rows: pl.DataFrame, table: str, keys: list[str], value: str) -> None:
    if rows.is_empty():
        return
    same = sql.SQL(" AND ").join(sql.SQL("t.{0} = n.{0}").format(sql.Identifier(key)) for key in keys)
    with connection.cursor() as cursor:
        _make_temporary(cursor, f"new_{value}", keys, value)
        copy_in(rows.select(*keys, pl.col("sum").alias(value)), f"new_{value}")
        cursor.execute(
            sql.SQL("UPDATE {} t SET {value} = t.{value} - n.{value} FROM {} n WHERE {}").format(
                sql.Identifier(table), sql.Identifier(f"new_{value}"), same, value=sql.Identifier(value)
            )
        )
        _require_count(cursor.rowcount, rows.height, table)


def _make_temporary(cursor: CursorWrapper, name: str, keys: list[str], value: str) -> None:
    columns = sql.SQL(", ").join(sql.SQL("{} bigint").format(sql.Identifier(key)) for key in keys)
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ({}, {} numeric) ON COMMIT DELETE ROWS").format(
            sql.Identifier(name), columns, sql.Identifier(value)
        )
    )
    cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(name)))


def put_exceptions(refused: pl.DataFrame, now: datetime) -> None:
    """Write REFUSED as open rating exceptions; one that stands open already is told its new cause and attempt."""
    if refused.is_empty():
        return
    names = sql.SQL(", ").join(map(sql.Identifier, refused.columns))
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "CREATE TEMP TABLE IF NOT EXISTS refused ON COMMIT DELETE ROWS AS SELECT {} FROM {} LIMIT 0"
            ).format(names, sql.Identifier(EXCEPTION_TABLE))
        )
        cursor.execute("TRUNCATE refused")
        copy_in(refused, "refused")
        cursor.execute(
            sql.SQL(
                "INSERT INTO {table} AS e ({names}, status, created_at, last_tried_at, attempts)"
                " SELECT {names}, 'open', {now}, {now}, 1 FROM refused ORDER BY udr_id"
                " ON CONFLICT (udr_id) DO UPDATE SET cause = EXCLUDED.cause, message = EXCLUDED.message,"
                " account_id = EXCLUDED.account_id, service_id = EXCLUDED.service_id,"
                " identifier = EXCLUDED.identifier, last_tried_at = EXCLUDED.last_tried_at, attempts = e.attempts + 1"
                " WHERE e.status = 'open'"
            ).format(table=sql.Identifier(EXCEPTION_TABLE), names=names, now=sql.Literal(now))
        )
        _require_count(cursor.rowcount, refused.height, EXCEPTION_TABLE)


def _require_count(written: int, sent: int, table: str) -> None:
    if written != sent:
        raise CopyMismatchError(f"{table}: {sent} rows were meant, {written} were written")
