"""Lookup tables as they are looked after: written out as CSV that can be loaded again, and who asks them."""

import polars as pl

from mediation import store
from mediation.core.spec import FaultySpecError, parse_spec
from mediation.models import LookupTable, ProfileVersion

MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%S%.6fZ"


def write_lookup_rows(*, table: LookupTable) -> bytes:
    """The rows as the CSV that `load_lookup_rows` reads, in the order in which they were loaded."""
    rows = store.lookup_rows(table)
    is_range = table.kind in (LookupTable.Kind.RANGE, LookupTable.Kind.TEXT_RANGE)
    keys = [pl.col("low"), pl.col("high")] if is_range else [pl.col("key").alias(table.key_column)]
    times = [pl.col(name).dt.strftime(MOMENT_FORMAT) for name in ("valid_from", "valid_to")]
    values = [pl.col(f"value:{name}").alias(name) for name in table.columns]
    return rows.select(*keys, *times, *values).write_csv().encode()


def profiles_asking(*, table: LookupTable) -> list[str]:
    """The names of the profiles whose active version looks something up in the table."""
    active = ProfileVersion.objects.filter(status=ProfileVersion.Status.ACTIVE).select_related("profile")
    return sorted(version.profile.name for version in active if table.name in _asked(version))


def _asked(version: ProfileVersion) -> set[str]:
    try:
        return {name for name, _ in parse_spec(version.spec).lookups}
    except FaultySpecError:
        return set()
