"""The SQL that counts figures, each statement over a bounded stretch of time."""

from datetime import date, datetime
from typing import Any

from django.db import connection

from mediation.models import UDR_ID_BITS
from rating.core.frames import ENTRY_BITS

ARRIVALS = """
INSERT INTO config_arrivalfigure (span, starts_at, feed_id, import_count, record_count, imported_count,
    exception_count, skipped_count, duplicate_count, waiting_count, last_at)
SELECT %(span)s, date_trunc(%(span)s, received_at, 'UTC'), feed_id, count(*), sum(record_count), sum(imported_count),
    sum(exception_count), sum(skipped_count), sum(duplicate_count), sum(waiting_count), max(received_at)
FROM ingestion_usageimport
WHERE received_at >= %(first)s AND received_at < coalesce(%(until)s, 'infinity'::timestamptz)
GROUP BY 2, 3
"""

NO_ARRIVALS = """
DELETE FROM config_arrivalfigure
WHERE span = %(span)s AND starts_at >= %(first)s AND starts_at < coalesce(%(until)s, 'infinity'::timestamptz)
"""

# The batch is in the charge's id, and the batch knows its feed. A record that was split has a charge for each part.
CHARGES = """
INSERT INTO config_chargefigure (day, feed_id, usage_class_id, currency, record_count, quantity, amount)
SELECT c.day, b.feed_id, c.usage_class_id, c.currency, sum(c.records), sum(c.quantity), sum(c.amount)
FROM (
    SELECT (rated_at AT TIME ZONE 'UTC')::date AS day, id >> %(bits)s AS batch_id, usage_class_id,
        currency, sum(quantity) AS quantity, sum(amount) AS amount,
        count(*) FILTER (WHERE kind = 'charge' AND part = 0)
        - count(*) FILTER (WHERE kind = 'reversal' AND part = 0) AS records
    FROM rating_charge WHERE rated_at >= %(since)s GROUP BY 1, 2, 3, 4
) c JOIN mediation_udrbatch b ON b.id = c.batch_id
GROUP BY GROUPING SETS ((1, 2, 3, 4), (1, 3, 4), (1, 2, 4), (1, 4))
"""

ACCOUNTS = """
INSERT INTO config_accountfigure AS t (month, account_id, currency, is_settled, record_count, amount)
SELECT date_trunc('month', rated_at AT TIME ZONE 'UTC')::date, account_id, currency, %(is_settled)s,
    count(*) FILTER (WHERE kind = 'charge' AND part = 0) - count(*) FILTER (WHERE kind = 'reversal' AND part = 0),
    sum(amount)
FROM rating_charge
WHERE rated_at >= %(since)s AND rated_at < coalesce(%(until)s, 'infinity'::timestamptz)
GROUP BY 1, 2, 3
ON CONFLICT (month, account_id, currency, is_settled) DO UPDATE
SET record_count = t.record_count + EXCLUDED.record_count, amount = t.amount + EXCLUDED.amount
"""

ESTIMATES = """
WITH main AS (
    SELECT currency FROM config_chargefigure
    WHERE day >= %(since)s AND feed_id IS NULL AND usage_class_id IS NULL
    GROUP BY 1 ORDER BY sum(record_count) DESC, 1 LIMIT 1
)
INSERT INTO config_chargeestimate (feed_id, usage_class_id, currency, record_count, quantity, amount)
SELECT f.feed_id, f.usage_class_id, f.currency, sum(record_count), sum(quantity), sum(amount)
FROM config_chargefigure f JOIN main USING (currency)
WHERE day >= %(since)s AND (
    feed_id IS NULL AND usage_class_id IS NOT NULL OR usage_class_id IS NULL AND feed_id IS NOT NULL)
GROUP BY 1, 2, 3
HAVING sum(record_count) > 0
"""

OPEN_IMPORT_EXCEPTIONS = """
INSERT INTO config_openfigure (kind, feed_id, reason, count, oldest_at)
SELECT 'import', feed_id, code, count(*), min(created_at)
FROM ingestion_importexception WHERE status = 'open' GROUP BY 2, 3
"""

OPEN_RATING_EXCEPTIONS = """
INSERT INTO config_openfigure (kind, feed_id, reason, usage_class_id, count, quantity, oldest_at)
SELECT 'rating', feed_id, cause, usage_class_id, count(*), sum(value), min(created_at)
FROM rating_ratingexception WHERE status = 'open' GROUP BY 2, 3, 4
"""


def count_arrivals(first: datetime, until: datetime | None, *, hours_from: datetime) -> None:
    """Count what was received from `first` to before `until` (None: whatever comes) anew; hours not before theirs."""
    for span, start in (("day", first), ("hour", max(first, hours_from))):
        bounds = {"span": span, "first": start, "until": until}
        _do(NO_ARRIVALS, bounds)
        _do(ARRIVALS, bounds)


def forget_arrivals(*, days_before: datetime, hours_before: datetime) -> None:
    """Drop figures that nothing is judged by any more."""
    for span, before in (("day", days_before), ("hour", hours_before)):
        bounds = {"span": span, "before": before}
        _do("DELETE FROM config_arrivalfigure WHERE span = %(span)s AND starts_at < %(before)s", bounds)


def count_charges(since: date) -> None:
    """Count what was charged from the beginning of a day on anew."""
    _do("DELETE FROM config_chargefigure WHERE day >= %(since)s", {"since": since})
    _do(CHARGES, {"since": _utc(since), "bits": UDR_ID_BITS + ENTRY_BITS})


def count_accounts(since: date, open_from: date, *, starts_anew: bool) -> None:
    """Add the days from `since` to before `open_from` to the months for good, and the rest beside them."""
    _do("DELETE FROM config_accountfigure WHERE NOT is_settled OR %(all)s", {"all": starts_anew})
    _do(ACCOUNTS, {"is_settled": True, "since": _utc(since), "until": _utc(open_from)})
    _do(ACCOUNTS, {"is_settled": False, "since": _utc(max(since, open_from)), "until": None})


def forget_charges(*, before: date) -> None:
    """Drop figures of days and months before a day."""
    _do("DELETE FROM config_chargefigure WHERE day < %(before)s", {"before": before})
    _do("DELETE FROM config_accountfigure WHERE month < %(before)s", {"before": before})


def estimate_charges(*, since: date) -> None:
    """Sum up by feed and by class what was charged since a day, in the currency of most charges."""
    _do("DELETE FROM config_chargeestimate", {})
    _do(ESTIMATES, {"since": since})


def count_open_exceptions() -> None:
    """Count the open exceptions of both rooms."""
    _do("DELETE FROM config_openfigure", {})
    _do(OPEN_IMPORT_EXCEPTIONS, {})
    _do(OPEN_RATING_EXCEPTIONS, {})


def analyze() -> None:
    """Let the planner know what the tables of figures hold; after a first count it would think them empty."""
    for table in ("arrivalfigure", "chargefigure", "accountfigure", "openfigure"):
        _do(f"ANALYZE config_{table}", {})


def _utc(day: date) -> str:
    return f"{day} 00:00:00+00"


def _do(statement: str, values: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
