"""Real usage goes through: anonymised cloud bills in the FOCUS format, and calls of a telephone switch."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from config.history import work_once
from ingestion import services
from ingestion.models import ImportException, UsageImport
from mediation.models import Udr
from rating.models import Charge, RatingException
from tests.rating.factories import (
    AccountFactory,
    RateFactory,
    RateGroupFactory,
    RatePlanFactory,
    ServiceFactory,
    ServiceIdentifierFactory,
)

from .factories import UsageClassFactory, counts, feed_of, posted

SAMPLES = Path(settings.BASE_DIR).parent / "shared" / "samples"
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("reconciled"),
    pytest.mark.skipif(not SAMPLES.exists(), reason="the samples lie beside the checkout"),
]

FOCUS = {
    "format": {"kind": "delimited", "columns_by": "name", "header_rows": 1},
    "fields": {
        "Date": {"source": "ChargePeriodStart"},
        "UdrUsageIdentifier": {"source": "BillingAccountId"},
        # A line of a bill counts as one: its quantity is below zero where it takes another line back, and no price
        # is asked of it, since the money comes in the record.
        "Value": {"literal": "1"},
        "Extensions.quantity": {"source": "ConsumedQuantity"},
        "Amount": {"source": "BilledCost"},
        "Currency": {"source": "BillingCurrency"},
        "UsageClassName": {"source": "ServiceCategory"},
        "UniquenessIdentifier": {"source": "Id"},
        "Extensions.service": {"source": "ServiceName"},
        "Extensions.tags": {"source": "Tags"},
    },
    "null_texts": ["NULL"],
    "uniqueness": ["UniquenessIdentifier"],
}
CALLS = {
    "format": {"kind": "delimited", "columns_by": "name", "header_rows": 1},
    "fields": {
        "Date": {"source": "starting_date", "time_zone": "Europe/Madrid"},
        "OriginatingIdentifier": {"source": "caller_id_number"},
        "TerminatingIdentifier": {"source": "destination_number"},
        "UdrUsageIdentifier": {"source": "accountcode"},
        "Value": {"source": "billsec"},
        "UsageClassName": {"literal": "calls"},
        "Extensions": {"source": "extradata"},
    },
    "uniqueness": ["UniquenessIdentifier"],
}
CALLS["fields"]["UniquenessIdentifier"] = {"source": "callid"}


def put_in(feed, path):
    with path.open("rb") as stream:
        return services.receive_file(
            feed=feed, stream=stream, file_name=path.name, source="command", by=None, now=timezone.now()
        )


def classes_of(path, column):
    with path.open(newline="", encoding="utf-8") as file:
        return {row[column] for row in csv.DictReader(file)}


@pytest.mark.parametrize("uniqueness", [["UniquenessIdentifier"], []])
def test_a_thousand_lines_of_cloud_bills_are_accounted_for_and_charged_to_the_last_digit(uniqueness):
    path = SAMPLES / "focus" / "focus_sample.csv"
    group = RateGroupFactory(plan=RatePlanFactory(is_default=True, currency="USD"))
    for name in classes_of(path, "ServiceCategory"):
        RateFactory(group=group, usage_class=UsageClassFactory(name=name), model="pass_through", price=None)
    service = ServiceFactory(account=AccountFactory(currency="USD"))
    for identifier in classes_of(path, "BillingAccountId"):
        ServiceIdentifierFactory(service=service, identifier=identifier)
    usage_import = put_in(feed_of(FOCUS | {"uniqueness": uniqueness}), path)
    while work_once():
        pass
    assert counts(usage_import) == ("completed", 1000, 0, 0, 0)
    assert Udr.objects.aggregate(total=Sum("amount"))["total"] == Decimal("20.52022672899")
    assert RatingException.objects.count() == 0
    assert Charge.objects.count() == 1000
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == Decimal("20.52022672899")


def test_quantities_below_zero_are_exceptions_and_never_half_read():
    path = SAMPLES / "focus" / "focus_sample.csv"
    for name in classes_of(path, "ServiceCategory"):
        UsageClassFactory(name=name)
    value = {"source": "ConsumedQuantity", "default": "0", "round_to": 6}
    usage_import = put_in(feed_of(FOCUS | {"fields": FOCUS["fields"] | {"Value": value}}), path)
    while work_once():
        pass
    assert counts(usage_import) == ("completed", 990, 10, 0, 0)
    assert set(ImportException.objects.values_list("code", "field")) == {("negative_value", "Value")}


def test_calls_of_a_switch_are_read_in_its_own_zone():
    UsageClassFactory(name="calls")
    usage_import = put_in(feed_of(CALLS), SAMPLES / "cdr-stats" / "CDRImport-2015-10-26.csv")
    while work_once():
        pass
    assert counts(usage_import)[0] == "completed"
    assert list(ImportException.objects.values_list("code", "raw")) == []
    assert usage_import.imported_count == 5
    first = Udr.objects.order_by("pk").first()
    assert first.date.isoformat() == "2015-10-21T10:13:10+00:00"
    assert (first.originating_identifier, first.terminating_identifier) == ("904151440", "+34798400122")
    assert (first.value, first.extensions) == (50, {})


def test_the_same_profile_takes_rows_by_request_once_it_names_its_columns():
    path = SAMPLES / "cdr-stats" / "CDRImport-2015-10-26.csv"
    header, *rows = path.read_text().splitlines()
    format_ = CALLS["format"] | {"columns": header.split(",")}
    feed = feed_of(CALLS | {"format": format_})
    put_in(feed, path)
    while work_once():
        pass
    posted(feed, *rows, now=timezone.now())
    while work_once():
        pass
    by_file, by_request = UsageImport.objects.order_by("pk")
    assert counts(by_file) == ("completed", 5, 0, 0, 0)
    assert counts(by_request) == ("completed", 0, 0, 0, 5)
