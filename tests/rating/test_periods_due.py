"""Who owes a minimum gets a period for every month, used or not; an outside engine can stand in for the tax tables."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from rating import services
from rating.core.settling import TaxAmount, Taxed
from rating.models import BillingPeriod, ClassTaxCategory, Jurisdiction, TaxCode, TaxPart
from rating.services import billing

from .factories import (
    LONG_AGO,
    NOW,
    AccountFactory,
    RatePlanFactory,
    ServiceFactory,
    UsageClassFactory,
    activate,
    subscriber,
    waiting,
)

pytestmark = pytest.mark.django_db

APRIL = datetime(2026, 4, 10, tzinfo=UTC)


def promising(**commitment):
    plan = RatePlanFactory()
    usage_class = UsageClassFactory()
    rates = [{"usage_class": usage_class.name, "model": "per_unit", "price": "1"}]
    said = {"name": "floor", "kind": "minimum", "amount": "100", **commitment}
    activate(
        plan,
        {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": rates}], "commitments": [said]},
    )
    return plan, usage_class


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
    service = owner.service
    service.ends_at = datetime(2026, 6, 20, tzinfo=UTC)
    service.save()
    services.open_due_periods(now=NOW)
    assert months() == ["2026-05", "2026-06"]


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
