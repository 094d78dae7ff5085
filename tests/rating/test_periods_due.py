"""Who owes a minimum gets a period for every month, used or not; an outside engine can stand in for the tax tables."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from rating import services
from rating.core.settling import TaxAmount, Taxed
from rating.models import BillingPeriod, ClassTaxCategory, Jurisdiction, TaxCode, TaxPart
from rating.services import billing

from .factories import (
    JUNE,
    LONG_AGO,
    NOW,
    AccountFactory,
    RatePlanFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    activate,
    subscriber,
    waiting,
)

pytestmark = pytest.mark.django_db

APRIL = datetime(2026, 4, 10, tzinfo=UTC)


def promising(usage_class=None, **commitment):
    plan = RatePlanFactory()
    usage_class = usage_class or UsageClassFactory()
    rates = [{"usage_class": usage_class.name, "model": "per_unit", "price": "1"}]
    said = {"name": "floor", "kind": "minimum", "amount": "100", **commitment}
    activate(
        plan,
        {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": rates}], "commitments": [said]},
    )
    return plan, usage_class


def lasting(service, *, since=LONG_AGO, until=None):
    service.starts_at, service.ends_at = since, until
    service.save()


def months():
    return [f"{period}" for period in BillingPeriod.objects.order_by("starts_at")]


def test_an_account_that_promised_a_minimum_and_used_nothing_gets_its_periods_and_its_bill():
    plan, _ = promising()
    ServiceFactory(account=AccountFactory(rate_plan=plan), starts_at=APRIL)
    assert services.open_due_periods(now=NOW) == 4
    assert months() == ["2026-04", "2026-05", "2026-06", "2026-07"]
    assert services.open_due_periods(now=NOW) == 0
    first = BillingPeriod.objects.order_by("starts_at").first()
    statement = services.close_period(period=first, by=None, now=NOW)
    assert (statement.total, statement.lines.get().kind) == (Decimal(100), "true_up")


def test_periods_end_with_the_service_and_go_on_after_the_last():
    plan, usage_class = promising()
    owner = subscriber(plan)
    waiting({"usage_class": usage_class, "identifier": owner.identifier, "value": 30})
    while services.rate_batches(now=NOW):
        pass
    services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)
    lasting(owner.service, until=datetime(2026, 6, 20, tzinfo=UTC))
    services.open_due_periods(now=NOW)
    assert months() == ["2026-05", "2026-06"]


def test_months_before_one_that_usage_opened_are_opened_too_and_it_is_left_alone():
    plan, usage_class = promising()
    owner = subscriber(plan)
    lasting(owner.service, since=APRIL)
    waiting({"usage_class": usage_class, "identifier": owner.identifier, "value": 30, "date": JUNE})
    while services.rate_batches(now=NOW):
        pass
    assert months() == ["2026-06"]
    assert services.open_due_periods(now=NOW) == 3
    assert months() == ["2026-04", "2026-05", "2026-06", "2026-07"]


def test_a_service_that_ends_with_a_month_owes_nothing_for_the_next():
    plan, _ = promising()
    account = AccountFactory(rate_plan=plan, time_zone="UTC")
    lasting(ServiceFactory(account=account), since=APRIL, until=datetime(2026, 6, 1, tzinfo=UTC))
    assert services.open_due_periods(now=NOW) == 2
    assert months() == ["2026-04", "2026-05"]


def test_a_month_is_opened_in_its_first_moment():
    plan, _ = promising()
    lasting(ServiceFactory(account=AccountFactory(rate_plan=plan, time_zone="UTC")), since=APRIL)
    assert services.open_due_periods(now=datetime(2026, 6, 1, tzinfo=UTC)) == 3


def test_a_service_that_ended_before_its_account_changed_plans_is_billed_no_minimum_again():
    plan, usage_class = promising()
    account = AccountFactory()
    ended = ServiceFactory(account=account, rate_plan=plan)
    lasting(ended, until=APRIL)
    plain, _ = promising(kind="maximum", usage_class=usage_class)
    owner = ServiceIdentifierFactory(service=ServiceFactory(account=account, rate_plan=plain))
    waiting({"usage_class": usage_class, "identifier": owner.identifier, "value": 5, "date": JUNE})
    while services.rate_batches(now=NOW):
        pass
    statement = services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)
    assert [line.kind for line in statement.lines.all()] == ["usage"]


@pytest.mark.parametrize("commitment", [{"kind": "maximum"}, {"kind": "commitment", "true_up": False}])
def test_nothing_is_opened_where_nothing_is_owed_without_usage(commitment):
    plan, _ = promising(**commitment)
    ServiceFactory(account=AccountFactory(rate_plan=plan), starts_at=APRIL)
    assert services.open_due_periods(now=NOW) == 0


class TenOfEachLine:
    """A tax service outside, which takes ten of everything."""

    def tax(self, lines, *, context):
        return Taxed(
            tuple(
                TaxAmount(line.number, "ten", "ten", Decimal(0), line.jurisdiction, "all", line.amount, Decimal(10))
                for line in lines
            )
        )


def test_tax_comes_from_the_tables_unless_an_engine_stands_in(monkeypatch):
    plan, usage_class = promising()
    jurisdiction = Jurisdiction.objects.create(name="AT")
    code = TaxCode.objects.create(jurisdiction=jurisdiction, category="calls", name="VAT", starts_at=LONG_AGO)
    TaxPart.objects.create(code=code, name="VAT", percent=20)
    ClassTaxCategory.objects.create(usage_class=usage_class, category="calls")
    owner = subscriber(plan, jurisdiction=jurisdiction)
    waiting({"usage_class": usage_class, "identifier": owner.identifier, "value": 30})
    while services.rate_batches(now=NOW):
        pass
    period = BillingPeriod.objects.select_related("account").get()
    sheet = services.statement_of(period=period)
    assert (sheet.subtotal, sheet.tax_total, sheet.total) == (100, 20, 120)
    monkeypatch.setattr(billing, "TAX_ENGINES", [TenOfEachLine()])
    sheet = services.statement_of(period=period)
    assert (sheet.tax_total, len(sheet.taxes)) == (20, 2)


def test_nothing_is_owed_for_the_time_before_a_plan_promised_anything():
    plan = RatePlanFactory()
    rates = [{"usage_class": UsageClassFactory().name, "model": "per_unit", "price": "1"}]
    said = {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": rates}]}
    activate(plan, said)
    floor = {"name": "floor", "kind": "minimum", "amount": "100"}
    activate(plan, {**said, "commitments": [floor]}, starts_at=datetime(2026, 6, 1, tzinfo=UTC))
    ServiceFactory(account=AccountFactory(rate_plan=plan), starts_at=APRIL)
    services.open_due_periods(now=NOW)
    assert months() == ["2026-06", "2026-07"]
