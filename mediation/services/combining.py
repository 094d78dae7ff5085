"""Rows that make one record together: marked as parts, and combined once they are all there."""

from datetime import timedelta
from functools import reduce
from operator import or_

import polars as pl

from mediation.core import judging
from mediation.core.spec import ProfileSpec
from mediation.core.structure import derived_from
from mediation.core.structure.combining import PART_OF, WAITS, Combination
from mediation.core.structure.combining import combine as combine_marked
from mediation.core.structure.marking import mark_parts
from mediation.models import ProfileVersion
from mediation.services.specs import spec_of

__all__ = ["PART_OF", "WAITS", "Combination", "combine_parts", "mark_rows", "window_of"]


def window_of(*, version: ProfileVersion) -> timedelta | None:
    """How long a row waits for the others of its record; None where every row is a record."""
    structure = spec_of(version).structure
    return timedelta(hours=structure.combine.window_hours) if structure and structure.combine else None


def mark_rows(*, version: ProfileVersion, records: pl.DataFrame) -> pl.DataFrame:
    """RECORDS with MARKS: which record each row is a part of, and as what. A row that a filter skips is no part."""
    spec = spec_of(version)
    combine = spec.structure.combine if spec.structure else None
    assert combine is not None  # noqa: S101 - `window_of` said so
    return mark_parts(records, combine, is_skipped=_is_skipped(spec))


def _is_skipped(spec: ProfileSpec) -> pl.Expr | None:
    """Filters see each row by itself, but for those that read what only the whole record has."""
    of_rows = [skip for skip in spec.skip if not any(derived_from(name, spec.structure) for name in skip.sources)]
    return reduce(or_, map(judging.matches, of_rows)) if of_rows else None


def combine_parts(
    *, version: ProfileVersion, rows: pl.DataFrame, stored: pl.DataFrame, labels: pl.DataFrame
) -> Combination:
    """Combine marked rows with each other and with stored parts. labels: import_id, and label to call an import by."""
    spec = spec_of(version)
    assert spec.structure is not None  # noqa: S101 - `window_of` said so
    return combine_marked(rows, stored, spec.structure, names=spec.sources, labels=labels)


def combine_alone(*, spec: ProfileSpec, records: pl.DataFrame) -> pl.DataFrame:
    """RECORDS of a sample, its rows combined with each other only."""
    how = spec.structure.combine if spec.structure else None
    if how is None or spec.structure is None:
        return records
    rows = mark_parts(records, how, is_skipped=_is_skipped(spec))
    labels = rows.select("import_id", label=pl.lit("this sample")).unique()
    return combine_marked(rows, rows.clear(), spec.structure, names=spec.sources, labels=labels).records
