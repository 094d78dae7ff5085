"""Looking before leaping: what was read of a record, what a correction would make of it, and a rule of a whole group.

Nothing here writes; the database refuses it meanwhile.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from django.db import connection
from django.db.models import QuerySet

from ingestion import store
from ingestion.core.fixing import Corrected, apply_rule, in_order, span_of
from ingestion.core.fixing.laying import Changes
from ingestion.models import Feed, ImportException, UsageImport
from ingestion.selectors import Group, exceptions_of_group
from ingestion.services.exceptions import require_correction
from ingestion.services.fixing.portions import corrected_by, revisions_by
from ingestion.services.fixing.rules import rule_for
from ingestion.services.mediating import windows_of
from ingestion.services.parts import combine_again
from ingestion.services.retrying import read_exceptions
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.core.frames import source_column
from mediation.core.previewing import FieldTrace, PreviewedRecord
from mediation.core.previewing import preview as preview_records
from mediation.core.spec import FaultySpecError, ProfileSpec
from mediation.models import ProfileVersion
from mediation.services.previewing import Foreseen, foresee
from mediation.store import tables_of
from mediation.store.reading_only import reading_only

MOST_SAMPLED = 1_000  # records of a group that are mediated for a preview
MOST_CHARS = 20_000_000  # of their texts


@dataclass(frozen=True)
class Reading:
    """What the feed's active version reads of an exception's record.

    raw: the text it is read from, as corrected. original: as received. sources: source fields with their texts, changes
    laid over. changes: those of them that were corrected. fields: the UDR fields as far as they were mapped; none where
    the record cannot be read. code, field, value, message: the fault, as it was met last. faulted_sources: the source
    fields behind the UDR field at fault. span: where the offending value stands in raw, characters [start, end).
    version: None where the profile has no active one that can be read.
    """

    raw: str
    original: str
    code: str
    field: str
    value: str
    message: str
    sources: tuple[tuple[str, str | None], ...] = ()
    changes: Changes = dataclasses.field(default_factory=dict)
    fields: tuple[FieldTrace, ...] = ()
    faulted_sources: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    version: ProfileVersion | None = None
    origins: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def fields_of(self, source: str) -> list[tuple[str, str | None]]:
        """The UDR fields that read a source field, each with its value."""
        return [(one.name, one.value) for one in self.fields if source in self.origins.get(one.name, ())]


@dataclass(frozen=True)
class CorrectionPreview:
    """What a correction would come to, if it were made now.

    outcome: imported, exception, skipped or duplicate; code: of an exception, or why it is left out. fields: the UDR's
    fields and how they came about. sources: as Reading. raw: the text it would be read from.
    """

    outcome: str
    code: str
    field: str
    message: str
    raw: str
    sources: tuple[tuple[str, str | None], ...]
    fields: tuple[FieldTrace, ...]
    version: ProfileVersion


def read_of(*, exception: ImportException) -> Reading:
    """What is read of an exception's record; nothing is written."""
    corrected = store.corrections_of_exceptions([exception])
    own = corrected.get((exception.usage_import_id, exception.record_number), Corrected())
    raw = exception.raw if own.raw is None else own.raw
    fault = {name: getattr(exception, name) for name in ("code", "field", "value", "message")}
    version = mediation_selectors.active_version(exception.feed.profile_id)
    if version is None:
        return Reading(raw=raw, original=exception.raw, changes=own.changes, **fault)
    try:
        spec = mediation.spec_of(version)
    except FaultySpecError:  # of a version that a later release reads more strictly
        return Reading(raw=raw, original=exception.raw, changes=own.changes, **fault)
    with reading_only():
        told, _ = _told(exception, version, {_place(exception): own})
    origins = {mapping.name: tuple(mapping.sources) for mapping in spec.fields}
    sources = _ordered(told, raw, spec, exception)
    faulted = origins.get(exception.field, ())
    return Reading(
        raw=raw,
        original=exception.raw,
        sources=sources,
        changes=own.changes,
        fields=told.fields if told else (),
        faulted_sources=faulted,
        span=_span(raw, spec, faulted, dict(sources), own.changes, exception),
        version=version,
        origins=origins,
        **fault,
    )


def _ordered(
    told: PreviewedRecord | None, raw: str, spec: ProfileSpec, exception: ImportException
) -> tuple[tuple[str, str | None], ...]:
    """The source fields of a record with their texts, in the order in which they stand in it."""
    sources = told.sources if told else {}
    names = in_order(list(sources), raw=raw, spec=spec, header=exception.usage_import.header)
    return tuple((name, sources[name]) for name in names)


