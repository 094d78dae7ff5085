"""What rating made of an import: its charges by class, and the statements that bill them; asked from its page."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import connection

from ingestion.models import UsageImport
from ingestion.services.attempts import Charged
from ingestion.services.steps import ImportStep
from mediation.models import UDR_ID_BITS, UdrBatch
from mediation.selectors import COUNTING
from rating.core.frames import ENTRY_BITS
from rating.models import Statement

MOST_BATCHES = 50
MOST_CHARGES = 20_000  # whose periods are looked at

# While a batch counted: what took its charges back when it was reversed was written at that moment.
CHARGED = """
SELECT k.name, c.currency, sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END), sum(c.amount)
FROM mediation_udrbatch b
JOIN rating_charge c ON c.id >= b.id << %(bits)s AND c.id < (b.id + 1) << %(bits)s
JOIN mediation_usageclass k ON k.id = c.usage_class_id
WHERE b.id = ANY(%(batch_ids)s)
  AND NOT (b.status = 'reversed' AND c.kind = 'reversal' AND c.rated_at >= b.finished_at)
GROUP BY k.name, c.currency HAVING count(*) > 0 ORDER BY k.name, c.currency
"""
PERIODS = """
SELECT DISTINCT period_id FROM (
    SELECT c.period_id FROM unnest(%(batch_ids)s::bigint[]) AS b (id)
    JOIN rating_charge c ON c.id >= b.id << %(bits)s AND c.id < (b.id + 1) << %(bits)s
    LIMIT %(most)s
) AS billed
"""
BITS = UDR_ID_BITS + ENTRY_BITS


def charged_of_batches(batch_ids: Sequence[int]) -> list[Charged]:
    """What the UDRs of batches were charged while they counted, by class and currency."""
    with connection.cursor() as cursor:
        cursor.execute(CHARGED, {"batch_ids": list(batch_ids), "bits": BITS})
        return [Charged(name, currency, int(count), amount) for name, currency, count, amount in cursor.fetchall()]


def billed_steps(usage_import: UsageImport, by: User) -> list[ImportStep]:
    """The closing of the periods that bill an import's charges, as far as they have statements."""
    if not by.has_perm("rating.view_statement"):
        return []
    batches = UdrBatch.objects.filter(import_id=usage_import.pk, status__in=COUNTING).order_by("pk")
    numbers = list(batches.values_list("pk", flat=True)[:MOST_BATCHES])
    if not numbers:
        return []
    with connection.cursor() as cursor:
        cursor.execute(PERIODS, {"batch_ids": numbers, "bits": BITS, "most": MOST_CHARGES})
        period_ids = [number for (number,) in cursor.fetchall()]
    issued = list(
        Statement.objects.filter(period__in=period_ids).order_by("issued_at").values_list("issued_at", "number")
    )
    if not issued:
        return []
    some = ", ".join(f"{number:08}" for _, number in issued[:5])
    more = f" and {len(issued) - 5:,} more" if len(issued) > 5 else ""
    still_open = len(period_ids) - len(issued)
    s = "" if still_open == 1 else "s"
    rest = f"; {still_open:,} billing period{s} still open" if still_open else ""
    text = f"Statements {some}{more}{rest}."
    return [ImportStep("Closed into statements", text, issued[0][0], issued[-1][0])]
