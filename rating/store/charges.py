"""Charges, draws and rating exceptions, in and out of PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.models import UDR_ID_BITS
from mediation.store import CopyMismatchError, copy_in, copy_out, in_array
from rating.core.frames import CHARGES, DRAW_ROWS, ENTRY_BITS, MOMENT, USAGE, empty
from rating.core.periods import span_of
from rating.models import BucketDraw, Charge, RatingException
from rating.store.counted_usage import disturb_counted
from rating.store.udrs import usage_of_udrs, within

CHARGE_TABLE = Charge._meta.db_table
DRAW_TABLE = BucketDraw._meta.db_table
EXCEPTION_TABLE = RatingException._meta.db_table
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, CHARGES))


def copy_in_charges(charges: pl.DataFrame) -> int:
    """Write CHARGES, whose periods are under lock; returns how many. The primary key refuses a UDR's second charge."""
    disturb_counted(charges)
    return copy_in(charges, CHARGE_TABLE)


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
    """The charges of batches that are not reversed, schema CHARGES."""
    return _standing(within("id", batch_ids, UDR_ID_BITS + ENTRY_BITS))


def charges_of_udrs(udr_ids: Sequence[int]) -> pl.DataFrame:
    """The charges of UDRs that are not reversed, schema CHARGES."""
    return _standing(within("id", udr_ids, ENTRY_BITS))


def charges_counted_in(period_ids: Sequence[int]) -> pl.DataFrame:
    """The charges that move the counters and grants of periods and are not reversed, schema CHARGES.

    A reversal is counted where its charge is, so both are read and put together here: asked of the database, the
    question would go through the whole history of charges.
    """
    here = in_array("period_id", period_ids, "bigint")
    elsewhere = in_array("counting_period_id", period_ids, "bigint")
    query = sql.SQL(
        "SELECT {} FROM rating_charge WHERE ({} AND counting_period_id = period_id)"
        " OR ({} AND counting_period_id <> period_id)"
    ).format(COLUMNS, here, elsewhere)
    return still_standing(copy_out(query, CHARGES))


def still_standing(rows: pl.DataFrame) -> pl.DataFrame:
    """The charges among charges and their reversals that are not taken back. rows: id, kind and more."""
    reversed_ids = rows.filter(pl.col("kind") == "reversal").select(id=pl.col("id") - 1)
    return rows.filter(pl.col("kind") == "charge").join(reversed_ids, on="id", how="anti", maintain_order="left")


def rates_charged(period_ids: Sequence[int]) -> pl.DataFrame:
    """Which versions' rates charged what periods bill: period_id, version_id, rate_id."""
    query = sql.SQL("SELECT DISTINCT period_id, version_id, rate_id FROM rating_charge WHERE {}").format(
        in_array("period_id", period_ids, "bigint")
    )
    return copy_out(query, {"period_id": pl.Int64, "version_id": pl.Int64, "rate_id": pl.Int64})


def _standing(condition: sql.Composable) -> pl.DataFrame:
    query = sql.SQL(
        "SELECT {} FROM rating_charge c WHERE {} AND kind = 'charge' AND NOT EXISTS"
        " (SELECT FROM rating_charge r WHERE r.id = c.id + 1 AND r.date = c.date)"
    ).format(COLUMNS, condition)
    return copy_out(query, CHARGES)


def next_entries(udr_ids: Sequence[int], earliest: datetime, latest: datetime) -> pl.DataFrame:
    """The first free entry of UDRs that were charged before: udr_id, entry. Entries of charges are even."""
    query = sql.SQL(
        "SELECT udr_id, (max(id) & {mask}) / 2 * 2 + 2 FROM rating_charge"
        " WHERE {udrs} AND id >= {first} AND id < {after} AND date BETWEEN {earliest} AND {latest} GROUP BY 1"
    ).format(
        mask=sql.Literal((1 << ENTRY_BITS) - 1),
        udrs=in_array("udr_id", udr_ids, "bigint"),
        first=sql.Literal(min(udr_ids) << ENTRY_BITS),
        after=sql.Literal((max(udr_ids) + 1) << ENTRY_BITS),
        earliest=sql.Literal(earliest),
        latest=sql.Literal(latest),
    )
    return copy_out(query, {"udr_id": pl.Int64, "entry": pl.Int64})


