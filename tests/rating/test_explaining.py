"""Charges explained on a real PostgreSQL: who pays, why this rate, the counter, and amounts that add up."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied

from mediation.models import Udr, UdrBatch
from rating import services
from rating.core.costs import EXACT
from rating.models import BillingPeriod, Charge, ClassTaxCategory, Jurisdiction, Package, TaxCode, TaxExemption, TaxPart
from rating.services.explaining import explain_charge

from .factories import (
    JUNE,
    LONG_AGO,
    MAY,
    NOW,
    AccountFactory,
    BucketFactory,
    RateFactory,
    RatePlanFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    activate,
    graduated,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def rate_all(now=NOW):
    while services.rate_batches(now=now):
        now += timedelta(minutes=1)


def explained(charge):
    return explain_charge(charge=charge, by=None)


def total(explanation):
    """What the steps of the price add up to."""
    facts = [fact for chapter in explanation.chapters if chapter.name == "price" for fact in chapter.facts]
    with localcontext(EXACT):
        return sum((fact.amount for fact in facts if fact.amount is not None), Decimal(0))


def told(explanation, name):
    return [fact.text for chapter in explanation.chapters if chapter.name == name for fact in chapter.facts]


def assert_all_add_up():
    charges = list(Charge.objects.order_by("id"))
    assert charges
    for charge in charges:
        assert total(explained(charge)) == charge.amount, charge
    return charges


def test_a_graduated_charge_is_told_from_its_identifier_to_its_statement():
    rate = graduated(minimum="60", increment="6")
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner, "61.5"), used(rate, owner, "80", date=MAY + timedelta(hours=1)))
    rate_all()
    _, charge = assert_all_add_up()
    answer = explained(charge)
    account, service = owner.service.account, owner.service
    assert told(answer, "payer")[:2] == [
        f"Class “{rate.usage_class}” is paid by the UDR usage identifier: “{owner.identifier}”.",
        f"“{owner.identifier}” belonged to service {service} from 2020-01-01 00:00:00 UTC with no end, so also when "
        "the usage happened.",
    ]
    assert told(answer, "plan") == [
        f"The service {service} has no plan.",
        "It came with no package.",
        f"The account {account} has plan {rate.plan}.",
    ]
    assert told(answer, "counter") == [
        f"Usage of the service {service} counts together; the counter starts again with each billing period.",
        "Before this record: 66 priced.",
        "After it: 150 priced.",
    ]
    assert told(answer, "price") == [
        "Tier 1 (up to 100): 34 x 0.3 = 10.2.",
        "Tier 2 (above 100): 50 x 0.1 = 5.",
        "Charged: 15.2.",
    ]
    assert told(answer, "statement") == [
        f"The period 2026-05 is open. The draft of its statement has it in the line “{rate.row}”, tiers 1 to 2."
    ]
    assert [bar.place for bar in answer.picture.record] == [1, 2]
    assert answer.picture.tiers[0].width == "500.00"


MODELS = {
    "per unit": {"price": "0.12345678901", "per": "7", "minimum": "60", "increment": "6", "connect_fee": "0.05"},
    "volume": {"model": "volume", "tiers": [{"up_to": "100", "price": "0.3"}, {"up_to": None, "price": "0.1"}]},
    "package": {"model": "package", "price": "3", "size": "50"},
    "free units": {"price": "0.1", "free_units": "100"},
    "sum": {"price": "0.1", "aggregation": {"function": "sum"}, "increment": "60"},
    "latest": {"price": "0.1", "aggregation": {"function": "latest"}},
    "weighted": {"price": "0.1", "aggregation": {"function": "weighted_sum"}},
    "highest day": {"price": "0.1", "aggregation": {"function": "sum", "within": "day", "then": "max"}},
    "different": {"price": "0.1", "aggregation": {"function": "unique_count", "of": "Extensions.who"}},
    "percentage": {"model": "percentage", "percent": "2.5", "fixed": "0.1", "free_records": 1, "free_amount": "100"},
    "graduated percentage": {
        "model": "graduated_percentage",
        "tiers": [{"up_to": "50", "percent": "3"}, {"up_to": None, "percent": "1"}],
    },
    "matrix": {
        "model": "matrix",
        "fields": ["Extensions.who"],
        "prices": [{"values": ["a"], "price": "1"}],
        "default_price": "2",
    },
    "of the account": {"price": "0.1", "free_units": "100", "counting": {"per": "account"}},
    "each day": {"price": "0.1", "free_units": "50", "counting": {"restarts": "day"}},
    "for ever": {"price": "0.1", "free_units": "150", "counting": {"restarts": "never"}},
}


def test_the_steps_of_every_model_add_up_also_where_usage_came_late():
    classes = {name: UsageClassFactory(name=name) for name in MODELS}
    plan = RatePlanFactory()
    rates = [{"usage_class": name, "model": "per_unit", **said} for name, said in MODELS.items()]
    activate(plan, {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": rates}]})
    owner = subscriber(plan)
    came = [(2, "61.5", "a"), (0, "80", "b"), (1, "99", "a")]
    for later, (days, value, who) in enumerate(came):
        record = {"identifier": owner.identifier, "value": value, "date": MAY + timedelta(days=days)}
        money = {"amount": Decimal("40.10"), "currency": "EUR", "extensions": {"who": who}}
        waiting(*({"usage_class": each, **record, **money} for each in classes.values()))
        rate_all(NOW + timedelta(hours=later))
    for charge in (before := list(Charge.objects.all())):
        answer = explained(charge)
        assert answer.reckoning.is_whole, charge
        assert total(answer) == charge.amount
    services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW + timedelta(days=1))
    corrected = Charge.objects.exclude(pk__in=[charge.pk for charge in before])
    assert corrected
    for charge in corrected:
        answer = explained(charge)
        assert answer.reckoning.is_whole, charge
        assert total(answer) == charge.amount


def test_draws_of_units_and_money_are_told_with_what_was_left():
    rate = RateFactory(price="0.10", increment="6")
    BucketFactory(rate.plan, "100", [rate.usage_class], name="minutes", tiers=[{"up_to": None, "price": "0.01"}])
    BucketFactory(rate.plan, "3", [rate.usage_class], name="credit", of="money", shared="account")
    owner = subscriber(rate.plan)
    for hour, value in enumerate(("61", "50", "70")):
        waiting(used(rate, owner, value, date=MAY + timedelta(hours=hour)))
        rate_all(NOW + timedelta(hours=hour))
    _, second, third = assert_all_add_up()
    service, account = owner.service, owner.service.account
    assert told(explained(second), "buckets") == [
        f"34 drawn from “minutes” of {service}, granted from 2026-04-30 22:00:00 UTC; 0 left. That costs 0.34.",
        f"2.34 EUR drawn from “credit” of {account}, granted from 2026-04-30 22:00:00 UTC; 0 EUR left.",
    ]
    assert told(explained(third), "buckets") == ["Nothing was drawn from a bucket."]
    assert told(explained(second), "price")[-2:] == ["2.34 paid from buckets of money.", "Charged: 0."]


def test_a_record_that_was_split_is_explained_part_by_part():
    night = {"name": "night", "bands": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "ends": "06:00"}]}
    usage_class = UsageClassFactory(name="calls")
    plan = RatePlanFactory()
    group = {"name": "calls", "at_boundary": "split"}
    rates = [
        {"name": "night", "usage_class": "calls", "time_period": "night", "model": "percentage", "percent": "1"},
        {"name": "day", "usage_class": "calls", "model": "percentage", "percent": "2", "free_amount": "1"},
    ]
    said = {"name": plan.name, "currency": "EUR", "time_periods": [night], "groups": [{**group, "rates": rates}]}
    activate(plan, said)
    owner = subscriber(plan, time_zone="UTC")
    date = datetime(2026, 5, 10, 5, 50, tzinfo=UTC)
    udr = {"usage_class": usage_class, "identifier": owner.identifier, "value": "1800", "date": date}
    waiting({**udr, "amount": Decimal(10), "currency": "EUR"})
    rate_all()
    first, second = assert_all_add_up()
    assert [explained(each).reckoning.is_whole for each in (first, second)] == [True, True]
    assert told(explained(first), "price")[0] == "1 % of the amount 3.33333333333 = 0.0333333333333."
    assert told(explained(second), "rate")[1] == (
        "Rate “calls / night” comes before, but the usage is not in the time period “night”."
    )


def test_counters_of_families_and_tiers_chosen_by_another_class_are_told():
    plan, calls, texts = RatePlanFactory(), UsageClassFactory(name="calls"), UsageClassFactory(name="texts")
    tiers = [{"up_to": "3", "price": "1"}, {"up_to": None, "price": "0.5"}]
    rates = [
        {"usage_class": "calls", "model": "per_unit", "price": "1", "free_units": "5", "counting": {"per": "family"}},
        {"usage_class": "texts", "model": "volume", "tiers": tiers, "tier_by": "calls", "counting": {"per": "account"}},
    ]
    activate(plan, {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": rates}]})
    parent = AccountFactory(rate_plan=plan)
    owners = [ServiceIdentifierFactory(service__account=parent)]
    owners.append(ServiceIdentifierFactory(service__account=AccountFactory(parent=parent)))
    for hour, (owner, value) in enumerate(zip(owners, ("4", "3"), strict=True)):
        date = MAY + timedelta(hours=hour)
        at = {"identifier": owner.identifier, "date": date}
        waiting({"usage_class": calls, "value": value, **at}, {"usage_class": texts, "value": "2", **at})
        rate_all(NOW + timedelta(hours=hour))
    charges = assert_all_add_up()
    assert all(explained(charge).reckoning.is_whole for charge in charges)
    assert f"the accounts of the family {parent} counts together" in told(explained(charges[2]), "counter")[0]
    assert told(explained(charges[1]), "price")[0].startswith("All in tier 2 (above 3), chosen by 4 of “calls”")


@pytest.mark.parametrize(
    ("function", "of"), [("latest", "Value"), ("weighted_sum", "Value"), ("unique_count", "Extensions.who")]
)
def test_counters_that_carry_over_begin_where_the_last_period_ended(function, of):
    rate = RateFactory(price="0.1", aggregation={"function": function, "of": of, "carries_over": True})
    owner = subscriber(rate.plan)
    for later, (date, value, who) in enumerate([(MAY, "10", "a"), (JUNE, "4", "b"), (JUNE + DAY, "5", "a")]):
        waiting(used(rate, owner, value, date=date, extensions={"who": who}))
        rate_all(NOW + timedelta(hours=later))
    assert all(explained(charge).reckoning.is_whole for charge in assert_all_add_up())


# Who pays, and why this rate


def test_the_plan_is_told_by_precedence():
    rate = RateFactory(price="1")
    other = RatePlanFactory()
    package = Package.objects.create(name="Bundle", rate_plan=rate.plan)
    owner = subscriber(other)
    owner.service.package = package
    owner.service.save()
    waiting(used(rate, owner))
    rate_all()
    (charge,) = assert_all_add_up()
    assert told(explained(charge), "plan") == [
        f"The service {owner.service} has no plan.",
        f"Its package Bundle has plan {rate.plan}.",
    ]
    owner.service.rate_plan = other
    owner.service.save()
    assert told(explained(charge), "plan") == [
        f"The service {owner.service} has plan {other}.",
        f"When the usage was rated, plan {rate.plan} was found; what stands above is of today.",
    ]


@pytest.mark.parametrize("is_default", [False, True])
def test_the_plan_of_an_account_above_or_the_default_one_is_told(is_default):
    rate = RateFactory(price="1")
    rate.plan.is_default = is_default
    rate.plan.save()
    top = AccountFactory(rate_plan=None if is_default else rate.plan)
    owner = ServiceIdentifierFactory(service__account=AccountFactory(parent=top))
    waiting(used(rate, owner))
    rate_all()
    (charge,) = assert_all_add_up()
    last = (
        f"Usage in EUR that finds no other has plan {rate.plan}."
        if is_default
        else f"The account above, {top}, has plan {rate.plan}."
    )
    assert told(explained(charge), "plan")[-1] == last


def test_what_was_tried_before_the_rate_says_why_it_did_not_hold():
    usage_class, plan = UsageClassFactory(name="calls"), RatePlanFactory()
    rate = {"usage_class": "calls", "price": "1", "model": "per_unit"}
    groups = [
        {"name": "gone", "ends_at": "2026-01-01T00:00:00Z", "rates": [rate]},
        {"name": "roaming", "condition": "Extensions.country = 'SK'", "rates": [rate]},
        {"name": "data", "rates": [{**rate, "usage_class": "data"}]},
        {
            "name": "zones",
            "zone_by": "UdrUsageIdentifier",
            "rates": [
                {**rate, "name": "SK", "zone": "SK"},
                {**rate, "name": "big", "condition": "Value > 10"},
                {**rate, "name": "AT", "zone": "AT"},
            ],
        },
    ]
    zones = [{"name": "AT", "prefixes": ["43"]}, {"name": "SK", "prefixes": ["421"]}]
    UsageClassFactory(name="data")
    activate(plan, {"name": plan.name, "currency": "EUR", "groups": groups, "zones": zones})
    owner = subscriber(plan)
    waiting({"usage_class": usage_class, "identifier": owner.identifier, "value": "2"})
    rate_all()
    (charge,) = assert_all_add_up()
    assert told(explained(charge), "rate")[1:-1] == [
        "The longest prefix of its UdrUsageIdentifier is of zone “AT”.",
        "Group “gone” comes before, but it was valid only before 2026-01-01 00:00:00 UTC.",
        "Group “roaming” comes before, but its condition does not hold: Extensions.country = 'SK'.",
        "Group “data” comes before, but it has no rate for class “calls”.",
        "Rate “zones / big” comes before, but its condition does not hold: Value > 10.",
        "1 more rate comes before, of another zone or condition.",
    ]


def test_every_moment_is_told_in_utc_and_says_so():
    rate = RateFactory(price="1")
    owner = subscriber(rate.plan, time_zone="Asia/Tokyo")
    batch = waiting(used(rate, owner))
    rate_all()
    charge = Charge.objects.get()
    services.close_period(period=charge.period, by=None, now=NOW)
    UdrBatch.objects.filter(pk=batch.pk).update(status="superseded")
    rate_all(NOW + timedelta(hours=1))
    answer = explained(charge)
    texts = [fact.text for chapter in answer.chapters for fact in chapter.facts]
    moments = [text[found.start() :] for text in texts for found in re.finditer(r"\d{4}-\d\d-\d\d \d\d:\d\d", text)]
    assert len(moments) == 7
    assert [moment for moment in moments if not re.match(r"\S+ \S+ (UTC|in Asia/Tokyo)", moment)] == []
    assert told(answer, "payer")[-1] == (
        f"The usage happened at {charge.date:%Y-%m-%d %H:%M:%S} UTC, which is "
        f"{charge.date + timedelta(hours=9):%Y-%m-%d %H:%M:%S} in Asia/Tokyo."
    )
    assert f"was issued at {NOW:%Y-%m-%d %H:%M:%S} UTC." in told(answer, "statement")[0]


# Taken back, closed, corrected


def test_a_reversal_is_explained_by_the_charge_that_it_takes_back():
    rate = graduated()
    owner = subscriber(rate.plan)
    batch = waiting(used(rate, owner, "120"))
    rate_all()
    UdrBatch.objects.filter(pk=batch.pk).update(status="superseded")
    rate_all(NOW + timedelta(hours=1))
    charge, reversal = assert_all_add_up()
    assert told(explained(reversal), "price")[-1] == "Taken back: -32."
    assert told(explained(charge), "reversal")[0].startswith("This charge was taken back at ")
    assert told(explained(reversal), "reversal")[0].startswith("This takes back the charge of ")


def test_a_charge_whose_counter_has_changed_says_so_and_adds_up_all_the_same():
    rate = RateFactory(price="0.1", aggregation={"function": "max"}, connect_fee="0.25")
    owner = subscriber(rate.plan)
    waiting(used(rate, owner, "10"))
    rate_all()
    waiting(used(rate, owner, "30", date=MAY + timedelta(hours=1)))
    rate_all(NOW + timedelta(hours=1))
    Udr.objects.filter(value=10).delete()  # as if months of UDRs had been put away
    first, second = assert_all_add_up()
    assert not explained(second).reckoning.is_whole
    assert told(explained(second), "price")[0].startswith("Usage that shared its counter")
    assert told(explained(first), "payer")[0] == "The UDR is gone; the charge names its identifier."


def test_the_tax_and_the_line_are_told_of_the_draft_and_of_the_statement():
    rate = graduated(tiers=((10, "1"), (None, "0.5")))
    place = Jurisdiction.objects.create(name="AT")
    code = TaxCode.objects.create(jurisdiction=place, category="telecom", name="VAT", starts_at=LONG_AGO)
    TaxPart.objects.create(code=code, name="VAT", percent=20)
    ClassTaxCategory.objects.create(usage_class=rate.usage_class, category="telecom")
    owner = subscriber(rate.plan, jurisdiction=place)
    waiting(used(rate, owner, "12"))
    rate_all()
    charge = Charge.objects.get()
    assert told(explained(charge), "tax") == [
        "The account is taxed in AT.",
        "Category “telecom” is taxed by VAT: VAT 20 %; it is added, rounded by each statement line.",
    ]
    statement = services.close_period(period=charge.period, by=None, now=NOW)
    assert told(explained(charge), "statement")[1:] == [
        f"Line 1, “{rate.row}, tier 1”: 1 record, 10 rated, 10 exactly, 10 billed.",
        f"Line 2, “{rate.row}, tier 2”: 0 records, 2 rated, 1 exactly, 1 billed.",
    ]
    assert told(explained(charge), "tax") == [
        "VAT: VAT, 20 % of 10 on line 1: 2.",
        "VAT: VAT, 20 % of 1 on line 2: 0.2.",
    ]
    UdrBatch.objects.update(status="superseded")
    rate_all(NOW + timedelta(hours=1))
    reversal = Charge.objects.get(kind="reversal")
    assert told(explained(reversal), "statement")[0].startswith("It counts in 2026-05, which was closed")
    services.close_period(period=reversal.period, by=None, now=NOW + timedelta(days=90))
    lines = told(explained(reversal), "statement")
    assert f"a correction of statement {statement}" in lines[2]


@pytest.mark.parametrize(
    ("lacks", "why"),
    [
        ("place", "it has no jurisdiction, as neither the service nor the account had one."),
        ("category", "it has no tax category, as class “voice” had none."),
        ("codes", "AT has no tax codes."),
        ("duty", "the account is exempt (telecom, embassy 7)."),
    ],
)
def test_a_line_without_tax_says_why_after_it_was_issued(lacks, why):
    rate = RateFactory(price="1", usage_class=UsageClassFactory(name="voice"))
    place = Jurisdiction.objects.create(name="AT")
    owner = subscriber(rate.plan, jurisdiction=None if lacks == "place" else place)
    if lacks != "codes":
        code = TaxCode.objects.create(jurisdiction=place, category="telecom", name="VAT", starts_at=LONG_AGO)
        TaxPart.objects.create(code=code, name="VAT", percent=20)
    if lacks != "category":
        ClassTaxCategory.objects.create(usage_class=rate.usage_class, category="telecom")
    if lacks == "duty":
        exempt = {"category": "telecom", "certificate": "embassy 7", "starts_at": LONG_AGO}
        TaxExemption.objects.create(account=owner.service.account, **exempt)
    waiting(used(rate, owner, "12"))
    rate_all()
    charge = Charge.objects.get()
    services.close_period(period=charge.period, by=None, now=NOW)
    assert told(explained(charge), "tax") == [f"Its line bears no tax: {why}"]


def test_explaining_needs_the_permission_to_see_charges():
    rate = RateFactory()
    waiting(used(rate, subscriber(rate.plan)))
    rate_all()
    charge = Charge.objects.get()
    nobody = User.objects.create(username="nobody")
    with pytest.raises(PermissionDenied):
        explain_charge(charge=charge, by=nobody)
    nobody.user_permissions.add(Permission.objects.get(codename="view_charge"))
    assert explain_charge(charge=charge, by=User.objects.get(pk=nobody.pk)).charge == charge
