"""Rows of a list as a file with their totals, both of one moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from django.db.models import QuerySet, TextChoices

from mediation import store
from mediation.services.workbooks import put, workbook, write_table
from mediation.store.exporting import Piece, Source, Total

# More than a few sheets of a workbook nobody can open, and its parts would fill the disk of temporary files.
MOST_ROWS_OF_A_WORKBOOK = 3_000_000
TOLD_EVERY = 5_000


class UnableToExport(Exception):
    """The export cannot be made as it was asked for."""


class Kind(TextChoices):
    """As what rows are exported: for programs, or for a spreadsheet, which would run some texts as formulas."""

    CSV = "csv", "CSV, exactly as stored"
    SPREADSHEET = "spreadsheet", "CSV for spreadsheets: texts that one would run as a formula get an apostrophe"
    WORKBOOK = "xlsx", "Excel workbook, with a sheet of totals"

    @property
    def ending(self) -> str:
        return "xlsx" if self is Kind.WORKBOOK else "csv"


@dataclass(frozen=True)
class Export:
    """What is exported: rows in their order, and columns in theirs.

    columns: header -> field, path or expression. summed: those of them with totals. currency: the path to what the
    totals are parted by.
    """

    rows: QuerySet
    columns: Mapping[str, Source]
    summed: Sequence[str] = ()
    currency: str | None = None

    def totals(self) -> list[Total]:
        """Exact totals by currency, counted by the database."""
        return store.totals(self.rows, {name: self.columns[name] for name in self.summed}, currency=self.currency)

    def csv_pieces(self, kind: Kind) -> Iterator[Piece]:
        return store.csv_pieces(self.rows, self.columns, spreadsheet=kind == Kind.SPREADSHEET)


@dataclass
class Written:
    """What a file holds; totals: as the database counts them at the moment of the rows."""

    totals: list[Total] = field(default_factory=list)
    row_count: int = 0

    @property
    def row_total(self) -> int:
        return sum(total.row_count for total in self.totals)


def write_export(
    export: Export, target: IO[bytes], *, kind: Kind, told: Callable[[Written], None] = lambda so_far: None
) -> Written:
    """Write a whole file; `told` hears every few thousand rows how far it is.

    Raises UnableToExport for a workbook of too many rows.
    """
    written = Written()
    with store.one_moment():
        written.totals = export.totals()
        told(written)
        if kind == Kind.WORKBOOK:
            _write_workbook(export, target, written, told)
        else:
            for piece in export.csv_pieces(kind):
                target.write(piece.content)
                written.row_count += piece.row_count
                told(written)
    if written.row_count != written.row_total:
        raise RuntimeError(f"{written.row_count} rows were written of {written.row_total}")
    return written


def _write_workbook(export: Export, target: IO[bytes], written: Written, told: Callable[[Written], None]) -> None:
    if written.row_total > MOST_ROWS_OF_A_WORKBOOK:
        raise UnableToExport(
            f"A workbook takes {MOST_ROWS_OF_A_WORKBOOK:,} rows, and these are {written.row_total:,}. "
            "Export them as CSV, or filter the list."
        )
    header = list(export.columns)
    numbers = store.number_headers(export.rows, export.columns)
    with workbook(target) as book:
        rows = _counted(store.rows_of_cells(export.rows, export.columns), written, told)
        write_table(book, "Rows", header, rows, numbers=numbers)
        sheet = book.add_worksheet("Totals")
        for place, line in enumerate(
            table_of_totals(written.totals, export.summed, has_currency=bool(export.currency))
        ):
            for column, value in enumerate(line):
                put(sheet, place, column, value)


def _counted(rows: Iterator[Any], written: Written, told: Callable[[Written], None]) -> Iterator[Any]:
    for row in rows:
        yield row
        written.row_count += 1
        if not written.row_count % TOLD_EVERY:
            told(written)


def table_of_totals(totals: Sequence[Total], summed: Sequence[str], *, has_currency: bool) -> list[list[Any]]:
    """A header, and a line for each currency: the count of rows and the sums; numbers as they are."""
    before = ["currency"] if has_currency else []
    lines = [[*([total.currency] if has_currency else []), total.row_count, *total.sums.values()] for total in totals]
    return [[*before, "rows", *summed], *lines]
