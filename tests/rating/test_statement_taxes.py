"""Taxes of issued statements whose account moved, or became exempt, before they were corrected."""

from datetime import UTC, datetime, timedelta

import pytest

from mediation.models import UdrBatch
from rating import services
from rating.models import (
    Account,
    BillingPeriod,
    ClassTaxCategory,
    Jurisdiction,
    Service,
    TaxCode,
    TaxExemption,
    TaxPart,
)

from .factories import (
    LONG_AGO,
    MAY,
    NOW,
    RateFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db

AUGUST = datetime(2026, 8, 2, tzinfo=UTC)
END_OF_MAY = datetime(2026, 5, 31, 22, tzinfo=UTC)


def rate_all():
    while services.rate_batches(now=NOW):
        pass


def closed(now=NOW):
    """The statement of the earliest open period."""
    period = BillingPeriod.objects.filter(status="open").earliest("starts_at")
    return services.close_period(period=period, by=None, now=now)


def taxed(name, percent, category="telecom"):
    jurisdiction, _ = Jurisdiction.objects.get_or_create(name=name)
    code = TaxCode.objects.create(jurisdiction=jurisdiction, category=category, name="VAT", starts_at=LONG_AGO)
    TaxPart.objects.create(code=code, name="VAT", percent=percent)
    return jurisdiction


@pytest.fixture
def austria():
    return taxed("AT", 20)


@pytest.fixture
def germany():
    return taxed("DE", 19)


@pytest.fixture
def rate():
    found = RateFactory(price="100")
    ClassTaxCategory.objects.create(usage_class=found.usage_class, category="telecom")
    return found


@pytest.fixture
def billed(rate, austria):
    """A subscriber whose May, one unit, was closed with 20 % of tax."""
    owner = subscriber(rate.plan, jurisdiction=austria)
    waiting(used(rate, owner, 1))
    rate_all()
    assert closed().tax_total == 20
    return owner


def take_back():
    UdrBatch.objects.update(status="superseded")
    rate_all()


def test_an_account_that_became_exempt_gets_the_tax_back_of_what_is_taken_back(billed):
    TaxExemption.objects.create(account=billed.service.account, certificate="EX-1", starts_at=END_OF_MAY)
    take_back()
    assert closed(AUGUST).tax_total == -20


def test_an_account_whose_exemption_ended_gets_no_tax_back_that_it_never_paid(rate, austria):
    owner = subscriber(rate.plan, jurisdiction=austria)
    TaxExemption.objects.create(
        account=owner.service.account, certificate="EX-1", starts_at=LONG_AGO, ends_at=END_OF_MAY
    )
    waiting(used(rate, owner, 1))
    rate_all()
    assert closed().tax_total == 0
    take_back()
    statement = closed(AUGUST)
    assert (statement.subtotal, statement.tax_total) == (-100, 0)


def test_an_account_that_moved_gets_the_tax_back_that_it_paid(billed, germany):
    Account.objects.update(jurisdiction=germany)
    take_back()
    statement = closed(AUGUST)
    assert (statement.tax_total, statement.lines.get().jurisdiction) == (-20, "AT")


def test_a_service_that_moved_gets_the_tax_back_that_it_paid(billed, germany):
    Service.objects.update(jurisdiction=germany)
    take_back()
    assert closed(AUGUST).tax_total == -20


def test_a_class_that_got_another_tax_category_gives_back_what_was_paid(billed):
    taxed("AT", 5, category="books")
    ClassTaxCategory.objects.update(category="books")
    take_back()
    assert closed(AUGUST).tax_total == -20


def test_late_usage_is_taxed_as_the_month_that_it_is_late_for(billed, rate, germany):
    Account.objects.update(jurisdiction=germany)
    waiting(used(rate, billed, 2, date=MAY + timedelta(days=1)), import_id=2)
    rate_all()
    statement = closed(AUGUST)
    assert (statement.lines.get().kind, statement.subtotal, statement.tax_total) == ("adjustment", 200, 40)


def test_a_second_correction_is_taxed_as_the_first(billed, rate, germany):
    Account.objects.update(jurisdiction=germany)
    late = waiting(used(rate, billed, 2, date=MAY + timedelta(days=1)), import_id=2)
    rate_all()
    assert closed(AUGUST).tax_total == 40
    UdrBatch.objects.filter(pk=late.pk).update(status="superseded")
    rate_all()
    assert closed(datetime(2026, 9, 2, tzinfo=UTC)).tax_total == -40


def test_a_service_elsewhere_whose_usage_comes_late_is_taxed_where_it_is(billed, rate, germany):
    abroad = ServiceFactory(account=billed.service.account, jurisdiction=germany)
    known = ServiceIdentifierFactory(service=abroad)
    waiting(used(rate, known, 1, date=MAY + timedelta(days=1)), import_id=2)
    rate_all()
    assert closed(AUGUST).tax_total == 19


def test_the_draft_of_a_correction_says_what_closing_it_will(billed, germany):
    Account.objects.update(jurisdiction=germany)
    take_back()
    period = BillingPeriod.objects.select_related("account").get(status="open")
    assert services.statement_of(period=period).tax_total == -20
    assert closed(AUGUST).tax_total == -20
