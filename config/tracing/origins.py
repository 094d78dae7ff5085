"""How a UDR came from its raw row: ingestion's payload and mediation's mapping, told where both and rating are seen."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from ingestion import selectors as ingestion
from ingestion.core.bodies import header_of, rows_of
from ingestion.core.fixing import Corrected
from ingestion.core.requests import FaultyRequestError
from ingestion.models import ImportBody, ImportChunk, UsageImport, WaitingPart
from ingestion.services.corrected import with_corrections
from ingestion.services.parts import combine_again
from ingestion.store import payload_part
from mediation import selectors
from mediation import services as mediation
from mediation.core.frames import WINDOWS, source_column
from mediation.core.previewing import FieldTrace, Preview
from mediation.core.previewing import preview as preview_records
from mediation.core.spec import FIELD_KINDS, FaultySpecError
from mediation.models import UDR_ID_BITS, ProfileVersion, Udr
from mediation.services.combining import PART_OF
from mediation.store import tables_of
from rating.core.explaining import About, Chapter, Fact

ROWS = {"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String}
MOST_CHARS = 20_000  # of a raw row; a page would grow beyond what a browser likes


@dataclass(frozen=True)
class Traced:
    """A record of an import as an attempt read it, with the UDR that it became, if any."""

    usage_import: UsageImport
    number: int
    version: ProfileVersion
    attempt: int
    udr: Udr | None


def trace_udr(udr_id: int) -> tuple[Chapter, ...]:
    """The raw row of a UDR, and what the profile made of it. Nothing is written."""
    udr = Udr.objects.select_related("usage_class", "identifier_type").filter(pk=udr_id).first()
    imports = UsageImport.objects.select_related("feed", "profile_version__profile")
    usage_import = udr and imports.filter(pk=udr.import_id).first()
    if not udr or not usage_import:
        return (Chapter("record", "The raw row", (Fact("gone", "The UDR or its import is not stored any more."),)),)
    return trace_record(usage_import=usage_import, number=udr.record_number, udr=udr)


def trace_record(*, usage_import: UsageImport, number: int, udr: Udr | None) -> tuple[Chapter, ...]:
    """The raw row of a record, and what the profile made of it where it became a UDR. Nothing is written.

    usage_import: with its feed and its version's profile.
    """
    traced = _traced(usage_import, number, udr)
    corrected = ingestion.corrections_of(usage_import, number).get(number)
    found, lost = None, ""
    try:
        found = _records(traced)
    except (FileNotFoundError, ImportBody.DoesNotExist):
        lost = "The original is not in the file storage any more."
    except (EOFError, FaultyRequestError, FaultySpecError, mediation.UnreadableError) as error:
        lost = f"The original cannot be read any more: {error}"
    chapters = [
        Chapter(
            "record", "The raw row", (*_record_facts(traced, found, lost), *_corrected_facts(traced, found, corrected))
        )
    ]
    if udr is not None:
        told = _told(traced, found, corrected) if found is not None else None
        chapters.append(Chapter("udr", "The UDR", tuple(_udr_facts(traced, udr, told))))
    return tuple(chapters)


def _traced(usage_import: UsageImport, number: int, udr: Udr | None) -> Traced:
    """By which version, in which attempt: of the chunk that wrote the UDR, or of the last one."""
    chunks = ImportChunk.objects.filter(usage_import=usage_import)
    own = chunks.filter(batch_id=udr.pk >> UDR_ID_BITS) if udr else chunks.order_by("-attempt", "number")
    chunk = own.first()
    version = usage_import.profile_version
    if chunk is not None and chunk.profile_version_id != version.pk:
        version = ProfileVersion.objects.select_related("profile").get(pk=chunk.profile_version_id)
    return Traced(usage_import, number, version, chunk.attempt if chunk else usage_import.attempt, udr)


def _records(traced: Traced) -> pl.DataFrame:
    """The record as its import holds it, and the rows beside it that are parts of it: RECORDS, its own first."""
    usage_import, number = traced.usage_import, traced.number
    is_combined = mediation.window_of(version=traced.version) is not None
    records = _of_file(traced) if usage_import.payload else _of_body(traced, None if is_combined else number)
    if is_combined and not records.is_empty():
        records = combine_again(records=records, version=traced.version, usage_import=usage_import)
    own = records.filter(pl.col("record_number") == number)
    if "aside_reason" not in records.columns:
        return own
    return pl.concat([own, records.filter(aside_reason=f"{PART_OF}{number} of {usage_import.tracking_id}")])


def _of_file(traced: Traced) -> pl.DataFrame:
    """RECORDS of the part of the file that holds the record."""
    usage_import = traced.usage_import
    chunks = ImportChunk.objects.filter(
        usage_import=usage_import,
        attempt=traced.attempt,
        byte_start__isnull=False,
        first_record_number__lte=traced.number,
    )
    chunk = chunks.order_by("-first_record_number").first()
    if chunk is None:
        raise FileNotFoundError
    return mediation.read_part(
        version=traced.version,
        content=payload_part(usage_import, chunk.byte_start or 0, chunk.byte_end or 0),
        import_id=usage_import.pk,
        first_number=chunk.first_record_number,
        header=usage_import.header,
        file_fields=usage_import.file_fields,
    )


def _of_body(traced: Traced, number: int | None) -> pl.DataFrame:
    """RECORDS of a submission: of all of it, or of one record."""
    spec = mediation.spec_of(traced.version)
    body = ImportBody.objects.get(pk=traced.usage_import.pk).as_sent
    rows = rows_of([body], spec)
    own = rows if number is None else rows.filter(pl.col("record_number") == number)
    return _rows_read(traced, own, header_of(body, spec))


def _text_read(traced: Traced, texts: Iterable[tuple[int, str]]) -> pl.DataFrame:
    """Texts that take the place of records, as the version reads them. texts: number and text."""
    rows = pl.DataFrame([(traced.usage_import.pk, *text) for text in texts], schema=ROWS, orient="row")
    return _rows_read(traced, rows, traced.usage_import.header)


def _rows_read(traced: Traced, rows: pl.DataFrame, header: list[str] | None) -> pl.DataFrame:
    """Rows that came one by one, as the version reads them."""
    fields = {traced.usage_import.pk: traced.usage_import.file_fields or {}}
    return mediation.read_rows(version=traced.version, rows=rows, header=header, file_fields=fields)


def _told(traced: Traced, found: pl.DataFrame, corrected: Corrected | None) -> Preview | None:
    """What the version makes of the record, step by step, at whatever time it happened."""
    records = found.filter(pl.col("record_number") == traced.number)
    if corrected is not None and mediation.window_of(version=traced.version) is None:
        records = with_corrections(
            records=records,
            import_id=traced.usage_import.pk,
            corrections={traced.number: corrected},
            read=lambda rows: _text_read(traced, rows.select("record_number", "raw").iter_rows()),
        )
    if records.is_empty() or ("aside" in records.columns and records["aside"][0] is not None):
        return None
    spec = mediation.spec_of(traced.version)
    windows = pl.DataFrame([(traced.usage_import.pk, None, None)], schema=WINDOWS, orient="row")
    return preview_records(records, spec=spec, catalogue=selectors.catalogue(), windows=windows, tables=tables_of(spec))


def _record_facts(traced: Traced, found: pl.DataFrame | None, lost: str) -> Iterator[Fact]:
    usage_import, number = traced.usage_import, traced.number
    came = usage_import.file_name or f"a submission by {usage_import.get_source_display()}"
    text = f"Record {number:,} of {came}, received at {usage_import.received_at:%Y-%m-%d %H:%M:%S} UTC"
    yield Fact("import", f"{text} by feed {usage_import.feed}.", about=About("import", usage_import.pk))
    if found is None:
        yield Fact("lost", lost, about=About("import", usage_import.pk))
    for row, raw in found.select("record_number", "raw").iter_rows() if found is not None else ():
        text = "As it was received:" if row == number else f"Row {row:,} is a part of it:"
        yield Fact("raw" if row == number else "part", text, raw=_cut(raw), about=About("payload", usage_import.pk))
    parts = WaitingPart.objects.filter(record_import_id=usage_import.pk, record_row=number)
    elsewhere = parts.exclude(usage_import_id=usage_import.pk).order_by("usage_import_id", "record_number")
    for part in elsewhere:
        text = f"Row {part.record_number:,} of another import is a part of it:"
        yield Fact("part", text, raw=_cut(part.raw), about=About("import", part.usage_import_id))


def _corrected_facts(traced: Traced, found: pl.DataFrame | None, corrected: Corrected | None) -> Iterator[Fact]:
    if corrected is None:
        return
    if corrected.raw is not None:
        yield Fact("corrected", "It was corrected by hand; since then it reads:", raw=_cut(corrected.raw))
    before = _as_read(traced, found, corrected)
    for field, text in corrected.changes.items():
        was = f" from “{_cut(before[field] or '')}”" if field in before else ""
        now = f"to “{_cut(text)}”" if text is not None else "to no value"
        yield Fact("corrected", f"Corrected: field {field}{was} {now}.")


def _as_read(traced: Traced, found: pl.DataFrame | None, corrected: Corrected) -> dict[str, str | None]:
    """The source fields of the record's text before changes were laid over them, as far as they can be read."""
    if corrected.raw is not None and corrected.changes:
        records = _text_read(traced, [(traced.number, corrected.raw)])
    elif found is not None:
        records = found.filter(pl.col("record_number") == traced.number)
    else:
        return {}
    row = records.row(0, named=True) if records.height else {}
    return {name: row[source_column(name)] for name in corrected.changes if source_column(name) in row}


