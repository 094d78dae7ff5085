"""Parts of records across chunks and imports: what waits is stored, and what completes a record takes it.

A record belongs to the import of the row that completed it. The rows of other imports that it is made of stay skipped
there, and say whose record they are a part of. Where an import is mediated again:
- its rows that wait, or that its own records took, are read anew;
- its rows that another import's record took stay taken: that record changes when that import is mediated again;
- parts of other imports that its records took are taken again, and wait again where no record of it takes them now.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from ingestion import store
from ingestion.models import UsageImport
from mediation import services as mediation
from mediation.core.codes import Code
from mediation.core.frames import MOMENT
from mediation.models import ProfileVersion
from mediation.services.combining import PART_OF, WAITS

ROW = ["import_id", "record_number"]
RECORD = ["record_import_id", "record_row"]
# When the rows of an import came, and until when they wait.
TIMES: dict[str, pl.DataType | type[pl.DataType]] = {
    "import_id": pl.Int64,
    "attempt": pl.Int64,
    "received_at": MOMENT,
    "expires_at": MOMENT,
}


@dataclass(frozen=True)
class Parts:
    """What is to be written once the outcomes of combined records are known.

    rows: import_id and record_number of every row that is a part. waiting, joined: STORED_PARTS with received_at and
    expires_at; joined with reason and is_stored. freed: stored parts that no record of the import takes any more.
    """

    rows: pl.DataFrame
    waiting: pl.DataFrame
    joined: pl.DataFrame
    freed: pl.DataFrame


class PartsMovedError(RuntimeError):
    """Stored parts changed while they were combined; the transaction must not commit, and can be tried again."""


def combine_rows(
    *,
    records: pl.DataFrame,
    version: ProfileVersion,
    imports: Sequence[UsageImport],
    feed_id: int,
    now: datetime,
    is_retry: bool = False,
) -> tuple[pl.DataFrame, Parts | None]:
    """The RECORDS to mediate in place of `records`, and their Parts; None where every row is a record.

    To be called in the transaction that mediates: the keys stay locked until it ends. is_retry: the records are
    exceptions; one whose window is over stays an exception, where it could only wait.
    """
    if mediation.window_of(version=version) is None:
        return records, None
    marked = mediation.mark_rows(version=version, records=records)
    keys = marked["part_key"].drop_nulls()
    store.lock_part_keys(feed_id, keys)
    for one in imports:
        if is_retry or one.attempt > 1:
            marked = _keep_taken(marked, one)
    since = min(one.received_at for one in imports)
    found = store.stored_parts(feed_id, keys, since=since, import_ids=[one.pk for one in imports])
    stored = _to_take(found, marked, imports, is_retry=is_retry)
    labels = _labels({*(one.pk for one in imports), *stored["import_id"]})
    combination = mediation.combine_parts(version=version, rows=marked, stored=_read(stored, version), labels=labels)
    parts = _parts(combination, marked, stored, labels, imports, version)
    return _end_waiting(combination.records, parts, now) if is_retry else (combination.records, parts)


def combine_again(*, records: pl.DataFrame, version: ProfileVersion, usage_import: UsageImport) -> pl.DataFrame:
    """The RECORDS that `version` would mediate if the import were mediated again now; nothing is written or locked."""
    if mediation.window_of(version=version) is None:
        return records
    marked = mediation.mark_rows(version=version, records=records)
    keys, since = marked["part_key"].drop_nulls(), usage_import.received_at
    found = store.stored_parts(usage_import.feed_id, keys, since=since, import_ids=[usage_import.pk])
    stored = found.filter(pl.col("import_id") != usage_import.pk)
    labels = _labels({usage_import.pk, *stored["import_id"]})
    return mediation.combine_parts(version=version, rows=marked, stored=_read(stored, version), labels=labels).records


def _keep_taken(marked: pl.DataFrame, usage_import: UsageImport) -> pl.DataFrame:
    """Rows that are read again: those that another import's record took stay taken, what else is known is forgotten."""
    own = marked.filter(pl.col("import_id") == usage_import.pk)
    known = store.parts_of(usage_import.pk, own["record_number"])
    taken = known.filter(pl.col("record_import_id") != usage_import.pk).rename({"key": "part_key"})
    taken = taken.drop("raw", "attempt").join(own.select(*ROW, "part_key", "raw"), on=[*ROW, "part_key"], how="inner")
    gone = known.join(taken, on=ROW, how="anti")
    store.delete_parts_of(usage_import.pk, gone["record_number"].to_list())
    if taken.is_empty():
        return marked
    store.renew_parts(taken, attempt=usage_import.attempt)
    labels = _labels(taken["record_import_id"]).rename({"import_id": "record_import_id"})
    reasons = taken.join(labels, on="record_import_id", how="left").select(*ROW, _reason=_part_of("record_row"))
    told = marked.join(reasons, on=ROW, how="left", maintain_order="left")
    is_taken = pl.col("_reason").is_not_null()
    return told.with_columns(
        part_key=pl.when(~is_taken).then("part_key"),
        aside=pl.when(is_taken).then(pl.lit("skipped")).otherwise("aside"),
        aside_reason=pl.coalesce("_reason", "aside_reason"),
    ).drop("_reason")


