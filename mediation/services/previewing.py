"""Previews: what a profile would make of pasted rows or of a sample, with nothing written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import polars as pl

from mediation import selectors, store
from mediation.core import reading
from mediation.core.comparing import states_of_others, states_of_udrs
from mediation.core.frames import REPEATED, UDRS, WINDOWS, Catalogue
from mediation.core.judging import mediate as sort_records
from mediation.core.judging import sort_repeats
from mediation.core.previewing import Preview, named_by
from mediation.core.previewing import preview as preview_records
from mediation.core.spec import FaultySpecError, ProfileSpec, parse_spec
from mediation.models import ProfileVersion
from mediation.services.combining import combine_alone
from mediation.services.lookups import faults_of_tables
from mediation.services.specs import spec_of
from mediation.store.looking import holders_of, udrs_of_batches
from mediation.store.reading_only import reading_only

MAX_BYTES = 1 << 20
MAX_RECORDS = 1_000


class UnableToPreview(Exception):
    """Nothing can be shown; the message says why. faults: those of the profile, if it is that."""

    def __init__(self, message: str, faults: Iterable[Any] = ()) -> None:
        super().__init__(message)
        self.faults = list(faults)


def preview(
    *,
    spec: Any,
    content: bytes | str,
    as_rows: bool = False,
    windows: tuple[datetime | None, datetime | None] = (None, None),
    assumed_classes: Iterable[str] = (),
    knows_every_name: bool = False,
) -> Preview:
    """What a profile document would make of a file's bytes, step by step; at most 1,000 records, nothing stored.

    as_rows: each line is a record, as in a request, so that no header is looked for. windows: the earliest and latest
    moment of usage that is taken. assumed_classes: usage classes that are taken for known; knows_every_name: all that
    the records name, with the types that they give. Raises UnableToPreview.
    """
    parsed = _parse(spec)
    with reading_only():
        if missing := faults_of_tables(spec=parsed):
            raise UnableToPreview("The profile names what is not there.", missing)
        records, is_cut = _read(_bytes(content, parsed), parsed, as_rows=as_rows)
        frame = pl.DataFrame([(0, *windows)], schema=WINDOWS, orient="row")
        tables = store.tables_of(parsed)
        known = named_by(records, parsed, tables) if knows_every_name else selectors.catalogue()
        catalogue = _assuming(known, assumed_classes)
        return preview_records(records, spec=parsed, catalogue=catalogue, windows=frame, tables=tables, is_cut=is_cut)


def states_after(
    *,
    records: pl.DataFrame,
    spec: ProfileSpec,
    windows: pl.DataFrame,
    feed_id: int,
    replaced_ids: Sequence[int],
) -> pl.DataFrame:
    """STATES that RECORDS of one import would come to if `spec` read them now; nothing is written.

    replaced_ids: the batches that hold the import's UDRs today, whose keys would be free.
    """
    catalogue = selectors.catalogue()
    verdict = sort_records(records, spec=spec, catalogue=catalogue, windows=windows, tables=store.tables_of(spec))
    held = holders_of(verdict.kept["key"], feed_id=feed_id, other_than=replaced_ids)
    fresh = verdict.kept.join(held, on="key", how="anti", maintain_order="left")
    late = verdict.kept.join(held, on="key", how="semi", maintain_order="left").select(list(REPEATED))
    mine = fresh.select("key", pl.col("record_number").alias("held_by"), pl.col("content_hash").alias("held_hash"))
    duplicates, conflicts = sort_repeats(pl.concat([late, verdict.repeated]), pl.concat([mine, held]))
    others = [
        verdict.skipped.select("record_number", "outcome", "reason"),
        duplicates.select("record_number", "outcome", "reason"),
        *(
            part.select("record_number", pl.lit("exception").alias("outcome"), pl.col("code").alias("reason"))
            for part in (verdict.rejected, conflicts)
        ),
    ]
    return pl.concat([states_of_udrs(fresh.select(list(UDRS)), catalogue), states_of_others(pl.concat(others))])


@dataclass(frozen=True)
class Foreseen:
    """What records would come to now. ends: ENDS, each record once; udrs: UDRS of those that would be imported."""

    ends: pl.DataFrame
    udrs: pl.DataFrame


# What a record would come to. code: of an exception, or the reason of what is left out.
ENDS: dict[str, type[pl.DataType]] = {
    "import_id": pl.Int64,
    "record_number": pl.Int64,
    "outcome": pl.String,
    "code": pl.String,
    "field": pl.String,
    "value": pl.String,
    "message": pl.String,
}


def foresee(*, records: pl.DataFrame, version: ProfileVersion, windows: pl.DataFrame, feed_id: int) -> Foreseen:
    """What RECORDS of a feed would come to if `version` mediated them now beside all that is known; nothing is written.

    windows: WINDOWS, a row an import.
    """
    spec = spec_of(version)
    verdict = sort_records(
        records, spec=spec, catalogue=selectors.catalogue(), windows=windows, tables=store.tables_of(spec)
    )
    held = holders_of(verdict.kept["key"], feed_id=feed_id, other_than=())
    fresh = verdict.kept.join(held, on="key", how="anti", maintain_order="left")
    late = verdict.kept.join(held, on="key", how="semi", maintain_order="left").select(list(REPEATED))
    mine = fresh.select("key", pl.col("record_number").alias("held_by"), pl.col("content_hash").alias("held_hash"))
    duplicates, conflicts = sort_repeats(pl.concat([late, verdict.repeated]), pl.concat([mine, held]))
    ends = [
        fresh.select("import_id", "record_number", outcome=pl.lit("imported")),
        *(
            part.select("import_id", "record_number", "outcome", code="reason")
            for part in (verdict.skipped, duplicates)
        ),
        *(part.drop("raw").with_columns(outcome=pl.lit("exception")) for part in (verdict.rejected, conflicts)),
    ]
    whole = pl.concat([pl.DataFrame(schema=ENDS), *ends], how="diagonal")
    texts = [pl.col(name).fill_null("") for name, kind in ENDS.items() if kind == pl.String]
    return Foreseen(whole.select(list(ENDS)).with_columns(texts), fresh.select(list(UDRS)))


def states_before(*, import_id: int, last_number: int, others: pl.DataFrame) -> pl.DataFrame:
    """STATES of an import as it stands. others: record_number, outcome, reason of what became no UDR."""
    udrs = udrs_of_batches(selectors.batch_ids_of_import(import_id), last_number=last_number)
    return pl.concat([states_of_udrs(udrs, selectors.catalogue()), states_of_others(others)])


def _parse(spec: Any) -> ProfileSpec:
    try:
        return parse_spec(spec)
    except FaultySpecError as error:
        raise UnableToPreview("The profile has faults. Mend them first.", error.faults) from None


def _bytes(content: bytes | str, spec: ProfileSpec) -> bytes:
    """Pasted text as the file that it stands for."""
    if isinstance(content, bytes):
        return content
    encoding = _encoding(spec)
    try:
        return content.encode(encoding)
    except UnicodeEncodeError as error:
        sign = content[error.start]
        raise UnableToPreview(f"“{sign}” cannot be written in {encoding}, which the profile reads.") from None


def _encoding(spec: ProfileSpec) -> str:
    return str(getattr(spec.format, "encoding", "utf-8"))


def _read(content: bytes, spec: ProfileSpec, *, as_rows: bool) -> tuple[pl.DataFrame, bool]:
    """RECORDS of the first records, and whether there were more."""
    if len(content) > MAX_BYTES:
        raise UnableToPreview(f"A preview takes at most {MAX_BYTES:,} bytes; these are {len(content):,}. Give fewer.")
    if not content.strip():
        raise UnableToPreview("There is nothing to preview. Paste some rows, or choose a file.")
    try:
        records = _rows(content, spec) if as_rows else _file(content, spec)
    except reading.UnreadableError as error:
        raise UnableToPreview(str(error)) from None
    records = combine_alone(spec=spec, records=records)
    return records.head(MAX_RECORDS), records.height > MAX_RECORDS


def _file(content: bytes, spec: ProfileSpec) -> pl.DataFrame:
    spool = BytesIO()
    if reading.write_out(BytesIO(content), spool, spec):
        content = spool.getvalue()
    header, found = reading.cut(iter([content]), spec)
    spans = list(found)  # what parts need from above them is complete only now
    rows = [
        reading.raw_part(
            content[span.start : span.end], spec, import_id=0, first_number=span.first_number, header=header
        )
        for span in spans
    ]
    if not rows:
        raise UnableToPreview("The sample holds no records.")
    claims = reading.scan(rows, spec, header)
    return reading.records_of(pl.concat(rows, how="diagonal"), spec, header, {0: claims.fields} if claims else None)


def _rows(content: bytes, spec: ProfileSpec) -> pl.DataFrame:
    lines = [line for line in content.decode(_encoding(spec), "replace").splitlines() if line.strip()]
    numbers = range(1, len(lines) + 1)
    schema = {"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String}
    rows = pl.DataFrame({"import_id": [0] * len(lines), "record_number": numbers, "raw": lines}, schema=schema)
    return reading.read_rows(rows, spec)


def _assuming(catalogue: Catalogue, names: Iterable[str]) -> Catalogue:
    """The catalogue with classes in it that do not exist yet, under numbers that no class has."""
    known = set(catalogue.classes["usage_class_name"])
    fresh = [(name, -place, None) for place, name in enumerate(sorted(set(names) - known), 1)]
    assumed = pl.DataFrame(fresh, schema=catalogue.classes.schema, orient="row")
    return Catalogue(pl.concat([catalogue.classes, assumed]), catalogue.identifier_types)
