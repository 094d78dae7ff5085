"""UDRs out of PostgreSQL, as rating reads them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.models import UDR_ID_BITS
from mediation.store import copy_out, in_array
from rating.core.frames import USAGE

# What is no column of the table: every UDR is whole until it is matched.
COMPUTED = {"udr_id": sql.SQL("id"), "part": sql.SQL("0")}


def usage_of_batches(batch_ids: Sequence[int], *, with_extensions: bool) -> pl.DataFrame:
    """The UDRs of batches but the voided, schema USAGE, by ranges of the primary key.

    Extensions are the widest part of a UDR.
    """
    condition = within("id", batch_ids, UDR_ID_BITS)
    voided = voided_of_batches(batch_ids)
    if voided:
        condition = sql.SQL("{} AND NOT {}").format(condition, in_array("id", voided, "bigint"))
    return _usage(condition, with_extensions)


def voided_of_batches(batch_ids: Sequence[int]) -> list[int]:
    """The UDRs of batches that are voided."""
    query = sql.SQL("SELECT udr_id FROM mediation_voidedudr WHERE {}").format(within("udr_id", batch_ids, UDR_ID_BITS))
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [udr_id for (udr_id,) in cursor.fetchall()]


def usage_of_udrs(
    udr_ids: Sequence[int], earliest: datetime, latest: datetime, *, with_extensions: bool
) -> pl.DataFrame:
    """The UDRs with these ids, schema USAGE; their dates say which months to look into."""
    condition = sql.SQL("{} AND date BETWEEN {} AND {}").format(
        in_array("id", udr_ids, "bigint"), sql.Literal(earliest), sql.Literal(latest)
    )
    return _usage(condition, with_extensions)


def _usage(condition: sql.Composable, with_extensions: bool) -> pl.DataFrame:
    computed = COMPUTED if with_extensions else {**COMPUTED, "extensions": sql.SQL("NULL")}
    columns = sql.SQL(", ").join(computed.get(name, sql.Identifier(name)) for name in USAGE)
    return copy_out(sql.SQL("SELECT {} FROM mediation_udr WHERE {}").format(columns, condition), USAGE)


def udr_ranges(batch_ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The ids of the batches' UDRs, as half-open ranges."""
    return ((first << UDR_ID_BITS, after << UDR_ID_BITS) for first, after in _runs(batch_ids))


def within(column: str, batch_ids: Iterable[int], bits: int) -> sql.Composed:
    """`column` lies in the id range of one of the batches, each of 2^bits ids; neighbours make one range."""
    ranges = [
        sql.SQL("({column} >= {first} AND {column} < {after})").format(
            column=sql.Identifier(column), first=sql.Literal(first << bits), after=sql.Literal(after << bits)
        )
        for first, after in _runs(batch_ids)
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(ranges) if ranges else sql.SQL("false"))


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The numbers as half-open runs: 4, 5, 7 are 4 to 6 and 7 to 8."""
    first = after = None
    for number in sorted(numbers):
        if number == after:
            after += 1
            continue
        if first is not None and after is not None:
            yield first, after
        first, after = number, number + 1
    if first is not None and after is not None:
        yield first, after