def copy_in_draws(draws: pl.DataFrame) -> int:
    """Write DRAW_ROWS; returns how many."""
    return copy_in(draws, DRAW_TABLE)


def draws_of(charges: pl.DataFrame) -> pl.DataFrame:
    """The movements of buckets that charges made, schema DRAW_ROWS."""
    if charges.is_empty():
        return empty(DRAW_ROWS)
    query = sql.SQL("SELECT {} FROM {} WHERE {} AND date BETWEEN {} AND {} ORDER BY charge_id, place").format(
        sql.SQL(", ").join(map(sql.Identifier, DRAW_ROWS)),
        sql.Identifier(DRAW_TABLE),
        in_array("charge_id", charges["id"].to_list(), "bigint"),
        sql.Literal(charges["date"].min()),
        sql.Literal(charges["date"].max()),
    )
    return copy_out(query, DRAW_ROWS)


def refused_usage_of(periods: pl.DataFrame, *, with_extensions: bool) -> pl.DataFrame:
    """Usage of accounts that found no rate in periods and waits as open rating exceptions, schema USAGE.

    periods: account_id, starts_at, ends_at and more. What a bounded last tier refuses depends on the order of usage.
    """
    found = _refused_in(periods)
    if found.is_empty():
        return empty(USAGE)
    earliest, latest = span_of(found["date"])
    return usage_of_udrs(found["udr_id"].to_list(), earliest, latest, with_extensions=with_extensions)


def refused_batches_of(periods: pl.DataFrame) -> list[int]:
    """The batches of that usage."""
    return sorted({udr_id >> UDR_ID_BITS for udr_id in _refused_in(periods)["udr_id"]})


def _refused_in(periods: pl.DataFrame) -> pl.DataFrame:
    query = sql.SQL(
        "SELECT e.udr_id, e.udr_date FROM rating_ratingexception e"
        " JOIN mediation_udrbatch b ON b.id = e.udr_id >> {bits} AND b.status = 'rated'"
        " WHERE e.status = 'open' AND e.cause = 'no_rate' AND e.udr_date BETWEEN {earliest} AND {latest} AND {accounts}"
    ).format(
        bits=sql.Literal(UDR_ID_BITS),
        earliest=sql.Literal(periods["starts_at"].min()),
        latest=sql.Literal(periods["ends_at"].max()),
        accounts=in_array("account_id", periods["account_id"].unique().to_list(), "bigint"),
    )
    return copy_out(query, {"udr_id": pl.Int64, "date": MOMENT})


def charge_counts(period_ids: Sequence[int]) -> dict[int, int]:
    """How many charges and reversals periods bill, by period."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT period_id, count(*) FROM rating_charge WHERE period_id = ANY(%s) GROUP BY 1", [list(period_ids)]
        )
        return dict(cursor.fetchall())


def put_exceptions(refused: pl.DataFrame, now: datetime) -> None:
    """Write REFUSED as open rating exceptions; one that the UDR has already gets its new cause."""
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
                " identifier = EXCLUDED.identifier, last_tried_at = EXCLUDED.last_tried_at, attempts = e.attempts + 1,"
                " status = 'open', closed_at = NULL, closed_by_id = NULL, close_reason = ''"
                " WHERE e.status IN ('open', 'resolved')"
            ).format(table=sql.Identifier(EXCEPTION_TABLE), names=names, now=sql.Literal(now))
        )
        _require_count(cursor.rowcount, refused.height, EXCEPTION_TABLE)


def _require_count(written: int, sent: int, table: str) -> None:
    if written != sent:
        raise CopyMismatchError(f"{table}: {sent} rows were meant, {written} were written")
