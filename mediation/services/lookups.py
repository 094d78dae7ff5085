"""Filling lookup tables from CSV."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING

import polars as pl
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from mediation import store
from mediation.core.expressions.moments import read_moment
from mediation.core.lookups import LOOKUP_ROWS, faults_of_rows
from mediation.core.spec import Fault, ProfileSpec
from mediation.core.transforms import units_of
from mediation.models import LookupRow, LookupTable, UsageUnit
from mediation.services.acting import acts
from mediation.services.permissions import require_permission

if TYPE_CHECKING:
    from _csv import Reader

MAX_NAMES = 1_000  # of a header, so that each of its faults can be told
MAX_BYTES = 64 << 20
MAX_ROWS = 500_000
MAX_SHOWN_FAULTS = 100
MAX_CHARACTERS = {"key": 500, "low": 100, "high": 100}
MAX_VALUE_CHARACTERS = 1_000
TIMES = ("valid_from", "valid_to")
HELD_LINE = 0  # the line of a row that the table holds already


@dataclass(frozen=True)
class LineFault:
    """What is wrong with a line of a file; line 1 is the header."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"Line {self.line}: {self.message}"


class UnableToLoad(Exception):
    """Rows that a lookup table cannot take; nothing was changed. Carries the first faults, and how many there are."""

    def __init__(self, faults: Sequence[LineFault]) -> None:
        self.fault_count = len(faults)
        self.faults = list(faults[:MAX_SHOWN_FAULTS])
        more = f" … and {self.fault_count - 10} more." if self.fault_count > 10 else ""
        super().__init__("Nothing was loaded. " + " ".join(f"{fault}." for fault in self.faults[:10]) + more)


def faults_of_tables(*, spec: ProfileSpec) -> list[Fault]:
    """The lookup tables, their columns and the usage units that a profile names and that are not there."""
    tables = {table.name: table.columns for table in LookupTable.objects.all()} if spec.is_rich else {}
    units = set(UsageUnit.objects.values_list("name", flat=True)) if spec.is_rich else set()
    faults = []
    for mapping in spec.fields:
        pointer = f"/fields/{mapping.name}/transforms"
        for name, column in sorted(mapping.lookups):
            if name not in tables:
                faults.append(Fault(pointer, f"there is no lookup table {name!r}; add it, or name another"))
            elif column not in tables[name]:
                faults.append(Fault(pointer, f"the lookup table {name!r} has no column {column!r}"))
        missing = sorted(units_of(mapping.transforms) - units)
        faults += [Fault(pointer, f"there is no usage unit {name!r}; add it, or name another") for name in missing]
    return faults


@acts()
@transaction.atomic
def load_lookup_rows(
    *, table: LookupTable, stream: IO[bytes], by: User | None, now: datetime, keep_rows: bool = False
) -> int:
    """Fill a lookup table from CSV with a header, in UTF-8; returns how many rows were read. Raises UnableToLoad.

    The header names the key column (or low and high), valid_from and valid_to where rows have their time, and every
    column of the table. keep_rows: the rows that the table holds stay, else they make way.
    """
    require_permission(by, "mediation.change_lookuptable")
    table = LookupTable.objects.select_for_update().get(pk=table.pk)
    rows = _read(stream, table)
    held = store.lookup_rows(table) if keep_rows else rows.clear()
    together = pl.concat([held.with_columns(line=pl.lit(HELD_LINE, pl.Int64)), rows])
    if together.height > MAX_ROWS:
        raise UnableToLoad([LineFault(1, f"the table would hold more than {MAX_ROWS:,} rows")])
    if faults := [LineFault(*fault) for fault in faults_of_rows(table.kind, together).iter_rows()]:
        raise UnableToLoad(faults)
    if not keep_rows:
        LookupRow.objects.filter(table=table).delete()
    store.copy_in(_stored(rows, table), LookupRow._meta.db_table)
    LookupTable.objects.filter(pk=table.pk).update(version=F("version") + 1, row_count=together.height, changed_at=now)
    return rows.height


