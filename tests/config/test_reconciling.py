"""Every rule of rating that `reconcile` recounts holds after ordinary work, and finds what breaks it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from config.reconciling import RULES, differences
from mediation.models import UdrBatch
from rating import services
from rating.models import BillingPeriod, BucketDraw, BucketGrant, Charge, Counter, RatingException
from tests.rating.factories import (
    JUNE,
    MAY,
    NOW,
    BucketFactory,
    RateFactory,
    RatePlanFactory,
    activate,
    document,
    graduated,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db


# What these tests charge came with no import, and so without keys.
ABOUT_IMPORTS = {"counted_once"}
TIERS = [{"up_to": "5", "price": "1"}, {"up_to": None, "price": "0.7", "flat": "0.25"}]


def broken():
    return {rule.name for rule in RULES if rule.name not in ABOUT_IMPORTS and differences(rule)}


@pytest.fixture
def world():
    """Usage of every kind in May and June, some of it reversed; May of the first account is billed."""
    plan = RatePlanFactory()
    tiered = graduated(plan=plan, counting={"per": "account"})
    flat = RateFactory(group=tiered.group, price="0.00333333333")
    counted = RateFactory(
        group=tiered.group, aggregation={"function": "max"}, minimum="0", model="volume", price=None, tiers=TIERS
    )
    shared = RateFactory(group=tiered.group, model="percentage", price=None, percent="10", free_amount="3", fixed="0.1")
    BucketFactory(plan=plan, size=30, usage_classes=[flat.usage_class, tiered.usage_class])
    BucketFactory(plan=plan, size=5, name="prepaid", of="money", usage_classes=[counted.usage_class])
    owners = [subscriber(plan), subscriber(plan)]
    for date in (MAY, JUNE):
        for hours, owner in enumerate(owners * 2):
            at = date + timedelta(hours=hours)
            waiting(
                used(tiered, owner, 70, date=at),
                used(flat, owner, 20, date=at),
                used(counted, owner, 4 + hours, date=at),
                used(shared, owner, 1, date=at, amount=Decimal(2), currency="EUR"),
                {**used(flat, owner, date=at), "identifier": "nobody"},
            )
    work()
    UdrBatch.objects.filter(pk=UdrBatch.objects.order_by("pk").first().pk).update(status="superseded", attempts=0)
    work()
    services.settle_waiting(now=NOW)
    period = BillingPeriod.objects.filter(account=owners[0].service.account).earliest("starts_at")
    services.close_period(period=period, by=None, now=NOW)
    return plan


def work():
    while services.rate_batches(now=NOW):
        pass


def sql(query):
    def run():
        with connection.cursor() as cursor:
            # As somebody would who goes past the triggers.
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(query)
            assert cursor.rowcount

    return run


def doubled(exception, charge):
    """A UDR that is charged has an exception as well."""
    exception.pk, exception.udr_id = None, charge.udr_id
    exception.save()


def test_every_rule_holds_after_ordinary_work(world):
    assert broken() == set()
    assert BucketDraw.objects.filter(kind="give_back").exists()
    assert Counter.objects.count() > 6


def test_every_rule_holds_where_nothing_is():
    assert broken() == set()


def test_counters_that_versions_count_differently_are_no_sum(world):
    said = document(world)
    (group,) = said["groups"]
    rates = [{key: value for key, value in rate.items() if key != "counting"} for rate in group["rates"]]
    activate(world, {**said, "groups": [{**group, "rates": rates}]}, starts_at=JUNE + timedelta(hours=2))
    services.rate_batches(now=NOW)
    assert broken() == set()


def test_a_period_that_waits_to_be_put_in_order_is_not_recounted(world):
    Counter.objects.update(position=1)
    BillingPeriod.objects.filter(status="open").update(is_unsettled=True)
    assert broken() == set()


@pytest.mark.parametrize(
    ("damage", "rules"),
    [
        (lambda: BucketGrant.objects.filter(used__gt=1).update(used=1), {"buckets_add_up"}),
        (lambda: BucketGrant.objects.all().delete(), {"buckets_add_up"}),
        (sql("DELETE FROM rating_bucketdraw WHERE kind = 'draw'"), {"buckets_add_up", "draws_are_charged"}),
        (sql("UPDATE rating_bucketdraw SET charge_id = charge_id + 64"), {"draws_are_charged"}),
        (lambda: Counter.objects.update(position=1), {"tiers_add_up"}),
        (lambda: Counter.objects.all().delete(), {"tiers_add_up"}),
        (lambda: RatingException.objects.all().delete(), {"charged_once"}),
        (
            lambda: doubled(RatingException.objects.filter(status="open").first(), Charge.objects.last()),
            {"charged_once"},
        ),
        (lambda: Charge.objects.update(quantity=1), {"charged_once"}),
        (lambda: Charge.objects.filter(kind="reversal").update(amount=0), {"replaced_cost_nothing"}),
        (sql("UPDATE rating_statementline SET amount = 1"), {"statements_add_up", "statements_are_totalled"}),
        (sql("UPDATE rating_statement SET total = total + 1"), {"statements_are_totalled"}),
        (sql("UPDATE rating_statement SET tax_total = 1, total = total + 1"), {"statements_are_totalled"}),
        (sql("UPDATE rating_statement SET number = 3"), {"statements_are_numbered"}),
        (sql("DELETE FROM rating_statementline; DELETE FROM rating_statement"), {"statements_add_up"}),
    ],
)
def test_what_breaks_a_rule_is_found(world, damage, rules):
    damage()
    assert rules <= broken()
