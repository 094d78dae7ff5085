"""What rating has made of UDRs so far: whether they are charged, by which charges, and what keeps the others back."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection

from mediation.models import UDR_ID_BITS, UdrBatch, VoidedUdr
from mediation.selectors import COUNTING
from rating.core.frames import ENTRY_BITS
from rating.models import Charge, RatingException


class Rating(StrEnum):
    """How far a UDR has come; replaced: a later attempt took its place."""

    CHARGED = "charged"
    EXCEPTION = "exception"
    WAITING = "waiting"
    VOIDED = "voided"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Rated:
    """A UDR as rating has it; charge_ids: those that no reversal takes back."""

    rating: Rating
    charge_ids: tuple[int, ...] = ()
    exception: RatingException | None = None


# The charges of a batch lie together; of those between its first and last UDR asked for few are others'.
CHARGES = """
SELECT c.udr_id, c.id, c.kind
FROM unnest(%(firsts)s::bigint[], %(lasts)s::bigint[]) AS a (first, last)
JOIN rating_charge c ON c.id >= a.first << %(bits)s AND c.id < (a.last + 1) << %(bits)s
WHERE c.udr_id = ANY(%(udr_ids)s) ORDER BY c.id
"""


def rated(udr_ids: Sequence[int]) -> dict[int, Rated]:
    """Each of these UDRs as rating has it, by four questions however many they are."""
    if not udr_ids:
        return {}
    by_batch = defaultdict(list)
    for udr_id in udr_ids:
        by_batch[udr_id >> UDR_ID_BITS].append(udr_id)
    statuses = dict(UdrBatch.objects.filter(pk__in=by_batch).values_list("pk", "status"))
    voided = set(VoidedUdr.objects.filter(pk__in=udr_ids).values_list("pk", flat=True))
    charges = _standing_charges(udr_ids, by_batch.values())
    exceptions = {row.udr_id: row for row in RatingException.objects.filter(udr_id__in=udr_ids)}

    def state(udr_id: int) -> Rating:
        status = statuses.get(udr_id >> UDR_ID_BITS)
        if udr_id in voided:
            return Rating.VOIDED
        if status not in (*COUNTING, UdrBatch.Status.STAGED, UdrBatch.Status.HELD):
            return Rating.REPLACED
        if udr_id in charges:
            return Rating.CHARGED
        return Rating.EXCEPTION if _keeps_back(exceptions.get(udr_id)) else Rating.WAITING

    return {one: Rated(state(one), tuple(charges.get(one, ())), exceptions.get(one)) for one in udr_ids}


def _keeps_back(exception: RatingException | None) -> bool:
    kept = (RatingException.Status.OPEN, RatingException.Status.WRITTEN_OFF)
    return exception is not None and exception.status in kept


def _standing_charges(udr_ids: Sequence[int], by_batch: Iterable[Sequence[int]]) -> dict[int, list[int]]:
    groups = list(by_batch)
    told: dict[str, Any] = {
        "firsts": [min(group) for group in groups],
        "lasts": [max(group) for group in groups],
        "udr_ids": list(udr_ids),
        "bits": ENTRY_BITS,
    }
    with connection.cursor() as cursor:
        cursor.execute(CHARGES, told)
        rows = cursor.fetchall()
    # A reversal is the entry after the charge that it takes back.
    taken_back = {charge_id - 1 for _, charge_id, kind in rows if kind == Charge.Kind.REVERSAL}
    standing: dict[int, list[int]] = defaultdict(list)
    for udr_id, charge_id, kind in rows:
        if kind == Charge.Kind.CHARGE and charge_id not in taken_back:
            standing[udr_id].append(charge_id)
    return standing
