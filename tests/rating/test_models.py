"""What the tables of rating refuse, and how they say so."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from rating.models import Account, BillingPeriod, Bucket

from .factories import (
    LONG_AGO,
    MAY,
    NOW,
    AccountFactory,
    BucketFactory,
    RateFactory,
    RatePlanFactory,
    ServiceIdentifierFactory,
    TierFactory,
    UsageClassFactory,
    graduated,
)

pytestmark = pytest.mark.django_db


def test_a_class_draws_on_one_bucket_of_a_plan():
    usage_class = UsageClassFactory(name="Data_1")
    first = BucketFactory(plan=RatePlanFactory(), size=1, name="5 GB", usage_classes=[usage_class])
    second = Bucket(plan=first.plan, size=1, name="more")
    with pytest.raises(ValidationError, match=r"Data_1 \(in 5 GB\)"):
        second.check_usage_classes([usage_class])
    first.check_usage_classes([usage_class])
    Bucket(plan=RatePlanFactory(), size=1).check_usage_classes([usage_class])


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


@pytest.mark.parametrize(
    "wrong",
    [{"price": None}, {"model": "graduated"}, {"model": "pass_through"}, {"increment": 0}, {"minimum": -1}],
)
def test_the_database_refuses_rates_that_price_nothing(wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        RateFactory(**wrong)


def test_there_is_one_default_plan_and_one_tier_without_end():
    RatePlanFactory(is_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        RatePlanFactory(is_default=True)
    rate = graduated()
    with pytest.raises(IntegrityError), transaction.atomic():
        TierFactory(rate=rate, up_to=None, price=1)


def test_a_period_is_closed_at_a_moment():
    period = BillingPeriod.objects.create(account=AccountFactory(), starts_at=LONG_AGO, ends_at=MAY)
    with pytest.raises(IntegrityError), transaction.atomic():
        BillingPeriod.objects.filter(pk=period.pk).update(status="closed")
    BillingPeriod.objects.filter(pk=period.pk).update(status="closed", closed_at=NOW)