def _cut(raw: str) -> str:
    return raw if len(raw) <= MOST_CHARS else f"{raw[:MOST_CHARS]}…"


def _udr_facts(traced: Traced, udr: Udr, told: Preview | None) -> Iterator[Fact]:
    version = traced.version
    attempt = f", in attempt {traced.attempt}" if traced.attempt > 1 else ""
    yield Fact("profile", f"Read by Data Profile {version}{attempt}.", about=About("profile_version", version.pk))
    if told is None:
        yield Fact("mapping", "Which of its fields came from where cannot be told from one row alone.")
    elif others := _otherwise(told, udr):
        text = f"Read today, the row would give another {', '.join(others)}: what the profile looks up has changed."
        yield Fact("today", text)
    fields = told.records[0].fields if told else ()
    # The database keeps no order of a profile's fields; those that a UDR does not name follow.
    for field in sorted(fields, key=lambda each: (*FIELD_KINDS, each.name).index(each.name)):
        if field.value is not None:
            yield Fact("field", _field(field))
    repairs = f"Repaired by {', '.join(udr.repairs.split())}." if udr.repairs else "Nothing was repaired."
    yield Fact("repairs", repairs)
    measured = f"{udr.value.normalize():f} of class “{udr.usage_class}” at {udr.date:%Y-%m-%d %H:%M:%S} UTC"
    yield Fact("udr", f"UDR {udr.pk}: {measured}.", about=About("udr", udr.pk))


# What is compared of a UDR and of what its row gives today.
COMPARED = (
    "date",
    "usage_class_id",
    "value",
    "amount",
    "originating_identifier",
    "terminating_identifier",
    "udr_usage_identifier",
)


def _otherwise(told: Preview, udr: Udr) -> list[str]:
    """The columns of the UDR that its row would give otherwise today; none where it gives no UDR by itself."""
    if told.udrs.is_empty():
        return []
    today = told.udrs.row(0, named=True)
    return [name.removesuffix("_id").replace("_", " ") for name in COMPARED if today[name] != getattr(udr, name)]


def _field(field: FieldTrace) -> str:
    """A UDR field: where its text began, what each step left of it, and its value."""
    steps = ", ".join(f"{step.name} “{step.text}”" for step in field.steps if step.text is not None)
    origin = f"from {field.origin}" if field.origin not in {step.name for step in field.steps} else ""
    said = ": ".join(part for part in (origin, steps) if part)
    return f"{field.name} = {field.value} ({said})." if said else f"{field.name} = {field.value}."