def _place(exception: ImportException) -> tuple[int, int]:
    return exception.usage_import_id, exception.record_number


def _span(
    raw: str,
    spec: ProfileSpec,
    faulted: Sequence[str],
    sources: Mapping[str, str | None],
    changes: Changes,
    exception: ImportException,
) -> tuple[int, int] | None:
    """Of the first source field at fault that stands in the text; one that was corrected stands there no more."""
    header = exception.usage_import.header
    for name in faulted:
        if name in changes:
            continue
        text = sources.get(name) or exception.value
        if span := span_of(raw, spec=spec, source=name, text=text, header=header):
            return span
    return None


def _told(
    exception: ImportException, version: ProfileVersion, corrections: Mapping[tuple[int, int], Corrected]
) -> tuple[PreviewedRecord | None, Foreseen]:
    """The record step by step, and what it would come to beside all that is known."""
    records = _records([exception], version, corrections)
    windows = windows_of(exception.feed, [exception.usage_import])
    spec = mediation.spec_of(version)
    own = records.filter(pl.col("record_number") == exception.record_number)
    shown = preview_records(
        own.drop("aside", "aside_reason", strict=False),
        spec=spec,
        catalogue=mediation_selectors.catalogue(),
        windows=windows,
        tables=tables_of(spec),
    )
    told = shown.records[0] if shown.records else None
    return told, foresee(records=own, version=version, windows=windows, feed_id=exception.feed_id)


def _records(
    exceptions: Sequence[ImportException],
    version: ProfileVersion,
    corrections: Mapping[tuple[int, int], Corrected],
) -> pl.DataFrame:
    """RECORDS of exceptions, those of a profile that combines rows combined with the parts that wait for them."""
    imports = list({one.usage_import_id: one.usage_import for one in exceptions}.values())
    records = read_exceptions(exceptions=exceptions, imports=imports, version=version, corrections=corrections)
    if mediation.window_of(version=version) is None:
        return records
    parts = [
        combine_again(records=records.filter(import_id=one.pk), version=version, usage_import=one) for one in imports
    ]
    return pl.concat(parts, how="diagonal_relaxed")


def preview_correction(
    *, exception: ImportException, raw: str | None = None, changes: Changes | None = None
) -> CorrectionPreview:
    """What the record would become with this correction. Raises UnableToCorrect, as `correct_exception` does."""
    require_correction(raw=raw, changes=changes, feed=exception.feed)
    version = mediation_selectors.active_version(exception.feed.profile_id)
    if version is None:
        raise UnableToPreviewRule(f"The Data Profile of {exception.feed} has no active version. Activate one.")
    known = store.corrections_of_exceptions([exception]).get(_place(exception), Corrected())
    corrected = known.then(raw, changes)
    with reading_only():
        told, foreseen = _told(exception, version, {_place(exception): corrected})
    end = foreseen.ends.row(0, named=True)
    read_from = exception.raw if corrected.raw is None else corrected.raw
    return CorrectionPreview(
        outcome=end["outcome"],
        code=end["code"],
        field=end["field"],
        message=end["message"] or (told.message if told else ""),
        raw=read_from,
        sources=_ordered(told, read_from, mediation.spec_of(version), exception),
        fields=told.fields if told else (),
        version=version,
    )


# Rules


class UnableToPreviewRule(Exception):
    """Nothing can be foreseen; the message says why."""


@dataclass(frozen=True)
class Sampled:
    """A record of a sample before and after a rule.

    field: the source field that the rule changes, None for the record's text; before, after: its texts. outcome:
    imported, exception, skipped, duplicate, or unchanged (by the rule); code, message: of what it would come to, or why
    the rule leaves it.
    """

    exception_id: int
    record_number: int
    field: str | None
    before: str | None
    after: str | None
    outcome: str
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class RulePreview:
    """What a rule would do to a group, told by a sample of it.

    group_count: open exceptions of the group; every: one of so many was looked at; sample_count: how many that were.
    outcomes: how many of the sample would be imported, exception, skipped, duplicate, unchanged; still: of those that
    stay exceptions, how many by code, the commonest first. records: the first of the sample.
    """

    group_count: int
    every: int
    sample_count: int
    outcomes: Mapping[str, int]
    still: Sequence[tuple[str, int]]
    records: Sequence[Sampled]


