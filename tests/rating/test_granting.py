"""Grants given one by one on a real PostgreSQL: what they serve, that nothing takes them away, who may give them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.urls import reverse
from rest_framework.test import APIClient

from config.reconciling import RULES, differences
from mediation.models import UdrBatch
from rating import services
from rating.models import BillingPeriod, Bucket, BucketDraw, BucketGrant, Charge
from tests.ingestion.factories import user_with

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
    subscriber,
    waiting,
)

pytestmark = pytest.mark.django_db

ADD, VIEW = "rating.add_bucketgrant", "rating.view_bucketgrant"
START = MAY - timedelta(days=5)


@pytest.fixture
def calls():
    return UsageClassFactory(name="calls")


def plan_with(calls, **bucket):
    """A plan of 0.5 a call, with prepaid credit that is given one by one."""
    plan = RatePlanFactory(name="Prepaid")
    rate = {"usage_class": "calls", "model": "per_unit", "price": "0.5"}
    said = {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}]}
    activate(plan, {**said, "buckets": [{"name": "credit", "of": "money", "recurs": "granted", **bucket}]})
    return plan


@pytest.fixture
def plan(calls):
    return plan_with(calls)


def give(plan, owner, size, **said):
    asked = {"service": owner.service, "starts_at": START, "ends_at": None, "reason": "top-up", "by": None, **said}
    asked = {"account": owner.service.account, **asked}
    return services.grant_bucket(bucket=Bucket.objects.get(plan=plan), size=Decimal(size), now=NOW, **asked)


def use(calls, owner, value, date=MAY):
    batch = waiting({"usage_class": calls, "identifier": owner.identifier, "value": value, "date": date})
    rate_all()
    return batch


def rate_all():
    while services.rate_batches(now=NOW) or services.settle_waiting(now=NOW):
        pass


def left():
    return [grant.granted - grant.used for grant in BucketGrant.objects.order_by("starts_at")]


def owed():
    return Charge.objects.aggregate(total=Sum("amount"))["total"]


def assert_reconciled():
    own = [rule for rule in RULES if "rating_" in rule.query]  # the UDRs of these tests were not mediated
    assert [found for found in map(differences, own) if found] == []


def test_prepaid_credit_is_drawn_over_months_until_it_is_used_up(calls, plan):
    owner = subscriber(plan)
    given = give(plan, owner, 10)
    assert (given.reason, given.given_by, given.granted, given.used) == ("top-up", None, 10, 0)
    use(calls, owner, 12)
    use(calls, owner, 12, JUNE)
    assert (left(), owed()) == ([0], 2)
    assert list(BucketDraw.objects.order_by("date").values_list("quantity", "left")) == [(6, 4), (4, 0)]
    assert_reconciled()


def test_what_ends_first_is_drawn_first_whatever_was_given_first(calls, plan):
    owner = subscriber(plan)
    give(plan, owner, 10)
    give(plan, owner, 3, starts_at=START + timedelta(days=1), ends_at=JUNE)
    use(calls, owner, 8)
    assert left() == [9, 0]


def test_a_grant_serves_what_was_charged_in_an_open_period_before_it_was_given(calls, plan):
    owner = subscriber(plan)
    use(calls, owner, 8)
    assert owed() == 4
    give(plan, owner, 10)
    rate_all()
    assert (left(), owed()) == ([6], 0)
    assert_reconciled()


def test_reversing_settling_and_closing_keep_what_was_given(calls, plan):
    owner = subscriber(plan)
    give(plan, owner, 10)
    give(plan, owner, 7, starts_at=START + timedelta(days=1))
    batch = use(calls, owner, 8)
    UdrBatch.objects.filter(pk=batch.pk).update(status="superseded", attempts=0)
    rate_all()
    assert (left(), owed()) == ([10, 7], 0)
    use(calls, owner, 30)
    services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)
    assert (left(), owed()) == ([0, 2], 0)
    services.propose_rerate(filters={}, reason="once more", by=None, now=NOW)
    while services.reprice_waiting(now=NOW):
        pass
    assert left() == [0, 2]
    assert_reconciled()


def test_a_shared_grant_serves_the_account_or_the_family(calls):
    plan = plan_with(calls, shared="family")
    topmost = AccountFactory(rate_plan=plan)
    owner = ServiceIdentifierFactory(service=ServiceFactory(account=AccountFactory(parent=topmost)))
    use(calls, owner, 8)
    with pytest.raises(services.UnableToGrant, match=f"topmost account, {topmost}"):
        give(plan, owner, 5, service=None)
    give(plan, owner, 5, service=None, account=topmost)
    rate_all()
    assert (left(), owed()) == ([1], 0)
    assert_reconciled()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"size": 0}, "more than zero"),
        ({"size": "NaN"}, "more than zero"),
        ({"size": 10**15}, "below"),
        ({"size": "0.000000000001"}, "11 decimals"),
        ({"ends_at": START}, "end after it starts"),
        ({"service": None}, "Name the service"),
        ({"starts_at": LONG_AGO - timedelta(days=9), "ends_at": LONG_AGO - timedelta(days=8)}, "No version"),
    ],
)
def test_what_cannot_be_given_says_why(plan, said, message):
    with pytest.raises(services.UnableToGrant, match=message):
        give(plan, subscriber(plan), **{"size": 5, **said})
    assert not BucketGrant.objects.exists()


def test_a_grant_goes_to_an_owner_of_the_plans_currency_and_only_once_from_a_moment(calls, plan):
    owner = subscriber(plan)
    give(plan, owner, 5)
    with pytest.raises(services.UnableToGrant, match="Choose another moment"):
        give(plan, owner, 6)
    with pytest.raises(services.UnableToGrant, match="not one of account"):
        give(plan, owner, 5, service=ServiceFactory())
    with pytest.raises(services.UnableToGrant, match="pays in USD"):
        give(plan, subscriber(currency="USD"), 5)
    other = RatePlanFactory(name="Postpaid")
    rate = {"usage_class": "calls", "model": "per_unit", "price": "0.5"}
    said = {"name": other.name, "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}]}
    activate(other, {**said, "buckets": [{"name": "included", "size": "5"}]})
    with pytest.raises(services.UnableToGrant, match="recur “granted”"):
        give(other, owner, 5)


def test_units_have_six_decimals_at_most_and_an_account_names_no_service(calls):
    plan = plan_with(calls, of="units", shared="account")
    owner = subscriber(plan)
    with pytest.raises(services.UnableToGrant, match="6 decimals"):
        give(plan, owner, "0.0000001", service=None)
    with pytest.raises(services.UnableToGrant, match="Name no service"):
        give(plan, owner, 5)


def test_giving_needs_the_permission(plan):
    with pytest.raises(PermissionDenied):
        give(plan, subscriber(plan), 5, by=User.objects.create_user("nobody"))


# The API


def asked(plan, owner, **said):
    account = owner.service.account.number
    told = {"plan": plan.name, "bucket": "credit", "account": account, "service": owner.service.name, "size": "5.5"}
    return {**told, "starts_at": START.isoformat(), "reason": "welcome", **said}


def client(*permissions):
    found = APIClient()
    found.force_authenticate(user_with(*permissions))
    return found


def test_a_grant_is_given_over_http_and_a_customers_page_reads_what_is_left(calls, plan):
    owner, other = subscriber(plan), subscriber(plan)
    answer = client(ADD).post("/api/v1/bucket-grants", asked(plan, owner), format="json")
    assert answer.status_code == 201, answer.json()
    give(plan, other, 3)
    use(calls, owner, 3)
    found = client(VIEW).get("/api/v1/bucket-grants", {"account": owner.service.account.number}).json()["results"]
    assert [(one["bucket"], one["service"], one["used"], one["left"], one["reason"]) for one in found] == [
        ("credit", owner.service.name, "1.50000000000", "4.00000000000", "welcome")
    ]
    assert BucketGrant.objects.get(account=owner.service.account).given_by.username


def test_what_the_api_cannot_give_is_a_problem(plan):
    owner = subscriber(plan)
    giver = client(ADD)
    for said, status, at in (
        ({"bucket": "other"}, 400, "/bucket"),
        ({"account": "nobody"}, 400, "/account"),
        ({"size": "much"}, 400, "/size"),
        ({"color": "red"}, 400, "/color"),
        ({"service": "nobody"}, 409, ""),
        ({"size": "0"}, 409, ""),
    ):
        answer = giver.post("/api/v1/bucket-grants", asked(plan, owner, **said), format="json")
        assert answer["Content-Type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, at), answer.json()
    assert not BucketGrant.objects.exists()


def test_the_api_asks_for_permissions(plan):
    assert client(VIEW).post("/api/v1/bucket-grants", asked(plan, subscriber(plan)), format="json").status_code == 403
    assert client(ADD).get("/api/v1/bucket-grants").status_code == 403


# The admin

PAGE = "/admin/rating/bucketgrant/add/"


def form(plan, owner, **said):
    told = {"bucket": Bucket.objects.get(plan=plan).pk, "account": owner.service.account.number, "size": "5.5"}
    return {**told, "service": owner.service.name, "starts_at": "2026-05-01T00:00:00", "reason": "welcome", **said}


@pytest.fixture
def as_giver(client_of):
    return client_of(ADD, VIEW)


@pytest.fixture
def client_of(client):
    def signed_in(*permissions):
        user = user_with(*permissions)
        User.objects.filter(pk=user.pk).update(is_staff=True)
        client.force_login(User.objects.get(pk=user.pk))
        return client

    return signed_in


def test_the_admin_gives_a_grant_and_lists_it(as_giver, plan):
    owner = subscriber(plan, name="n" * 200)
    assert "Give a grant" in as_giver.get(PAGE).content.decode()
    assert as_giver.post(PAGE, form(plan, owner)).status_code == 302
    page = as_giver.get(reverse("admin:rating_bucketgrant_changelist")).content.decode()
    assert "welcome" in page
    assert "5.5" in page
    assert "bucketgrant/add/" in page


def test_the_admin_says_what_cannot_be_given(as_giver, plan):
    owner = subscriber(plan)
    assert "There is no account" in as_giver.post(PAGE, form(plan, owner, account="nobody")).content.decode()
    assert "no service" in as_giver.post(PAGE, form(plan, owner, service="nobody")).content.decode()
    assert "Name the service" in as_giver.post(PAGE, form(plan, owner, service="")).content.decode()
    assert not BucketGrant.objects.exists()


def test_who_may_not_give_sees_no_button_and_no_page(client_of, plan):
    reader = client_of(VIEW)
    assert reader.get(PAGE).status_code == 403
    assert reader.post(PAGE, form(plan, subscriber(plan))).status_code == 403
    assert "bucketgrant/add/" not in reader.get(reverse("admin:rating_bucketgrant_changelist")).content.decode()
