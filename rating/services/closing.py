"""The end of a billing period: it is put in order, its statement is written, and it takes no charge any more."""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction

from mediation.services import require_permission
from rating import selectors, store
from rating.models import BillingPeriod, Statement, StatementLine, StatementTax
from rating.services import repricing
from rating.services.billing import drafted, lines_of, taxes_of

AT_ONCE = 500  # periods put in order together


class UnableToClosePeriod(Exception):
    """The period cannot be closed yet."""


@transaction.atomic
def close_period(*, period: BillingPeriod, by: User | None, now: datetime) -> Statement:
    """Close a period that is over: put it in order, and write its statement, numbered, for good.

    Its lock waits for the workers that charge in it. Raises UnableToClosePeriod where something is still to come.
    """
    require_permission(by, "rating.close_billingperiod")
    locked = BillingPeriod.objects.select_for_update(of=("self",)).select_related("account").get(pk=period.pk)
    _require_closable(locked, now)
    _put_in_order([locked.pk], now)
    statement = _issue(locked, now)
    locked.status = BillingPeriod.Status.CLOSED
    locked.closed_at = now
    locked.is_unsettled = False
    locked.save(update_fields=["status", "closed_at", "is_unsettled"])
    period.refresh_from_db(fields=["status", "closed_at", "is_unsettled"])
    return statement


def _issue(period: BillingPeriod, now: datetime) -> Statement:
    [(bill, draft)] = drafted(periods=[period])
    if draft.faults:
        raise UnableToClosePeriod(
            f"The period {period} of account {period.account} cannot be billed. " + " ".join(draft.faults)
        )
    statement = Statement.objects.create(
        period=period,
        number=_next_number(),
        issued_at=now,
        currency=bill.currency,
        amount=draft.amount,
        subtotal=draft.subtotal,
        tax_total=draft.tax_total,
        total=draft.total,
    )
    StatementLine.objects.bulk_create(lines_of(draft, statement=statement))
    StatementTax.objects.bulk_create(taxes_of(draft, statement=statement))
    return statement


def _next_number() -> int:
    """One more than the last statement's. The lock lasts until the commit, so that no number is left out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('rating_statement', 0))")
        cursor.execute("SELECT coalesce(max(number), 0) + 1 FROM rating_statement")
        (number,) = cursor.fetchone()
    return int(number)


def settle_waiting(*, now: datetime) -> int:
    """Put open periods in order in which something was taken back; returns how many, 0 where none waits."""
    with transaction.atomic():
        waiting = BillingPeriod.objects.filter(is_unsettled=True, status=BillingPeriod.Status.OPEN).order_by("pk")
        locked = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True)[:AT_ONCE])
        if locked:
            _put_in_order(locked, now)
            BillingPeriod.objects.filter(pk__in=locked).update(is_unsettled=False)
    return len(locked)


def _put_in_order(period_ids: Sequence[int], now: datetime) -> None:
    """Price the usage of locked periods again in the order of its dates, as far as it depends on that."""
    periods = store.lock_periods(period_ids)
    repricing.apply(repricing.reprice_periods(periods=periods, book=store.book(), now=now), now=now)


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
