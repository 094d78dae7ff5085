"""Records into UDRs: read, think, write, in the caller's transaction."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import polars as pl
from django.db import transaction

from mediation import selectors, store
from mediation.core import reading
from mediation.core.frames import REPEATED
from mediation.core.judging import mediate as sort_records
from mediation.core.judging import sort_repeats
from mediation.core.spec import ProfileSpec
from mediation.core.voiding import ARRIVALS, Voids, Window, nothing_to_amend
from mediation.models import UDR_ID_BITS, ProfileVersion, UdrBatch
from mediation.services.backfilling import NEVER, Hold, hold_of, replaced_windows
from mediation.services.specs import spec_of
from mediation.services.voiding import VoidOrder, void_udrs
from mediation.store import backfills


@dataclass(frozen=True)
class Outcome:
    """What became of records: every one is in exactly one of the three.

    imported: import_id, batch_id, udr_count, repaired_count (of them); left_out: LEFT_OUT; rejected: REJECTED.
    """

    imported: pl.DataFrame
    left_out: pl.DataFrame
    rejected: pl.DataFrame


IMPORTED = {"import_id": pl.Int64, "batch_id": pl.Int64, "udr_count": pl.Int64, "repaired_count": pl.Int64}


def write_out(*, version: ProfileVersion, stream: BinaryIO, spool: BinaryIO) -> bool:
    """Write a file of a format that cannot be cut into `spool`, as one that can. Raises UnreadableError.

    Returns False, having written nothing, where it can be cut as it is.
    """
    return reading.write_out(stream, spool, spec_of(version))


def cut(*, version: ProfileVersion, blocks: Iterable[bytes]) -> tuple[list[str] | None, Iterator[reading.Span]]:
    """A file's column names (where it names them) and the spans it can be read in. Raises UnreadableError."""
    return reading.cut(blocks, spec_of(version))


def read_part(
    *,
    version: ProfileVersion,
    content: bytes,
    import_id: int,
    first_number: int,
    header: Sequence[str] | None,
    file_fields: Mapping[str, str | None] | None = None,
) -> pl.DataFrame:
    """The RECORDS of a span of a file, as the profile version reads them. file_fields: as `scan_file` gave them."""
    return reading.read_part(
        content,
        spec_of(version),
        import_id=import_id,
        first_number=first_number,
        header=header,
        file_fields={import_id: file_fields or {}},
    )


def read_rows(
    *,
    version: ProfileVersion,
    rows: pl.DataFrame,
    header: Sequence[str] | None = None,
    file_fields: reading.FileFields | None = None,
) -> pl.DataFrame:
    """The RECORDS of rows that came one by one. rows: import_id, record_number, raw; faults, if some are known already.

    header: as their file named its columns; file_fields: by import id, as `scan_file` or `scan_rows` gave them.
    """
    return reading.read_rows(rows, spec_of(version), header, file_fields)


def scan_file(
    *,
    version: ProfileVersion,
    spans: Iterable[reading.Span],
    header: Sequence[str] | None,
    read: Callable[[reading.Span], bytes],
) -> dict[str, str | None] | None:
    """The fields of a file's header and trailer; None where the profile knows of neither, and nothing was read.

    Raises UnreadableError where a header or trailer is missing or misplaced, or a control total disagrees.
    """
    spec = spec_of(version)
    parts = (
        reading.raw_part(read(span), spec, import_id=0, first_number=span.first_number, header=header) for span in spans
    )
    claims = reading.scan(parts, spec, header)
    return claims.fields if claims else None


def scan_rows(
    *, version: ProfileVersion, rows: pl.DataFrame, header: Sequence[str] | None = None
) -> dict[str, str | None] | None:
    """The same for all the rows of a request. rows, header: as for `read_rows`. Raises UnreadableError."""
    claims = reading.scan_rows(rows, spec_of(version), header)
    return claims.fields if claims else None


@transaction.atomic
def mediate(
    *,
    records: pl.DataFrame,
    version: ProfileVersion,
    feed_id: int,
    windows: pl.DataFrame,
    now: datetime,
    is_staged: bool = False,
    replaced_ids: Sequence[int] = (),
    arrivals: Mapping[int, datetime] | None = None,
    amending: Mapping[int, VoidOrder] | None = None,
    backfill_id: int | None = None,
) -> Outcome:
    """Turn RECORDS of one feed into UDRs; what cannot become one comes back with its reason.

    windows: WINDOWS. is_staged: the batches do not count until `swap_batches`. replaced_ids: the batches that these
    records replace; a key that one of them holds is taken over, not a duplicate. arrivals: when each import was
    received; what was voided by a later request is left out. amending: the imports whose records take the place of what
    holds their keys. backfill_id: of the backfill that all the records came by; until it is closed their batches are
    held, and their keys are apart from those of the feed.
    """
    spec: ProfileSpec = spec_of(version)
    store.lock_voids(feed_id, is_alone=bool(amending))
    hold = hold_of(backfill_id, feed_id)
    since = min(arrivals.values()) if arrivals else now
    replaced = replaced_windows(feed_id, since=since, besides=hold)
    verdict = sort_records(
        records,
        spec=spec,
        catalogue=selectors.catalogue(),
        windows=windows,
        tables=store.tables_of(spec),
        voids=_voids(feed_id, arrivals or {}, replaced, hold),
        window=hold.window if hold else None,
        replaced=replaced,
    )
    batches = _open_batches(verdict.kept, feed_id=feed_id, is_staged=is_staged, hold=hold, now=now)
    numbered = _number(verdict.kept, batches)
    unknown = numbered.clear()
    if amending:
        numbered, unknown = _amend(numbered, feed_id, amending, replaced_ids, now)
    held = _claim(numbered.select("key", "content_hash", "udr_id"), feed_id, replaced_ids, hold)
    fresh = numbered.join(held, on="key", how="anti", maintain_order="left")
    store.copy_in_udrs(fresh, feed_id=feed_id)
    late = numbered.join(held, on="key", how="semi", maintain_order="left")
    repeats = pl.concat([late.select(list(REPEATED)), verdict.repeated])
    duplicates, conflicts = sort_repeats(repeats, _holders(fresh, held))
    left_out = pl.concat([verdict.skipped, duplicates])
    rejected = pl.concat([verdict.rejected, conflicts, nothing_to_amend(unknown)])
    return Outcome(_close_batches(batches, fresh), left_out, rejected)


