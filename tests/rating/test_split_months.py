"""A record that is split over the end of a month is counted, billed and taken back by the month in which it starts."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db.models import Sum

from config.reconciling import RULES, differences
from mediation.models import UdrBatch
from rating import services
from rating.models import BillingPeriod, Charge, Counter

from .factories import NOW, RatePlanFactory, UsageClassFactory, activate, subscriber, waiting

pytestmark = pytest.mark.django_db

SUNDAY = [{"name": "Sunday", "bands": [{"days": ["sun"]}]}]
AT_ELEVEN = datetime(2026, 5, 31, 23, tzinfo=UTC)  # of the Sunday that ends May
GRADUATED = {"model": "graduated", "tiers": [{"up_to": "7200", "price": "1"}, {"price": "0.5"}]}
PER_ACCOUNT = {"counting": {"per": "account"}}


def caller(on_sunday, else_=None):
    """Usage of an account's: a rate for Sundays, and one for the other days."""
    usage_class, plan = UsageClassFactory(name="Voice"), RatePlanFactory()
    rates = [{"usage_class": "Voice", **said} for said in (on_sunday, else_ or on_sunday)]
    groups = [
        {"name": "Sunday", "time_period": "Sunday", "at_boundary": "split", "rates": rates[:1]},
        {"name": "Else", "at_boundary": "split", "rates": rates[1:]},
    ]
    activate(plan, {"name": plan.name, "currency": "EUR", "time_periods": SUNDAY, "groups": groups})
    identifier = subscriber(plan, time_zone="UTC").identifier
    return lambda date, **said: {"usage_class": usage_class, "identifier": identifier, "date": date, **said}


def work():
    while services.rate_batches(now=NOW) or services.settle_waiting(now=NOW):
        pass


def charged():
    """What charges come to, by the month of the period that bills them."""
    billed = Charge.objects.values_list("period__starts_at__month").annotate(Sum("amount"))
    return dict(billed.order_by("period__starts_at__month"))


def counters():
    return sorted(Counter.objects.values_list("period_id", "rate_id", "position"))


def close_all():
    periods = BillingPeriod.objects.order_by("starts_at")
    return [services.close_period(period=period, by=None, now=NOW).amount for period in periods]


def take_back(batch):
    UdrBatch.objects.filter(pk=batch.pk).update(status="superseded")
    work()
    batch.refresh_from_db()
    assert batch.status == "reversed", batch.error


def test_one_period_counts_all_parts_and_they_keep_their_dates():
    used = caller({**GRADUATED, **PER_ACCOUNT})
    waiting(used(AT_ELEVEN, value=7200))
    work()
    assert BillingPeriod.objects.get().starts_at.month == 5
    assert [(each.part, each.date.month) for each in Charge.objects.order_by("id")] == [(0, 5), (1, 6)]


def test_the_month_can_be_put_in_order_and_closed_and_the_record_taken_back():
    used = caller({**GRADUATED, **PER_ACCOUNT})
    batch = waiting(used(AT_ELEVEN, value=7200))
    waiting(used(datetime(2026, 5, 31, 10, tzinfo=UTC), value=7200))
    waiting(used(datetime(2026, 6, 1, 10, tzinfo=UTC), value=7200))
    work()
    # May: 10,800 seconds on Sunday, of which 3,600 are dear no more, and 3,600 on Monday.
    assert charged() == {5: 7200 + 1800 + 3600, 6: 7200}
    assert close_all() == [7200 + 1800 + 3600, 7200]
    take_back(batch)
    assert Charge.objects.filter(kind="reversal").count() == 2


def test_what_corrects_a_closed_month_names_its_statement_for_all_parts():
    used = caller({"model": "per_unit", "price": "1"})
    batch = waiting(used(AT_ELEVEN, value=7200))
    waiting(used(datetime(2026, 6, 1, 10, tzinfo=UTC), value=7200))
    work()
    may, june = BillingPeriod.objects.order_by("starts_at")
    issued = services.close_period(period=may, by=None, now=NOW)
    take_back(batch)
    corrected = services.close_period(period=june, by=None, now=NOW).lines.order_by("position")
    told = [(line.kind, line.adjusts, line.amount) for line in corrected]
    assert sorted(told) == [("adjustment", str(issued), -3600), ("adjustment", str(issued), -3600), ("usage", "", 7200)]


def test_putting_either_month_in_order_alone_changes_nothing():
    used = caller({**GRADUATED, **PER_ACCOUNT})
    waiting(used(AT_ELEVEN, value=7200), used(datetime(2026, 5, 31, 10, tzinfo=UTC), value=7200))
    waiting(used(datetime(2026, 6, 1, 10, tzinfo=UTC), value=7200))
    work()
    assert [rule.name for rule in RULES if "rating_" in rule.query and differences(rule)] == []
    before, counted = charged(), counters()
    for month in (5, 6):
        BillingPeriod.objects.filter(starts_at__month=month).update(is_unsettled=True)
        work()
        assert (charged(), counters()) == (before, counted)


def test_parts_share_the_amount_of_a_record_that_stands_in_one_month():
    used = caller({"model": "percentage", "percent": "10", "free_amount": "1", **PER_ACCOUNT})
    waiting(used(AT_ELEVEN, value=7200, amount=Decimal(100), currency="EUR"))
    work()
    assert charged() == {5: Decimal("9.8")}  # each of two rates has 1 free of its 50
    assert close_all() == [Decimal("9.8")]


@pytest.mark.parametrize("is_first", [True, False])
def test_putting_in_order_shares_amounts_with_parts_that_depend_on_nothing(is_first):
    counting = {"model": "percentage", "percent": "10", "free_amount": "1", **PER_ACCOUNT}
    passing = {"model": "pass_through", "factor": "1"}
    used = caller(*((counting, passing) if is_first else (passing, counting)))
    waiting(used(AT_ELEVEN, value=7200, amount=Decimal(100), currency="EUR"))
    work()
    before = charged()
    BillingPeriod.objects.update(is_unsettled=True)
    work()
    assert charged() == before == {5: 50 + Decimal("4.9")}
    assert Charge.objects.count() == 2
