"""Rows of any length out of the database by COPY: as CSV, as cells, and their totals."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, LiteralString

from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.db.models import Func, QuerySet
from psycopg import sql
from psycopg.types.json import Jsonb

TEXT_FIELDS = (models.CharField, models.TextField, models.FileField, models.JSONField)
NUMBER_FIELDS = (models.IntegerField, models.DecimalField)

# COPY gives row by row; an answer of one piece a row would spend its time on pieces.
PIECE_BYTES = 1 << 16

# What a column shows: a field, a path such as feed__name, or an expression over the row.
Source = str | Func
Columns = Mapping[str, Source]


@dataclass(frozen=True)
class Piece:
    """Some whole rows as CSV; the header counts as none."""

    content: bytes
    row_count: int


@dataclass(frozen=True)
class Total:
    """What the rows of one currency come to; sums: column -> exact sum, None where every row is empty there."""

    currency: str
    row_count: int
    sums: dict[str, Decimal | None]


class NameOf(Func):
    """The name of a number, out of names that another room gave: {number: name}."""

    output_field = models.TextField()

    def __init__(self, number: str, names: Mapping[int, str]) -> None:
        super().__init__(models.F(number))
        self.names = Jsonb({str(key): name for key, name in names.items()})

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> Any:  # type: ignore[override]
        number, parameters = compiler.compile(self.source_expressions[0])
        return f"(%s::jsonb ->> ({number})::text)", [self.names, *parameters]


@contextmanager
def one_moment() -> Iterator[None]:
    """Inside, every question sees the database as it is now, so that totals and rows agree.

    Inside a transaction of somebody else's it is that transaction which says what is seen.
    """
    is_own = not connection.in_atomic_block
    with transaction.atomic():
        if is_own:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def csv_pieces(rows: QuerySet, columns: Columns, *, spreadsheet: bool) -> Iterator[Piece]:
    """`rows` as CSV with a header, streamed; decimals with every digit as stored.

    spreadsheet: put an apostrophe before texts that a spreadsheet would run as a formula (OWASP ASVS 1.2.10).
    """
    query = _query(rows, columns)
    if query is None:
        yield Piece((",".join(columns) + "\n").encode(), 0)
        return
    texts = {header for header, source in columns.items() if spreadsheet and _is(rows, source, TEXT_FIELDS)}
    cells = [_defused(header) if header in texts else sql.Identifier(header) for header in columns]
    with connection.cursor() as cursor:
        statement = _copy(query, columns, cells, options="(FORMAT csv, HEADER)")
        with cursor.copy(statement) as copy:
            yield from _joined(bytes(block) for block in copy)


def query_as_csv(
    query: sql.SQL, headers: Sequence[str], *, left_out: Collection[str] = (), defused: Collection[str] = ()
) -> Iterator[Piece]:
    """What a bound query gives as CSV with a header, streamed. headers: its columns, in their order.

    left_out: those that are not told. defused: texts that get an apostrophe where a spreadsheet would run them.
    """
    told = [header for header in headers if header not in left_out]
    cells = [_defused(header) if header in defused else sql.Identifier(header) for header in told]
    columns = {header: header for header in headers}
    with (
        connection.cursor() as cursor,
        cursor.copy(_copy(query, columns, cells, options="(FORMAT csv, HEADER)")) as copy,
    ):
        yield from _joined(bytes(block) for block in copy)


def _joined(blocks: Iterator[bytes]) -> Iterator[Piece]:
    """Pieces of about PIECE_BYTES out of one block a row; the first block is the header."""
    gathered, size, row_count = [next(blocks)], 0, 0
    for block in blocks:
        gathered.append(block)
        size += len(block)
        row_count += 1
        if size >= PIECE_BYTES:
            yield Piece(b"".join(gathered), row_count)
            gathered, size, row_count = [], 0, 0
    yield Piece(b"".join(gathered), row_count)


def rows_of_cells(rows: QuerySet, columns: Columns) -> Iterator[Sequence[str | None]]:
    """Each row as the texts that a CSV would hold; None where there is no value."""
    query = _query(rows, columns)
    if query is None:
        return
    cells = [sql.Identifier(header) for header in columns]
    with connection.cursor() as cursor, cursor.copy(_copy(query, columns, cells, options="")) as copy:
        yield from copy.rows()


def number_headers(rows: QuerySet, columns: Columns) -> frozenset[str]:
    """The columns that hold numbers, and nothing else."""
    return frozenset(header for header, source in columns.items() if _is(rows, source, NUMBER_FIELDS))


def totals(rows: QuerySet, columns: Columns, *, currency: str | None) -> list[Total]:
    """How many rows there are, and the exact sums of `columns`, by currency; currency: the path to it, if there is one.

    One total with an empty currency where rows have none; no total at all where there is no row.
    """
    known: Columns = {"its currency": currency, **columns} if currency else columns
    # Of no column at all, the rows are still counted.
    query = _query(rows.order_by(), known or {"pk": "pk"})
    if query is None:
        return []
    by = sql.SQL('coalesce("its currency", {})').format(sql.Literal("")) if currency else sql.Literal("")
    sums = [sql.SQL("sum({})::numeric").format(sql.Identifier(header)) for header in columns]
    statement = sql.SQL("SELECT {}, count(*){} FROM ({}) AS rows ({}) GROUP BY 1 ORDER BY 1").format(
        by, sql.SQL("").join(sql.SQL(", ") + each for each in sums), query, _names(known or {"pk": "pk"})
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [Total(code, count, dict(zip(columns, found, strict=True))) for code, count, *found in cursor.fetchall()]


def _query(rows: QuerySet, columns: Columns) -> sql.SQL | None:
    """The statement that gives `columns`, in their order; None where Django knows that there is no row.

    It is bound here, not in cursor.copy(): Django's debug cursor accepts no parameters there.
    """
    query = rows.select_related(None).values_list(*columns.values()).query
    with connection.cursor() as cursor:
        try:
            return sql.SQL(cursor.mogrify(*query.sql_with_params()))
        except EmptyResultSet:
            return None


def _copy(query: sql.SQL, columns: Columns, cells: Sequence[sql.Composable], *, options: LiteralString) -> sql.Composed:
    return sql.SQL("COPY (SELECT {} FROM ({}) AS rows ({})) TO STDOUT {}").format(
        sql.SQL(", ").join(cells), query, _names(columns), sql.SQL(options)
    )


def _names(columns: Columns) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _is(rows: QuerySet, source: Source, kinds: tuple[type[models.Field], ...]) -> bool:
    return isinstance(_field(rows, source), kinds)


def _field(rows: QuerySet, source: Source) -> Any:
    """The field that says what kind of value a column holds: of a foreign key, that of what it leads to."""
    if not isinstance(source, str):
        return source.output_field
    if source in rows.query.annotations:
        return rows.query.annotations[source].output_field
    field: Any = get_fields_from_path(rows.model, source)[-1]
    return field.target_field if isinstance(field, models.ForeignKey) else field


def _defused(header: str) -> sql.Composable:
    return sql.SQL("CASE WHEN {0}::text ~ E'^[=+@\\t\\r-]' THEN '''' || {0}::text ELSE {0}::text END AS {0}").format(
        sql.Identifier(header)
    )
