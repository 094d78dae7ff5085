"""What the tables of rating refuse, and how they say so."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from rating.models import Account, BillingPeriod, BucketGrant, Jurisdiction, TaxCode, TaxPart

from .factories import LONG_AGO, MAY, NOW, AccountFactory, RatePlanFactory, ServiceIdentifierFactory

pytestmark = pytest.mark.django_db


def test_an_account_does_not_stand_above_itself():
    top = AccountFactory()
    middle = AccountFactory(parent=top)
    top.parent = AccountFactory(parent=middle)
    with pytest.raises(ValidationError, match="above itself"):
        top.full_clean()


def test_an_account_with_periods_keeps_its_zone_and_currency():
    account = AccountFactory()
    BillingPeriod.objects.create(account=account, starts_at=LONG_AGO, ends_at=MAY)
    Account.objects.get(pk=account.pk).full_clean()
    account.time_zone = "Asia/Tokyo"
    with pytest.raises(ValidationError, match="stays Europe/Vienna"):
        account.full_clean()


@pytest.mark.parametrize(("field", "value"), [("time_zone", "Mars/Olympus"), ("currency", "eur")])
def test_an_account_has_a_real_zone_and_currency(field, value):
    with pytest.raises(ValidationError) as refusal:
        AccountFactory.build(**{field: value}).full_clean()
    assert field in refusal.value.message_dict


def test_a_taken_identifier_names_its_owner():
    owner = ServiceIdentifierFactory(starts_at=LONG_AGO, ends_at=MAY)
    later = ServiceIdentifierFactory.build(service=owner.service, identifier=owner.identifier, starts_at=MAY)
    later.full_clean()
    later.starts_at = MAY - timedelta(seconds=1)
    with pytest.raises(ValidationError, match=owner.service.account.number):
        later.full_clean()


def test_there_is_one_default_plan_of_a_currency():
    RatePlanFactory(is_default=True)
    RatePlanFactory(is_default=True, currency="USD")
    with pytest.raises(ValidationError, match="default one of this currency already"):
        RatePlanFactory.build(is_default=True).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        RatePlanFactory(is_default=True)


def test_a_period_is_closed_at_a_moment():
    period = BillingPeriod.objects.create(account=AccountFactory(), starts_at=LONG_AGO, ends_at=MAY)
    with pytest.raises(IntegrityError), transaction.atomic():
        BillingPeriod.objects.filter(pk=period.pk).update(status="closed")
    BillingPeriod.objects.filter(pk=period.pk).update(status="closed", closed_at=NOW)


@pytest.mark.parametrize("used", [-1, 11])
def test_a_grant_is_never_overdrawn(used):
    grant = {"account": AccountFactory(), "bucket_id": 1, "service_id": 0, "starts_at": MAY, "carried": 0, "refills": 0}
    with pytest.raises(IntegrityError, match="overdrawn"), transaction.atomic():
        BucketGrant.objects.create(**grant, granted=10, used=used)
    BucketGrant.objects.create(**grant, granted=10, used=10)


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_tax_is_a_percentage(percent):
    code = TaxCode.objects.create(
        jurisdiction=Jurisdiction.objects.create(name="Land"), category="telecom", name="VAT", starts_at=LONG_AGO
    )
    with pytest.raises(ValidationError):
        TaxPart(code=code, name="VAT", percent=percent).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        TaxPart.objects.create(code=code, name="VAT", percent=percent)
