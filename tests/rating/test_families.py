"""What the accounts of a family share, charged in batches of their own: sizes and tiers follow what all used."""

from decimal import Decimal

import pytest
from django.db.models import Sum

from rating import services
from rating.models import BillingPeriod, BucketGrant, Charge, Counter, Rate, RepricedAccount

from .factories import (
    JUNE,
    LONG_AGO,
    MAY,
    NOW,
    AccountFactory,
    RatePlanFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    activate,
    waiting,
)

pytestmark = pytest.mark.django_db

TIERS = [{"up_to": "10", "price": "1"}, {"price": "0.5"}]


@pytest.fixture
def classes():
    return {name: UsageClassFactory(name=name) for name in ("voice", "data")}


def plan_with(data, **said):
    plan = RatePlanFactory()
    voice = {"usage_class": "voice", "model": "per_unit", "price": "0"}
    groups = [{"name": "all", "rates": [voice, {"usage_class": "data", **data}]}]
    activate(plan, {"name": plan.name, "currency": "EUR", "groups": groups, **said})
    return plan


def family(plan):
    """A topmost account and two below it, with a service each."""
    top = AccountFactory(rate_plan=plan)
    accounts = [top, AccountFactory(parent=top), AccountFactory(parent=top, time_zone="America/New_York")]
    return [ServiceIdentifierFactory(service=ServiceFactory(account=account)) for account in accounts]


def use(usage_class, owner, value, date=MAY):
    waiting({"usage_class": usage_class, "identifier": owner.identifier, "value": value, "date": date})
    while services.rate_batches(now=NOW):
        pass


def owed():
    return Charge.objects.aggregate(total=Sum("amount"))["total"]


def test_a_familys_bucket_follows_what_accounts_used_that_are_charged_in_other_batches(classes):
    follows = {"usage_class": "voice", "factor": "2"}
    bucket = {"name": "with voice", "usage_classes": ["data"], "shared": "family", "follows": follows}
    plan = plan_with({"model": "per_unit", "price": "1"}, buckets=[bucket])
    top, second, third = family(plan)
    use(classes["voice"], top, 3)
    use(classes["voice"], second, 4)
    use(classes["voice"], second, 100, JUNE)
    use(classes["data"], third, 20)
    grant = BucketGrant.objects.get()
    assert (grant.account, grant.granted, grant.used) == (top.service.account, 14, 14)
    assert owed() == 6


def test_a_familys_tier_is_chosen_by_what_accounts_used_that_are_charged_in_other_batches(classes):
    rate = {"model": "volume", "tiers": TIERS, "tier_by": "voice", "counting": {"per": "family"}}
    _, second, third = family(plan_with(rate))
    use(classes["voice"], second, 11)
    use(classes["data"], third, 6)
    assert owed() == 3


def test_other_families_change_nothing(classes):
    rate = {"model": "volume", "tiers": TIERS, "tier_by": "voice", "counting": {"per": "family"}}
    plan = plan_with(rate)
    use(classes["voice"], family(plan)[1], 11)
    use(classes["data"], family(plan)[2], 6)
    assert owed() == 6


def test_closing_one_account_puts_the_whole_family_in_order(classes):
    rate = {"model": "graduated", "tiers": TIERS, "counting": {"per": "family"}}
    _, second, third = family(plan_with(rate))
    use(classes["data"], second, 8, MAY.replace(day=20))
    use(classes["data"], third, 8)
    period = BillingPeriod.objects.get(account=third.service.account)
    services.close_period(period=period, by=None, now=NOW)
    amounts = Charge.objects.values("service").annotate(total=Sum("amount")).order_by("service")
    assert [each["total"] for each in amounts] == [Decimal(5), Decimal(8)]
    other = BillingPeriod.objects.get(account=second.service.account)
    services.close_period(period=other, by=None, now=NOW)
    assert owed() == 13


def test_a_rerate_shows_of_a_family_what_it_then_changes(classes, monkeypatch):
    monkeypatch.setattr("rating.services.rerating.ACCOUNTS_AT_ONCE", 1)
    rate = {"model": "graduated", "tiers": TIERS, "counting": {"per": "family"}}
    plan = plan_with(rate)
    for nth, owner in enumerate(family(plan)):
        use(classes["data"], owner, 8, MAY.replace(day=20 - nth))
    dearer = {"usage_class": "data", **rate, "tiers": [{"up_to": "10", "price": "2"}, {"price": "0.25"}]}
    groups = [{"name": "all", "rates": [dearer]}]
    activate(plan, {"name": plan.name, "currency": "EUR", "groups": groups}, starts_at=LONG_AGO.replace(year=2021))
    asked = services.propose_rerate(filters={}, reason="dearer", by=None, now=NOW)
    work_off()
    shown = list(RepricedAccount.objects.order_by("account").values_list("before", "after"))
    services.apply_rerate(asked=asked, by=None, now=NOW)
    work_off()
    assert list(RepricedAccount.objects.order_by("account").values_list("before", "after")) == shown
    assert owed() == sum(after for _, after in shown) == Decimal(20) + Decimal("3.5")


def work_off():
    while services.reprice_waiting(now=NOW):
        pass


def test_a_rerate_takes_usage_off_a_counter_that_never_restarts(classes):
    rate = {"model": "graduated", "tiers": TIERS, "counting": {"restarts": "never"}}
    plan = plan_with(rate)
    owner = ServiceIdentifierFactory(service=ServiceFactory(account=AccountFactory(rate_plan=plan)))
    use(classes["data"], owner, 8)
    assert Counter.objects.get().position == 8
    voice = {"usage_class": "voice", "model": "per_unit", "price": "0"}
    flat = {"usage_class": "data", "name": "flat", "model": "per_unit", "price": "2"}
    old = {"usage_class": "data", **rate}
    groups = [{"name": "first", "rates": [flat]}, {"name": "all", "rates": [voice, old]}]
    activate(plan, {"name": plan.name, "currency": "EUR", "groups": groups}, starts_at=LONG_AGO.replace(year=2021))
    asked = services.propose_rerate(filters={}, reason="flat now", by=None, now=NOW)
    work_off()
    services.apply_rerate(asked=asked, by=None, now=NOW)
    work_off()
    assert owed() == 16
    moved = Counter.objects.filter(rate=Rate.objects.get(plan=plan, group="all", name="data"))
    assert list(moved.values_list("position", "level")) in ([], [(0, 0)])
