"""Exceptions mediated again in one transaction: read as corrected, judged, closed or renewed, entered in the ledger.

Whoever calls holds the locks: of the feed's usage first, then imports before exceptions, both in the order of their
numbers.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from django.db.models import F, Max

from ingestion import store
from ingestion.core.fixing import Corrected, lay_over
from ingestion.models import Feed, ImportChunk, ImportException, UsageImport
from ingestion.services import envelopes
from ingestion.services.mediating import count_outcomes, windows_of
from ingestion.services.parts import combine_rows, write_parts
from ingestion.services.voiding import orders_of
from mediation import services as mediation
from mediation.core.retrying import GAPS
from mediation.models import ProfileVersion

Place = tuple[int, int]  # import id, record number
SPENT = f"(tried again {len(GAPS)} times by itself, and not any more)"


@dataclass(frozen=True)
class Retried:
    """What became of exceptions, by their numbers. reopened: their imports are mediated again as a whole instead."""

    resolved: frozenset[int]
    still: frozenset[int]
    reopened: frozenset[int]

    def and_(self, other: "Retried") -> "Retried":
        return Retried(self.resolved | other.resolved, self.still | other.still, self.reopened | other.reopened)


def lock_usage_of(import_ids: Collection[int], feed_id: int) -> None:
    """Have no usage of a feed swapped or taken back, before its imports are locked; who amends is alone."""
    amending = UsageImport.objects.filter(pk__in=import_ids).exclude(amend_reason="")
    mediation.lock_usage(feed_id, is_alone=amending.exists())


def mediate_again(
    *,
    exceptions: Sequence[ImportException],
    imports: Sequence[UsageImport],
    feed: Feed,
    version: ProfileVersion,
    corrections: Mapping[Place, Corrected],
    now: datetime,
    correction_id: int | None = None,
) -> Retried:
    """Mediate locked exceptions of one feed again, in the caller's transaction.

    correction_id: the group correction that asks for it; each exception has a revision more then, which the caller
    writes, and the ledger's entries bear its number.
    """
    whole = {one.pk for one in envelopes.reopen(imports, version)}
    reopened = [one for one in exceptions if one.usage_import_id in whole]
    store.open_again([one.pk for one in reopened], added_revisions=int(correction_id is not None), now=now)
    taken = [one for one in exceptions if one.usage_import_id not in whole]
    passed = frozenset(one.pk for one in reopened)
    if not taken:
        return Retried(frozenset(), frozenset(), passed)
    concerned = {one.usage_import_id for one in taken}
    kept = [one for one in imports if one.pk in concerned]
    if len({one.backfill_id for one in kept}) > 1:
        return _apart(taken, kept, feed, version, corrections, now, correction_id).and_(
            Retried(frozenset(), frozenset(), passed)
        )
    records, parts = combine_rows(
        records=read_exceptions(exceptions=taken, imports=kept, version=version, corrections=corrections),
        version=version,
        imports=kept,
        feed_id=feed.pk,
        now=now,
        is_retry=True,
    )
    outcome = mediation.mediate(
        records=records,
        version=version,
        feed_id=feed.pk,
        windows=windows_of(feed, kept),
        now=now,
        arrivals={one.pk: one.received_at for one in kept},
        amending=orders_of(kept),
        backfill_id=kept[0].backfill_id,
    )
    still = _renew(taken, outcome, added_revisions=int(correction_id is not None), now=now)
    store.copy_in_left_out(outcome.left_out, attempts=store.attempts_frame(kept))
    _enter_in_ledger(taken, kept, outcome, version, now, correction_id)
    write_parts(parts=parts, rejected=outcome.rejected, feed_id=feed.pk)
    mediation.ring("rate", now)
    return Retried(frozenset(one.pk for one in taken) - still, still, passed)


def _apart(
    exceptions: Sequence[ImportException],
    imports: Sequence[UsageImport],
    feed: Feed,
    version: ProfileVersion,
    corrections: Mapping[Place, Corrected],
    now: datetime,
    correction_id: int | None,
) -> Retried:
    """Exceptions of backfills, and those of none, each by themselves: their keys are apart."""
    found = Retried(frozenset(), frozenset(), frozenset())
    for backfill_id in {one.backfill_id for one in imports}:
        alike = [one for one in imports if one.backfill_id == backfill_id]
        ids = {one.pk for one in alike}
        found = found.and_(
            mediate_again(
                exceptions=[one for one in exceptions if one.usage_import_id in ids],
                imports=alike,
                feed=feed,
                version=version,
                corrections=corrections,
                now=now,
                correction_id=correction_id,
            )
        )
    return found


def read_exceptions(
    *,
    exceptions: Sequence[ImportException],
    imports: Sequence[UsageImport],
    version: ProfileVersion,
    corrections: Mapping[Place, Corrected],
) -> pl.DataFrame:
    """The RECORDS of exceptions as `version` reads them: from their texts as corrected, the changes laid over."""
    by_header: dict[str, list[UsageImport]] = {}
    for one in imports:
        by_header.setdefault(json.dumps(one.header), []).append(one)
    frames = []
    for header, alike in by_header.items():
        file_fields = {one.pk: one.file_fields or {} for one in alike}
        rows = [_row(one, corrections) for one in exceptions if one.usage_import_id in file_fields]
        schema = {"import_id": pl.Int64, "record_number": pl.Int64, "raw": pl.String}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        frames.append(
            mediation.read_rows(version=version, rows=frame, header=json.loads(header), file_fields=file_fields)
        )
    changes = {place: corrected.changes for place, corrected in corrections.items()}
    return lay_over(pl.concat(frames, how="diagonal"), changes)


def _row(exception: ImportException, corrections: Mapping[Place, Corrected]) -> tuple[int, int, str]:
    place = (exception.usage_import_id, exception.record_number)
    raw = corrections.get(place, Corrected()).raw
    return (*place, exception.raw if raw is None else raw)


def _renew(
    exceptions: Sequence[ImportException], outcome: mediation.Outcome, *, added_revisions: int, now: datetime
) -> frozenset[int]:
    """Close the exceptions that became something else, renew the reason of the others; returns these."""
    faults = {(row["import_id"], row["record_number"]): row for row in outcome.rejected.iter_rows(named=True)}
    rows: list[tuple[int | str | None, ...]] = []
    still = set()
    for exception in exceptions:
        fault = faults.get((exception.usage_import_id, exception.record_number))
        if fault is None:
            rows.append((exception.pk, "resolved", None, None, None, None))
            continue
        still.add(exception.pk)
        is_spent = exception.next_try_at is None and exception.retry_round >= len(GAPS)
        message = f"{fault['message']} {SPENT}" if is_spent else fault["message"]
        rows.append((exception.pk, "open", fault["code"], fault["field"], fault["value"], message))
    renewed = pl.DataFrame(rows, schema=store.RENEWED, orient="row")
    store.renew_exceptions(renewed, added_revisions=added_revisions, now=now)
    return frozenset(still)


def _enter_in_ledger(
    exceptions: Sequence[ImportException],
    imports: Sequence[UsageImport],
    outcome: mediation.Outcome,
    version: ProfileVersion,
    now: datetime,
    correction_id: int | None,
) -> None:
    """A chunk of its own for each import: records move out of the exceptions into another outcome."""
    last_numbers = last_chunk_numbers(imports)
    counts = count_outcomes(outcome)
    entries = []
    for one in imports:
        count = counts.get(one.pk, {})
        moved = count.get("imported", 0) + count.get("skipped", 0) + count.get("duplicate", 0)
        if moved:
            entries.append(
                ImportChunk(
                    usage_import=one,
                    attempt=one.attempt,
                    number=last_numbers.get(one.pk, 0) + 1,
                    feed_id=one.feed_id,
                    profile_version_id=version.pk,
                    status=ImportChunk.Status.DONE,
                    ended_at=now,
                    batch_id=count.get("batch_id"),
                    imported_count=count.get("imported", 0),
                    skipped_count=count.get("skipped", 0),
                    duplicate_count=count.get("duplicate", 0),
                    repaired_count=count.get("repaired", 0),
                    exception_count=-moved,
                    correction_id=correction_id,
                )
            )
    ImportChunk.objects.bulk_create(entries)
    store.recount([one.pk for one in imports], now=now)


def last_chunk_numbers(imports: Sequence[UsageImport]) -> dict[int, int]:
    """The number of the last entry in the ledger of each import's current attempt."""
    return dict(
        ImportChunk.objects.filter(usage_import__in=imports, attempt=F("usage_import__attempt"))
        .values_list("usage_import_id")
        .annotate(last=Max("number"))
    )