def _claim(keys: pl.DataFrame, feed_id: int, replaced_ids: Sequence[int], hold: Hold | None) -> pl.DataFrame:
    """Claim the keys that are free; returns HELD_KEYS. A backfill holds its own apart, and heeds what it keeps.

    Whether a key outside of its window is taken until it is closed is looked at again then.
    """
    if hold is None or not hold.is_held:
        return store.claim_keys(keys, feed_id=feed_id, replaced_ids=replaced_ids)
    outside = backfills.held_outside(keys["key"], feed_id=feed_id, window=hold.window)
    free = keys.join(outside, on="key", how="anti", maintain_order="left").rechunk()
    return pl.concat([outside, store.claim_keys(free, feed_id=hold.key_space, replaced_ids=replaced_ids)])


def _voids(
    feed_id: int, arrivals: Mapping[int, datetime], replaced: Sequence[Window], hold: Hold | None
) -> Voids | None:
    """What was taken back in the feed since the first of these imports came; None where nothing was.

    What was amended while a backfill was open is replaced by it, and takes nothing of it back.
    """
    if not arrivals:
        return None
    amended_since = (hold.window.counts_since or NEVER) if hold else None
    voided = store.voided_since(feed_id, min(arrivals.values()), amended_since=amended_since)
    if voided.is_empty() and not replaced:
        return None
    return Voids(voided, pl.DataFrame(list(arrivals.items()), schema=ARRIVALS, orient="row"))


def _amend(
    numbered: pl.DataFrame,
    feed_id: int,
    amending: Mapping[int, VoidOrder],
    replaced_ids: Sequence[int],
    now: datetime,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Void what holds the keys of amending records with other content; returns all records but those, and those that
    have nothing to amend, since nothing was ever known by their keys.
    """
    amended = numbered.filter(pl.col("import_id").is_in(list(amending)))
    keys = amended["key"].to_list()
    held, voided = store.held_keys(feed_id, keys), store.voided_keys(feed_id, keys)
    for import_id, order in amending.items():
        theirs = {
            key: udr_id
            for key, content_hash, udr_id in amended.filter(pl.col("import_id") == import_id)
            .select("key", "content_hash", "udr_id")
            .iter_rows()
            if key in held
            and held[key].content_hash != content_hash
            and held[key].udr_id >> UDR_ID_BITS not in replaced_ids
        }
        before = {key: held[key].udr_id for key in theirs}
        void_udrs(held=before, order=order, now=now, replaced_by=theirs)
    is_unknown = pl.col("import_id").is_in(list(amending)) & ~pl.col("key").is_in([*held, *voided])
    return numbered.filter(~is_unknown).rechunk(), numbered.filter(is_unknown).rechunk()


def _holders(fresh: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Who holds each key now, and with what content: key, held_by, held_hash."""
    new = fresh.select("key", pl.col("udr_id").alias("held_by"), pl.col("content_hash").alias("held_hash"))
    return pl.concat([new, held.select(new.columns)])


def _open_batches(
    kept: pl.DataFrame, *, feed_id: int, is_staged: bool, hold: Hold | None, now: datetime
) -> pl.DataFrame:
    """A batch for each import that has something to keep: import_id, batch_id."""
    status = UdrBatch.Status.HELD if hold and hold.is_held else UdrBatch.Status.MEDIATED
    status = UdrBatch.Status.STAGED if is_staged else status
    backfill_id = hold.window.backfill_id if hold else None
    import_ids = kept["import_id"].unique().sort().to_list()
    batches = UdrBatch.objects.bulk_create(
        UdrBatch(
            import_id=import_id, feed_id=feed_id, status=status, udr_count=0, mediated_at=now, backfill_id=backfill_id
        )
        for import_id in import_ids
    )
    ids = [batch.pk for batch in batches]
    return pl.DataFrame(
        {"import_id": import_ids, "batch_id": ids}, schema={"import_id": pl.Int64, "batch_id": pl.Int64}
    )


def _number(kept: pl.DataFrame, batches: pl.DataFrame) -> pl.DataFrame:
    """Add udr_id: the batch's id and the place in the batch."""
    place = pl.int_range(pl.len(), dtype=pl.Int64).over("import_id")
    return kept.join(batches, on="import_id", how="left", maintain_order="left").with_columns(
        udr_id=pl.col("batch_id") * (1 << UDR_ID_BITS) + place
    )


def _close_batches(batches: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Write how many UDRs each batch holds; a batch that got none is dropped."""
    counts = fresh.group_by("import_id").agg(
        udr_count=pl.len().cast(pl.Int64), repaired_count=pl.col("repairs").count().cast(pl.Int64)
    )
    counted = batches.join(counts, on="import_id", how="left").with_columns(pl.col("udr_count").fill_null(0))
    empty = counted.filter(pl.col("udr_count") == 0)["batch_id"].to_list()
    UdrBatch.objects.filter(pk__in=empty).delete()
    filled = counted.filter(pl.col("udr_count") > 0)
    store.count_udrs(filled)
    return filled.select(list(IMPORTED))
