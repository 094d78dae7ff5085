"""Voided UDRs in and out of PostgreSQL, and the lock that keeps voiding and mediating of a feed apart."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import polars as pl
from django.db import OperationalError, connection, transaction
from psycopg import sql
from psycopg.errors import LockNotAvailable

from mediation.core.voiding import VOIDED
from mediation.models import Udr, UdrKey, VoidedUdr
from mediation.store.copying import copy_out

PATIENCE_MS = 1_000


class UsageHeldError(Exception):
    """Others mediate or swap usage of the feed, and were not through within PATIENCE_MS."""


class HeldKey(NamedTuple):
    """A key, the UDR that holds it, and the hash of its content in hex."""

    key: str
    udr_id: int
    content_hash: str


def lock_voids(feed_id: int, *, is_alone: bool) -> None:
    """Wait until the feed's usage is not being voided, or also not mediated, until the end of the transaction.

    Many may mediate at once; who takes a key back is alone, so that nobody brings a record in whose void he cannot see.
    """
    lock = "pg_advisory_xact_lock" if is_alone else "pg_advisory_xact_lock_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {lock}(hashtextextended('mediation_void', %s))", [feed_id])


def lock_voids_soon(feed_id: int) -> None:
    """Be alone with the feed's usage, until the end of the transaction. Raises UsageHeldError within PATIENCE_MS."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
            lock_voids(feed_id, is_alone=True)
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise UsageHeldError(f"others are at the usage of feed {feed_id}") from None
        raise


def voided_since(feed_id: int, moment: datetime, *, amended_since: datetime | None = None) -> pl.DataFrame:
    """What was taken back in a feed by its keys, by requests after a moment, schema VOIDED.

    amended_since: only amendments after this moment are among it, where it is given; what backfills replace never is.
    """
    query = sql.SQL(
        "SELECT key, import_id, record_number, requested_at FROM {} WHERE feed_id = {} AND requested_at > {}"
        " AND backfill_id IS NULL AND (replaced_by IS NULL OR requested_at > {})"
    ).format(
        sql.Identifier(VoidedUdr._meta.db_table),
        sql.Literal(feed_id),
        sql.Literal(moment),
        sql.Literal(amended_since or moment),
    )
    return copy_out(query, VOIDED)


def held_keys(feed_id: int, keys: Sequence[str]) -> dict[str, HeldKey]:
    """Who holds each of these keys of a feed."""
    rows = UdrKey.objects.filter(feed_id=feed_id, key__in=keys).values_list("key", "pk", "content_hash")
    return {key: HeldKey(key, udr_id, content_hash.hex) for key, udr_id, content_hash in rows}


def voided_keys(feed_id: int, keys: Sequence[str]) -> dict[str, int]:
    """The UDR that was voided last under each of these keys."""
    rows = VoidedUdr.objects.filter(feed_id=feed_id, key__in=keys).order_by("voided_at", "pk")
    return dict(rows.values_list("key", "pk"))


def places_of(udr_ids: Sequence[int]) -> dict[int, tuple[datetime, int, int]]:
    """When the usage of each UDR happened, and the import and record number that it came by."""
    rows = Udr.objects.filter(pk__in=udr_ids).values_list("pk", "date", "import_id", "record_number")
    return {udr_id: (date, import_id, number) for udr_id, date, import_id, number in rows}


def free_keys(udr_ids: Sequence[int]) -> int:
    """Forget the keys that these UDRs hold; returns how many."""
    deleted, _ = UdrKey.objects.filter(pk__in=udr_ids).delete()
    return deleted
