"""The first records of a group as the active profile reads them, and what another version would make of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from ingestion import store as ingestion_store
from ingestion.models import Feed, ImportException, UsageImport
from ingestion.selectors import Group, exceptions_of_group
from ingestion.services.retrying import read_exceptions
from mediation import selectors, store
from mediation.core.frames import WINDOWS
from mediation.core.mapping import map_texts
from mediation.core.previewing import Preview
from mediation.core.previewing import preview as preview_records
from mediation.core.reading import source_column
from mediation.core.spec import FIELD_ALIASES, FaultySpecError, FieldMapping, ProfileSpec, parse_spec
from mediation.core.transforms.tables import Convert
from mediation.models import ProfileVersion
from mediation.services.specs import spec_of
from mediation.store.reading_only import reading_only

MOST_RECORDS = 20


class UnableToMend(Exception):
    """The mend cannot be done; the message says why, and what to do."""


@dataclass(frozen=True)
class Sample:
    """A group with its feed, the version that reads it now, and its first exceptions."""

    group: Group
    feed: Feed
    version: ProfileVersion
    spec: ProfileSpec
    exceptions: tuple[ImportException, ...]

    @property
    def mapping(self) -> FieldMapping | None:
        """The mapping of the field at fault."""
        return self.spec.mapping(self.group.field) if self.group.field else None

    @property
    def is_readable(self) -> bool:
        """Whether its records can be read one by one; those of several rows need the others of their record."""
        return self.spec.structure is None and bool(self.exceptions)


def sample_of(group: Group, feed: Feed) -> Sample | None:
    """The group as the active version of its feed's profile sees it; None where none is active or has faults."""
    version = selectors.active_version(feed.profile_id)
    if version is None:
        return None
    try:
        spec = spec_of(version)
    except FaultySpecError:
        return None
    rows = exceptions_of_group(group).select_related("usage_import").order_by("pk")[:MOST_RECORDS]
    return Sample(group, feed, version, spec, tuple(rows))


def records_of(sample: Sample, version: ProfileVersion) -> pl.DataFrame:
    """RECORDS of the sample as `version` reads them, numbered from 1 as if they were one import."""
    exceptions = list(sample.exceptions)
    imports: Mapping[int, UsageImport] = {one.usage_import_id: one.usage_import for one in exceptions}
    records = read_exceptions(
        exceptions=exceptions,
        imports=list(imports.values()),
        version=version,
        corrections=ingestion_store.corrections_of_exceptions(exceptions),
    )
    return records.with_columns(
        import_id=pl.lit(0, pl.Int64), record_number=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)
    )


# The text that something is lacking for


def text_before_map(sample: Sample) -> str:
    """The text of the faulted field as its value map would be asked for it; "" where there is none."""
    mapping = sample.mapping
    return _commonest(sample, replace(mapping, value_map=None, default=None)) if mapping else ""


def transform_asked(sample: Sample, kind: type) -> int | None:
    """The place in the chain of the faulted field of its first transform of a kind, such as Lookup, if it has one."""
    mapping = sample.mapping
    found = (place for place, one in enumerate(mapping.transforms if mapping else ()) if isinstance(one, kind))
    return next(found, None)


def text_before_transform(sample: Sample, place: int) -> str:
    """The text of the faulted field as the transform at `place` of its chain is asked for it."""
    mapping = sample.mapping
    if mapping is None:
        return ""
    bare = replace(mapping, transforms=mapping.transforms[:place], case=None, value_map=None, default=None)
    return _commonest(sample, bare)


def unit_named(sample: Sample) -> str:
    """The usage unit that the records name in the source field that their mapping asks."""
    place = transform_asked(sample, Convert)
    mapping = sample.mapping
    convert = mapping.transforms[place] if mapping and place is not None else None
    if not isinstance(convert, Convert) or not sample.is_readable:
        return ""
    if convert.unit or not convert.source:
        return convert.unit or ""
    with reading_only():
        names = records_of(sample, sample.version)[source_column(convert.source)].str.strip_chars().drop_nulls()
    return _first(names)


def _commonest(sample: Sample, mapping: FieldMapping) -> str:
    """The commonest text of a field under a mapping that ends early; what was met if they cannot be read alone."""
    if not sample.is_readable:
        return sample.group.value or ""
    fields = tuple(mapping if one.name == mapping.name else one for one in sample.spec.fields)
    spec = replace(sample.spec, fields=fields)
    with reading_only():
        records = records_of(sample, sample.version).filter(pl.col("fault").is_null())
        texts = map_texts(records, spec, store.tables_of(sample.spec))[f"text:{mapping.name}"]
    return _first(texts.drop_nulls())


def _first(texts: pl.Series) -> str:
    counted = Counter(texts.to_list()).most_common(1)
    return counted[0][0] if counted else ""


# Another version of the profile


def document_name(sample: Sample) -> str:
    """What the profile's document calls the faulted field: some have two names."""
    fields = sample.version.spec["fields"]
    names = [name for name in fields if FIELD_ALIASES.get(name, name) == sample.group.field]
    if not names:
        raise UnableToMend(f"{sample.version} does not map {sample.group.field}, so there is nothing to add to.")
    return str(names[0])


def preview_with(sample: Sample, document: Any) -> Preview | None:
    """What a profile's document would make of the sample; None where its records cannot be read one by one.

    The age of usage is not looked at. Raises UnableToMend for a document with faults.
    """
    try:
        spec = parse_spec(document)
    except FaultySpecError as faulty:
        raise UnableToMend("The profile would have faults: " + "; ".join(map(str, faulty.faults))) from None
    if not sample.is_readable:
        return None
    with reading_only():
        records = records_of(sample, ProfileVersion(profile_id=sample.version.profile_id, spec=document))
        windows = pl.DataFrame([(0, None, None)], schema=WINDOWS, orient="row")
        return preview_records(
            records, spec=spec, catalogue=selectors.catalogue(), windows=windows, tables=store.tables_of(spec)
        )
