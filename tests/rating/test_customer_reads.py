"""A customer's own page: an account's usage and charges by day and class, running totals, and what buckets hold."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from mediation.models import DataProfile, ProfileVersion, UsageClass
from rating import services
from rating.models import BillingPeriod, Bucket, BucketGrant, Charge
from rating.store.usage_dimensions import DIMENSIONS
from tests.ingestion.factories import FeedFactory, user_with

from .factories import (
    LONG_AGO,
    NOW,
    AccountFactory,
    BucketFactory,
    RateFactory,
    RatePlanFactory,
    ServiceFactory,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db
README = (Path(__file__).parents[2] / "rating" / "README.md").read_text()
EXAMPLE = README.partition("```json account usage\n")[2].partition("```")[0]
MAY_DAYS = "from=2026-05-01&to=2026-05-31"


def at(day, hour=12):
    """A moment of May 2026, in UTC."""
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def rate_all():
    while services.rate_batches(now=NOW):
        pass


@pytest.fixture
def rate():
    return RateFactory(price="0.10", usage_class__name="calls")


@pytest.fixture
def owner(rate):
    return subscriber(rate.plan, number="100041", name="Harbour")


def client_of(*permissions, **options):
    client = APIClient()
    client.force_authenticate(user_with(*(permissions or ("rating.view_charge",)), **options))
    return client


def usage(owner, query=MAY_DAYS, client=None):
    answer = (client or client_of()).get(f"/api/v1/accounts/{owner.service.account.number}/usage?{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_usage_is_told_by_day_and_class_with_running_totals_as_the_readme_says(rate, owner):
    days = ((3, 10), (3, 5), (4, 1))
    waiting(*[used(rate, owner, value, date=at(day)) for day, value in days])
    rate_all()
    told = usage(owner)
    assert told == json.loads(EXAMPLE)


def test_days_are_those_of_the_accounts_zone(rate, owner):
    """22:30 UTC is half past midnight in Vienna: the last one belongs to June, the first one to May."""
    waiting(*[used(rate, owner, date=moment) for moment in (datetime(2026, 4, 30, 22, 30, tzinfo=UTC), at(31, 22))])
    rate_all()
    assert [row["day"] for row in usage(owner)["results"]] == ["2026-05-01"]
    assert [row["day"] for row in usage(owner, "from=2026-06-01&to=2026-06-01")["results"]] == ["2026-06-01"]


def test_each_class_runs_by_itself(rate, owner):
    other = RateFactory(group=rate.group, usage_class__name="data", price="1")
    waiting(*[used(one, owner, date=at(day)) for one in (rate, other) for day in (1, 2)])
    rate_all()
    running = [(row["usage_class"], row["running_amount"][:4]) for row in usage(owner)["results"]]
    assert running == [("calls", "0.10"), ("data", "1.00"), ("calls", "0.20"), ("data", "2.00")]


def test_totals_are_the_same_whether_they_are_added_up_from_the_page_or_asked_for(rate, owner):
    other = RateFactory(group=rate.group, usage_class__name="data", price="1")
    waiting(*[used(one, owner, day, date=at(day)) for one in (other, rate) for day in (1, 2)])
    rate_all()
    told = [usage(owner, f"{MAY_DAYS}&by={by}")["totals"] for by in ("class", "day,class", "day", "class,rate")]
    told.append(usage(owner, f"{MAY_DAYS}&by=day,class&page_size=1")["totals"])
    by_name = [sorted(one, key=lambda total: total["usage_class"]) for one in told]
    assert len(by_name[0]) == 2
    assert all(one == by_name[0] for one in by_name)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_whatever_parts_the_usage_the_parts_add_up_to_the_charges(rate, owner, name):
    line = ServiceFactory(account=owner.service.account)
    second = line.identifiers.create(identifier="second", starts_at=LONG_AGO)
    waiting(*[used(rate, one, 3, date=at(day)) for one in (owner, second) for day in (1, 2)])
    rate_all()
    rows = usage(owner, f"{MAY_DAYS}&by={name}")["results"]
    assert sum(Decimal(row["amount"]) for row in rows) == sum(Charge.objects.values_list("amount", flat=True))
    assert len(rows) == (2 if name in ("day", "service", "identifier") else 1)
    assert set(DIMENSIONS[name].told) <= set(rows[0])


@pytest.fixture
def kept():
    """What a profile keeps: a region; a draft would keep a colour too."""
    profile = DataProfile.objects.create(name="calls")
    fields = {"Extensions.region": {"source": "region"}, "Extensions.cell": {"source": "cell"}}
    ProfileVersion.objects.create(profile=profile, number=1, status="retired", spec={"fields": fields})
    more = fields | {"Extensions.colour": {"source": "colour"}}
    ProfileVersion.objects.create(profile=profile, number=2, status="draft", spec={"fields": more})
    return profile


def test_usage_is_parted_by_what_the_profile_keeps_beside_the_fields(rate, owner, kept):
    kept_of_records = [{"region": "EU", "cell": 7}, {"region": "EU", "cell": 8}, {"region": "US"}, {"region": ""}, None]
    waiting(*[used(rate, owner, 1, date=at(day), extensions=one) for one in kept_of_records for day in (1, 2)])
    rate_all()
    rows = usage(owner, f"{MAY_DAYS}&by=Extensions.region")["results"]
    assert [(row["Extensions.region"], row["record_count"]) for row in rows] == [(None, 4), ("EU", 4), ("US", 2)]
    both = usage(owner, f"{MAY_DAYS}&by=Extensions.region,day,Extensions.cell")
    assert both["by"] == ["day", "Extensions.region", "Extensions.cell"]
    told = [(row["day"][-2:], row["Extensions.region"], row["Extensions.cell"]) for row in both["results"]]
    assert told == [
        (day, *one) for day in ("01", "02") for one in ((None, None), ("EU", "7"), ("EU", "8"), ("US", None))
    ]
    address, pages = f"/api/v1/accounts/100041/usage?{MAY_DAYS}&by=Extensions.region,Extensions.cell&page_size=1", []
    client = client_of()
    while address:
        page = client.get(address).json()
        pages += [(row["Extensions.region"], row["Extensions.cell"]) for row in page["results"]]
        address = page["next"]
    assert pages == [(None, None), ("EU", "7"), ("EU", "8"), ("US", None)]


@pytest.mark.parametrize("by", ["class", "day,class", "day,Extensions.region", "service,plan,rate,identifier"])
def test_all_of_it_can_be_had_as_csv(rate, owner, kept, by):
    waiting(*[used(rate, owner, day, date=at(day), extensions={"region": 'a "b", c'}) for day in (1, 2, 3)])
    rate_all()
    address = f"/api/v1/accounts/100041/usage?{MAY_DAYS}&by={by}&page_size=1"
    told = client_of().get(f"{address}&format=csv")
    assert (told.status_code, told["Content-Type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(b"".join(told.streaming_content).decode())))
    expected = usage(owner, f"{MAY_DAYS}&by={by}")["results"]
    assert rows == [{name: str(value) for name, value in row.items()} for row in expected]
    again = client_of().get(address, headers={"Accept": "text/csv"})
    assert list(csv.DictReader(io.StringIO(b"".join(again.streaming_content).decode()))) == rows


def test_a_csv_for_a_spreadsheet_runs_nothing_and_a_refusal_is_a_problem(rate, owner, kept):
    waiting(used(rate, owner, date=at(1), extensions={"region": "=1+1"}))
    rate_all()
    address = f"/api/v1/accounts/100041/usage?{MAY_DAYS}&format=csv&by=Extensions.region"
    for query, region in (("", "=1+1"), ("&spreadsheet=1", "'=1+1")):
        told = client_of().get(address + query)
        (row,) = csv.DictReader(io.StringIO(b"".join(told.streaming_content).decode()))
        assert (row["Extensions.region"], row["amount"]) == (region, "0.10000000000")
    refused = client_of("mediation.view_udr").get(address)
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")


def test_values_of_an_extension_are_told_apart_by_their_first_200_characters(rate, owner, kept):
    values = ["a" * 200 + "b", "a" * 200 + "c", "b"]
    waiting(*[used(rate, owner, 1, date=at(1), extensions={"region": value}) for value in values])
    rate_all()
    rows = usage(owner, f"{MAY_DAYS}&by=Extensions.region")["results"]
    assert [(row["Extensions.region"], row["record_count"]) for row in rows] == [("a" * 200, 2), ("b", 1)]


def test_where_a_profile_keeps_whole_objects_any_extension_may_be_asked_for(owner, kept):
    client = client_of()
    address = f"/api/v1/accounts/100041/usage?{MAY_DAYS}&by=Extensions.colour"
    assert client.get(address).json()["code"] == "unknown_dimension"  # only a draft has it
    whole = {"fields": {"Extensions": {"source": "all"}}}
    ProfileVersion.objects.create(profile=kept, number=3, status="active", spec=whole)
    assert client.get(address).json()["results"] == []


def test_parts_of_a_split_record_have_its_extensions(rate, owner, kept):
    waiting(used(rate, owner, 10, date=at(1), extensions={"region": "EU"}))
    rate_all()
    charge = Charge.objects.get()
    charge.pk, charge.part, charge.date = charge.pk + 2, 1, charge.date + timedelta(days=1)
    charge.save(force_insert=True)
    rows = usage(owner, f"{MAY_DAYS}&by=day,Extensions.region")["results"]
    assert [(row["day"], row["Extensions.region"]) for row in rows] == [("2026-05-01", "EU"), ("2026-05-02", "EU")]


def test_pages_put_together_are_the_whole(rate, owner):
    other = RateFactory(group=rate.group, usage_class__name="data", price="1")
    waiting(*[used(one, owner, date=at(day)) for one in (rate, other) for day in range(1, 8)])
    rate_all()
    whole, client = usage(owner)["results"], client_of()
    address, pages = f"/api/v1/accounts/100041/usage?{MAY_DAYS}&page_size=3", []
    while address:
        told = client.get(address).json()
        assert bool(told["totals"]) == (not pages)
        pages += told["results"]
        address = told["next"]
    assert (len(whole), pages) == (14, whole)


def test_what_was_taken_back_is_not_told(rate, owner):
    batch = waiting(used(rate, owner, date=at(1)))
    rate_all()
    type(batch).objects.filter(pk=batch.pk).update(status="superseded")
    rate_all()
    assert Charge.objects.count() == 2
    assert usage(owner)["results"] == []


def test_late_usage_counts_on_its_day_in_whatever_period_it_is_billed(rate, owner):
    waiting(used(rate, owner, date=at(1)))
    rate_all()
    BillingPeriod.objects.update(status="closed", closed_at=NOW)
    waiting(used(rate, owner, date=at(2)))
    rate_all()
    assert BillingPeriod.objects.count() == 2
    assert [row["day"] for row in usage(owner)["results"]] == ["2026-05-01", "2026-05-02"]


def test_usage_of_other_accounts_and_of_feeds_that_were_not_granted_stays_out(rate, owner):
    waiting(used(rate, owner, date=at(1)), used(rate, subscriber(rate.plan), date=at(1)))
    rate_all()
    assert [row["record_count"] for row in usage(owner)["results"]] == [1]
    narrow = client_of("rating.view_charge", feeds=[FeedFactory(pk=777)])
    told = usage(owner, client=narrow)
    assert (told["results"], told["totals"]) == ([], [])
    assert usage(owner, client=client_of("rating.view_charge", feeds=[FeedFactory(pk=1)]))["results"]


def test_an_account_without_usage_has_an_empty_page(owner):
    told = usage(owner, "")
    assert (told["results"], told["totals"], told["next"]) == ([], [], None)
    assert told["from"][-2:] == "01"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=yesterday", "bad_day"),
        ("to=2026-02-30", "bad_day"),
        ("from=2026-05-02&to=2026-05-01", "bad_days"),
        ("from=2024-01-01&to=2026-01-01", "bad_days"),
        ("by=colour", "unknown_dimension"),
        ("by=day,day", "unknown_dimension"),
        ("by=Extensions.", "unknown_dimension"),
        ("by=Extensions.nowhere", "unknown_dimension"),
        ("by=Extensions.a%00", "unknown_dimension"),
        ("by=Extensions.a,Extensions.b,Extensions.c", "unknown_dimension"),
        ("page_size=0", "bad_page_size"),
        ("cursor=bm8=", "bad_cursor"),
        ("cursor=%FF", "bad_cursor"),
        ("cursor=WyIxIl0=", "bad_cursor"),
    ],
)
def test_a_question_that_makes_no_sense_is_a_problem(owner, query, code):
    answer = client_of().get(f"/api/v1/accounts/100041/usage?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("page", ["usage", "balances"])
def test_who_may_not_look_gets_nothing_and_an_unknown_account_is_a_problem(owner, page):
    address = f"/api/v1/accounts/100041/{page}"
    assert client_of("mediation.view_udr").get(address).status_code == 403
    assert APIClient().get(address).status_code == 401
    for number in ("1", "%00"):
        unknown = client_of("rating.view_charge", "rating.view_bucketgrant").get(f"/api/v1/accounts/{number}/{page}")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_account")


def test_twenty_days_ask_no_more_questions_than_two(rate):
    counted = []
    for count in (2, 20):
        owner = subscriber(rate.plan)
        waiting(*[used(rate, owner, date=at(day)) for day in range(1, count + 1)])
        rate_all()
        client = client_of()
        with CaptureQueriesContext(connection) as asked:
            assert len(usage(owner, client=client)["results"]) == count
        counted.append(len(asked))
    assert counted[0] == counted[1]


def test_charges_are_asked_for_by_the_numbers_of_periods_and_by_date(rate, owner):
    """Charges have an index by period alone, and lie by month."""
    waiting(used(rate, owner, date=at(1)))
    rate_all()
    with CaptureQueriesContext(connection) as asked:
        usage(owner)
        usage(owner, f"{MAY_DAYS}&by=day")
    queries = [one["sql"] for one in asked if "FROM rating_charge" in one["sql"]]
    assert len(queries) == 3
    assert all("c.period_id = ANY('{" in query and "c.date >= '2026-04-30" in query for query in queries)


# Balances

BALANCES = ("rating.view_bucketgrant",)


def balances(account, **query):
    answer = client_of(*BALANCES).get(f"/api/v1/accounts/{account.number}/balances", query)
    assert answer.status_code == 200
    return answer.json()["results"]


def grant(bucket, account, size=10, used=4, service_id=0, starts_at=LONG_AGO, ends_at=None):
    said = {"granted": size, "used": used, "carried": 0, "refills": 0}
    return BucketGrant.objects.create(
        bucket=bucket, account=account, service_id=service_id, starts_at=starts_at, ends_at=ends_at, **said
    )


@pytest.fixture
def bucket(rate):
    return BucketFactory(rate.plan, 10, [UsageClass.objects.get()], shared="account")


def test_balances_are_what_is_left_of_the_grants_of_this_moment(bucket, owner):
    account, now = owner.service.account, datetime.now(UTC)
    serving = grant(bucket, account, ends_at=now + timedelta(days=1))
    grant(bucket, account, starts_at=now + timedelta(days=1))
    grant(bucket, account, starts_at=now - timedelta(days=2), ends_at=now - timedelta(days=1))
    (told,) = balances(account)
    assert told["id"] == serving.pk
    assert (told["bucket"], told["of"], told["shared"], told["service"]) == ("allowance", "units", "account", None)
    assert (told["granted"], told["used"], told["left"]) == ("10.00000000000", "4.00000000000", "6.00000000000")


def test_balances_of_a_family_are_seen_by_each_of_its_accounts(rate, owner):
    shared = BucketFactory(rate.plan, 10, [UsageClass.objects.get()], name="family", shared="family")
    own = BucketFactory(rate.plan, 10, [UsageClass.objects.get()], name="own", shared="account")
    top = owner.service.account
    child = AccountFactory(parent=top)
    grant(shared, top), grant(own, top), grant(own, child, used=1)
    assert sorted(one["bucket"] for one in balances(child)) == ["family", "own"]
    assert [one["left"][:1] for one in balances(child) if one["bucket"] == "own"] == ["9"]
    assert balances(AccountFactory()) == []


def test_a_bucket_that_no_version_says_any_more_is_told_all_the_same(owner):
    gone = Bucket.objects.create(plan=RatePlanFactory(), name="gone")
    grant(gone, owner.service.account)
    (told,) = balances(owner.service.account)
    assert (told["bucket"], told["of"], told["shared"]) == ("gone", None, None)
