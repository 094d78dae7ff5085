"""Order of arrival changes no statement; rerates show what they would change, and change it once; what-ifs nothing."""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from random import Random

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Sum

from config.reconciling import RULES, differences
from mediation.models import UdrBatch
from rating import services
from rating.models import (
    BillingPeriod,
    BucketDraw,
    BucketGrant,
    Charge,
    Counter,
    RatingException,
    RepricedAccount,
    Repricing,
    Statement,
)

from .factories import (
    LONG_AGO,
    MAY,
    NOW,
    AccountFactory,
    RatePlanFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    activate,
    subscriber,
    waiting,
)

pytestmark = pytest.mark.django_db

PLAN = {
    "groups": [
        {
            "name": "all",
            "amount_precision": 4,
            "rates": [
                {"usage_class": "calls", "model": "graduated", "bounded": True,
                 "tiers": [{"up_to": "50", "price": "0.3333"}, {"up_to": "300", "price": "0.1"}]},
                {"usage_class": "data", "model": "per_unit", "price": "0.07"},
                {"usage_class": "seats", "model": "volume", "aggregation": {"function": "max"},
                 "tiers": [{"up_to": "10", "price": "5"}, {"price": "4", "flat": "3"}]},
                {"usage_class": "events", "model": "package", "size": "10", "price": "1.5"},
            ],
        }
    ],
    "buckets": [
        {"name": "small", "size": "20", "usage_classes": ["calls", "data"], "priority": 1},
        {"name": "shared", "size": "60", "usage_classes": ["data"], "shared": "account",
         "tiers": [{"up_to": "30"}, {"flat": "2"}]},
        {"name": "credit", "of": "money", "size": "7", "usage_classes": ["calls", "events"]},
    ],
    "commitments": [{"name": "floor", "kind": "minimum", "amount": "40"}],
}  # fmt: skip
CLASSES = ("calls", "data", "seats", "events")


def make_plan(said=PLAN, **changes):
    classes = {name: UsageClassFactory(name=name) for name in CLASSES}
    plan = RatePlanFactory()
    activate(plan, {"name": plan.name, "currency": "EUR", **said, **changes})
    return plan, classes


def draw_usage(seed, owners, classes, size=60):
    draw = Random(seed)
    return [
        {
            "usage_class": classes[draw.choice(CLASSES)],
            "identifier": draw.choice(owners).identifier,
            "value": Decimal(draw.randint(0, 2400)) / 100,
            "date": MAY + timedelta(minutes=draw.randint(0, 600)),
        }
        for _ in range(size)
    ]


def rate_all(now=NOW):
    moments = (now + timedelta(minutes=n) for n in count())
    while services.rate_batches(now=next(moments)) or services.settle_waiting(now=next(moments)):
        pass
    while services.reprice_waiting(now=next(moments)):
        pass


def bill(account):
    """The statement of May as everything that a customer sees of it."""
    services.close_period(period=BillingPeriod.objects.get(account=account), by=None, now=NOW)
    sheet = services.statement_of(period=BillingPeriod.objects.get(account=account))
    lines = [
        (line.kind, line.usage_class and line.usage_class.name, line.rate and line.rate.name, line.tier,
         line.record_count, line.quantity, line.rated_quantity, line.bucket_quantity, line.credit, line.amount)
        for line in sheet.lines
    ]  # fmt: skip
    grants = sorted(
        BucketGrant.objects.filter(account=account).values_list("bucket__name", "granted", "used", "service_id")
    )
    refused = sorted(RatingException.objects.filter(status="open").values_list("value", "udr_date", "cause"))
    return lines, sheet.total, [grant[:3] for grant in grants], refused


def assert_reconciled():
    # The UDRs of these tests were not mediated: what the other rooms promise of imports and keys is none of theirs.
    own = [rule for rule in RULES if "rating_" in rule.query]
    assert len(own) > 5
    assert [found for found in map(differences, own) if found] == []


def two_owners(plan):
    owner = subscriber(plan)
    other = ServiceIdentifierFactory(service=ServiceFactory(account=owner.service.account))
    return owner, other


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_statement_is_the_same_for_every_order_and_grouping_of_the_same_usage(seed):
    plan, classes = make_plan()
    bills = []
    for order in range(3):
        owners = two_owners(plan)
        usage = draw_usage(seed, owners, classes)
        if order:
            Random(order).shuffle(usage)
        grouped = [usage] if order == 0 else [usage[n : n + 7 * order] for n in range(0, len(usage), 7 * order)]
        for part in grouped:
            waiting(*part)
            rate_all()
        RatingException.objects.exclude(account=owners[0].service.account).update(status="superseded")
        bills.append(bill(owners[0].service.account))
        assert_reconciled()
    assert bills[0] == bills[1] == bills[2]
    assert bills[0][0]


