"""XLSX, as a profile states it: which sheet, and what names its columns."""

from dataclasses import dataclass
from typing import Any

from mediation.core.spec.document import FaultSink

COLUMNS_BY = ("name", "position")
MAX_COLUMNS = 1 << 14  # the format's own


@dataclass(frozen=True)
class Xlsx:
    """A sheet of a workbook."""

    sheet: str | int = 1  # its name, or its place among the workbook's sheets
    header_rows: int = 1
    columns_by: str = "name"  # the last header row names the columns; "position": `columns` does, or their letters
    columns: tuple[str, ...] = ()
    encoding: str = "utf-8"


def parse_format(value: dict[str, Any], pointer: str, fault: FaultSink) -> Xlsx | None:
    """The format that a profile states under `format`; None where it has a fault, each of which is reported."""
    known = {"kind", "sheet", "header_rows", "columns_by", "columns"}
    faults = [(name, f"is not known here; known are {', '.join(sorted(known))}") for name in value.keys() - known]
    sheet, header_rows, columns = value.get("sheet", 1), value.get("header_rows"), value.get("columns", [])
    by = value.get("columns_by", "name")
    if isinstance(sheet, bool) or not (sheet > 0 if isinstance(sheet, int) else isinstance(sheet, str) and sheet):
        faults.append(("sheet", "must be the sheet's name, or its number from 1"))
    if by not in COLUMNS_BY:
        faults.append(("columns_by", f"must be one of {', '.join(COLUMNS_BY)}"))
    if header_rows is None:
        header_rows = 1 if by == "name" else 0
    if not isinstance(header_rows, int) or isinstance(header_rows, bool) or not 0 <= header_rows <= 100:
        faults.append(("header_rows", "must be a whole number from 0 to 100"))
    elif by == "name" and not header_rows:
        faults.append(("header_rows", "must be at least 1 where the header names the columns"))
    if not isinstance(columns, list) or not all(isinstance(name, str) and name for name in columns):
        faults.append(("columns", "must be a list of names"))
    elif len(set(columns)) != len(columns) or len(columns) > MAX_COLUMNS:
        faults.append(("columns", f"names a column twice, or more than {MAX_COLUMNS:,}"))
    elif by == "name" and columns:
        faults.append(("columns", "must be left out where the header names the columns"))
    for name, message in faults:
        fault(f"{pointer}/{name}", message)
    return None if faults else Xlsx(sheet, header_rows, by, tuple(columns))
