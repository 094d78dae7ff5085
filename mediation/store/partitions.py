"""Monthly partitions of the tables that are partitioned by `date`; a default partition takes what has none."""

from collections.abc import Iterable
from datetime import date

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql


def months_around(day: date, *, back: int, ahead: int) -> list[date]:
    """The first days of the months from `back` before that of `day` to `ahead` after it."""
    first = day.year * 12 + day.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(first - back, first + ahead + 1)]


def ensure_month_partitions(table: str, months: Iterable[date]) -> int:
    """Make the partitions of `months` that are missing; rows that waited in the default partition move in.

    Returns how many were made. Each is a transaction of its own, so that no lock is held for long.
    """
    return sum(_ensure_partition(table, month) for month in months)


@transaction.atomic
def _ensure_partition(table: str, month: date) -> bool:
    name = f"{table}_{month:%Y_%m}"
    with connection.cursor() as cursor:
        if _is_there(cursor, table, name):
            return False
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        if _is_there(cursor, table, name):
            return False
        for statement in _statements(table, name, month):
            cursor.execute(statement)
    return True


def _is_there(cursor: CursorWrapper, table: str, name: str) -> bool:
    # Asked of the table of partitions: to_regclass would repeat from its cache that there is none, after the wait too.
    cursor.execute(
        "SELECT EXISTS (SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = %s::regclass AND relname = %s)",
        [table, name],
    )
    return bool(cursor.fetchone()[0])


def _statements(table: str, name: str, month: date) -> list[sql.Composed]:
    following = months_around(month, back=-1, ahead=1)[0]
    parts = {
        "table": sql.Identifier(table),
        "default": sql.Identifier(f"{table}_default"),
        "name": sql.Identifier(name),
        "first": sql.Literal(f"{month:%Y-%m-%d} 00:00:00+00"),
        "following": sql.Literal(f"{following:%Y-%m-%d} 00:00:00+00"),
    }
    texts = (
        # Nobody may write to the default partition between the move and the attaching.
        "LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE",
        "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        "WITH moved AS (DELETE FROM {default} WHERE date >= {first} AND date < {following} RETURNING *)"
        " INSERT INTO {name} SELECT * FROM moved",
        "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({following})",
    )
    return [sql.SQL(text).format(**parts) for text in texts]
