"""Rows whose record was not complete when their window ended: they become exceptions."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
from django.db import transaction
from django.db.models import F, Max

from ingestion import selectors, store
from ingestion.models import ImportChunk, UsageImport, WaitingPart
from mediation.core.codes import Code

MAX_PARTS = 1_000  # a transaction


def expire_waiting_parts(*, now: datetime) -> int:
    """Make exceptions of rows that waited for the others of their record as long as the profile says; how many.

    A part is left to wait while usage of its feed that came in time is still to be mediated, and while its own import
    is mediated again.
    """
    count = 0
    while expired := _expire_some(now):
        count += expired
    return count


@transaction.atomic
def _expire_some(now: datetime) -> int:
    """Imports are locked before keys, as everywhere; what was taken meanwhile is left alone."""
    found = list(selectors.parts_to_expire(now).order_by("usage_import_id", "record_number")[:MAX_PARTS])
    imports = list(
        UsageImport.objects.filter(pk__in={part.usage_import_id for part in found}, status=UsageImport.Status.COMPLETED)
        .order_by("pk")
        .select_for_update(of=("self",))
        .select_related("profile_version")
    )
    for feed_id in sorted({part.feed_id for part in found}):
        keys = [part.key for part in found if part.feed_id == feed_id]
        store.lock_part_keys(feed_id, pl.Series(keys, dtype=pl.String))
    still = selectors.parts_to_expire(now).filter(pk__in=[part.pk for part in found], usage_import__in=imports)
    parts = list(still.order_by("usage_import_id", "record_number"))
    if parts:
        store.move_to_exceptions(
            [(part.usage_import_id, part.attempt, part.record_number) for part in parts],
            _incomplete(parts),
            now=now,
        )
        WaitingPart.objects.filter(pk__in=[part.pk for part in parts]).delete()
        _enter_in_ledger(parts, imports, now)
    return len(parts)


def _incomplete(parts: Sequence[WaitingPart]) -> pl.DataFrame:
    """REJECTED rows of parts, with feed_id."""
    rows = [
        (part.usage_import_id, part.feed_id, part.record_number, part.raw, str(Code.INCOMPLETE_RECORD), "", _told(part))
        for part in parts
    ]
    schema = {"import_id": pl.Int64, "feed_id": pl.Int64, "record_number": pl.Int64}
    texts = dict.fromkeys(("raw", "code", "field", "message"), pl.String)
    return pl.DataFrame(rows, schema={**schema, **texts}, orient="row")


def _told(part: WaitingPart) -> str:
    what = f"it is the {part.role} of “{part.key}”" if part.role else f"it is a part of “{part.key}”"
    return f"{what}, and the other rows of its record did not come until {part.expires_at:%Y-%m-%d %H:%M} UTC"


def _enter_in_ledger(parts: Sequence[WaitingPart], imports: Sequence[UsageImport], now: datetime) -> None:
    """A chunk of its own for each import: records move from the skipped to the exceptions."""
    last_numbers = dict(
        ImportChunk.objects.filter(usage_import__in=imports, attempt=F("usage_import__attempt"))
        .values_list("usage_import_id")
        .annotate(last=Max("number"))
    )
    entries = []
    for one in imports:
        moved = sum(part.usage_import_id == one.pk for part in parts)
        if moved:
            entries.append(
                ImportChunk(
                    usage_import=one,
                    attempt=one.attempt,
                    number=last_numbers.get(one.pk, 0) + 1,
                    feed_id=one.feed_id,
                    profile_version_id=one.profile_version_id,
                    status=ImportChunk.Status.DONE,
                    ended_at=now,
                    skipped_count=-moved,
                    exception_count=moved,
                )
            )
    ImportChunk.objects.bulk_create(entries)
    store.recount([entry.usage_import_id for entry in entries], now=now)
