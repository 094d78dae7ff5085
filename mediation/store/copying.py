"""COPY in and COPY out, for every room's store."""

import io
from collections.abc import Callable, Sequence

import polars as pl
from django.db import connection
from psycopg import sql

# The text of a whole frame beside the frame would double what a worker needs.
SLICE_ROWS = 20_000
# Called with a table's name before rows are copied into it. COPY passes by what tells the database who acts.
BEFORE_COPY: list[Callable[[str], None]] = []


class CopyMismatchError(RuntimeError):
    """The server took another number of rows than were sent; the transaction must not commit."""


def copy_in(frame: pl.DataFrame, table: str) -> int:
    """COPY `frame` into `table` inside the current transaction; the columns are the frame's, by name.

    Returns the number of rows written. Raises CopyMismatchError where that is not the frame's height.
    """
    if frame.is_empty():
        return 0
    for prepare in BEFORE_COPY:
        prepare(table)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for rows in frame.iter_slices(SLICE_ROWS):
                copy.write(_csv(rows))
        written = cursor.rowcount
    if written != frame.height:
        raise CopyMismatchError(f"{table}: sent {frame.height} rows, the server took {written}")
    return written


def _csv(rows: pl.DataFrame) -> str:
    """Texts are quoted: a lone `\\.` would end the load early and silently. Null is nothing, empty text is ""."""
    return rows.write_csv(include_header=False, quote_style="non_numeric", null_value="", datetime_format="%FT%T%.6fZ")


def copy_out(query: sql.Composable, schema: dict[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """Read `query` into a frame of `schema`, by COPY. Booleans arrive as t and f, moments as UTC microseconds."""
    buffer = io.BytesIO()
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)) as copy:
        for block in copy:
            buffer.write(block)
    if not buffer.tell():
        return pl.DataFrame(schema=schema)
    texts = pl.read_csv(
        buffer.getvalue(),
        has_header=False,
        infer_schema=False,
        new_columns=list(schema),
    )
    return texts.select(_typed(name, kind) for name, kind in schema.items())


def _typed(name: str, kind: pl.DataType | type[pl.DataType]) -> pl.Expr:
    column = pl.col(name)
    if kind == pl.Boolean:
        return column == "t"
    if isinstance(kind, pl.Datetime):
        # The session's zone is UTC, so the text ends in +00.
        return column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us", time_zone="UTC")
    return column.cast(kind)


def in_array(column: str, values: Sequence[int] | Sequence[str], kind: str) -> sql.Composed:
    """`column = ANY(values)` as SQL; `kind` is the element type, such as bigint or text."""
    return sql.SQL("{} = ANY({}::{}[])").format(sql.Identifier(column), sql.Literal(list(values)), sql.SQL(kind))
