"""The end of a billing period: it is put in order, its statement is written, and it takes no charge any more."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction

from mediation.services import require_permission
from rating import selectors, store
from rating.core.matching import Book
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
    book = store.book()
    together = repricing.periods_together([period.pk], book=book)
    locked = BillingPeriod.objects.select_related("account").get(pk=period.pk)
    _require_closable(locked, now)
    repricing.apply(repricing.reprice_periods(periods=together, book=book, now=now), now=now)
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


@transaction.atomic
def settle_waiting(*, now: datetime) -> int:
    """Put open periods in order in which something was taken back; returns how many, 0 where none waits.

    Each is priced again with those that share its allowances; where another worker holds one of them, both wait.
    """
    waiting = BillingPeriod.objects.filter(is_unsettled=True, status=BillingPeriod.Status.OPEN).order_by("pk")
    asked = list(waiting.values_list("pk", flat=True)[:AT_ONCE])
    if not asked:
        return 0
    book = store.book()
    together = repricing.periods_together(asked, book=book, is_locked=False)
    free = store.lock_free_periods(together["period_id"].to_list())
    if len(free) < together.height:
        asked = [period_id for period_id in asked if _is_free(period_id, free, book)]
    settled = list(waiting.filter(pk__in=asked).values_list("pk", flat=True))
    if settled:
        together = repricing.periods_together(settled, book=book)
        repricing.apply(repricing.reprice_periods(periods=together, book=book, now=now), now=now)
        BillingPeriod.objects.filter(pk__in=together["period_id"].to_list()).update(is_unsettled=False)
    return len(settled)


def _is_free(period_id: int, free: set[int], book: Book) -> bool:
    """Whether a period and all that are priced with it are under our lock."""
    together = repricing.periods_together([period_id], book=book, is_locked=False)
    return free.issuperset(together["period_id"])


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
