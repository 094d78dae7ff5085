"""Several workers at once, on a PostgreSQL that really commits."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from mediation.models import Bell, UdrBatch
from rating import services
from rating.models import BillingPeriod, BucketDraw, BucketGrant, Charge, Counter
from rating.services import claiming
from rating.tasks import rate_waiting

from .factories import MAY, NOW, BucketFactory, RateFactory, graduated, subscriber, used, waiting

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def at_once(*actions):
    """Run actions in threads of their own; raise what they raised."""
    crashes = []

    def run(action):
        try:
            action()
        except Exception as crash:
            crashes.append(crash)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if crashes:
        raise crashes[0]


def work():
    now = NOW
    for _ in range(100):
        if not services.rate_batches(now=now):
            return


def test_two_workers_at_once_leave_the_same_positions_as_one(monkeypatch):
    monkeypatch.setattr(claiming, "MAX_UDRS", 4)  # a batch each
    rate = graduated(tiers=[(50, "1"), (None, "0.5")])
    flat = RateFactory(group=rate.group, price=1)
    BucketFactory(plan=rate.group.plan, size=30, usage_classes=[flat.usage_class])
    owners = [subscriber(rate.group.plan) for _ in range(3)]
    for _ in range(12):
        waiting(*(used(rate, owner, 7) for owner in owners), used(flat, owners[0], 5))
    at_once(work, work)
    assert set(UdrBatch.objects.values_list("status", flat=True)) == {"rated"}
    assert Charge.objects.count() == 48
    assert list(Counter.objects.values_list("position", "records")) == [(84, 12)] * 3
    assert BucketGrant.objects.get().used == 30
    assert sorted(BucketDraw.objects.values_list("left", flat=True)) == [0, 5, 10, 15, 20, 25]
    assert BillingPeriod.objects.count() == 3
    for owner in owners:
        climbed = Charge.objects.filter(service=owner.service, rate=rate.row)
        assert climbed.aggregate(total=Sum("amount"))["total"] == 50 + 34 * Decimal("0.5")
        positions = sorted(climbed.values_list("tier_position", flat=True))
        assert positions == [7 * n for n in range(12)]


def test_a_batch_that_a_living_worker_holds_is_left_alone_however_long_it_takes():
    rate = RateFactory()
    batch = waiting(used(rate, subscriber(rate.group.plan)))
    taken = []
    with transaction.atomic():
        claiming.lock_batches([batch.pk], "mediated")
        at_once(lambda: taken.append(services.rate_batches(now=NOW + timedelta(hours=1))))
    assert taken == [0]
    assert services.rate_batches(now=NOW) == 1


def test_a_batch_that_is_superseded_while_it_waits_for_its_worker_is_not_charged():
    rate = RateFactory()
    batch = waiting(used(rate, subscriber(rate.group.plan)))
    (claimed,) = claiming.claim_batches(now=NOW)
    assert claimed == batch
    UdrBatch.objects.update(status="superseded", claimed_until=None, attempts=0)
    work()
    assert (UdrBatch.objects.get().status, Charge.objects.count()) == ("reversed", 0)


def test_a_period_closes_only_after_the_worker_that_charges_in_it():
    rate = RateFactory()
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner))
    work()
    period = BillingPeriod.objects.get()
    late = waiting(used(rate, owner))
    refusals = []

    def close():
        try:
            services.close_period(period=period, by=None, now=NOW)
        except services.UnableToClosePeriod as refusal:
            refusals.append(refusal)

    at_once(work, close)
    late.refresh_from_db()
    assert late.status == "rated"
    period.refresh_from_db()
    in_period = Charge.objects.filter(period=period)
    if period.status == "closed":
        assert period.statement.amount == in_period.aggregate(total=Sum("amount"))["total"]
    else:
        assert refusals


def test_the_task_answers_the_bell_and_leaves_nothing_waiting():
    Bell.objects.create(name="rate", is_ringing=True, rung_at=timezone.now())
    rate = RateFactory()
    owner = subscriber(rate.group.plan)
    for _ in range(3):
        waiting(used(rate, owner, date=MAY))
    rate_waiting()
    assert not Bell.objects.get(name="rate").is_ringing
    assert Charge.objects.count() == 3


def test_a_task_that_takes_long_rings_again_for_the_rest(monkeypatch):
    monkeypatch.setattr("rating.tasks.LONGEST", timedelta(0))
    monkeypatch.setattr(claiming, "MAX_UDRS", 1)
    rate = RateFactory()
    for _ in range(3):
        waiting(used(rate, subscriber(rate.group.plan)))
    rate_waiting()
    assert Charge.objects.count() == 1
    assert Bell.objects.get(name="rate").is_ringing
