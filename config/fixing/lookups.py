"""A row more in the lookup table that the field at fault asks."""

import csv
import io
from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User

from config.fixing.reading import Sample, UnableToMend, text_before_transform, transform_asked
from mediation import services as mediation
from mediation.core.transforms.tables import Lookup
from mediation.models import LookupTable

RANGES = (LookupTable.Kind.RANGE, LookupTable.Kind.TEXT_RANGE)


def table_asked(sample: Sample) -> LookupTable | None:
    """The table that the field's first lookup asks."""
    place, mapping = transform_asked(sample, Lookup), sample.mapping
    lookup = mapping.transforms[place] if mapping and place is not None else None
    return LookupTable.objects.filter(name=lookup.table).first() if isinstance(lookup, Lookup) else None


def text_asked(sample: Sample) -> str:
    """The text that the table gave nothing for."""
    place = transform_asked(sample, Lookup)
    return text_before_transform(sample, place) if place is not None else ""


def key_columns(table: LookupTable) -> tuple[str, ...]:
    """The columns of a row that say what it is for."""
    return ("low", "high") if table.kind in RANGES else (table.key_column,)


def add_row(*, table: LookupTable, cells: Mapping[str, str], by: User | None, now: datetime) -> None:
    """Add one row: the columns of its key, those that it gives, valid_from and valid_to. Raises UnableToMend."""
    columns = (*key_columns(table), *table.columns, "valid_from", "valid_to")
    spool = io.StringIO()
    csv.writer(spool).writerows([columns, [cells.get(column, "") for column in columns]])
    stream = io.BytesIO(spool.getvalue().encode())
    try:
        mediation.load_lookup_rows(table=table, stream=stream, by=by, now=now, keep_rows=True)
    except mediation.UnableToLoad as refusal:
        told = " ".join(f"{fault.message.capitalize()}." for fault in refusal.faults[:5])
        raise UnableToMend(f"{table} cannot take the row. {told}") from None