def _stored(rows: pl.DataFrame, table: LookupTable) -> pl.DataFrame:
    """The rows as the database holds them."""
    values = pl.Series(
        "values",
        [
            json.dumps(row)
            for row in rows.select(_given(table)).rename(lambda name: name.removeprefix("value:")).iter_rows(named=True)
        ],
        dtype=pl.String,
    )
    return rows.select("key", "low", "high", *TIMES, table_id=pl.lit(table.pk)).with_columns(values)


def _given(table: LookupTable) -> list[str]:
    return [f"value:{name}" for name in table.columns]


# Reading


def _read(stream: IO[bytes], table: LookupTable) -> pl.DataFrame:
    """LOOKUP_ROWS and values of a file; its lines are counted from 1, the header."""
    lines = csv.reader(io.StringIO(_text(stream), newline=""), strict=True)
    columns = _columns(next(_checked(lines), []), table)
    faults: list[LineFault] = []
    cells: dict[str, list[object]] = {name: [] for name in (*LOOKUP_ROWS, *_given(table))}
    for row in _checked(lines):
        if not row:
            continue  # a blank line, as files end with
        if len(cells["line"]) == MAX_ROWS:
            raise UnableToLoad([LineFault(lines.line_num, f"the file holds more than {MAX_ROWS:,} rows")])
        faults += _take(row, lines.line_num, columns, cells)
    if faults:
        raise UnableToLoad(faults)
    kinds = {name: LOOKUP_ROWS.get(name, pl.String) for name in cells}
    return pl.DataFrame(cells, schema=kinds)


def _text(stream: IO[bytes]) -> str:
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnableToLoad([LineFault(1, f"the file is larger than {MAX_BYTES >> 20} MB")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnableToLoad([LineFault(line, "is not in UTF-8; save the file as CSV in UTF-8")]) from None
    if "\0" in text:
        raise UnableToLoad([LineFault(text.count("\n", 0, text.index("\0")) + 1, "holds a null character")])
    return text


def _checked(lines: "Reader") -> Iterator[list[str]]:
    """The rows of a CSV file, until one is malformed."""
    try:
        yield from lines
    except csv.Error as error:
        raise UnableToLoad([LineFault(lines.line_num, f"is malformed: {error}")]) from None


def _columns(header: list[str], table: LookupTable) -> list[str]:
    """What each column of the file fills."""
    names = [name.strip() for name in header]
    is_range = table.kind in (LookupTable.Kind.RANGE, LookupTable.Kind.TEXT_RANGE)
    keys = {"low": "low", "high": "high"} if is_range else {table.key_column: "key"}
    known = keys | {name: name for name in TIMES} | {name: f"value:{name}" for name in table.columns}
    if len(names) > MAX_NAMES:
        message = f"the header names {len(names):,} columns; the table has {len(known)} with its keys and times"
        raise UnableToLoad([LineFault(1, message)])
    faults = [f"the header names no column {name!r}" for name in (*keys, *table.columns) if name not in names]
    faults += [f"the table has no column {name!r}" for name in names if name not in known]
    faults += [f"the header names {name!r} twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise UnableToLoad([LineFault(1, fault) for fault in faults])
    return [known[name] for name in names]


def _take(row: list[str], line: int, columns: list[str], cells: dict[str, list[object]]) -> list[LineFault]:
    """Add a row to the cells; returns what is wrong with it."""
    if len(row) != len(columns):
        return [LineFault(line, f"has {len(row)} columns, the header {len(columns)}")]
    taken: dict[str, object] = dict.fromkeys(cells) | {"line": line}
    faults = []
    for column, cell in zip(columns, row, strict=True):
        cell = cell.strip()
        if len(cell) > (most := MAX_CHARACTERS.get(column, MAX_VALUE_CHARACTERS)):
            faults.append(LineFault(line, f"{column.removeprefix('value:')} is longer than {most} characters"))
        taken[column] = cell or None
        if column in TIMES and cell:
            taken[column] = read_moment(cell)
            if taken[column] is None:
                faults.append(
                    LineFault(line, f"{column} “{cell[:80]}” is no date such as 2026-05-01 or 2026-05-01T12:00:00Z")
                )
    for name, values in cells.items():
        values.append(taken[name])
    return faults
