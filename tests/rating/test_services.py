"""Rating on a real PostgreSQL: every cause of an exception, positions across batches, reversal, closing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from mediation.models import Udr, UdrBatch
from mediation.services import swap_batches
from rating import selectors, services
from rating.models import (
    Account,
    BillingPeriod,
    BucketDraw,
    BucketGrant,
    Charge,
    Counter,
    RatingException,
    ServiceIdentifier,
    StatementLine,
)

from .factories import (
    JUNE,
    LONG_AGO,
    MAY,
    NOW,
    AccountFactory,
    BucketFactory,
    RateFactory,
    RateGroupFactory,
    RatePlanFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    graduated,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db


def rate_all(now=NOW):
    while services.rate_batches(now=now):
        now += timedelta(minutes=1)


def amounts():
    return list(Charge.objects.order_by("id").values_list("amount", flat=True))


def only_exception():
    exception = RatingException.objects.get()
    assert exception.status == "open"
    assert Charge.objects.count() == 0
    return exception


def may_of(account):
    return BillingPeriod.objects.get(account=account, starts_at=datetime(2026, 4, 30, 22, tzinfo=UTC))


# Charges


def test_a_charge_says_how_it_came_about():
    rate = RateFactory(price=Decimal("0.12345678901"), minimum=60, increment=6)
    owner = subscriber(rate.group.plan)
    batch = waiting(used(rate, owner, "61.5"))
    rate_all()
    charge = Charge.objects.get()
    assert (charge.id, charge.kind, charge.udr_id) == (batch.pk << 29, "charge", batch.pk << 17)
    assert (charge.account, charge.service, charge.service_identifier) == (
        owner.service.account,
        owner.service,
        owner,
    )
    assert (charge.plan, charge.version.number, charge.rate) == (rate.plan, 1, rate.row)
    assert (charge.quantity, charge.rated_quantity) == (Decimal("61.5"), Decimal("66"))
    assert (charge.amount, charge.currency) == (Decimal("8.14814807466"), "EUR")
    assert charge.period == may_of(owner.service.account)
    batch.refresh_from_db()
    assert (batch.status, batch.finished_at is not None, batch.claimed_until) == ("rated", True, None)


def test_a_billing_period_is_a_calendar_month_in_the_zone_of_the_account():
    rate = RateFactory()
    owner = subscriber(rate.group.plan, time_zone="America/New_York")
    waiting(used(rate, owner, date=datetime(2026, 4, 1, 3, 59, tzinfo=UTC)))
    rate_all()
    period = BillingPeriod.objects.get()
    assert period.starts_at == datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert period.ends_at == datetime(2026, 4, 1, 4, tzinfo=UTC)


def test_the_amount_of_the_record_is_passed_through():
    rate = RateFactory(model="pass_through", price=None)
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner, 7, amount=Decimal("-0.00000000123"), currency="EUR"))
    rate_all()
    assert amounts() == [Decimal("-0.00000000123")]


def test_the_lowest_plan_wins():
    service_rate = RateFactory(price=1)
    usage_class = service_rate.usage_class
    account_rate, parent_rate, default_rate = (
        RateFactory(usage_class=usage_class, price=price, group__plan=RatePlanFactory(is_default=price == 4))
        for price in (2, 3, 4)
    )
    above = AccountFactory(rate_plan=parent_rate.group.plan)
    owners = [
        ServiceIdentifierFactory(
            service__rate_plan=service_rate.group.plan, service__account__rate_plan=account_rate.group.plan
        ),
        ServiceIdentifierFactory(service__account__rate_plan=account_rate.group.plan),
        ServiceIdentifierFactory(service__account__parent=AccountFactory(parent=above)),
        ServiceIdentifierFactory(service__account__parent=AccountFactory(parent=AccountFactory())),
        ServiceIdentifierFactory(),
    ]
    waiting(*(used(service_rate, owner) for owner in owners))
    rate_all()
    assert amounts() == [1, 2, 3, 4, 4]
    assert default_rate.group.plan.is_default


def test_groups_are_searched_top_down_and_the_first_with_a_matching_rate_wins():
    plan = RatePlanFactory()
    usage_class = UsageClassFactory()
    RateFactory(
        group=RateGroupFactory(plan=plan, position=1, ends_at=LONG_AGO + timedelta(days=1)), usage_class=usage_class
    )
    RateFactory(group=RateGroupFactory(plan=plan, position=2, condition="Value > 5"), usage_class=usage_class)
    RateFactory(group=RateGroupFactory(plan=plan, position=3))  # of another class
    third = RateFactory(group=RateGroupFactory(plan=plan, position=4), usage_class=usage_class, price=4)
    RateFactory(group=RateGroupFactory(plan=plan, position=5), usage_class=usage_class, price=5)
    waiting(used(third, subscriber(plan)))
    rate_all()
    assert amounts() == [4]


def test_the_class_says_which_identifier_pays():
    rate = RateFactory(usage_class__paid_by="terminating")
    owner = subscriber(rate.group.plan)
    waiting({"usage_class": rate.usage_class, "identifier": "nobody", "terminating_identifier": owner.identifier})
    rate_all()
    assert Charge.objects.get().service == owner.service


def test_usage_goes_to_whoever_owned_the_identifier_then():
    rate = RateFactory()
    plan = rate.group.plan
    first, second = subscriber(plan), ServiceFactory(account__rate_plan=plan)
    ServiceIdentifier.objects.filter(pk=first.pk).update(ends_at=MAY)
    ServiceIdentifierFactory(service=second, identifier=first.identifier, starts_at=MAY)
    waiting(used(rate, first, date=MAY - timedelta(microseconds=1)), used(rate, first, date=MAY))
    rate_all()
    assert list(Charge.objects.order_by("id").values_list("service_id", flat=True)) == [first.service_id, second.pk]


def test_two_services_cannot_own_an_identifier_at_one_moment():
    owner = ServiceIdentifierFactory(ends_at=MAY)
    ServiceIdentifierFactory(identifier=owner.identifier, starts_at=MAY)
    with pytest.raises(IntegrityError, match="service_identifier_one_owner"), transaction.atomic():
        ServiceIdentifierFactory(identifier=owner.identifier, starts_at=MAY - timedelta(seconds=1), ends_at=MAY)


# The seven causes


def test_an_identifier_that_no_service_has_is_an_exception_for_that():
    rate = RateFactory()
    waiting({"usage_class": rate.usage_class, "identifier": "555"})
    rate_all()
    exception = only_exception()
    assert exception.cause == "no_identifier_match"
    assert "“555”" in exception.message
    assert (exception.identifier, exception.account, exception.value) == ("555", None, 1)


def test_a_record_without_the_paying_identifier_is_an_exception_too():
    waiting({"usage_class": RateFactory().usage_class, "originating_identifier": "555"})
    rate_all()
    exception = only_exception()
    assert exception.cause == "no_identifier_match"
    assert "no usage identifier" in exception.message


@pytest.mark.parametrize("late_part", ["identifier", "service"])
def test_usage_outside_an_identifiers_time_is_an_exception_for_that(late_part):
    rate = RateFactory()
    owner = subscriber(rate.group.plan)
    late = owner if late_part == "identifier" else owner.service
    late.starts_at = MAY + timedelta(seconds=1)
    late.save()
    waiting(used(rate, owner))
    rate_all()
    exception = only_exception()
    assert exception.cause == "identifier_not_valid_at_date"
    assert "2026-05-10 12:00:00 UTC" in exception.message


def test_no_plan_at_any_level_is_an_exception_for_that():
    owner = subscriber()
    waiting(used(RateFactory(), owner))
    rate_all()
    exception = only_exception()
    assert exception.cause == "no_rate_plan"
    assert owner.service.account.number in exception.message
    assert exception.service == owner.service


def test_no_group_in_the_currency_is_an_exception_for_that():
    rate = RateFactory(group__currency="USD")
    waiting(used(rate, subscriber(rate.group.plan)))
    rate_all()
    exception = only_exception()
    assert exception.cause == "no_rate_group"
    assert "EUR" in exception.message


def test_a_plan_without_any_group_is_an_exception_for_that():
    waiting(used(RateFactory(), subscriber(RatePlanFactory())))
    rate_all()
    assert only_exception().cause == "no_rate_group"


def test_no_rate_for_the_class_is_an_exception_for_that():
    usage_class = UsageClassFactory(name="Data_1")
    owner = subscriber(RateFactory().group.plan)
    waiting({"usage_class": usage_class, "identifier": owner.identifier})
    rate_all()
    exception = only_exception()
    assert exception.cause == "no_rate"
    assert "Data_1" in exception.message


def test_usage_after_the_final_bill_is_an_exception_for_that():
    rate = RateFactory()
    owner = subscriber(rate.group.plan, closed_at=NOW - timedelta(days=1))
    waiting(used(rate, owner))
    rate_all()
    assert only_exception().cause == "final_bill_issued"


def test_a_class_that_is_gone_is_a_system_error():
    rate = RateFactory()
    batch = waiting(used(rate, subscriber(rate.group.plan)))
    Udr.objects.update(usage_class_id=999_999)
    rate_all()
    assert only_exception().cause == "system_error"
    batch.refresh_from_db()
    assert batch.status == "rated"


@pytest.mark.parametrize(
    ("brought", "cause", "named"),
    [
        ({}, "no_rate", "amount"),
        ({"amount": Decimal(1)}, "no_rate_group", "no currency"),
        ({"amount": Decimal(1), "currency": "USD"}, "no_rate_group", "USD"),
    ],
)
def test_a_pass_through_without_fitting_money_is_an_exception(brought, cause, named):
    rate = RateFactory(model="pass_through", price=None)
    waiting(used(rate, subscriber(rate.group.plan), **brought))
    rate_all()
    exception = only_exception()
    assert exception.cause == cause
    assert named in exception.message


def test_usage_above_a_bounded_last_tier_is_an_exception_and_moves_nobody_else():
    rate = graduated(tiers=[(10, "1"), (20, "0.5")])
    owner = subscriber(rate.group.plan)
    values = [15, 6, 5, 1]
    waiting(*(used(rate, owner, value, date=MAY + timedelta(hours=n)) for n, value in enumerate(values)))
    rate_all()
    assert amounts() == [Decimal("12.5"), Decimal("2.5")]
    assert [exception.value for exception in RatingException.objects.order_by("id")] == [6, 1]
    assert "20" in RatingException.objects.first().message
    assert Counter.objects.get().position == 20


# Positions and balances


def test_tiers_go_on_in_the_next_batch():
    rate = graduated()
    owner = subscriber(rate.group.plan)
    for value in (60, 60, 60):
        waiting(used(rate, owner, value))
        rate_all()
    assert amounts() == [Decimal(18), Decimal(14), Decimal(6)]
    assert Counter.objects.get().position == 180
    assert list(Charge.objects.order_by("id").values_list("tier_position", flat=True)) == [0, 60, 120]


def test_tiers_begin_anew_in_each_period_and_for_each_service():
    rate = graduated()
    owner, other = subscriber(rate.group.plan), subscriber(rate.group.plan)
    waiting(used(rate, owner, 100), used(rate, owner, 100, date=JUNE), used(rate, other, 100))
    rate_all()
    assert amounts() == [30, 30, 30]


def test_an_allowance_is_drawn_across_batches_before_anything_is_charged():
    rate = RateFactory(price=1)
    BucketFactory(plan=rate.group.plan, size=100, usage_classes=[rate.usage_class])
    owner = subscriber(rate.group.plan)
    for value in (60, 60, 60):
        waiting(used(rate, owner, value))
        rate_all()
    assert amounts() == [0, 20, 60]
    assert list(Charge.objects.order_by("id").values_list("bucket_quantity", flat=True)) == [60, 40, 0]
    assert BucketGrant.objects.get().used == 100
    draws = BucketDraw.objects.order_by("charge_id").values_list("kind", "quantity", "left")
    assert list(draws) == [("draw", 60, 40), ("draw", 40, 0)]


def test_batches_rated_together_are_rated_in_order_of_date():
    rate = graduated()
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner, 80, date=MAY + timedelta(hours=1)))
    waiting(used(rate, owner, 80, date=MAY))
    rate_all()
    assert list(Charge.objects.order_by("date").values_list("tier_position", flat=True)) == [0, 80]


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