def test_closing_prices_in_the_order_of_dates_what_came_in_another():
    plan, classes = make_plan(buckets=[], commitments=[])
    owner = subscriber(plan)
    used = {"usage_class": classes["calls"], "identifier": owner.identifier}
    waiting({**used, "value": 250, "date": MAY + timedelta(hours=1)})
    rate_all()
    waiting({**used, "value": 60, "date": MAY})
    rate_all()
    assert RatingException.objects.get(status="open").value == 60
    services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)
    standing = Charge.objects.filter(kind="charge").exclude(
        pk__in=[pk - 1 for pk in Charge.objects.filter(kind="reversal").values_list("pk", flat=True)]
    )
    assert [(charge.quantity, charge.tier_position) for charge in standing] == [(60, 0)]
    assert RatingException.objects.get(status="open").value == 250
    assert list(UdrBatch.objects.order_by("pk").values_list("uncharged_count", flat=True)) == [1, 0]
    assert_reconciled()


def test_what_a_reprocess_disturbed_is_put_in_order_when_nothing_else_waits():
    plan, classes = make_plan(commitments=[])
    owner = subscriber(plan)
    used = {"usage_class": classes["seats"], "identifier": owner.identifier}
    first = waiting({**used, "value": 12})
    waiting({**used, "value": 8, "date": MAY + timedelta(hours=1)})
    rate_all()
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 51
    UdrBatch.objects.filter(pk=first.pk).update(status="superseded", attempts=0)
    rate_all()
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 40
    assert not BillingPeriod.objects.get().is_unsettled
    assert_reconciled()


def rerate(**filters):
    asked = services.propose_rerate(filters=filters, reason="a wrong price", by=None, now=NOW)
    rate_all()
    asked.refresh_from_db()
    assert asked.status == "shown", asked.error
    return asked


def apply(asked):
    services.apply_rerate(asked=asked, by=None, now=NOW)
    rate_all()
    asked.refresh_from_db()
    assert asked.status == "applied", asked.error


def dearer(plan, classes, **changes):
    said = {**PLAN, **changes, "groups": [{**PLAN["groups"][0], "rates": [
        {**rate, "price": "0.14"} if rate["usage_class"] == "data" else rate for rate in PLAN["groups"][0]["rates"]
    ]}]}  # fmt: skip
    return activate(plan, {"name": plan.name, "currency": "EUR", **said}, starts_at=LONG_AGO + timedelta(days=1))


def test_a_rerate_shows_what_would_change_and_then_changes_it_once():
    plan, classes = make_plan()
    owners = two_owners(plan)
    waiting(*draw_usage(5, owners, classes))
    rate_all()
    before = Charge.objects.aggregate(total=Sum("amount"))["total"]
    dearer(plan, classes)
    asked = rerate(plan=plan.pk)
    shown = RepricedAccount.objects.get(repricing=asked)
    assert (shown.before, Charge.objects.aggregate(total=Sum("amount"))["total"]) == (before, before)
    assert shown.after > before
    apply(asked)
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == shown.after
    assert_reconciled()
    count_after_one = Charge.objects.count()
    again = rerate(plan=plan.pk)
    assert RepricedAccount.objects.get(repricing=again).changed_count == 0
    apply(again)
    assert Charge.objects.count() == count_after_one


def test_a_rerate_of_a_closed_period_is_an_adjustment_in_the_open_one():
    plan, classes = make_plan(commitments=[])
    owner = subscriber(plan)
    used = {"usage_class": classes["data"], "identifier": owner.identifier}
    waiting({**used, "value": 100})
    rate_all()
    may = BillingPeriod.objects.get()
    issued = services.close_period(period=may, by=None, now=NOW)
    assert issued.amount == Decimal("20") * Decimal("0.07") + 2
    dearer(plan, classes, commitments=[])
    apply(rerate(account=owner.service.account_id))
    assert Statement.objects.get().amount == issued.amount
    june = BillingPeriod.objects.exclude(pk=may.pk).get()
    sheet = services.statement_of(period=june)
    assert {(line.kind, line.adjusts) for line in sheet.lines} == {("adjustment", str(issued))}
    assert sheet.amount == Decimal("20") * Decimal("0.07")
    assert_reconciled()


