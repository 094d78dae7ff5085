"""Rated once, reversed, rated again, written off, closed: batches and periods on a real PostgreSQL."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from mediation.models import UdrBatch
from mediation.services import swap_batches
from rating import selectors, services
from rating.models import (
    Account,
    BillingPeriod,
    BucketGrant,
    Charge,
    Counter,
    RatingException,
    StatementLine,
)

from .factories import (
    JUNE,
    MAY,
    NOW,
    BucketFactory,
    RateFactory,
    ServiceIdentifierFactory,
    graduated,
    subscriber,
    used,
    waiting,
)
from .outcomes import amounts, may_of, only_exception, rate_all

pytestmark = pytest.mark.django_db


# Once, and again


def test_a_rated_batch_is_not_rated_again():
    rate = RateFactory()
    waiting(used(rate, subscriber(rate.group.plan)))
    rate_all()
    assert services.rate_batches(now=NOW) == 0
    assert Charge.objects.count() == 1


def test_the_database_refuses_a_second_charge_of_a_udr():
    rate = RateFactory()
    batch = waiting(used(rate, subscriber(rate.group.plan)))
    rate_all()
    UdrBatch.objects.update(status="mediated", attempts=0)
    rate_all()
    batch.refresh_from_db()
    assert batch.status == "errored"
    assert "rating_charge" in batch.error
    assert Charge.objects.count() == 1


def test_a_batch_whose_udrs_do_not_count_up_is_parked_and_takes_no_other_with_it():
    rate = RateFactory()
    owner = subscriber(rate.group.plan)
    bad = waiting(used(rate, owner))
    UdrBatch.objects.filter(pk=bad.pk).update(udr_count=2)
    good = waiting(used(rate, owner))
    rate_all()
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.attempts, good.status) == ("errored", 5, "rated")
    assert "2 UDRs" in bad.error
    UdrBatch.objects.filter(pk=bad.pk).update(udr_count=1)
    assert services.retry_batches(batches=UdrBatch.objects.all(), by=None, now=NOW) == 1
    rate_all()
    bad.refresh_from_db()
    assert (bad.status, bad.error) == ("rated", "")


def test_a_batch_without_udrs_is_rated_all_the_same():
    batch = waiting()
    rate_all()
    batch.refresh_from_db()
    assert batch.status == "rated"


def test_a_crash_leaves_no_trace_but_its_own():
    rate = graduated()
    batch = waiting(used(rate, subscriber(rate.group.plan), 50))
    with patch("rating.store.put_standing", side_effect=RuntimeError("the disk is on fire")):
        assert services.rate_batches(now=NOW) == 1
    assert (Charge.objects.count(), Counter.objects.count(), BillingPeriod.objects.count()) == (0, 0, 0)
    batch.refresh_from_db()
    assert (batch.status, batch.attempts) == ("mediated", 1)
    assert "the disk is on fire" in batch.error
    assert services.rate_batches(now=NOW) == 0  # still claimed
    assert services.rate_batches(now=NOW + timedelta(seconds=21)) == 1
    assert Charge.objects.count() == 1


def test_a_worker_that_dies_every_time_does_not_hold_up_the_queue():
    batch = waiting(used(RateFactory(), subscriber()))
    UdrBatch.objects.update(attempts=5)
    assert services.rate_batches(now=NOW) == 1
    batch.refresh_from_db()
    assert batch.status == "errored"
    assert "died" in batch.error


# Reversal


def test_superseded_batches_are_reversed_exactly_and_given_back():
    rate = graduated()
    flat = RateFactory(group=rate.group, price=Decimal("0.00000000007"))
    BucketFactory(plan=rate.group.plan, size=30, usage_classes=[flat.usage_class])
    owner = subscriber(rate.group.plan)
    kept = waiting(used(rate, owner, 40), used(flat, owner, 10))
    replaced = waiting(
        used(rate, owner, 100), used(flat, owner, 33), {"usage_class": rate.usage_class, "identifier": "555"}
    )
    rate_all()
    before = Charge.objects.count()
    UdrBatch.objects.filter(pk=replaced.pk).update(status="superseded", attempts=0)
    rate_all()
    replaced.refresh_from_db()
    assert replaced.status == "reversed"
    assert Charge.objects.count() == before + 2
    of_replaced = Charge.objects.filter(udr_id__gte=replaced.pk << 17)
    assert of_replaced.aggregate(
        amount=Sum("amount"), quantity=Sum("quantity"), rated=Sum("rated_quantity"), bucket=Sum("bucket_quantity")
    ) == {"amount": 0, "quantity": 0, "rated": 0, "bucket": 0}
    assert all(charge.pk % 4096 == 1 for charge in of_replaced.filter(kind="reversal"))
    assert (Counter.objects.get().position, BucketGrant.objects.get().used) == (40, 10)
    assert RatingException.objects.get().status == "superseded"
    assert UdrBatch.objects.get(pk=kept.pk).status == "rated"


def test_a_batch_superseded_before_it_was_rated_is_never_charged():
    rate = RateFactory()
    batch = waiting(used(rate, subscriber(rate.group.plan)), status="superseded")
    rate_all()
    batch.refresh_from_db()
    assert (batch.status, Charge.objects.count()) == ("reversed", 0)


def test_a_reversal_that_keeps_crashing_goes_on_as_a_reversal_when_it_is_retried():
    rate = RateFactory()
    batch = waiting(used(rate, subscriber(rate.group.plan)))
    rate_all()
    UdrBatch.objects.update(status="superseded", attempts=0)
    with patch("rating.store.take_off_grants", side_effect=RuntimeError("no")):
        rate_all()
    batch.refresh_from_db()
    assert batch.status == "errored"
    services.retry_batches(batches=UdrBatch.objects.all(), by=None, now=NOW)
    rate_all()
    batch.refresh_from_db()
    assert batch.status == "reversed"
    assert sum(amounts()) == 0


def test_charges_of_a_closed_period_are_reversed_in_the_earliest_open_one():
    rate = graduated()
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner, 50))
    rate_all()
    may = may_of(owner.service.account)
    services.close_period(period=may, by=None, now=NOW)
    UdrBatch.objects.update(status="superseded", attempts=0)
    rate_all()
    reversal = Charge.objects.get(kind="reversal")
    assert reversal.period.starts_at == may.ends_at
    assert (reversal.date, reversal.amount) == (MAY, Decimal(-15))
    # It is counted where its charge was, and takes the tiers of the open period from nobody.
    assert (reversal.counting_period_id, Counter.objects.get(period_id=may.pk).position) == (may.pk, 0)


# Rerate and write off


def test_exceptions_are_charged_once_their_cause_is_mended():
    rate = RateFactory()
    owner = subscriber()
    waiting(used(rate, owner), used(rate, owner), {"usage_class": rate.usage_class, "identifier": "555"})
    rate_all()
    assert UdrBatch.objects.get().uncharged_count == 3
    Account.objects.update(rate_plan=rate.group.plan)
    later = NOW + timedelta(days=1)
    assert services.rerate_exceptions(exceptions=RatingException.objects.all(), by=None, now=later) == 2
    assert RatingException.objects.filter(status="resolved", closed_at=later).count() == 2
    left = RatingException.objects.get(status="open")
    assert (left.cause, left.attempts, left.last_tried_at) == ("no_identifier_match", 2, later)
    assert (Charge.objects.count(), UdrBatch.objects.get().uncharged_count) == (2, 1)
    with pytest.raises(services.UnableToRerate):
        services.rerate_exceptions(exceptions=RatingException.objects.exclude(status="open"), by=None, now=later)


def test_an_exception_with_another_cause_now_says_so():
    rate = RateFactory()
    owner = subscriber()
    waiting({"usage_class": rate.usage_class, "identifier": "555"})
    rate_all()
    ServiceIdentifierFactory(service=owner.service, identifier="555")
    assert services.rerate_exceptions(exceptions=RatingException.objects.all(), by=None, now=NOW) == 0
    assert (only_exception().cause, only_exception().account) == ("no_rate_plan", owner.service.account)


def test_a_write_off_needs_a_reason_and_is_final():
    waiting({"usage_class": RateFactory().usage_class, "identifier": "555"})
    rate_all()
    everything = RatingException.objects.all()
    with pytest.raises(services.UnableToWriteOff, match="reason"):
        services.write_off_rating_exceptions(exceptions=everything, reason=" ", by=None, now=NOW)
    assert services.write_off_rating_exceptions(exceptions=everything, reason="a test call", by=None, now=NOW) == 1
    assert RatingException.objects.get().close_reason == "a test call"
    with pytest.raises(services.UnableToRerate):
        services.rerate_exceptions(exceptions=everything, by=None, now=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        everything.update(close_reason="")


def test_services_ask_for_the_permission():
    nobody = User.objects.create_user("nobody")
    with pytest.raises(PermissionDenied):
        services.rerate_exceptions(exceptions=RatingException.objects.all(), by=nobody, now=NOW)
    with pytest.raises(PermissionDenied):
        services.write_off_rating_exceptions(exceptions=RatingException.objects.all(), reason="x", by=nobody, now=NOW)
    with pytest.raises(PermissionDenied):
        services.close_period(period=BillingPeriod(), by=nobody, now=NOW)
    with pytest.raises(PermissionDenied):
        services.retry_batches(batches=UdrBatch.objects.all(), by=nobody, now=NOW)


# Closing


def test_usage_of_a_closed_period_is_charged_in_the_earliest_open_one_and_keeps_its_date():
    rate = RateFactory()
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner))
    rate_all()
    may = may_of(owner.service.account)
    services.close_period(period=may, by=None, now=NOW)
    waiting(used(rate, owner), used(rate, owner, date=MAY - timedelta(days=60)))
    rate_all()
    late = Charge.objects.exclude(period=may).order_by("date")
    assert [charge.period.starts_at for charge in late] == [may.ends_at] * 2
    assert [charge.date for charge in late] == [MAY - timedelta(days=60), MAY]


def test_a_statement_adds_up_exactly_open_and_closed():
    rate = RateFactory(price=Decimal("0.00333333333"))
    other = RateFactory(group=rate.group, price=Decimal("0.005"))
    owner = subscriber(rate.group.plan)
    replaced = waiting(used(rate, owner, 1), used(other, owner, 1))
    waiting(used(rate, owner, 1), used(rate, owner, 2), used(other, owner, 1))
    rate_all()
    UdrBatch.objects.filter(pk=replaced.pk).update(status="superseded", attempts=0)
    rate_all()
    period = may_of(owner.service.account)
    draft = services.statement_of(period=period)
    issued = services.close_period(period=period, by=None, now=NOW)
    closed = services.statement_of(period=period)
    assert (draft.number, closed.number, issued.number) == ("", "00000001", 1)
    seen = [(line.usage_class, line.record_count, line.amount, line.line_amount) for line in closed.lines]
    assert seen == [(line.usage_class, line.record_count, line.amount, line.line_amount) for line in draft.lines]
    assert {line[1:] for line in seen} == {
        (2, Decimal("0.00999999999"), Decimal("0.01")),
        (1, Decimal("0.005"), Decimal("0.01")),
    }
    assert issued.amount == Charge.objects.aggregate(total=Sum("amount"))["total"]
    assert (issued.subtotal, issued.tax_total, issued.total) == (Decimal("0.02"), 0, Decimal("0.02"))
    assert StatementLine.objects.count() == 2


def test_a_period_is_not_closed_before_its_time():
    rate = RateFactory()
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner), used(rate, owner, date=JUNE), used(rate, owner, date=NOW))
    rate_all()
    may, june, july = BillingPeriod.objects.order_by("starts_at")
    with pytest.raises(services.UnableToClosePeriod, match="not over"):
        services.close_period(period=july, by=None, now=NOW)
    with pytest.raises(services.UnableToClosePeriod, match="first"):
        services.close_period(period=june, by=None, now=NOW)
    for status in ("staged", "mediated", "superseded", "errored"):
        UdrBatch.objects.update(status=status)
        with pytest.raises(services.UnableToClosePeriod, match="wait"):
            services.close_period(period=may, by=None, now=NOW)
    UdrBatch.objects.update(status="rated")
    services.close_period(period=may, by=None, now=NOW)
    with pytest.raises(services.UnableToClosePeriod, match="was closed"):
        services.close_period(period=may, by=None, now=NOW)


def test_charges_by_account_adds_up():
    rate = RateFactory(price=2)
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner, 3), used(rate, owner, 4))
    rate_all()
    account = owner.service.account
    assert selectors.charges_by_account() == [
        {"number": account.number, "name": account.name, "currency": "EUR", "record_count": 2, "total": Decimal(14)}
    ]


def test_a_batch_that_never_counted_is_not_charged_when_its_parked_reversal_is_retried():
    rate = RateFactory()
    batch = waiting(used(rate, subscriber(rate.group.plan)))
    swap_batches(import_id=batch.import_id, replaced_ids=[batch.pk])
    # Its workers died five times over.
    UdrBatch.objects.filter(status="superseded").update(attempts=5)
    rate_all()
    services.retry_batches(batches=UdrBatch.objects.all(), by=None, now=NOW)
    rate_all()
    batch.refresh_from_db()
    assert (batch.status, Charge.objects.count()) == ("reversed", 0)


def test_what_is_unfinished_and_what_is_ready_is_found_by_an_index():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for batches in (selectors.batches_unfinished(), selectors.batches_waiting(NOW)):
        assert "udr_batch_unfinished" in batches.explain()
