"""Lookup tables and usage units, out of PostgreSQL into what transforms ask."""

from collections.abc import Collection

import polars as pl
from psycopg import sql

from mediation.core.lookups import LOOKUP_ROWS, build_table
from mediation.core.lookups import LookupTable as BuiltTable
from mediation.core.mapping import NO_TABLES
from mediation.core.spec import ProfileSpec
from mediation.core.transforms import Tables, Unit
from mediation.models import LookupRow, LookupTable, UsageUnit
from mediation.store.copying import copy_out

# The lookup tables that this process built, by their id, each with the version it was built from: reading one of 10,000
# rows takes as long as looking up a chunk in it. The one that was asked longest ago makes way.
MAX_BUILT_TABLES = 20
_built: dict[int, tuple[int, BuiltTable]] = {}


def tables(lookup_names: Collection[str] = ()) -> Tables:
    """What transforms look things up in: the named lookup tables, as far as there are such, and every usage unit."""
    units = [Unit(*unit) for unit in UsageUnit.objects.values_list("name", "kind", "multiplier")]
    found = LookupTable.objects.filter(name__in=lookup_names) if lookup_names else ()
    return Tables({table.name: _built_table(table) for table in found}, {unit.name: unit for unit in units})


def tables_of(spec: ProfileSpec) -> Tables:
    """What the transforms of a profile look things up in; nothing is asked for a profile that has none."""
    return tables({name for name, _ in spec.lookups}) if spec.is_rich else NO_TABLES


def _built_table(table: LookupTable) -> BuiltTable:
    version, built = _built.pop(table.pk, (None, None))
    if built is None or version != table.version:
        built = build_table(table.kind, lookup_rows(table))
    _built[table.pk] = (table.version, built)
    if len(_built) > MAX_BUILT_TABLES:
        del _built[next(iter(_built))]
    return built


def lookup_rows(table: LookupTable) -> pl.DataFrame:
    """LOOKUP_ROWS and the values of a table; a row's line is its id."""
    held = [sql.Identifier("id" if name == "line" else name) for name in LOOKUP_ROWS]
    given = [sql.SQL("values ->> {}").format(sql.Literal(name)) for name in table.columns]
    query = sql.SQL("SELECT {} FROM {} WHERE table_id = {} ORDER BY id").format(
        sql.SQL(", ").join([*held, *given]), sql.Identifier(LookupRow._meta.db_table), sql.Literal(table.pk)
    )
    return copy_out(query, LOOKUP_ROWS | {f"value:{name}": pl.String for name in table.columns})
