"""A quote is what rating would charge now, digit for digit, and leaves no trace."""

from datetime import timedelta
from decimal import Decimal

import pytest
from rating.services.quoting import quote_udrs

from rating.models import BillingPeriod, BucketBalance, Charge, RatingException, TierPosition
from rating.services import rate_batches
from rating.store import udrs_of_batches
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
    batch = waiting(*usage(rate, subscriber(plan), subscriber(plan)))
    quoted = quote_udrs(udrs=udrs_of_batches([batch.pk]), now=NOW)
    rate_batches(now=NOW)
    assert amounts(quoted.charged) == stored()
    assert quoted.refused["cause"].to_list() == list(RatingException.objects.values_list("cause", flat=True))


def test_a_quote_goes_on_from_the_tiers_and_buckets_as_they_stand(plan):
    rate = graduated(plan=plan)
    BucketFactory(plan=plan, size=Decimal(100), usage_classes=[rate.usage_class])
    owner = subscriber(plan)
    waiting(*usage(rate, owner))
    rate_batches(now=NOW)
    before = stored()
    batch = waiting(*usage(rate, owner))
    quoted = quote_udrs(udrs=udrs_of_batches([batch.pk]), now=NOW)
    rate_batches(now=NOW)
    assert amounts(quoted.charged) == {udr: amount for udr, amount in stored().items() if udr not in before}
    assert amounts(quoted.charged) != before


def test_two_services_of_an_account_share_a_period_that_is_still_to_be_made(plan):
    rate = graduated(plan=plan)
    owner = subscriber(plan)
    other = ServiceIdentifierFactory(service=ServiceFactory(account=owner.service.account))
    batch = waiting(used(rate, owner), used(rate, other))
    quoted = quote_udrs(udrs=udrs_of_batches([batch.pk]), now=NOW)
    assert quoted.charged["period_id"].n_unique() == 1
    assert (quoted.charged["period_id"] < 0).all()


def test_a_quote_leaves_no_trace(plan):
    rate = graduated(plan=plan)
    batch = waiting(*usage(rate, subscriber(plan)))
    quote_udrs(udrs=udrs_of_batches([batch.pk]), now=NOW)
    for table in (BillingPeriod, BucketBalance, Charge, RatingException, TierPosition):
        assert not table.objects.exists()


def test_nothing_costs_nothing():
    quoted = quote_udrs(udrs=udrs_of_batches([]), now=NOW)
    assert quoted.charged.is_empty()
    assert quoted.refused.is_empty()
