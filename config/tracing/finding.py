"""What the tables hold of one record of an import: its rows in every room, whatever attempt made them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from django.db.models import F, Q, QuerySet

from ingestion.models import ImportChunk, ImportException, LeftOutRecord, UsageImport, WaitingPart
from mediation.models import UDR_ID_BITS, ProfileVersion, Udr, UdrBatch, VoidedUdr
from mediation.selectors import COUNTING
from rating.core.frames import ENTRY_BITS
from rating.models import Charge, RatingException, Statement

MOST_CORRECTIONS = 200  # batches that later tries of an import's exceptions wrote and that are looked through
MOST_CHARGES = 200
MOST_REPEATS = 20
BESIDE = ("revisions__created_by", "comments__created_by")
# The chunks that an attempt was cut into; others were entered in the ledger by tries of single exceptions.
PLANNED = Q(byte_start__isnull=False) | Q(number=1)


class Place(NamedTuple):
    """Where a record came in: its import, and its line of the file or place in the request."""

    import_id: int
    number: int


@dataclass(frozen=True)
class Record:
    """A record of an import, with what became of it; each question is asked of the database once."""

    usage_import: UsageImport
    number: int

    @property
    def place(self) -> Place:
        """Where it came in."""
        return Place(self.usage_import.pk, self.number)

    @cached_property
    def exceptions(self) -> list[ImportException]:
        """One an attempt at most, with its revisions and who made and closed what."""
        found = ImportException.objects.filter(usage_import=self.usage_import, record_number=self.number)
        return list(found.select_related("closed_by").prefetch_related(*BESIDE).order_by("attempt"))

    @cached_property
    def left_out(self) -> list[LeftOutRecord]:
        """One an attempt at most."""
        found = LeftOutRecord.objects.filter(usage_import=self.usage_import, record_number=self.number)
        return list(found.order_by("attempt"))

    @cached_property
    def waiting_part(self) -> WaitingPart | None:
        """The row as a part of a record, where it makes one only together with others."""
        return WaitingPart.objects.filter(usage_import=self.usage_import, record_number=self.number).first()

    @cached_property
    def chunks(self) -> list[ImportChunk]:
        """The part of the import that held it, in each attempt; the oldest first."""
        own = ImportChunk.objects.filter(PLANNED, usage_import=self.usage_import, first_record_number__lte=self.number)
        return list(own.order_by("attempt", "-first_record_number").distinct("attempt"))

    @cached_property
    def corrections(self) -> list[ImportChunk]:
        """What later tries of the import's exceptions entered in its ledger; nothing where it was no exception."""
        if not self.exceptions:
            return []
        entered = ImportChunk.objects.filter(~PLANNED, usage_import=self.usage_import, batch_id__isnull=False)
        return list(entered.order_by("-pk")[:MOST_CORRECTIONS])

    @cached_property
    def udrs(self) -> list[Udr]:
        """Every UDR that it became, those of replaced attempts too; the oldest first."""
        batch_ids = {chunk.batch_id for chunk in (*self.chunks, *self.corrections) if chunk.batch_id is not None}
        if not batch_ids:
            return []
        found = Udr.objects.filter(ranges(batch_ids, "pk", UDR_ID_BITS), record_number=self.number)
        return list(found.select_related("usage_class", "identifier_type").order_by("pk"))

    @cached_property
    def batches(self) -> dict[int, UdrBatch]:
        """The batches of its UDRs, and those of its parts of the import, by number."""
        of_chunks = {chunk.batch_id for chunk in self.chunks if chunk.batch_id is not None}
        return UdrBatch.objects.in_bulk({batch_of(udr) for udr in self.udrs} | of_chunks)

    @cached_property
    def voids(self) -> dict[int, VoidedUdr]:
        """Who took which of its UDRs back, and why, by the UDR's number."""
        return VoidedUdr.objects.select_related("voided_by").in_bulk([udr.pk for udr in self.udrs])

    @property
    def counting_udr(self) -> Udr | None:
        """The UDR that counts today."""
        counting = [
            udr for udr in self.udrs if self.batches[batch_of(udr)].status in COUNTING and udr.pk not in self.voids
        ]
        return counting[-1] if counting else None

    def attempt_of(self, udr: Udr) -> ImportChunk | None:
        """The entry of the ledger that its batch stands in."""
        entries = (chunk for chunk in (*self.chunks, *self.corrections) if chunk.batch_id == batch_of(udr))
        return next(entries, None)

    @cached_property
    def charges(self) -> list[Charge]:
        """Charges and reversals of its UDRs, in the order in which they were written."""
        if not self.udrs:
            return []
        found = Charge.objects.filter(ranges((udr.pk for udr in self.udrs), "pk", ENTRY_BITS))
        related = ("account", "service", "usage_class", "plan", "version__plan", "rate", "period__account")
        return list(found.select_related(*related).order_by("pk")[:MOST_CHARGES])

    @property
    def standing_charges(self) -> list[Charge]:
        """Those that no reversal takes back."""
        taken_back = {charge.pk - 1 for charge in self.charges if charge.kind == Charge.Kind.REVERSAL}
        return [one for one in self.charges if one.kind == Charge.Kind.CHARGE and one.pk not in taken_back]

    @cached_property
    def rating_exceptions(self) -> list[RatingException]:
        """What kept its UDRs from being charged."""
        found = RatingException.objects.filter(udr_id__in=[udr.pk for udr in self.udrs])
        related = found.select_related("closed_by", "usage_class").prefetch_related("comments__created_by")
        return list(related.order_by("pk"))

    @cached_property
    def statements(self) -> list[Statement]:
        """The statements of the periods in which its charges and reversals are billed."""
        periods = {charge.period_id for charge in self.charges}
        found = Statement.objects.filter(period__in=periods).select_related("period__account")
        return list(found.order_by("issued_at")) if periods else []

    @cached_property
    def repeats(self) -> list[LeftOutRecord]:
        """Records that came again and were left out as duplicates of it."""
        udr = self.counting_udr
        if udr is None:
            return []
        found = LeftOutRecord.objects.filter(udr_id=udr.pk, outcome=LeftOutRecord.Outcome.DUPLICATE)
        return list(found.filter(attempt=F("usage_import__attempt")).order_by("pk")[:MOST_REPEATS])

    @cached_property
    def versions(self) -> dict[int, ProfileVersion]:
        """The versions of the profile by which it was read."""
        used = {chunk.profile_version_id for chunk in (*self.chunks, *self.corrections)}
        return {each.pk: each for each in ProfileVersion.objects.filter(pk__in=used).select_related("profile")}

    @property
    def is_known(self) -> bool:
        """Whether anything became of it, or may still."""
        is_under_way = self.usage_import.waiting_count > 0 or self.usage_import.status != UsageImport.Status.COMPLETED
        return bool(self.udrs or self.exceptions or self.left_out or self.waiting_part or is_under_way)


def record_at(place: Place, imports: QuerySet[UsageImport] | None = None) -> Record | None:
    """The record at a place of one of `imports`, or None where there is none."""
    rows = UsageImport.objects.all() if imports is None else imports
    usage_import = rows.select_related("feed", "profile_version__profile", "received_by").filter(pk=place.import_id)
    found = usage_import.first()
    record = found and Record(found, place.number)
    return record if record and record.is_known else None


def batch_of(udr: Udr) -> int:
    """The number of the batch that a UDR was written in."""
    return udr.pk >> UDR_ID_BITS


def ranges(numbers: Iterable[int], field: str, bits: int) -> Q:
    """That a key begins with one of `numbers`, its last `bits` being a place within it."""
    within = Q(pk__in=())
    for number in numbers:
        within |= Q(**{f"{field}__gte": number << bits, f"{field}__lt": (number + 1) << bits})
    return within
