"""What machines read of UDRs and charges: only what counts, to the last digit, for those who may."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from config import samples
from ingestion import services
from ingestion.models import Feed, UsageImport
from rating import selectors
from rating.models import Charge
from rating.services import rate_batches
from tests.ingestion.factories import user_with, work

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def usage():
    samples.load_configuration(now=NOW)
    month = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    feed = Feed.objects.get(api_name="rows")
    body = samples.sample_rows(month)
    received = services.receive_usage(feed=feed, body=body, idempotency_key=None, by=None, now=NOW).usage_import
    rate()
    return received


def rate():
    work()
    while rate_batches(now=timezone.now()):
        pass


def get(address, *permissions):
    client = APIClient()
    client.force_authenticate(user_with(*permissions))
    return client.get(f"/api/v1/{address}")


def test_udrs_come_in_pages_newest_first(usage):
    first = get("udrs?page_size=150", "mediation.view_udr").json()
    second = APIClient()
    second.force_authenticate(user_with("mediation.view_udr"))
    rest = second.get(first["next"]).json()
    ids = [udr["id"] for udr in first["results"] + rest["results"]]
    assert len(ids) == 200
    assert ids == sorted(ids, reverse=True)
    assert isinstance(first["results"][0]["value"], str)


def test_udrs_that_a_reprocess_replaced_are_left_out(usage):
    services.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    rate()
    assert len(get("udrs?page_size=1000", "mediation.view_udr").json()["results"]) == 200


def test_udrs_are_found_by_class_and_date(usage):
    voices = get("udrs?usage_class=voice&page_size=1000", "mediation.view_udr").json()["results"]
    assert voices
    assert {udr["usage_class"] for udr in voices} == {"voice"}
    assert get("udrs?date_after=2100-01-01T00:00:00Z", "mediation.view_udr").json()["results"] == []


def test_charges_of_an_account_add_up_to_its_summary(usage):
    charges = get("charges?account=100041&page_size=1000", "rating.view_charge").json()["results"]
    summary = get("usage-summary?account=100041", "rating.view_charge").json()
    mine = Charge.objects.filter(account__number="100041")
    assert len(charges) == mine.count() == sum(line["record_count"] for line in summary["lines"])
    total = next(row for row in selectors.charges_by_account() if row["number"] == "100041")["total"]
    assert sum(Charge._meta.get_field("amount").to_python(line["amount"]) for line in summary["lines"]) == total


def test_charges_of_an_account_are_asked_for_by_its_periods(usage):
    with CaptureQueriesContext(connection) as asked:
        get("charges?account=100041", "rating.view_charge")
    (query,) = [one["sql"] for one in asked if 'FROM "rating_charge"' in one["sql"]]
    said = query[query.index("WHERE") :]
    assert '"period_id" IN (' in said
    assert "SELECT" not in said
    assert "number" not in said


def test_an_account_that_nobody_knows_has_no_charges(usage):
    assert get("charges?account=1", "rating.view_charge").json()["results"] == []


def test_an_unknown_account_and_a_bad_date_are_problems(usage):
    for number in ("1", "%00"):
        unknown = get(f"usage-summary?account={number}", "rating.view_charge")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_account")
    bad = get("usage-summary?account=100041&date_after=yesterday", "rating.view_charge")
    assert bad.status_code == 400
    assert bad["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("address", ["udrs", "charges", "usage-summary?account=100041"])
def test_who_may_not_look_gets_nothing(usage, address):
    assert get(address).status_code == 403
    assert APIClient().get(f"/api/v1/{address}").status_code == 401
