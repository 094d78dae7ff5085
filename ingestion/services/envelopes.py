"""Envelopes: where a profile says so, one bad record keeps the others of its chunk, or of its whole file, out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl
from django.db.models import Max, Sum

from ingestion import selectors, store
from ingestion.models import ImportChunk, ImportException, UsageImport
from ingestion.services.parts import Parts, release_parts
from ingestion.services.reprocessing import open_attempt
from mediation import services as mediation
from mediation.core.frames import LEFT_OUT
from mediation.models import UDR_ID_BITS, ProfileVersion

TURN = timedelta(seconds=20)


def postpone(chunk: ImportChunk, *, now: datetime) -> bool:
    """Put the chunks of a feed off while another of its files is under way; False where it is this file's turn.

    Until a file is through, nobody knows whether its UDRs count. A record that repeats one of them would be left out as
    a duplicate of what may be taken back, so files of such a feed go one after the other. Their own chunks are shared.
    """
    store.lock_feed(chunk.feed_id)
    other = selectors.others_under_way(chunk.usage_import_id, chunk.feed_id).first()
    if other is None:
        return False
    waiting = selectors.chunks_waiting(now).filter(feed_id=chunk.feed_id).exclude(usage_import=other)
    # Those that another worker looks at right now it puts off itself; to wait for it could be to wait for each other.
    ids = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True))
    # Claimed by nobody, and no try counted: free again when the other file has ended, or after a while.
    ImportChunk.objects.filter(pk__in=ids).update(status=ImportChunk.Status.CLAIMED, claimed_until=now + TURN)
    return True


def refuse_chunk(records: pl.DataFrame, outcome: mediation.Outcome, parts: Parts | None) -> mediation.Outcome:
    """The outcome of a chunk whose writing was rolled back: what is bad stays so, what was to be kept is left out."""
    batch_ids = outcome.imported["batch_id"].to_list()
    known = outcome.left_out.filter(~(pl.col("udr_id") // (1 << UDR_ID_BITS)).is_in(batch_ids).fill_null(False))
    if parts is not None:
        known = known.join(parts.rows, on=["import_id", "record_number"], how="anti")
    decided = pl.concat([frame.select("import_id", "record_number") for frame in (outcome.rejected, known)])
    refused = records.select("import_id", "record_number").join(decided, on=["import_id", "record_number"], how="anti")
    bad = outcome.rejected.sort("record_number").row(0, named=True)
    reason = refusal(bad["record_number"], bad["code"])
    return mediation.Outcome(outcome.imported.clear(), pl.concat([known, _left_out(refused, reason)]), outcome.rejected)


def refusal(record_number: int, code: str) -> str:
    """Why a good record is left out."""
    return f"its envelope was refused: record {record_number} is an exception ({code})"


def _left_out(records: pl.DataFrame, reason: str) -> pl.DataFrame:
    """LEFT_OUT rows for records that are skipped. records: import_id, record_number."""
    skipped = records.with_columns(outcome=pl.lit("skipped"), reason=pl.lit(reason), udr_id=pl.lit(None, pl.Int64))
    return skipped.select(list(LEFT_OUT)).cast(LEFT_OUT)  # type: ignore[arg-type]


def end_file(usage_import: UsageImport, *, now: datetime) -> list[int]:
    """Take back what a file staged where one of its records is bad; let the feed's next file have its turn.

    Returns the batches that were taken back.
    """
    # Whoever puts a chunk off right now has seen this file under way: wait, or that chunk would sleep through its turn.
    store.lock_feed(usage_import.feed_id)
    postponed = ImportChunk.objects.filter(feed_id=usage_import.feed_id, status=ImportChunk.Status.CLAIMED, attempts=0)
    postponed.update(status=ImportChunk.Status.WAITING, claimed_until=None)
    bad = ImportException.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
    first = bad.order_by("record_number").first()
    if first is None:
        return []
    reason = refusal(first.record_number, first.code)
    chunks = ImportChunk.objects.filter(usage_import=usage_import, attempt=usage_import.attempt)
    batch_ids = [batch_id for batch_id in chunks.values_list("batch_id", flat=True) if batch_id is not None]
    # Of this attempt only: an attempt before that was given up half-way has staged the same records.
    refused = mediation.withdraw_batches(batch_ids=batch_ids)
    store.copy_in_left_out(_left_out(refused, reason), attempts=store.attempts_frame([usage_import]))
    repeated = store.skip_duplicates_of(usage_import, batch_ids, reason=reason)
    repeated += store.refuse_parts(usage_import, reason=reason)
    release_parts(usage_import=usage_import, is_refused=True)
    known = chunks.aggregate(last=Max("number"), repaired=Sum("repaired_count"))
    chunks.update(batch_id=None)
    ImportChunk.objects.create(
        usage_import=usage_import,
        attempt=usage_import.attempt,
        number=known["last"] + 1,
        feed_id=usage_import.feed_id,
        profile_version_id=usage_import.profile_version_id,
        status=ImportChunk.Status.DONE,
        ended_at=now,
        imported_count=-refused.height,
        repaired_count=-known["repaired"],
        duplicate_count=-repeated,
        skipped_count=refused.height + repeated,
    )
    store.recount([usage_import.pk], now=now)
    return batch_ids


def with_envelope(imports: Sequence[UsageImport]) -> set[int]:
    """Those of the imports, by their numbers, of which one bad record keeps others out."""
    envelopes = {pk: selectors.envelope_of(pk) for pk in {one.profile_version_id for one in imports}}
    return {one.pk for one in imports if envelopes[one.profile_version_id] != "record"}


def reopen(imports: Sequence[UsageImport], version: ProfileVersion) -> list[UsageImport]:
    """Have imports with an envelope mediated again as a whole, instead of one record of them; returns those.

    A record that was corrected must not come in alone where the others were kept out for it.
    """
    with_one = with_envelope(imports)
    whole = [one for one in imports if one.pk in with_one]
    for one in whole:
        open_attempt(one, version)
    return whole
