"""UDRs out of PostgreSQL, as rating reads them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import polars as pl
from psycopg import sql

from mediation.models import UDR_ID_BITS
from mediation.store import copy_out, in_array
from rating.core.frames import UDRS

COLUMNS = sql.SQL(", ").join(sql.Identifier("id" if name == "udr_id" else name) for name in UDRS)


def udrs_of_batches(batch_ids: Sequence[int]) -> pl.DataFrame:
    """The UDRs of batches, schema UDRS, by ranges of the primary key."""
    return _udrs(within("id", batch_ids, UDR_ID_BITS))


def udrs_of_ids(udr_ids: Sequence[int], earliest: datetime, latest: datetime) -> pl.DataFrame:
    """The UDRs with these ids, schema UDRS; their dates say which months to look into."""
    condition = sql.SQL("{} AND date BETWEEN {} AND {}").format(
        in_array("id", udr_ids, "bigint"), sql.Literal(earliest), sql.Literal(latest)
    )
    return _udrs(condition)


def _udrs(condition: sql.Composable) -> pl.DataFrame:
    return copy_out(sql.SQL("SELECT {} FROM mediation_udr WHERE {}").format(COLUMNS, condition), UDRS)


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
