"""Rating on a real PostgreSQL: who pays, by which plan and rate, every cause of an exception, what goes on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from mediation.models import Udr
from rating.models import (
    BillingPeriod,
    BucketDraw,
    BucketGrant,
    Charge,
    Counter,
    RatingException,
    ServiceIdentifier,
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
from .outcomes import amounts, may_of, only_exception, rate_all

pytestmark = pytest.mark.django_db


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
