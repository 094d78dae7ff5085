"""Drawn usage, in whatever batches, order and attempts, is billed as `quote` prices it at once, line by line."""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediation.models import UdrBatch
from rating import services
from rating.models import BillingPeriod, BucketGrant, RatingException
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

QUICK = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = ("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "credit", "amount")

DISORDER = {
    "charges of a UDR that stand, or its exception, are its whole value once": """
        SELECT u.id, u.value, c.charged, e.n FROM mediation_udr u
        JOIN mediation_udrbatch b ON b.id = u.id >> 17 AND b.status = 'rated'
        LEFT JOIN (SELECT udr_id, sum(quantity) AS charged, sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END) AS standing
                   FROM rating_charge GROUP BY 1) c ON c.udr_id = u.id
        LEFT JOIN (SELECT udr_id, count(*) AS n FROM rating_ratingexception WHERE status = 'open' GROUP BY 1) e
            ON e.udr_id = u.id
        WHERE coalesce(c.standing, 0) + coalesce(e.n, 0) <> 1
           OR coalesce(c.charged, 0) <> CASE WHEN e.n IS NULL THEN u.value ELSE 0 END""",
    "what replaced batches cost comes to nothing": """
        SELECT c.udr_id, sum(c.amount), sum(c.credit) FROM rating_charge c
        JOIN mediation_udrbatch b ON b.id = c.udr_id >> 17 AND b.status = 'reversed'
        GROUP BY 1 HAVING sum(c.amount) <> 0 OR sum(c.credit) <> 0""",
    "a grant is used as far as its movements say": """
        SELECT g.*, d.used FROM rating_bucketgrant g
        FULL JOIN (SELECT bucket_id, account_id, service_id, starts_at,
                          sum(CASE kind WHEN 'draw' THEN quantity WHEN 'give_back' THEN
                              CASE WHEN quantity < 0 THEN quantity ELSE -quantity END ELSE 0 END) AS used
                   FROM rating_bucketdraw GROUP BY 1, 2, 3, 4) d
            USING (bucket_id, account_id, service_id, starts_at)
        WHERE coalesce(g.used, 0) <> coalesce(d.used, 0)""",
}


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


def bill_everything():
    """Close what there is, account by account, each in the order of its months; returns the statements' lines."""
    lines = {}
    for period in BillingPeriod.objects.select_related("account").order_by("account__number", "starts_at"):
        services.close_period(period=period, by=None, now=NOW)
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
    lines = bill_everything()
    assert {*lines.items()} ^ {*lines_quoted(quote).items()} == set()
    refused = RatingException.objects.filter(status="open")
    causes = {record["id"]: record for record in usage}
    assert Counter(refused.values_list("udr_date", "value", "cause")) == Counter(
        (causes[each["id"]]["date"], causes[each["id"]]["value"], each["cause"]) for each in quote["exceptions"]
    )
    assert grants_stored() == grants_of_quote(quote)
    with connection.cursor() as cursor:
        for promise, query in DISORDER.items():
            cursor.execute(query)
            assert cursor.fetchall() == [], promise


def within_a_transaction(check, *drawn):
    with transaction.atomic():
        check(*drawn)
        transaction.set_rollback(True)


@QUICK
@given(cases(2, 10), st.randoms(use_true_random=False))
def test_statements_are_what_a_quote_says_whatever_came_when_and_how_often(case, rnd):
    within_a_transaction(assert_billed_as_quoted, case, rnd)


@pytest.mark.slow
def test_two_thousand_drawn_plans_are_billed_as_quoted():
    @settings(QUICK, max_examples=2_000, database=None)
    @given(cases(2, 30), st.randoms(use_true_random=False))
    def billed(case, rnd):
        within_a_transaction(assert_billed_as_quoted, case, rnd)

    billed()
