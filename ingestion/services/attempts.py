"""The attempts at an import beside each other: what each made of the records, when, and what it was charged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
from django.contrib.auth.models import User
from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from ingestion.models import ImportChunk, ImportException, LeftOutRecord, UsageImport
from ingestion.services.comparing import MAX_RECORDS, UnableToCompare
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.core.comparing import Comparison, compare, states_of_others, states_of_udrs
from mediation.models import ProfileVersion, UdrBatch
from mediation.store.looking import udrs_of_batches
from mediation.store.reading_only import reading_only

MOST_ATTEMPTS = 20  # the newest, that are shown
MOST_CHARGED = 500_000  # UDRs whose charges are added up in a request

# The chunks that an attempt was cut into; others were entered in the ledger by tries of single exceptions.
PLANNED = Q(byte_start__isnull=False) | Q(number=1)


@dataclass(frozen=True)
class Charged:
    """What the UDRs of an attempt were charged while it counted, of one class in one currency."""

    usage_class: str
    currency: str
    count: int
    amount: Decimal


# Set by the roof, which sees rating: the numbers of batches -> what their UDRs were charged.
CHARGED: list[Callable[[Sequence[int]], list[Charged]]] = []


@dataclass(frozen=True)
class Attempt:
    """One reading of a whole import, with the corrections of single records since; counts by outcome.

    began_at: when the first of its UDRs was made; rated_at, reversed_at: when the last of its batches was.
    """

    number: int
    version: ProfileVersion | None
    part_count: int
    correction_count: int
    counts: dict[str, int]
    repaired_count: int
    began_at: datetime | None
    ended_at: datetime | None
    first_corrected_at: datetime | None
    last_corrected_at: datetime | None
    rated_at: datetime | None
    reversed_at: datetime | None
    is_counting: bool


@dataclass(frozen=True)
class AttemptsCompared:
    """Two attempts record by record, and what each was charged by class: (class, currency, before, after).

    charged: None where that is not for the reader, or too much to add up.
    """

    comparison: Comparison
    charged: list[tuple[str, str, Charged | None, Charged | None]] | None


def counting_attempt(usage_import: UsageImport) -> int:
    """The attempt whose UDRs count: a newer one takes its place only when it is complete."""
    if usage_import.attempt == 1 or usage_import.status == UsageImport.Status.COMPLETED:
        return usage_import.attempt
    batches = UdrBatch.objects.filter(import_id=usage_import.pk, status__in=mediation_selectors.COUNTING)
    chunks = ImportChunk.objects.filter(usage_import=usage_import, batch_id__in=batches.values("pk"))
    return chunks.aggregate(newest=Max("attempt"))["newest"] or usage_import.attempt


def attempts_of(usage_import: UsageImport) -> list[Attempt]:
    """The newest attempts at an import, the newest first."""
    counting = counting_attempt(usage_import)
    chunks = ImportChunk.objects.filter(usage_import=usage_import)
    sums = chunks.values("attempt").annotate(
        parts=Count("pk", filter=PLANNED),
        corrections=Count("pk", filter=~PLANNED),
        imported=Sum("imported_count"),
        exceptions=Sum("exception_count"),
        skipped=Sum("skipped_count"),
        duplicates=Sum("duplicate_count"),
        waiting=Sum("waiting_count"),
        repaired=Sum("repaired_count"),
        last_ended_at=Max("ended_at", filter=PLANNED),
        first_corrected_at=Min("ended_at", filter=~PLANNED),
        last_corrected_at=Max("ended_at", filter=~PLANNED),
        version=Min("profile_version_id", filter=Q(number=1)),
    )
    rows = list(sums.order_by("-attempt")[:MOST_ATTEMPTS])
    versions = ProfileVersion.objects.select_related("profile").in_bulk([row["version"] for row in rows])
    return [_attempt(usage_import, row, versions.get(row["version"]), counting) for row in rows]


def _attempt(usage_import: UsageImport, row: Any, version: ProfileVersion | None, counting: int) -> Attempt:
    outcomes = ("imported", "exceptions", "skipped", "duplicates", "waiting")
    moments = _batches_of(usage_import, row["attempt"]).aggregate(
        began_at=Min("mediated_at"),
        rated_at=Max("finished_at", filter=Q(status=UdrBatch.Status.RATED)),
        reversed_at=Max("finished_at", filter=Q(status=UdrBatch.Status.REVERSED)),
    )
    if row["attempt"] == usage_import.attempt and usage_import.started_at is not None:
        moments["began_at"] = usage_import.started_at
    return Attempt(
        number=row["attempt"],
        version=version,
        part_count=row["parts"],
        correction_count=row["corrections"],
        counts={name: row[name] for name in outcomes},
        repaired_count=row["repaired"],
        ended_at=row["last_ended_at"],
        first_corrected_at=row["first_corrected_at"],
        last_corrected_at=row["last_corrected_at"],
        is_counting=row["attempt"] == counting,
        **moments,
    )


def _batches_of(usage_import: UsageImport, attempt: int) -> QuerySet[UdrBatch]:
    chunks = ImportChunk.objects.filter(usage_import=usage_import, attempt=attempt, batch_id__isnull=False)
    return UdrBatch.objects.filter(import_id=usage_import.pk, pk__in=chunks.values("batch_id"))


def compare_attempts(*, usage_import: UsageImport, before: int, after: int, by: User | None) -> AttemptsCompared:
    """What two attempts made of an import's first 100,000 records. Raises UnableToCompare."""
    mediation.require_permission(by, "ingestion.view_usageimport")
    mediation.require_feeds(by, [usage_import.feed_id])
    made = set(ImportChunk.objects.filter(usage_import=usage_import).values_list("attempt", flat=True).distinct())
    if missing := {before, after} - made:
        raise UnableToCompare(f"There is no attempt {min(missing)} at this import.")
    is_cut = usage_import.record_count > MAX_RECORDS
    last = MAX_RECORDS if is_cut else 2**62
    with reading_only():
        states = [_states(usage_import, attempt, last) for attempt in (before, after)]
        charged = _charged(usage_import, (before, after), by)
    return AttemptsCompared(compare(*states, is_cut=is_cut), charged)


