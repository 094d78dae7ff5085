"""Lookup tables inside a profile's document: written with their rows, and made again where they are missing."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import polars as pl
from django.contrib.auth.models import User

from mediation import store
from mediation.core.spec import Fault, FaultySpecError, parse_spec
from mediation.models import LookupTable
from mediation.services.lookups import UnableToLoad, load_lookup_rows
from mediation.services.permissions import require_permission

MEMBERS = {"name": str, "description": str, "kind": str, "key_column": str, "columns": list, "rows": str}
MAX_ROWS = 20_000  # of a table that travels inside a document; a larger one is loaded by its own file


def lookups_named_by(spec: Any) -> list[dict[str, Any]]:
    """The lookup tables that a spec names, as a document holds them; one with too many rows comes without them."""
    try:
        names = {name for name, _ in parse_spec(spec).lookups}
    except FaultySpecError:
        return []
    return [_document(table) for table in LookupTable.objects.filter(name__in=names).order_by("name")]


def _document(table: LookupTable) -> dict[str, Any]:
    shape = {name: getattr(table, name) for name in ("name", "description", "kind", "key_column", "columns")}
    return shape if table.row_count > MAX_ROWS else shape | {"rows": rows_as_csv(table)}


def rows_as_csv(table: LookupTable) -> str:
    """A table's rows as the CSV that loads them."""
    is_range = table.kind in (LookupTable.Kind.RANGE, LookupTable.Kind.TEXT_RANGE)
    keys = {"low": "low", "high": "high"} if is_range else {"key": table.key_column}
    rows = store.lookup_rows(table)
    times = [name for name in ("valid_from", "valid_to") if rows[name].count()]
    columns = keys | {name: name for name in times} | {f"value:{name}": name for name in table.columns}
    texts = rows.select(
        pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ") if name in times else pl.col(name) for name in columns
    )
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(columns.values())
    lines.writerows(texts.rows())
    return written.getvalue()


def add_lookups(*, lookups: list[dict[str, Any]], by: User | None, now: datetime) -> Iterator[Fault]:
    """Make the tables that are missing, with their rows; yields what keeps one from being made. Others stay."""
    known = set(LookupTable.objects.filter(name__in=[one["name"] for one in lookups]).values_list("name", flat=True))
    for place, described in enumerate(lookups):
        if described["name"] in known:
            continue
        require_permission(by, "mediation.add_lookuptable")
        pointer = f"/lookups/{place}"
        if "rows" not in described:
            yield Fault(pointer, f"the table {described['name']!r} was too large to travel; add it and load its file")
            continue
        shape = {name: value for name, value in described.items() if name != "rows"}
        table = LookupTable.objects.create(**shape)
        try:
            load_lookup_rows(table=table, stream=io.BytesIO(described["rows"].encode()), by=by, now=now)
        except UnableToLoad as refusal:
            yield from (Fault(f"{pointer}/rows", f"{fault}") for fault in refusal.faults)


def faults_of_lookups(lookups: Any) -> Iterator[Fault]:
    """What is wrong with the tables of a document beside the types of their members."""
    for place, described in enumerate(lookups if isinstance(lookups, list) else []):
        if not isinstance(described, dict):
            continue
        if described.get("kind", "exact") not in LookupTable.Kind.values:
            yield Fault(f"/lookups/{place}/kind", f"must be one of {', '.join(LookupTable.Kind.values)}")
        columns = described.get("columns")
        if isinstance(columns, list) and not all(isinstance(name, str) and 0 < len(name) <= 100 for name in columns):
            yield Fault(f"/lookups/{place}/columns", "must be a list of names")
        if any(len(str(described.get(name, ""))) > 100 for name in ("name", "key_column")):
            yield Fault(f"/lookups/{place}", "names are of at most 100 characters")
