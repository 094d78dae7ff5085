"""Drawn usage, in whatever batches, order and attempts, is billed as `quote` prices it at once, line by line."""

import os
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.reconciling import RULES, differences
from mediation.models import UdrBatch
from rating import services
from rating.models import BillingPeriod, BucketGrant, Charge, RatingException
from tests.rating.factories import (
    LONG_AGO,
    NOW,
    AccountFactory,
    RatePlanFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
    UsageClassFactory,
    activate,
    waiting,
)
from tests.rating.plans_drawn import PARENTS, SERVICES
from tests.rating.test_plan_oracle import cases, quoted

pytestmark = pytest.mark.django_db

QUICK = settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
NUMBERS = ("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "credit", "amount")

# The UDRs of these tests were not mediated: what the other rooms promise of imports and keys is none of theirs.
PROMISES = [rule for rule in RULES if "rating_" in rule.query]


def stored_world(plan, zone, since):
    """The accounts and services of drawn plans, in the order in which a quote numbers them."""
    names = dict.fromkeys(rate["usage_class"] for rate in plan["groups"][0]["rates"])
    classes = {name: UsageClassFactory(name=name) for name in names}
    row = RatePlanFactory(name="P")
    activate(row, plan, starts_at=LONG_AGO)
    accounts = {}
    for number in dict.fromkeys(SERVICES.values()):
        parent = accounts.get(PARENTS.get(number))
        accounts[number] = AccountFactory(number=number, rate_plan=row, time_zone=zone, parent=parent)
    for name, number in SERVICES.items():
        service = ServiceFactory(account=accounts[number], name=name, starts_at=since)
        ServiceIdentifierFactory(service=service, identifier=name, starts_at=since)
    return classes


def first_month(usage, zone):
    first: datetime = min(record["date"] for record in usage).astimezone(ZoneInfo(zone))
    return first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def udr(record, classes):
    drawn = {name: record[name] for name in ("date", "value", "extensions")}
    amount = {"amount": record["amount"], "currency": "EUR"} if "amount" in record else {}
    return {**drawn, **amount, "usage_class": classes[record["usage_class"]], "identifier": record["service"]}


def rate_some(moments):
    while services.rate_batches(now=next(moments)) or services.settle_waiting(now=next(moments)):
        pass
    assert not UdrBatch.objects.exclude(error="").exists(), UdrBatch.objects.exclude(error="").first().error


def bill_everything(rnd):
    """Close what there is, accounts in any order, each in the order of its months; returns the statements' lines."""
    lines = {}
    while waiting_to_close := list(BillingPeriod.objects.filter(status="open").order_by("account", "starts_at")):
        chosen = rnd.choice(sorted({period.account_id for period in waiting_to_close}))
        services.close_period(
            period=next(period for period in waiting_to_close if period.account_id == chosen), by=None, now=NOW
        )
    for period in BillingPeriod.objects.select_related("account"):
        sheet = services.statement_of(period=period)
        for line in sheet.lines:
            place = (period.account.number, period.starts_at, line.kind, line.usage_class.name, line.rate.name)
            lines[*place, line.tier] = told(line.record_count, *(getattr(line, name) for name in NUMBERS))
    return lines


def told(*numbers):
    return " ".join(f"{Decimal(number).normalize():f}" for number in numbers)


def lines_quoted(quote):
    return {
        (statement["account"], datetime.fromisoformat(statement["starts_at"]), line["kind"], line["usage_class"],
         line["rate"], line["tier"]): told(line["records"], *(Decimal(line[name]) for name in NUMBERS))
        for statement in quote["statements"] for line in statement["lines"]
    }  # fmt: skip


def grants_of_quote(quote):
    return Counter(
        (each["bucket"], each["account"], datetime.fromisoformat(each["starts_at"]), Decimal(each["used"]))
        for each in quote["buckets"]
        if Decimal(each["used"])
    )


def grants_stored():
    found = BucketGrant.objects.filter(used__gt=0)
    return Counter(found.values_list("bucket__name", "account__number", "starts_at", "used"))


def assert_billed_as_quoted(case, rnd):
    plan, usage, zone = case
    quote = quoted(plan, usage, zone)
    classes = stored_world(plan, zone, first_month(usage, zone))
    arrived, moments = usage.copy(), (NOW + timedelta(minutes=n) for n in count())
    rnd.shuffle(arrived)
    while arrived:
        size = rnd.randint(1, len(arrived))
        part, arrived = arrived[:size], arrived[size:]
        batch = waiting(*(udr(record, classes) for record in part))
        if rnd.random() < 0.7:
            rate_some(moments)
        if rnd.random() < 0.4 and UdrBatch.objects.get(pk=batch.pk).status == "rated":
            UdrBatch.objects.filter(pk=batch.pk).update(status="superseded", attempts=0)
            arrived += part
            rnd.shuffle(arrived)
    rate_some(moments)
    lines = bill_everything(rnd)
    assert {*lines.items()} ^ {*lines_quoted(quote).items()} == set()
    refused = RatingException.objects.filter(status="open")
    causes = {record["id"]: record for record in usage}
    assert Counter(refused.values_list("udr_date", "value", "cause")) == Counter(
        (causes[each["id"]]["date"], causes[each["id"]]["value"], each["cause"]) for each in quote["exceptions"]
    )
    assert grants_stored() == grants_of_quote(quote)
    assert [found for found in map(differences, PROMISES) if found] == []
    assert_rating_again_changes_nothing()


def assert_rating_again_changes_nothing():
    if not Charge.objects.exists():
        return
    before = Charge.objects.count()
    asked = services.propose_rerate(filters={}, reason="to see", by=None, now=NOW)
    while services.reprice_waiting(now=NOW):
        pass
    asked.refresh_from_db()
    assert asked.status == "shown", asked.error
    assert not asked.accounts.exclude(before=F("after"), changed_count=0).exists()
    services.apply_rerate(asked=asked, by=None, now=NOW)
    while services.reprice_waiting(now=NOW):
        pass
    assert Charge.objects.count() == before


def within_a_transaction(check, *drawn):
    with transaction.atomic():
        check(*drawn)
        transaction.set_rollback(True)


@QUICK
@given(cases(2, 10), st.integers(0, 2**32).map(Random))
def test_statements_are_what_a_quote_says_whatever_came_when_and_how_often(case, rnd):
    within_a_transaction(assert_billed_as_quoted, case, rnd)


@pytest.mark.slow
def test_many_drawn_plans_are_billed_as_quoted():
    """60 of them take half a minute and more; SLUICE_EXAMPLES says how many."""

    @settings(QUICK, max_examples=int(os.environ.get("SLUICE_EXAMPLES", "60")))
    @given(cases(2, 30), st.integers(0, 2**32).map(Random))
    def billed(case, rnd):
        within_a_transaction(assert_billed_as_quoted, case, rnd)

    billed()
