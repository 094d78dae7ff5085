"""What usage would cost as things stand is what rating charges, digit for digit, and asking leaves no trace."""

from datetime import timedelta

import pytest

from rating import store
from rating.models import BillingPeriod, BucketDraw, BucketGrant, Charge, Counter, RatingException
from rating.services import rate_batches
from rating.services.pricing import quote_usage
from tests.rating.factories import (
    MAY,
    NOW,
    BucketFactory,
    RatePlanFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    graduated,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan():
    return RatePlanFactory()


def quoted(*batches):
    usage = store.usage_of_batches([batch.pk for batch in batches], with_extensions=False)
    return quote_usage(usage=usage, book=store.book(), now=NOW)


def amounts(charges):
    return dict(sorted(charges.select("udr_id", "amount").iter_rows()))


def stored():
    return dict(Charge.objects.order_by("id").values_list("udr_id", "amount"))


def usage(rate, *owners):
    """Usage of several owners that crosses a tier, in two months, and of nobody."""
    lines = [used(rate, owner, value, date=MAY + timedelta(days=days))
             for owner in owners for value, days in ((80, 0), (50, 1), (30, 40))]  # fmt: skip
    return [*lines, {**used(rate, owners[0]), "identifier": "nobody"}]


def test_a_quote_is_what_rating_charges_afterwards(plan):
    rate = graduated(plan=plan)
    told = quoted(waiting(*usage(rate, subscriber(plan), subscriber(plan))))
    rate_batches(now=NOW)
    assert amounts(told.charged) == stored()
    assert told.refused["cause"].to_list() == list(RatingException.objects.values_list("cause", flat=True))


def test_a_quote_goes_on_from_the_tiers_and_buckets_as_they_stand(plan):
    rate = graduated(plan=plan)
    BucketFactory(plan=plan, size=100, usage_classes=[rate.usage_class])
    owner = subscriber(plan)
    waiting(*usage(rate, owner))
    rate_batches(now=NOW)
    before = stored()
    told = quoted(waiting(*usage(rate, owner)))
    rate_batches(now=NOW)
    assert amounts(told.charged) == {udr: amount for udr, amount in stored().items() if udr not in before}
    assert sorted(amounts(told.charged).values()) != sorted(before.values())


def test_two_services_of_an_account_share_a_period_that_is_still_to_be_made(plan):
    rate = graduated(plan=plan)
    owner = subscriber(plan)
    other = ServiceIdentifierFactory(service=ServiceFactory(account=owner.service.account))
    told = quoted(waiting(used(rate, owner), used(rate, other)))
    assert told.charged["period_id"].n_unique() == 1
    assert (told.charged["period_id"] < 0).all()


def test_a_quote_leaves_no_trace(plan):
    rate = graduated(plan=plan)
    BucketFactory(plan=plan, size=100, usage_classes=[rate.usage_class])
    told = quoted(waiting(*usage(rate, subscriber(plan))))
    assert told.draws.height == 3
    for table in (BillingPeriod, BucketDraw, BucketGrant, Charge, Counter, RatingException):
        assert not table.objects.exists()


def test_nothing_costs_nothing():
    told = quoted()
    assert told.charged.is_empty()
    assert told.refused.is_empty()
