"""Workbooks as samples: the rows of the first sheet, and whether its first row names the columns."""

from io import BytesIO
from typing import Any

from mediation.core.reading.frames import UnreadableError
from mediation.core.reading.workbook import Workbook, column_letters
from mediation.core.reading.zips import ZipRefusedError
from mediation.core.suggesting.delimited import Rows, is_header
from mediation.core.suggesting.documents import text_of
from mediation.core.suggesting.proposals import Reason, UnableToSuggestError

ADVICE = "If it is a zip of another file, unpack it and give the file inside as the sample."


def read_sheet(content: bytes, most: int) -> Rows:
    """The rows of a workbook's first sheet. Raises UnableToSuggestError."""
    try:
        table = _table(content, most)
    except (UnreadableError, ZipRefusedError) as error:
        raise UnableToSuggestError(f"The sample cannot be read as a workbook: {error} {ADVICE}") from None
    if not table:
        raise UnableToSuggestError("The first sheet of the workbook is empty.")
    width = max(max(cells, default=0) for _, cells in table) + 1
    rows = [[cells.get(place, "") for place in range(width)] for _, cells in table]
    number = table[0][0]
    reason = Reason("/format/kind", "xlsx", "sure", "the sample is a workbook; its first sheet is looked at")
    if not is_header([[cell or f"({place})" for place, cell in enumerate(rows[0])], *rows[1:]]):
        names = [column_letters(place) for place in range(width)]
        return Rows({"kind": "xlsx", "columns_by": "position"}, names, rows[:most], [reason])
    names = [cell.strip() or column_letters(place) for place, cell in enumerate(rows[0])]
    said = Reason("/format/header_rows", number, "likely", f"row {number} holds words above values")
    return Rows({"kind": "xlsx", "header_rows": number}, names, rows[1:], [reason, said])


def _table(content: bytes, most: int) -> list[tuple[int, dict[int, str]]]:
    """The number and the texts by place of each row that says anything."""
    found: list[tuple[int, dict[int, str]]] = []
    for number, cells in Workbook(BytesIO(content)).rows(1):
        texts = {place: _text(value) for place, value in cells}
        if any(texts.values()):
            found.append((number, texts))
        if len(found) > most:
            break
    return found


def _text(value: Any) -> str:
    return text_of(value) or "" if isinstance(value, str | bool) or value is None else str(value)