def _states(usage_import: UsageImport, attempt: int, last_number: int) -> pl.DataFrame:
    """STATES of the records of an attempt, as it left them; its UDRs stay where a later one replaced it."""
    batch_ids = list(_batches_of(usage_import, attempt).values_list("pk", flat=True))
    of_attempt = {"usage_import": usage_import, "attempt": attempt, "record_number__lte": last_number}
    settled = ImportException.objects.filter(**of_attempt).exclude(status=ImportException.Status.RESOLVED)
    rows = [(number, "exception", code) for number, code in settled.values_list("record_number", "code")]
    left_out = LeftOutRecord.objects.filter(**of_attempt).values_list("record_number", "outcome", "reason")
    schema = {"record_number": pl.Int64, "outcome": pl.String, "reason": pl.String}
    others = pl.DataFrame([*rows, *left_out], schema=schema, orient="row")
    # What a correction had made of a record before it was undone is in a batch of the attempt still.
    udrs = udrs_of_batches(batch_ids, last_number=last_number).join(others, on="record_number", how="anti")
    return pl.concat([states_of_udrs(udrs, mediation_selectors.catalogue()), states_of_others(others)])


def _charged(
    usage_import: UsageImport, attempts: tuple[int, int], by: User | None
) -> list[tuple[str, str, Charged | None, Charged | None]] | None:
    if not CHARGED or (by is not None and not by.has_perm("rating.view_charge")):
        return None
    batches = [_batches_of(usage_import, attempt) for attempt in attempts]
    if sum(each.aggregate(n=Sum("udr_count", default=0))["n"] for each in batches) > MOST_CHARGED:
        return None
    before, after = (
        {(one.usage_class, one.currency): one for one in CHARGED[0](list(each.values_list("pk", flat=True)))}
        for each in batches
    )
    return [(*key, before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys())]
