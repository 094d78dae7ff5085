"""Excel workbooks of any length in constant memory, whose numbers are exact or texts."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Any

import xlsxwriter
from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

# Excel keeps a number as a double and shows 15 digits of it: one of more would come out as another number.
MOST_DIGITS = 15
# What Excel itself allows.
ROWS_OF_A_SHEET = 1_048_576
LETTERS_OF_A_CELL = 32_767
CUT = "… (cut: {:,} characters; a CSV holds them all)"
USUAL_WIDTH = 16


@contextmanager
def workbook(target: Any) -> Iterator[Workbook]:
    """A workbook that is written to `target`, a path or a binary file, when the block ends.

    Rows go to a temporary file as they are written, so they must come in order. No text becomes a formula or a link.
    """
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(target, options)
    book.use_zip64()  # only made use of beyond 4 GB
    with book:
        yield book


def write_table(
    book: Workbook,
    title: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str | None]],
    *,
    numbers: Collection[str] = (),
    rows_of_a_sheet: int = ROWS_OF_A_SHEET,
) -> int:
    """Write rows of texts below a header, onto as many sheets as they need; returns how many rows there were.

    numbers: the headers of columns whose texts are numbers.
    """
    bold = book.add_format({"bold": True})
    are_numbers = [name in numbers for name in header]
    count, place, sheet = 0, 0, None
    for row in rows:
        if sheet is None or place == rows_of_a_sheet:
            sheet, place = _sheet(book, title, count // (rows_of_a_sheet - 1), header, bold), 1
        for column, (text, is_number) in enumerate(zip(row, are_numbers, strict=True)):
            if text:
                _put_exact(sheet, place, column, _number(text) if is_number else text)
        place += 1
        count += 1
    if sheet is None:
        _sheet(book, title, 0, header, bold)
    return count


@lru_cache(maxsize=50_000)
def _number(text: str) -> Decimal | str:
    """As `_exact`; ids and prices come again and again in the rows of one list."""
    return _exact(Decimal(text))


def _sheet(book: Workbook, title: str, number: int, header: Sequence[str], bold: Format) -> Worksheet:
    sheet = book.add_worksheet(f"{title} {number + 1}" if number else title)
    sheet.set_column(0, max(len(header) - 1, 0), USUAL_WIDTH)
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(header):
        sheet.write_string(0, column, name, bold)
    return sheet


def put(sheet: Worksheet, row: int, column: int, value: Any, style: Format | None = None) -> None:
    """Write one cell: a number where Excel keeps every digit of it, else a text; nothing for None and empty texts."""
    if value is None or value == "":
        return
    if isinstance(value, int | Decimal):
        value = _exact(value)
    _put_exact(sheet, row, column, value, style)


def _put_exact(sheet: Worksheet, row: int, column: int, value: Decimal | str, style: Format | None = None) -> None:
    if isinstance(value, Decimal):
        sheet.write_number(row, column, value, style)  # type: ignore[arg-type]
        return
    text = str(value)
    if len(text) > LETTERS_OF_A_CELL:
        told = CUT.format(len(text))
        text = text[: LETTERS_OF_A_CELL - len(told)] + told
    sheet.write_string(row, column, text, style)


def _exact(number: int | Decimal) -> Decimal | str:
    """A number that Excel keeps as it is, as a decimal, so that it is written digit by digit; else its digits."""
    digits = plain(Decimal(number))
    return Decimal(digits) if len(digits.lstrip("-").replace(".", "").lstrip("0")) <= MOST_DIGITS else digits


def plain(number: Decimal) -> str:
    """A number with every digit that says something and none that does not, as in 0.05 and 1200."""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
