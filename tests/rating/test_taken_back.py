"""What is taken back leaves nothing behind: counters for ever, refills, closed members of a family."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from mediation.models import UdrBatch
from rating import services, store
from rating.models import BillingPeriod, BucketGrant, Charge, Counter, RatingException
from rating.services.exceptions import move_exceptions
from rating.services.pricing import CountMismatchError

from .factories import JUNE, MAY, NOW, BucketFactory, RateFactory, subscriber, used, waiting
from .test_families import TIERS, classes, family, plan_with, use  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


def rate_all():
    while services.rate_batches(now=NOW) or services.settle_waiting(now=NOW):
        pass


def take_back(batch):
    UdrBatch.objects.filter(pk=batch.pk).update(status="superseded", attempts=0, claimed_until=None)
    rate_all()
    batch.refresh_from_db()
    assert batch.status == "reversed", batch.error


def test_a_counter_that_never_restarts_is_given_back():
    tiers = [{"up_to": "10", "price": "1"}, {"price": "0.5"}]
    rate = RateFactory(model="graduated", price=None, tiers=tiers, counting={"restarts": "never"})
    owner = subscriber(rate.plan)
    waiting(used(rate, owner, 3))
    batch = waiting(used(rate, owner, 8))
    rate_all()
    take_back(batch)
    assert Counter.objects.get().position == 3
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 3


def test_a_refill_goes_with_the_charge_that_paid_for_it():
    rate = RateFactory(price="0")
    refill = {"size": "10", "price": "5"}
    BucketFactory(plan=rate.plan, size=10, usage_classes=[rate.usage_class], recurs="once", refill=refill)
    owner = subscriber(rate.plan)
    waiting(used(rate, owner, 8))
    rate_all()
    services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)
    batch = waiting(used(rate, owner, 8, date=JUNE))
    rate_all()
    take_back(batch)
    grant = BucketGrant.objects.get()
    assert (grant.granted, grant.used, grant.refills) == (10, 8, 0)
    waiting(used(rate, owner, 8, date=JUNE))
    rate_all()
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 5


def test_a_family_is_put_in_order_also_where_one_of_it_has_its_statement(classes):  # noqa: F811
    rate = {"model": "graduated", "tiers": TIERS, "counting": {"per": "family"}}
    _, second, third = family(plan_with(rate))
    use(classes["data"], second, 8, MAY.replace(day=20))
    use(classes["data"], third, 8)
    services.close_period(period=BillingPeriod.objects.get(account=third.service.account), by=None, now=NOW)
    take_back(UdrBatch.objects.order_by("pk").first())
    assert not BillingPeriod.objects.filter(is_unsettled=True).exists()


def test_usage_that_was_written_off_or_replaced_meanwhile_is_not_charged():
    tiers = [{"up_to": "10", "price": "1"}]
    rate = RateFactory(model="graduated", price=None, tiers=tiers, bounded=True)
    owner = subscriber(rate.plan)
    batch = waiting(used(rate, owner, 8), used(rate, owner, 8, date=MAY + timedelta(days=1)))
    rate_all()
    exception = RatingException.objects.get()
    charge = store.charges_of_batches([batch.pk])
    made = charge.with_columns(udr_id=charge["udr_id"] + 1)
    RatingException.objects.update(status="written_off", close_reason="goodwill")
    with pytest.raises(CountMismatchError, match="written off"):
        move_exceptions(before=charge.clear(), made=made, refused=charge.select("udr_id").clear(), now=NOW)
    UdrBatch.objects.update(status="superseded")
    with pytest.raises(CountMismatchError, match="superseded"):
        move_exceptions(before=charge.clear(), made=made, refused=charge.select("udr_id").clear(), now=NOW)
    assert exception.udr_id == made["udr_id"][0]
