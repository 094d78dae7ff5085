"""What a version of a profile would change in a past import, with nothing written."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import polars as pl
from django.contrib.auth.models import User

from ingestion import selectors, store
from ingestion.core.bodies import header_of, rows_of
from ingestion.core.requests import FaultyRequestError
from ingestion.models import Feed, ImportBody, ImportException, LeftOutRecord, UsageImport
from ingestion.services.corrected import with_corrections
from ingestion.services.mediating import windows_of
from ingestion.services.parts import combine_again
from mediation import services as mediation
from mediation.core import reading
from mediation.core.comparing import Comparison, compare
from mediation.core.reading.unpacking import UnpackError, unpack
from mediation.core.spec import FaultySpecError, ProfileSpec, parse_spec
from mediation.models import ProfileVersion
from mediation.selectors import batch_ids_of_import
from mediation.services.previewing import states_after, states_before
from mediation.store.reading_only import reading_only

MAX_RECORDS = 100_000


class UnableToCompare(Exception):
    """The version cannot be held against this import; the message says why."""


def compare_version(*, version: ProfileVersion, usage_import: UsageImport, by: User | None) -> Comparison:
    """What `version` would make of an import's first 100,000 records, beside what became of them."""
    mediation.require_permission(by, "ingestion.view_usageimport")
    mediation.require_permission(by, "mediation.view_profileversion")
    mediation.require_feeds(by, [usage_import.feed_id])
    try:
        spec = parse_spec(version.spec)
    except FaultySpecError as error:
        raise UnableToCompare(f"{version} has faults. Mend them first: {error}") from None
    with reading_only():
        try:
            records, is_cut = _records(usage_import, spec)
        except (reading.UnreadableError, UnpackError, FaultyRequestError) as error:
            raise UnableToCompare(f"{version} cannot read this import: {error}") from None
        except FileNotFoundError:
            raise UnableToCompare("The original is not in the file storage any more.") from None
        records = combine_again(records=records, version=version, usage_import=usage_import)
        last = int(records["record_number"].max() or 0)  # type: ignore[arg-type]
        feed = Feed.objects.get(pk=usage_import.feed_id)
        after = states_after(
            records=records,
            spec=spec,
            windows=windows_of(feed, [usage_import]),
            feed_id=feed.pk,
            replaced_ids=batch_ids_of_import(usage_import.pk),
        )
        last = last if is_cut else 2**62
        before = states_before(import_id=usage_import.pk, last_number=last, others=_others(usage_import, last))
    return compare(before, after, is_cut=is_cut)


def _others(usage_import: UsageImport, last_number: int) -> pl.DataFrame:
    """record_number, outcome and reason of what became no UDR in the import's current attempt."""
    of_attempt = {"usage_import": usage_import, "attempt": usage_import.attempt, "record_number__lte": last_number}
    settled = ImportException.objects.filter(**of_attempt).exclude(status=ImportException.Status.RESOLVED)
    rows = [(number, "exception", code) for number, code in settled.values_list("record_number", "code")]
    left_out = LeftOutRecord.objects.filter(**of_attempt).values_list("record_number", "outcome", "reason")
    schema = {"record_number": pl.Int64, "outcome": pl.String, "reason": pl.String}
    return pl.DataFrame([*rows, *left_out], schema=schema, orient="row")


# Reading


def _records(usage_import: UsageImport, spec: ProfileSpec) -> tuple[pl.DataFrame, bool]:
    """RECORDS of the import as `spec` reads it, corrected ones as they were corrected, and whether there are more."""
    header: Any = None
    fields: reading.FileFields | None = None
    if usage_import.payload:
        records, header, fields, is_cut = _of_file(usage_import, spec)
    else:
        records, header, fields = _of_body(usage_import, spec)
        is_cut = False
    records = with_corrections(
        records=records,
        import_id=usage_import.pk,
        corrections=selectors.corrections_of(usage_import),
        read=lambda rows: reading.read_rows(rows, spec, header, fields),
    )
    return records.sort("record_number"), is_cut


def _of_body(
    usage_import: UsageImport, spec: ProfileSpec
) -> tuple[pl.DataFrame, list[str] | None, reading.FileFields | None]:
    body = ImportBody.objects.get(pk=usage_import.pk).as_sent
    rows, header = rows_of([body], spec), header_of(body, spec)
    claims = reading.scan_rows(rows, spec, header)
    fields = {usage_import.pk: claims.fields} if claims else None
    return reading.read_rows(rows, spec, header, fields), header, fields


def _of_file(usage_import: UsageImport, spec: ProfileSpec) -> tuple[pl.DataFrame, Any, reading.FileFields | None, bool]:
    with _readable(usage_import, spec) as stream:
        header, found = reading.cut(store.blocks_of(stream), spec)
        spans = list(found)  # what parts need from above them is complete only now

        def rows_of(span: reading.Span) -> pl.DataFrame:
            stream.seek(span.start)
            content = stream.read(span.end - span.start)
            return reading.raw_part(
                content, spec, import_id=usage_import.pk, first_number=span.first_number, header=header
            )

        claims = reading.scan(map(rows_of, spans), spec, header)
        fields = {usage_import.pk: claims.fields} if claims else None
        parts: list[pl.DataFrame] = []
        for span in spans:
            if sum(part.height for part in parts) >= MAX_RECORDS:
                break
            parts.append(reading.records_of(rows_of(span), spec, header, fields))
    records = pl.concat(parts, how="diagonal")
    return records.head(MAX_RECORDS), header, fields, len(parts) < len(spans) or records.height > MAX_RECORDS


@contextmanager
def _readable(usage_import: UsageImport, spec: ProfileSpec) -> Iterator[BinaryIO]:
    """The file as `spec` can cut it: unpacked, and written out anew where its format needs that."""
    with (
        store.open_original(usage_import) as original,
        tempfile.TemporaryFile() as spool,
        tempfile.TemporaryFile() as lines,
    ):
        stream: Any = spool if unpack(original, spool) is not None else original
        stream = lines if reading.write_out(stream, lines, spec) else stream
        stream.seek(0)
        yield stream
