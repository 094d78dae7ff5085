"""Questions about rating's tables, answered without changing anything."""

from datetime import datetime
from typing import Any

from django.db.models import Case, F, Q, QuerySet, Sum, Value, When

from mediation.models import UdrBatch, UsageClass
from rating.core.money import round_to_minor_unit
from rating.models import BillingPeriod, Charge, StatementLine

READY = (UdrBatch.Status.MEDIATED, UdrBatch.Status.SUPERSEDED)
UNFINISHED = (*READY, UdrBatch.Status.STAGED, UdrBatch.Status.ERRORED)

# Charges less reversals.
RECORDS = Sum(Case(When(kind=Charge.Kind.CHARGE, then=Value(1)), default=Value(-1)))


def batches_waiting(now: datetime) -> QuerySet[UdrBatch]:
    """Batches that are to be rated or reversed, and that no worker has claimed."""
    return UdrBatch.objects.filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=now), status__in=READY)


def batches_unfinished() -> QuerySet[UdrBatch]:
    """Batches whose UDRs have no charge or exception yet, or whose charges are still to be reversed."""
    return UdrBatch.objects.filter(status__in=UNFINISHED)


def statement_lines(period: BillingPeriod) -> list[StatementLine]:
    """The period's charges by class: as they stand while it is open, as they were written when it was closed."""
    if period.status == BillingPeriod.Status.CLOSED:
        lines = StatementLine.objects.filter(period=period).select_related("usage_class")
        return list(lines.order_by("usage_class__name", "currency"))
    classes = UsageClass.objects.in_bulk()
    sums = _sums_by_class(period)
    lines_so_far = [_line(period, classes[each.pop("usage_class_id")], each) for each in sums]
    return sorted(lines_so_far, key=lambda line: (line.usage_class.name, line.currency))


def _sums_by_class(period: BillingPeriod) -> list[dict[str, Any]]:
    rows = Charge.objects.filter(period=period).values("usage_class_id", "currency").order_by()
    sums = rows.annotate(
        record_count=RECORDS,
        quantity_sum=Sum("quantity"),
        rated_sum=Sum("rated_quantity"),
        bucket_sum=Sum("bucket_quantity"),
        amount_sum=Sum("amount"),
    )
    return [dict(row) for row in sums]


def _line(period: BillingPeriod, usage_class: UsageClass, sums: dict[str, Any]) -> StatementLine:
    return StatementLine(
        period=period,
        usage_class=usage_class,
        currency=sums["currency"],
        record_count=sums["record_count"],
        quantity=sums["quantity_sum"],
        rated_quantity=sums["rated_sum"],
        bucket_quantity=sums["bucket_sum"],
        amount=sums["amount_sum"],
        line_amount=round_to_minor_unit(sums["amount_sum"], sums["currency"]),
    )


def usage_by_class(charges: QuerySet[Charge]) -> list[dict[str, Any]]:
    """The usage_class, currency, record_count, quantity and exact amount of each class among `charges`."""
    sums = (
        charges.order_by()
        .values("currency", class_name=F("usage_class__name"))
        .annotate(record_count=RECORDS, used=Sum("quantity"), owed=Sum("amount"))
        .order_by("class_name", "currency")
    )
    return [
        {
            "usage_class": one["class_name"],
            "currency": one["currency"],
            "record_count": one["record_count"],
            "quantity": one["used"],
            "amount": one["owed"],
        }
        for one in sums
    ]


def charges_by_account(charges: QuerySet[Charge] | None = None) -> list[dict[str, Any]]:
    """The number, name, currency, record_count and exact total of each charged account; of all charges by default."""
    rows = Charge.objects.all() if charges is None else charges
    sums = (
        rows.values("currency", number=F("account__number"), name=F("account__name"))
        .annotate(record_count=RECORDS, total=Sum("amount"))
        .order_by("number", "currency")
    )
    return [dict(row) for row in sums]