def test_a_rerate_moves_usage_to_the_account_that_owns_its_identifier_now():
    plan, classes = make_plan(commitments=[])
    owner, other = subscriber(plan), ServiceFactory(account=AccountFactory(rate_plan=plan))
    used = {"usage_class": classes["calls"], "identifier": owner.identifier}
    waiting({**used, "value": 70})
    rate_all()
    owner.service = other
    owner.save()
    asked = rerate()
    told = {row.account_id: (row.before, row.after) for row in asked.accounts.all()}
    assert told[other.account_id][0] == 0
    assert sum(before for before, _ in told.values()) == sum(after for _, after in told.values())
    apply(asked)
    assert {row.account_id for row in Charge.objects.filter(kind="charge", id__gt=0).order_by("-id")[:1]} == {
        other.account_id
    }
    assert_reconciled()


def test_usage_that_finds_no_rate_any_more_is_taken_back_and_becomes_an_exception():
    plan, classes = make_plan(commitments=[])
    owner = subscriber(plan)
    batch = waiting({"usage_class": classes["data"], "identifier": owner.identifier, "value": 30})
    rate_all()
    said = {**PLAN, "groups": [{"name": "all", "rates": PLAN["groups"][0]["rates"][:1]}], "buckets": []}
    activate(plan, {"name": plan.name, "currency": "EUR", **said}, starts_at=LONG_AGO + timedelta(days=2))
    asked = rerate()
    assert asked.accounts.get().refused_count == 1
    apply(asked)
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 0
    assert RatingException.objects.get().cause == "no_rate"
    batch.refresh_from_db()
    assert batch.uncharged_count == 1
    assert_reconciled()


def test_what_if_prices_past_usage_by_a_draft_and_stores_no_charge():
    plan, classes = make_plan(commitments=[])
    owners = two_owners(plan)
    waiting(*draw_usage(9, owners, classes))
    rate_all()
    facts = (Charge.objects.count(), BucketDraw.objects.count(), list(Counter.objects.values_list("position", "level")))
    said = {
        "name": plan.name,
        "currency": "EUR",
        "groups": [
            {"name": "flat", "rates": [{"usage_class": name, "model": "per_unit", "price": "1"} for name in CLASSES]}
        ],
    }
    draft = services.create_draft(plan=plan, document=said, note="", by=None, now=NOW)
    asked = services.ask_what_if(version=draft, filters={}, by=None, now=NOW)
    rate_all()
    asked.refresh_from_db()
    assert asked.status == "shown", asked.error
    row = asked.accounts.get()
    standing = Charge.objects.filter(kind="charge")
    assert (row.before, row.after) == (
        standing.aggregate(total=Sum("amount"))["total"],
        standing.aggregate(total=Sum("quantity"))["total"],
    )
    now = (Charge.objects.count(), BucketDraw.objects.count(), list(Counter.objects.values_list("position", "level")))
    assert now == facts
    with pytest.raises(services.UnableToRerate):
        services.apply_rerate(asked=asked, by=None, now=NOW)


def test_a_rerate_needs_a_reason_usage_and_the_permission():
    plan, _ = make_plan()
    with pytest.raises(services.UnableToRerate, match="reason"):
        services.propose_rerate(filters={}, reason=" ", by=None, now=NOW)
    with pytest.raises(services.UnableToRerate, match="fits"):
        services.propose_rerate(filters={}, reason="x", by=None, now=NOW)
    with pytest.raises(services.UnableToRerate, match="Unknown"):
        services.propose_rerate(filters={"colour": 1}, reason="x", by=None, now=NOW)
    nobody = User.objects.create_user("nobody")
    draft = services.create_draft(plan=plan, document={}, note="", by=None, now=NOW)
    for refused in (
        lambda: services.propose_rerate(filters={}, reason="x", by=nobody, now=NOW),
        lambda: services.apply_rerate(asked=Repricing(), by=nobody, now=NOW),
        lambda: services.ask_what_if(version=draft, filters={}, by=nobody, now=NOW),
    ):
        with pytest.raises(PermissionDenied):
            refused()
    with pytest.raises(services.UnableToAskWhatIf, match="faults"):
        services.ask_what_if(version=draft, filters={}, by=None, now=NOW)
