"""Where the records of one attempt at an import went, in pages by record number, however large the import is."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Q

from ingestion.models import GroupCorrection, ImportChunk, ImportException, LeftOutRecord, UsageImport
from mediation import services as mediation
from mediation.models import UDR_ID_BITS

# The chunks that an attempt was cut into; others were entered in the ledger by tries of exceptions and of parts.
PLANNED = Q(byte_start__isnull=False) | Q(number=1)

UDRS = """
SELECT u.record_number, u.id FROM unnest(%(batch_ids)s::bigint[]) AS b (id)
JOIN mediation_udr u ON u.id >= b.id << %(bits)s AND u.id < (b.id + 1) << %(bits)s
WHERE u.record_number > %(after)s ORDER BY u.record_number, u.id LIMIT %(most)s
"""


class Outcome(StrEnum):
    """What became of a record by its mediation."""

    IMPORTED = "imported"
    EXCEPTION = "exception"
    SKIPPED = "skipped"
    DUPLICATE = "duplicate"
    WAITING = "waiting"


@dataclass
class Found:
    """What the tables hold of one record in one attempt; exception: also one that is resolved since."""

    number: int
    udr_ids: list[int] = field(default_factory=list)
    exception: ImportException | None = None
    left_out: LeftOutRecord | None = None

    @property
    def outcome(self) -> Outcome:
        """An exception is one until it is resolved; then it is what it became."""
        if self.exception is not None and self.exception.status != ImportException.Status.RESOLVED:
            return Outcome.EXCEPTION
        if self.udr_ids:
            return Outcome.IMPORTED
        return Outcome(self.left_out.outcome) if self.left_out else Outcome.WAITING


@dataclass(frozen=True)
class Page:
    """Records in the order of their numbers; last: after which number the next page starts, None on the last one."""

    records: list[Found]
    last: int | None


Row = tuple[int, Any]


@dataclass(frozen=True)
class _Asked:
    usage_import: UsageImport
    attempt: int
    after: int
    most: int
    outcome: Outcome | None

    @property
    def own(self) -> dict[str, Any]:
        """The lookups of rows of this attempt that are not on an earlier page."""
        return {"usage_import": self.usage_import, "attempt": self.attempt, "record_number__gt": self.after}


def page_of(*, usage_import: UsageImport, attempt: int, after: int, size: int, outcome: Outcome | None = None) -> Page:
    """The next `size` records after a record number, at most; fewer where only one outcome is asked for.

    Of a file's part that is not mediated yet the records are not known; those of a request wait.
    """
    asked = _Asked(usage_import, attempt, after, size + 1, outcome)
    others = [list(_exceptions(asked)), list(_left_out(asked)), list(_waiting(asked)), list(_unplanned(asked))]
    # Where another table fills the page by itself, no UDR behind its end is looked for.
    until = min((rows[-1][0] for rows in others if len(rows) == asked.most), default=None)
    sources = [*others, _planned(asked, until)]
    # What a full table holds of its last number may not be all, nor is anything known behind it.
    ends = [rows[-1][0] for rows in sources if len(rows) >= asked.most]
    end = min(ends, default=None)
    found: dict[int, Found] = {}
    for rows in sources:
        for number, row in rows:
            if end is None or number < end:
                _lay(found.setdefault(number, Found(number)), row)
    in_order = [found[number] for number in sorted(found)]
    page = in_order[:size]
    is_last = end is None and len(in_order) <= size
    wanted = [one for one in page if outcome in (None, one.outcome)]
    return Page(wanted, None if is_last else page[-1].number)


def _lay(found: Found, row: Any) -> None:
    if isinstance(row, ImportException):
        found.exception = row
    elif isinstance(row, LeftOutRecord):
        found.left_out = row
    elif row is not None:
        found.udr_ids.append(row)


def _exceptions(asked: _Asked) -> Iterable[Row]:
    rows = ImportException.objects.filter(**asked.own).defer("raw")
    if asked.outcome == Outcome.EXCEPTION:
        rows = rows.exclude(status=ImportException.Status.RESOLVED)
    elif asked.outcome is not None:
        return []
    return [(row.record_number, row) for row in rows.order_by("record_number")[: asked.most]]


def _left_out(asked: _Asked) -> Iterable[Row]:
    rows = LeftOutRecord.objects.filter(**asked.own)
    if asked.outcome in (Outcome.SKIPPED, Outcome.DUPLICATE):
        rows = rows.filter(outcome=asked.outcome)
    elif asked.outcome is not None:
        return []
    return [(row.record_number, row) for row in rows.order_by("record_number")[: asked.most]]


def _waiting(asked: _Asked) -> Iterator[Row]:
    """Records of a request that nobody has looked at; a row that waits for others of its record is left out so far."""
    if asked.outcome not in (None, Outcome.WAITING):
        return
    undecided = ImportChunk.objects.filter(
        usage_import=asked.usage_import, attempt=asked.attempt, number=1, byte_start=None, waiting_count__gt=0
    ).exclude(status=ImportChunk.Status.DONE)
    for first, count in undecided.values_list("first_record_number", "waiting_count"):
        places = range(max(first, asked.after + 1), first + count)
        yield from ((number, None) for number in islice(places, asked.most))


def _ledger(asked: _Asked) -> Any:
    """The entries of the attempt that wrote UDRs, but for corrections that were undone in it."""
    undone = GroupCorrection.objects.filter(status=GroupCorrection.Status.UNDONE, is_undone_as_whole=False).values("pk")
    entries = ImportChunk.objects.filter(usage_import=asked.usage_import, attempt=asked.attempt, batch_id__isnull=False)
    return entries.exclude(correction_id__isnull=False, correction_id__in=undone)


def _may_be_udrs(asked: _Asked) -> bool:
    return asked.outcome in (None, Outcome.IMPORTED)


def _unplanned(asked: _Asked) -> Iterable[Row]:
    """UDRs that later tries of exceptions and of parts brought in, whatever their place in the import."""
    if not _may_be_udrs(asked):
        return []
    entries = _ledger(asked).exclude(PLANNED)
    return _udrs(list(entries.values_list("batch_id", flat=True)), asked, asked.most)


def _planned(asked: _Asked, until: int | None) -> Sequence[Row]:
    """UDRs of the parts that the import was cut into, part by part from the one that holds the next record."""
    if not _may_be_udrs(asked):
        return []
    entries = _ledger(asked).filter(PLANNED).order_by("first_record_number", "number")
    parts = list(entries.values_list("first_record_number", "batch_id"))
    if len(parts) > 1 and mediation.window_of(version=asked.usage_import.profile_version) is not None:
        # A record that several rows make may be carried by a row of an earlier part.
        return _udrs([batch_id for _, batch_id in parts], asked, asked.most)
    begun = [place for place, (first, _) in enumerate(parts) if first <= asked.after + 1]
    rows: list[Row] = []
    for first, batch_id in parts[begun[-1] if begun else 0 :]:
        if len(rows) >= asked.most or (until is not None and first > until):
            break
        rows += _udrs([batch_id], asked, asked.most - len(rows))
    return rows


def _udrs(batch_ids: Sequence[int], asked: _Asked, most: int) -> list[Row]:
    if not batch_ids:
        return []
    told: dict[str, Any] = {"batch_ids": list(batch_ids), "bits": UDR_ID_BITS, "after": asked.after, "most": most}
    with connection.cursor() as cursor:
        cursor.execute(UDRS, told)
        return [(number, udr_id) for number, udr_id in cursor.fetchall()]
