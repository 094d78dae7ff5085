"""Closing many periods from the list: what will happen is told first, what became of them after."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mediation.admin import kit
from mediation.services import asks_for_second_person
from rating import selectors, services
from rating.admin.statements import month_of
from rating.models import BillingPeriod

MOST_AT_ONCE = 20  # of some tenths of a second each; more are left to the workers
MOST_NAMED = 3


def close_periods(
    model_admin: kit.ModelAdmin, request: HttpRequest, chosen: QuerySet[BillingPeriod]
) -> HttpResponse | None:
    """Ask first; then close few periods one by one, the earliest first, and let the workers close many."""
    if "is_confirmed" not in request.POST:
        return kit.ask_first(
            model_admin, request, chosen, action="close", lines=_told_before(chosen), button="Close the periods"
        )
    waiting = chosen.filter(status=BillingPeriod.Status.OPEN).select_related("account").order_by("starts_at", "pk")
    now = timezone.now()
    # What a second person has to agree to is asked for together, not period by period.
    is_asked = asks_for_second_person("close_period", kit.person(request))
    if is_asked or waiting.filter(ends_at__lte=now).count() > MOST_AT_ONCE:
        _leave_to_workers(model_admin, request, waiting)
        return None
    closed, refused = [], defaultdict(list)
    for period in waiting:
        try:
            statement = services.close_period(period=period, by=kit.person(request), now=now)
        except services.UnableToClosePeriod as refusal:
            refused[_reason(str(refusal), period)].append(period)
        else:
            closed.append(f"{month_of(period)} of {period.account} is closed: statement {statement}.")
    _tell(model_admin, request, closed, refused)
    return None


def _leave_to_workers(model_admin: kit.ModelAdmin, request: HttpRequest, periods: QuerySet[BillingPeriod]) -> None:
    try:
        count = services.ask_to_close(
            periods=BillingPeriod.objects.filter(pk__in=periods.values("pk")),
            by=kit.person(request),
            now=timezone.now(),
        )
    except services.UnableToClosePeriod as refusal:
        model_admin.message_user(request, str(refusal), messages.WARNING)
    else:
        model_admin.message_user(
            request,
            f"{kit.counted(count, 'period')} will be closed by the workers, the earliest of each account first. This "
            "list shows how far they are; what cannot be closed says why.",
        )


def _told_before(chosen: QuerySet[BillingPeriod]) -> list[str]:
    is_open = chosen.filter(status=BillingPeriod.Status.OPEN)
    over = is_open.filter(ends_at__lte=timezone.now())
    ready, running, done = over.count(), is_open.count() - over.count(), chosen.count() - is_open.count()
    accounts = over.order_by().values("account").distinct().count()
    lines = [
        f"{kit.counted(ready, 'period')} of {kit.counted(accounts, 'account')} "
        f"{'is' if ready == 1 else 'are'} over: each gets its numbered statement, which never changes."
    ]
    if running:
        lines.append(f"{kit.counted(running, 'period')} not over yet: refused.")
    if done:
        lines.append(f"{kit.counted(done, 'period')} closed already: left as it is.")
    if unfinished := selectors.batches_unfinished().count():
        lines.append(
            f"{kit.counted(unfinished, 'UDR batch')} still to be rated: nothing is closed before they are done."
        )
    first = list(over.select_related("account").order_by("starts_at", "pk")[:MOST_AT_ONCE])
    of_first = f"Of the first {MOST_AT_ONCE}: " if ready > MOST_AT_ONCE else ""
    lines += [f"{of_first}{notice}" for notice in services.tax_notices(periods=first)]
    if ready > MOST_AT_ONCE:
        lines.append("That many are closed by the workers, while you go on with something else.")
    return lines


def _reason(said: str, period: BillingPeriod) -> str:
    """A refusal without the period's name, so that equal ones are told once."""
    return said.removeprefix(f"The period {period} of account {period.account} ")


def _tell(
    model_admin: kit.ModelAdmin,
    request: HttpRequest,
    closed: list[str],
    refused: dict[str, list[BillingPeriod]],
) -> None:
    if len(closed) == 1:
        model_admin.message_user(request, closed[0])
    elif closed:
        model_admin.message_user(request, f"{kit.counted(len(closed), 'period')} closed. The last: {closed[-1]}")
    for reason, periods in refused.items():
        said = f"{kit.counted(len(periods), 'period')} not closed, each {reason} ({_named(periods)})"
        model_admin.message_user(request, said, messages.WARNING)
    if not closed and not refused:
        kit.tell(model_admin, request, 0, "period", "closed")


def _named(periods: Iterable[Any]) -> str:
    names = [f"{month_of(period)} of {period.account}" for period in periods]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