def _part_of(record_row: str) -> pl.Expr:
    return pl.format(PART_OF + "{} of {}", record_row, "label")


def _to_take(
    found: pl.DataFrame, marked: pl.DataFrame, imports: Sequence[UsageImport], *, is_retry: bool
) -> pl.DataFrame:
    """Of the stored parts of the rows' keys, those that may be combined with the rows."""
    attempts = store.attempts_frame(imports).rename({"attempt": "_attempt"})
    known = found.join(attempts, on="import_id", how="left", maintain_order="left").join(
        attempts.rename({"import_id": "record_import_id", "_attempt": "_record_attempt"}),
        on="record_import_id",
        how="left",
        maintain_order="left",
    )
    # A row of an attempt before will come, or came, by itself.
    is_fresh = pl.col("_attempt").is_null() | (pl.col("attempt") == pl.col("_attempt"))
    waits = pl.col("record_import_id").is_null()
    again = pl.col("record_attempt") < pl.col("_record_attempt")
    if is_retry:
        carriers = marked.select(record_import_id="import_id", record_row="record_number", _again=pl.lit(True))
        known = known.join(carriers, on=RECORD, how="left", maintain_order="left")
        again = pl.col("_again").fill_null(False)
    usable = known.filter(is_fresh & (waits | again)).join(marked, on=ROW, how="anti", maintain_order="left")
    # What the record was made of comes first: a row that came since must not take its place.
    return usable.select(list(found.columns)).sort(pl.col("record_import_id").is_null(), maintain_order=True)


def _labels(import_ids: Iterable[int]) -> pl.DataFrame:
    """import_id and label: what a message calls an import."""
    found = UsageImport.objects.filter(pk__in=set(import_ids)).values_list("pk", "tracking_id")
    rows = [(pk, str(tracking_id)) for pk, tracking_id in found]
    return pl.DataFrame(rows, schema={"import_id": pl.Int64, "label": pl.String}, orient="row")


def _read(stored: pl.DataFrame, version: ProfileVersion) -> pl.DataFrame:
    """Marked RECORDS of stored parts in their order, read as the version reads rows today."""
    order = stored.select(*ROW, _place=pl.int_range(pl.len()))
    imports = UsageImport.objects.filter(pk__in=stored["import_id"].unique().to_list())
    by_header: dict[str, list[UsageImport]] = {}
    for one in imports.only("header", "file_fields"):
        by_header.setdefault(json.dumps(one.header), []).append(one)
    frames = []
    for header, some in by_header.items() or [("null", [])]:
        rows = stored.filter(pl.col("import_id").is_in([one.pk for one in some])).select(*ROW, "raw")
        file_fields = {one.pk: one.file_fields or {} for one in some}
        records = mediation.read_rows(version=version, rows=rows, header=json.loads(header), file_fields=file_fields)
        frames.append(mediation.mark_rows(version=version, records=records))
    read = pl.concat(frames, how="diagonal").join(order, on=ROW, how="left")
    return read.sort("_place").drop("_place")


