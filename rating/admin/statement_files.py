"""A statement as files: CSV for programs and for spreadsheets, and an Excel workbook."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any

from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from mediation.services.workbooks import put, workbook
from rating.core.costs import EXACT
from rating.core.money import minor_unit_decimals
from rating.core.quoting.values import moment_text, text_of
from rating.models import StatementLine
from rating.services import Sheet

Row = dict[str, Any]

STARTS_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
QUANTITIES = ("quantity", "rated_quantity", "free_quantity", "bucket_quantity")


def number_of(sheet: Sheet) -> str:
    """The statement's number, or that it is a draft."""
    return sheet.number or "draft"


def file_name(sheet: Sheet, ending: str) -> str:
    """A name for the statement's file, of characters that every system takes."""
    account = "".join(
        letter if letter.isascii() and letter.isalnum() else "-" for letter in sheet.period.account.number
    )
    return f"statement-{sheet.number or 'draft'}-{account}-{sheet.period}.{ending}"


def money(amount: Decimal, currency: str) -> str:
    """An amount with the decimals of its currency, as a program reads it."""
    return f"{amount:.{minor_unit_decimals(currency)}f}"


def rows_of(sheet: Sheet) -> Iterator[Row]:
    """A row for each line: whose statement it is of, what it is for, and its numbers as decimals."""
    taxes = _taxes_by_line(sheet)
    account = sheet.period.account
    whose = {
        "statement": number_of(sheet),
        "account": account.number,
        "account_name": account.name,
        "starts_at": moment_text(sheet.period.starts_at),
        "ends_at": moment_text(sheet.period.ends_at),
    }
    for line in sheet.lines:
        yield {**whose, **_line(line), "tax": taxes[line.position], "currency": sheet.currency}


def _taxes_by_line(sheet: Sheet) -> dict[int, Decimal]:
    taxes: dict[int, Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        for tax in sheet.taxes:
            taxes[tax.line] += tax.amount
    return taxes


def _line(line: StatementLine) -> Row:
    texts = ("kind", "description", "commitment", "adjusts", "jurisdiction", "tax_category")
    numbers = ("tier_above", "tier_up_to", *QUANTITIES, "credit", "cost", "amount", "line_amount")
    named = {name: getattr(line, name) for name in ("plan", "usage_class", "rate", "service")}
    return {
        "line": line.position,
        **{name: getattr(line, name) for name in texts},
        **{name: str(found) if found else None for name, found in named.items()},
        "tier": line.tier,
        "records": line.record_count,
        **{name: getattr(line, name) for name in numbers},
    }


def csv_of(sheet: Sheet, *, spreadsheet: bool) -> str:
    """The lines as CSV. spreadsheet: texts that one would run as a formula get an apostrophe (OWASP ASVS 1.2.10)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows_of(sheet):
        writer.writerow([_cell(row[name], name, sheet.currency, spreadsheet=spreadsheet) for name in HEADER])
    return out.getvalue()


def _cell(value: Any, name: str, currency: str, *, spreadsheet: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return money(value, currency) if name in ROUNDED else str(text_of(value))
    text = str(value)
    is_formula = spreadsheet and isinstance(value, str) and text.startswith(STARTS_OF_FORMULAS)
    return f"'{text}" if is_formula else text


HEADER = (
    *("statement", "account", "account_name", "starts_at", "ends_at", "line", "kind", "description", "plan"),
    *("usage_class", "rate", "service", "tier", "tier_above", "tier_up_to", "commitment", "adjusts", "jurisdiction"),
    *("tax_category", "records", *QUANTITIES, "credit", "cost", "amount", "line_amount", "tax", "currency"),
)
ROUNDED = frozenset({"line_amount", "tax"})
TAXES = ("line", "jurisdiction", "category", "code", "name", "percent", "base", "amount")


def workbook_of(sheet: Sheet) -> bytes:
    """The statement as an Excel workbook: its head and totals, its lines, its taxes."""
    out = io.BytesIO()
    with workbook(out) as book:
        bold = book.add_format({"bold": True})
        _put(book.add_worksheet("Statement"), _head(sheet), (24, 40), bold)
        lines = ([row[name] for name in HEADER] for row in rows_of(sheet))
        _put(book.add_worksheet("Lines"), _table(HEADER, lines), (14,) * len(HEADER), bold)
        taxes = ([getattr(tax, name) for name in TAXES] for tax in sheet.taxes)
        _put(book.add_worksheet("Taxes"), _table(TAXES, taxes), (14,) * len(TAXES), bold)
    return out.getvalue()


def _head(sheet: Sheet) -> Iterator[Sequence[Any]]:
    account = sheet.period.account
    yield "Statement", number_of(sheet)
    yield "Account", account.number
    yield "Name", account.name
    yield "From", moment_text(sheet.period.starts_at)
    yield "To", moment_text(sheet.period.ends_at)
    yield "Currency", sheet.currency
    yield "Exact amount", sheet.amount
    yield "Subtotal", sheet.subtotal
    yield "Tax", sheet.tax_total
    yield "Total", sheet.total
    for fault in sheet.faults:
        yield "Cannot be closed", fault


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    yield [name.replace("_", " ") for name in header]
    yield from rows


def _put(worksheet: Worksheet, rows: Iterable[Sequence[Any]], widths: Sequence[int], bold: Format) -> None:
    """Write rows from the top. A head of two columns has its names at the left, a table in its first row."""
    is_table = len(widths) > 2
    for column, width in enumerate(widths):
        worksheet.set_column(column, column, width)
    if is_table:
        worksheet.freeze_panes(1, 0)
    for place, row in enumerate(rows):
        for column, value in enumerate(row):
            put(worksheet, place, column, value, bold if (place if is_table else column) == 0 else None)
