"""The end of a billing period: it is put in order, its statement is written, and it takes no charge any more."""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet

from mediation import services as mediation
from mediation.services import require_permission
from rating import selectors, store
from rating.core.matching import Book
from rating.core.settling import Bill
from rating.core.settling import Statement as Draft
from rating.models import BillingPeriod, Statement, StatementLine, StatementTax
from rating.services import repricing
from rating.services.billing import drafted, lines_of, taxes_of

AT_ONCE = 500  # periods put in order together
ROWS_AT_ONCE = 2_000
CLOSED_AT_ONCE = 200  # periods closed together, so that none of their workers waits long


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
    [(bill, draft)] = drafted(periods=[locked])
    if draft.faults:
        raise UnableToClosePeriod(_faulty(locked, draft))
    [statement] = _issue([(locked, bill, draft)], now)
    period.refresh_from_db(fields=["status", "closed_at", "is_unsettled"])
    return statement


def ask_to_close(*, periods: QuerySet[BillingPeriod], by: User | None, now: datetime) -> int:
    """Let workers close open periods that are over, the earliest of each account first; returns how many were asked.

    What cannot be closed is told on the period: `close_refusal`.
    """
    require_permission(by, "rating.close_billingperiod")
    over = periods.filter(status=BillingPeriod.Status.OPEN, ends_at__lte=now, close_asked_at__isnull=True)
    count = over.update(close_asked_at=now, close_asked_by=by, close_refusal="")
    if not count:
        raise UnableToClosePeriod("None of these periods is open, over and not asked for already. Choose others.")
    mediation.ring(name="rate", now=now)
    return count


def close_asked(*, now: datetime) -> int:
    """Close the next periods that somebody asked for, together; returns how many were closed or refused.

    0 where none waits, or while UDR batches do: they may still bring charges; also where another worker closes, for
    numbers are given one after the other anyway, and periods that are priced together are closed by one.
    """
    if selectors.batches_unfinished().exists():
        return 0
    with transaction.atomic():
        if not store.is_alone("rating_close"):
            return 0
        asked = selectors.periods_to_close().select_related("account").select_for_update(of=("self",), skip_locked=True)
        locked = list(asked.order_by("starts_at", "pk")[:CLOSED_AT_ONCE])
        return _close_together(locked, now) if locked else 0


def _close_together(locked: Sequence[BillingPeriod], now: datetime) -> int:
    earliest: dict[int, int] = {}
    for period in locked:
        earliest.setdefault(period.account_id, period.pk)
    # A period that follows another one here has its turn when that is closed.
    first = [period for period in locked if earliest[period.account_id] == period.pk]
    after_open = set(selectors.periods_after_open([period.pk for period in first]).values_list("pk", flat=True))
    ready = [period for period in first if period.pk not in after_open]
    if ready:
        book = store.book()
        together = repricing.periods_together([period.pk for period in ready], book=book)
        repricing.apply(repricing.reprice_periods(periods=together, book=book, now=now), now=now)
    drafts = list(zip(ready, drafted(periods=ready), strict=True))
    _issue([(period, bill, draft) for period, (bill, draft) in drafts if not draft.faults], now)
    refusals = {period.pk: _faulty(period, draft) for period, (_, draft) in drafts if draft.faults}
    refusals |= dict.fromkeys(after_open, "An earlier period of the account is still open. Close that first.")
    for pk, refusal in refusals.items():
        BillingPeriod.objects.filter(pk=pk).update(close_asked_at=None, close_refusal=refusal)
    return len(first)


def _issue(drafts: Sequence[tuple[BillingPeriod, Bill, Draft]], now: datetime) -> list[Statement]:
    """Write the statements of locked periods and close them."""
    if not drafts:
        return []
    first = _next_number()
    statements = Statement.objects.bulk_create(
        Statement(
            period=period,
            number=first + place,
            issued_at=now,
            currency=bill.currency,
            amount=draft.amount,
            subtotal=draft.subtotal,
            tax_total=draft.tax_total,
            total=draft.total,
        )
        for place, (period, bill, draft) in enumerate(drafts)
    )
    written = list(zip(statements, drafts, strict=True))
    lines = (line for statement, (_, _, draft) in written for line in lines_of(draft, statement=statement))
    StatementLine.objects.bulk_create(lines, batch_size=ROWS_AT_ONCE)
    taxes = (tax for statement, (_, _, draft) in written for tax in taxes_of(draft, statement=statement))
    StatementTax.objects.bulk_create(taxes, batch_size=ROWS_AT_ONCE)
    BillingPeriod.objects.filter(pk__in=[period.pk for period, _, _ in drafts]).update(
        status=BillingPeriod.Status.CLOSED, closed_at=now, is_unsettled=False, close_refusal=""
    )
    return statements


def _faulty(period: BillingPeriod, draft: Draft) -> str:
    return f"The period {period} of account {period.account} cannot be billed. " + " ".join(draft.faults)


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
