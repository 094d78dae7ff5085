"""Rates all that waits, and what tests ask about it afterwards."""

from datetime import UTC, datetime, timedelta

from rating import services
from rating.models import BillingPeriod, Charge, RatingException

from .factories import NOW


def rate_all(now=NOW):
    while services.rate_batches(now=now):
        now += timedelta(minutes=1)


def amounts():
    return list(Charge.objects.order_by("id").values_list("amount", flat=True))


def only_exception():
    exception = RatingException.objects.get()
    assert exception.status == "open"
    assert Charge.objects.count() == 0
    return exception


def may_of(account):
    return BillingPeriod.objects.get(account=account, starts_at=datetime(2026, 4, 30, 22, tzinfo=UTC))
