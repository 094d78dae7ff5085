"""The end of a billing period: its statement is written, and it takes no charge any more."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from mediation.services import require_permission
from rating import selectors
from rating.models import BillingPeriod, StatementLine


class UnableToClosePeriod(Exception):
    """The period cannot be closed yet."""


@transaction.atomic
def close_period(*, period: BillingPeriod, by: User | None, now: datetime) -> list[StatementLine]:
    """Close a period that is over and write its statement lines; returns them.

    Its lock waits for the workers that charge in it. Raises UnableToClosePeriod where something is still to come.
    """
    require_permission(by, "rating.close_billingperiod")
    locked = BillingPeriod.objects.select_for_update(of=("self",)).select_related("account").get(pk=period.pk)
    _require_closable(locked, now)
    lines = StatementLine.objects.bulk_create(selectors.statement_lines(locked))
    locked.status = BillingPeriod.Status.CLOSED
    locked.closed_at = now
    locked.save(update_fields=["status", "closed_at"])
    period.refresh_from_db(fields=["status", "closed_at"])
    return lines


def _require_closable(period: BillingPeriod, now: datetime) -> None:
    where = f"The period {period} of account {period.account}"
    if period.status == BillingPeriod.Status.CLOSED:
        raise UnableToClosePeriod(f"{where} was closed at {period.closed_at}.")
    if period.ends_at > now:
        raise UnableToClosePeriod(f"{where} is not over. Close it after {period.ends_at}.")
    earlier = BillingPeriod.objects.filter(
        account_id=period.account_id, starts_at__lt=period.starts_at, status=BillingPeriod.Status.OPEN
    ).order_by("starts_at")
    if first := earlier.first():
        raise UnableToClosePeriod(f"{where} follows one that is still open. Close {first} first.")
    if unfinished := selectors.batches_unfinished().count():
        raise UnableToClosePeriod(
            f"{where} may still get charges: {unfinished} UDR batches wait to be rated or reversed. Wait until they "
            "are done; retry those that are errored."
        )