def _parts(
    combination: mediation.Combination,
    marked: pl.DataFrame,
    stored: pl.DataFrame,
    labels: pl.DataFrame,
    imports: Sequence[UsageImport],
    version: ProfileVersion,
) -> Parts:
    """What to write, in the columns of the table."""
    window = mediation.window_of(version=version)
    assert window is not None  # noqa: S101 - `combine_rows` asked
    rows = [(one.pk, one.attempt, one.received_at, one.received_at + window) for one in imports]
    times = pl.DataFrame(rows, schema=TIMES, orient="row")
    carriers = times.join(labels, on="import_id").select(
        record_import_id="import_id", record_attempt="attempt", label="label"
    )
    key = {"key": pl.col("part_key"), "role": pl.col("part_role").fill_null("")}
    joined = combination.joined.rename({"of_import_id": "record_import_id", "of_record_number": "record_row"})
    joined = joined.join(carriers, on="record_import_id", how="left").with_columns(reason=_part_of("record_row"), **key)
    nowhere = {name: pl.lit(None, pl.Int64) for name in ("record_import_id", "record_attempt", "record_row")}
    waiting = combination.waiting.with_columns(**key, **nowhere)
    taken_before = stored.filter(pl.col("record_import_id").is_not_null())
    return Parts(
        rows=marked.filter(pl.col("part_key").is_not_null()).select(ROW),
        waiting=waiting.join(times, on="import_id", how="left"),
        joined=joined.join(times, on="import_id", how="left"),
        freed=taken_before.join(joined, on=ROW, how="anti").select(ROW),
    )


def _end_waiting(records: pl.DataFrame, parts: Parts, now: datetime) -> tuple[pl.DataFrame, Parts]:
    """Let rows whose window is over be incomplete, where they would wait."""
    over = parts.waiting.filter(pl.col("expires_at") <= now).select(*ROW, _over=pl.lit(True))
    told = records.join(over, on=ROW, how="left", maintain_order="left")
    is_over = pl.col("_over").fill_null(False)
    message = pl.lit("the other rows of its record have not come in time")
    told = told.with_columns(
        fault=pl.when(is_over).then(pl.lit(str(Code.INCOMPLETE_RECORD))).otherwise("fault"),
        fault_message=pl.when(is_over).then(message).otherwise("fault_message"),
        aside=pl.when(~is_over).then("aside"),
        aside_reason=pl.when(~is_over).then("aside_reason"),
    ).drop("_over")
    waiting = parts.waiting.join(over, on=ROW, how="anti")
    return told, Parts(parts.rows, waiting, parts.joined, parts.freed)


def write_parts(*, parts: Parts | None, rejected: pl.DataFrame, feed_id: int) -> None:
    """Store what waits, and say of stored parts which row carries their record. rejected: REJECTED.

    A record that is an exception keeps its other rows too, so that it can be combined again when it is corrected.
    """
    if parts is None:
        return
    store.set_part_records(_waiting_again(parts.freed))
    taken = parts.joined.filter("is_stored")
    if (count := store.set_part_records(taken)) != taken.height:
        raise PartsMovedError(f"{taken.height} stored parts were combined, {count} are there")
    bad = rejected.select(record_import_id="import_id", record_row="record_number")
    kept = parts.joined.filter(~pl.col("is_stored")).join(bad, on=RECORD, how="semi")
    columns = [*store.STORED_PARTS, "received_at", "expires_at"]
    store.copy_in_parts(pl.concat([parts.waiting.select(columns), kept.select(columns)]), feed_id=feed_id)


def _waiting_again(rows: pl.DataFrame) -> pl.DataFrame:
    """Stored parts as `set_part_records` takes them to let them wait again. rows: import_id, record_number."""
    nowhere = {name: pl.lit(None, pl.Int64) for name in ("record_import_id", "record_attempt", "record_row")}
    return rows.select(*ROW, **nowhere, reason=pl.lit(WAITS))


def release_parts(*, usage_import: UsageImport, is_refused: bool = False) -> None:
    """When an attempt is complete: forget what the attempts before stored, and free what their records had taken.

    is_refused: this attempt's parts and records do not count either.
    """
    attempt = usage_import.attempt + 1 if is_refused else usage_import.attempt
    freed = store.parts_taken_by(usage_import.pk, before_attempt=attempt)
    store.lock_part_keys(usage_import.feed_id, freed["key"])
    store.delete_stale_parts(usage_import.pk, before_attempt=attempt)
    store.set_part_records(_waiting_again(freed.filter(pl.col("import_id") != usage_import.pk)))
