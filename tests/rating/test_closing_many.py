"""Many periods are closed by the workers: the earliest first, numbered without a gap, refusals told on the period."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from mediation.models import UdrBatch
from rating import selectors, services
from rating.models import BillingPeriod, ClassTaxCategory, Jurisdiction, Statement, TaxCode
from rating.services import closing

from .factories import JUNE, LONG_AGO, MAY, NOW, RateFactory, subscriber, used, waiting

pytestmark = pytest.mark.django_db


def rate_all():
    while services.rate_batches(now=NOW):
        pass


def make_periods(rate, count, **account):
    """Accounts with usage in May and June."""
    owners = [subscriber(rate.plan, **account) for _ in range(count)]
    waiting(*(used(rate, owner, date=date) for owner in owners for date in (MAY, JUNE)))
    rate_all()
    return owners


def close_all():
    rounds = 0
    while services.close_asked(now=NOW):
        rounds += 1
        assert rounds < 20
    return rounds


def test_every_period_gets_its_statement_in_the_order_of_months_and_no_number_is_left_out(monkeypatch):
    monkeypatch.setattr("rating.services.closing.CLOSED_AT_ONCE", 3)
    make_periods(RateFactory(), 4)
    assert services.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=NOW) == 8
    assert close_all() > 1
    statements = Statement.objects.select_related("period").order_by("number")
    assert [statement.number for statement in statements] == list(range(1, 9))
    months = {}
    for statement in statements:
        months.setdefault(statement.period.account_id, []).append(statement.period.starts_at)
    assert all(own == sorted(own) and len(own) == 2 for own in months.values())
    assert not selectors.periods_to_close().exists()


def test_nothing_is_closed_while_a_batch_may_still_bring_charges():
    rate = RateFactory()
    [owner] = make_periods(rate, 1)
    services.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=NOW)
    waiting(used(rate, owner))
    UdrBatch.objects.filter(status="mediated").update(mediated_at=NOW)
    assert services.close_asked(now=NOW) == 0
    rate_all()
    close_all()
    assert Statement.objects.count() == 2


def test_a_period_that_cannot_be_billed_says_why_and_holds_up_nobody_else():
    rate = RateFactory()
    jurisdiction = Jurisdiction.objects.create(name="AT")
    TaxCode.objects.create(jurisdiction=jurisdiction, category="other", name="VAT", starts_at=LONG_AGO)
    ClassTaxCategory.objects.create(usage_class=rate.usage_class, category="telecom")
    [faulty] = make_periods(rate, 1, jurisdiction=jurisdiction)
    make_periods(rate, 1)
    services.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=NOW)
    close_all()
    assert Statement.objects.count() == 2
    may, june = BillingPeriod.objects.filter(account=faulty.service.account).order_by("starts_at")
    assert "telecom" in may.close_refusal
    assert "earlier period" in june.close_refusal
    assert (may.status, may.close_asked_at, june.status) == ("open", None, "open")


def test_only_open_periods_that_are_over_are_asked_for():
    make_periods(RateFactory(), 1)
    with pytest.raises(services.UnableToClosePeriod, match="over"):
        services.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=MAY + timedelta(days=1))
    with pytest.raises(PermissionDenied):
        services.ask_to_close(periods=BillingPeriod.objects.all(), by=User.objects.create_user("nobody"), now=NOW)


def test_what_came_in_after_it_was_asked_holds_up_no_closing():
    rate = RateFactory()
    [owner] = make_periods(rate, 1)
    services.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=NOW)
    waiting(used(rate, owner))
    UdrBatch.objects.filter(status="mediated").update(mediated_at=NOW + timedelta(seconds=1))
    close_all()
    assert Statement.objects.count() == 2


def test_an_errored_batch_is_named_on_the_periods_that_wait_for_it():
    rate = RateFactory()
    [owner] = make_periods(rate, 1)
    waiting(used(rate, owner), status="errored")
    services.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=NOW)
    assert services.close_asked(now=NOW) == 0
    assert all("errored" in period.close_refusal for period in BillingPeriod.objects.all())


def test_a_period_that_crashes_is_tried_alone_and_then_parked_while_the_others_close(monkeypatch):
    rate = RateFactory()
    make_periods(rate, 3)
    bad = BillingPeriod.objects.order_by("starts_at", "pk").first()
    real = closing.drafted

    def crash(*, periods, prices):
        if bad in periods:
            raise RuntimeError("the disk is on fire")
        return real(periods=periods, prices=prices)

    monkeypatch.setattr(closing, "drafted", crash)
    services.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=NOW)
    close_all()
    bad.refresh_from_db()
    assert (bad.status, bad.close_asked_at) == ("open", None)
    assert "the disk is on fire" in bad.close_refusal
    assert Statement.objects.count() == 4
    monkeypatch.setattr(closing, "drafted", real)
    services.ask_to_close(periods=BillingPeriod.objects.filter(pk=bad.pk), by=None, now=NOW)
    close_all()
    assert Statement.objects.count() == 5