OUTCOMES = ("imported", "exception", "skipped", "duplicate", "unchanged")


def preview_rule(*, group: Group, rule: Any, every: int | None = None, limit: int = 20) -> RulePreview:
    """What a rule would do to a group: a sample of it is mediated with nothing written, at most 1,000 records.

    every: look at one of so many; None spreads the sample over the whole group. limit: of the records to show. Raises
    FaultyRuleError and UnableToPreviewRule.
    """
    feed = Feed.objects.get(pk=group.feed_id)
    version = mediation_selectors.active_version(feed.profile_id)
    if version is None:
        raise UnableToPreviewRule(f"The Data Profile of {feed} has no active version. Activate one.")
    parsed = rule_for(rule, version)
    rows = exceptions_of_group(group)
    with reading_only():
        count = rows.count()
        every = max(every or -(-count // MOST_SAMPLED), 1)
        exceptions = _sample(rows, every)
        if not exceptions:
            return RulePreview(count, every, 0, dict.fromkeys(OUTCOMES, 0), (), ())
        known = store.corrections_of_exceptions(exceptions)
        records = read_exceptions(
            exceptions=exceptions, imports=_imports_of(exceptions), version=version, corrections=known
        )
        made = revisions_by(parsed, records)
        changed = [one for one in exceptions if _place(one) in made]
        ends = _ends(
            changed, feed, version, corrected_by(made, {place: known[place] for place in made if place in known})
        )
    applied = records.select("import_id", "record_number").hstack(apply_rule(records, parsed))
    column = "raw" if parsed.field is None else source_column(parsed.field)
    told = applied.with_columns(before=records[column]).rows_by_key(("import_id", "record_number"), named=True)
    shown = [_sampled(one, parsed.field, told[_place(one)][0], ends.get(_place(one))) for one in exceptions]
    return RulePreview(count, every, len(shown), _counted(shown), _still(shown), shown[:limit])


def _sample(rows: QuerySet[ImportException], every: int) -> list[ImportException]:
    """Every n-th of the exceptions in the order of their numbers, as many as fit into memory."""
    numbered, params = rows.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM ({numbered}) g (id)) n"  # noqa: S608
            " WHERE (place - 1) %% %s = 0 ORDER BY id LIMIT %s",
            [*params, every, MOST_SAMPLED],
        )
        ids = [row[0] for row in cursor.fetchall()]
    found = ImportException.objects.filter(pk__in=ids).select_related("usage_import", "feed").order_by("pk")
    chosen: list[ImportException] = []
    chars = 0
    for one in found.iterator(chunk_size=50):
        chars += len(one.raw)
        if chosen and chars > MOST_CHARS:
            break
        chosen.append(one)
    return chosen


def _imports_of(exceptions: Sequence[ImportException]) -> list[UsageImport]:
    return list({one.usage_import_id: one.usage_import for one in exceptions}.values())


def _ends(
    exceptions: Sequence[ImportException],
    feed: Feed,
    version: ProfileVersion,
    corrections: Mapping[tuple[int, int], Corrected],
) -> dict[tuple[int, int], dict[str, Any]]:
    """ENDS of corrected exceptions, by import id and record number."""
    if not exceptions:
        return {}
    imports = _imports_of(exceptions)
    records = read_exceptions(exceptions=exceptions, imports=imports, version=version, corrections=corrections)
    foreseen = foresee(records=records, version=version, windows=windows_of(feed, imports), feed_id=feed.pk)
    return {(row["import_id"], row["record_number"]): row for row in foreseen.ends.iter_rows(named=True)}


def _sampled(
    exception: ImportException, name: str | None, applied: dict[str, Any], end: dict[str, Any] | None
) -> Sampled:
    told = end or {"outcome": "unchanged", "code": "", "message": applied["fault"] or ""}
    return Sampled(
        exception_id=exception.pk,
        record_number=exception.record_number,
        field=name,
        before=applied["before"],
        after=applied["text"],
        outcome=told["outcome"],
        code=told["code"],
        message=told["message"],
    )


def _counted(shown: Sequence[Sampled]) -> dict[str, int]:
    return {outcome: sum(one.outcome == outcome for one in shown) for outcome in OUTCOMES}


def _still(shown: Sequence[Sampled]) -> list[tuple[str, int]]:
    codes = [one.code for one in shown if one.outcome == "exception"]
    return sorted(((code, codes.count(code)) for code in set(codes)), key=lambda one: (-one[1], one[0]))
