"""The end of a billing period: it is put in order, its statement is written, and it takes no charge any more."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain, groupby

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F, QuerySet

from mediation import services as mediation
from mediation.models import UdrBatch
from mediation.selectors import restored_uncharged, voids_unsettled
from mediation.services import acts, require_permission
from rating import selectors, store
from rating.core.settling import Bill
from rating.core.settling import Statement as Draft
from rating.core.tariffs import PriceList
from rating.models import BillingPeriod, Statement, StatementLine, StatementTax
from rating.services import repricing
from rating.services.billing import drafted, lines_of, taxes_of
from rating.services.exceptions import lock_refused

log = logging.getLogger(__name__)

ORDERING = "rating_ordering"  # what one worker at a time does: two would wait for each other's families
AT_ONCE = 500  # periods put in order together
MAX_CHARGES = 200_000  # of the periods that are worked on together; one with more is worked on alone
MOST_TOLD = 1_000
ROWS_AT_ONCE = 2_000
CLOSED_AT_ONCE = 200  # periods closed together, so that none of their workers waits long


class UnableToClosePeriod(Exception):
    """The period cannot be closed yet."""


@acts()
@transaction.atomic
def close_period(*, period: BillingPeriod, by: User | None, now: datetime) -> Statement:
    """Close a period that is over: put it in order, and write its statement, numbered, for good.

    Its lock waits for the workers that charge in it. Raises UnableToClosePeriod where something is still to come.
    """
    require_permission(by, "rating.close_billingperiod")
    known = BillingPeriod.objects.select_related("account").get(pk=period.pk)
    _require_closable(known, now)
    _require_second_person([period.pk], f"Close the period {known} of account {known.account}.", by)
    _put_in_order([period.pk], now)
    locked = BillingPeriod.objects.select_related("account").get(pk=period.pk)
    _require_closable(locked, now)
    prices = store.book().prices
    [(bill, draft)] = drafted(periods=[locked], prices=prices)
    if draft.faults:
        raise UnableToClosePeriod(_faulty(locked, draft))
    [statement] = _issue([(locked, bill, draft)], prices, now)
    period.refresh_from_db(fields=["status", "closed_at", "is_unsettled"])
    return statement


@acts()
@transaction.atomic
def ask_to_close(*, periods: QuerySet[BillingPeriod], by: User | None, now: datetime) -> int:
    """Let workers close open periods that are over, the earliest of each account first; returns how many were asked.

    What cannot be closed is told on the period: `close_refusal`.
    """
    require_permission(by, "rating.close_billingperiod")
    over = periods.filter(status=BillingPeriod.Status.OPEN, ends_at__lte=now, close_asked_at__isnull=True)
    # In order of id, as workers lock them; the account's columns are none of ours.
    asked = list(over.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    if not asked:
        raise UnableToClosePeriod("None of these periods is open, over and not asked for already. Choose others.")
    _require_second_person(asked, f"Close {len(asked):,} billing period{'s' if len(asked) > 1 else ''}.", by)
    BillingPeriod.objects.filter(pk__in=asked).update(
        close_asked_at=now, close_asked_by=by, close_refusal="", work_attempts=0
    )
    mediation.ring(name="rate", now=now)
    return len(asked)


def _require_second_person(asked: Sequence[int], summary: str, by: User | None) -> None:
    mediation.require_second_person(
        kind="close_period",
        act="close_periods",
        by=by,
        subject=("rating.BillingPeriod", str(asked[0]) if len(asked) == 1 else ""),
        arguments={"ids": list(asked)},
        summary=f"{summary} Each gets its numbered statement, which never changes.",
    )


def close_asked(*, now: datetime) -> int:
    """Close the next periods that somebody asked for, together; returns how many were closed or refused.

    0 where none waits, while batches do that were there when it was asked, or while another worker puts periods in
    order: numbers are given one after the other anyway.
    """
    with mediation.sole(ORDERING) as is_alone:
        if not is_alone:
            return 0
        claimed = _claim(selectors.periods_to_close().order_by("starts_at", "pk"), CLOSED_AT_ONCE)
        if not claimed:
            _tell_what_waits()
        return _tried(claimed, now, _close_together)


def _tell_what_waits() -> None:
    """Say on periods that were asked for that batches keep them open which nobody works on."""
    if errored := UdrBatch.objects.filter(status=UdrBatch.Status.ERRORED).count():
        told = f"{errored} UDR batches are errored and may still bring charges. Retry them; it is closed after that."
        selectors.periods_asked().exclude(close_refusal=told).update(close_refusal=told)


def settle_waiting(*, now: datetime) -> int:
    """Put open periods in order in which something was taken back; returns how many, 0 where none waits.

    Each is priced again with those that share its allowances. One worker at a time puts periods in order.
    """
    with mediation.sole(ORDERING) as is_alone:
        if not is_alone:
            return 0
        return _tried(_claim(selectors.periods_unsettled().order_by("pk"), AT_ONCE), now, _settle)


def _claim(waiting: QuerySet[BillingPeriod], at_once: int) -> list[int]:
    """The next periods to work on, each counted as begun: as many as their charges allow, or one that failed before."""
    fresh = list(waiting.filter(work_attempts=0).values_list("pk", flat=True)[:at_once])
    if not fresh:
        fresh = list(waiting.filter(work_attempts__gt=0).values_list("pk", flat=True)[:1])
    claimed: list[int] = []
    count = 0
    charges = store.charge_counts(fresh)
    for period_id in fresh:
        count += charges.get(period_id, 0)
        if claimed and count > MAX_CHARGES:
            break
        claimed.append(period_id)
    BillingPeriod.objects.filter(pk__in=claimed).update(work_attempts=F("work_attempts") + 1)
    return claimed


def _tried(claimed: Sequence[int], now: datetime, work: Callable[[Sequence[int], datetime], int]) -> int:
    """Work on claimed periods in one transaction. A crash is noted with them; each of them is then tried alone."""
    if not claimed:
        return 0
    try:
        with transaction.atomic():
            done = work(claimed, now)
    except Exception as crash:
        log.exception("periods crashed", extra={"period_ids": list(claimed)})
        worn = BillingPeriod.objects.filter(pk__in=claimed, work_attempts__gte=selectors.MAX_ATTEMPTS)
        worn.update(
            close_asked_at=None, close_refusal=f"Tried {selectors.MAX_ATTEMPTS} times, and failed: {crash}"[:MOST_TOLD]
        )
        return len(claimed)
    open_ones = BillingPeriod.objects.filter(pk__in=claimed, status=BillingPeriod.Status.OPEN)
    open_ones.update(work_attempts=0)
    return done


def _settle(claimed: Sequence[int], now: datetime) -> int:
    _put_in_order(claimed, now)
    return len(claimed)


def _put_in_order(period_ids: Sequence[int], now: datetime) -> None:
    """Price periods, and those that go with them, again in the order of dates; they stay under lock."""
    book = store.book()
    lock_refused(repricing.periods_together(period_ids, book=book, is_locked=False))
    together = repricing.periods_together(period_ids, book=book)
    repricing.apply(repricing.reprice_periods(periods=together, book=book, now=now), now=now)
    settled = BillingPeriod.objects.filter(pk__in=together["period_id"].to_list(), status=BillingPeriod.Status.OPEN)
    settled.update(is_unsettled=False)


def _close_together(claimed: Sequence[int], now: datetime) -> int:
    periods = BillingPeriod.objects.filter(pk__in=claimed).order_by("starts_at", "pk")
    periods = periods.select_related("account", "close_asked_by")
    earliest: dict[int, int] = {}
    for period in periods:
        earliest.setdefault(period.account_id, period.pk)
    # A period that follows another one here has its turn when that is closed.
    first = list(earliest.values())
    after_open = set(selectors.periods_after_open(first).values_list("pk", flat=True))
    ready = [period_id for period_id in first if period_id not in after_open]
    if ready:
        _put_in_order(ready, now)
    # Under lock now: somebody may have closed one meanwhile.
    still = [period for period in periods.all() if period.pk in ready and period.status == BillingPeriod.Status.OPEN]
    prices = store.book().prices
    drafts = list(zip(still, drafted(periods=still, prices=prices), strict=True))
    billable = [(period, bill, draft) for period, (bill, draft) in drafts if not draft.faults]
    # Each person's together, so that the audit names who asked; the sort keeps the order within.
    billable.sort(key=lambda each: each[0].close_asked_by_id or 0)
    for _, asked in groupby(billable, key=lambda each: each[0].close_asked_by_id):
        of_one = list(asked)
        with mediation.acting(by=of_one[0][0].close_asked_by, why="It was asked to be closed."):
            _issue(of_one, prices, now)
    refusals = {period.pk: _faulty(period, draft) for period, (_, draft) in drafts if draft.faults}
    refusals |= dict.fromkeys(after_open, "An earlier period of the account is still open. Close that first.")
    for pk, refusal in refusals.items():
        BillingPeriod.objects.filter(pk=pk).update(close_asked_at=None, close_refusal=refusal)
    return len(first)


def _issue(drafts: Sequence[tuple[BillingPeriod, Bill, Draft]], prices: PriceList, now: datetime) -> list[Statement]:
    """Write the statements of locked periods and close them. prices: those they were drafted by."""
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
    lines = (lines_of(draft, prices=prices, statement=statement) for statement, (_, _, draft) in written)
    StatementLine.objects.bulk_create(chain.from_iterable(lines), batch_size=ROWS_AT_ONCE)
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
    if voided := voids_unsettled().count():
        raise UnableToClosePeriod(
            f"{where} may still get reversals: {voided} voided UDRs wait for theirs. Wait until workers have taken"
            " their charges back."
        )
    if restored := restored_uncharged().count():
        raise UnableToClosePeriod(
            f"{where} may still get charges: {restored} UDRs wait for theirs, since a backfill was reverted. Wait until"
            " workers have charged them."
        )
