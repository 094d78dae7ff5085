"""Reads workbooks as a spreadsheet would: sheets by name, cells as text or as the number's own digits."""

import zipfile
from decimal import Decimal
from xml.etree import ElementTree as Tree

NS = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def sheets_of(source):
    """Sheet name -> rows; texts are str, numbers Decimal, empty cells None."""
    with zipfile.ZipFile(source) as book:
        index = Tree.fromstring(book.read("xl/workbook.xml"))
        names = [sheet.get("name") for sheet in index.find("s:sheets", NS)]
        return {
            name: list(rows_of(book.read(f"xl/worksheets/sheet{number}.xml"))) for number, name in enumerate(names, 1)
        }


def rows_of(xml):
    for row in Tree.fromstring(xml).iterfind("s:sheetData/s:row", NS):
        cells = {column_of(cell.get("r")): value_of(cell) for cell in row.iterfind("s:c", NS)}
        yield [cells.get(column) for column in range(max(cells, default=-1) + 1)]


def column_of(place):
    number = 0
    for letter in place.rstrip("0123456789"):
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def value_of(cell):
    if cell.get("t") == "inlineStr":
        return "".join(cell.find("s:is", NS).itertext())
    found = cell.find("s:v", NS)
    return None if found is None else Decimal(found.text)
