"""The second door answers as clients of `DataImport/…` know it, over the same services, rights and refusals."""

import json
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from ingestion import services
from ingestion.models import ImportException, UsageImport
from mediation.models import Udr

from .factories import EVENTS, NOW, event, feed_of, posted, user_with, work

pytestmark = pytest.mark.django_db
README = (Path(__file__).parents[2] / "ingestion" / "README.md").read_text()
SENDS, VIEWS = "ingestion.add_usageimport", ("ingestion.view_usageimport", "ingestion.view_importexception")
RECORD = {"Date": "2026-05-01", "Id": "a", "Value": 1}


def client_of(*permissions, **options):
    client = APIClient()
    client.force_authenticate(user_with(*permissions, **options))
    return client


def send(address, body, client=None):
    return (client or client_of(SENDS)).post(f"/api/DataImport/{address}", body)


def get(address, client=None):
    answer = (client or client_of(*VIEWS)).get(f"/api/{address}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def instances(document):
    return [item["instance"] for item in document["results"]["items"]]


@pytest.mark.parametrize("by", ["pk", "api_name"])
def test_rows_are_sent_and_answered_as_the_readme_says(by):
    feed = feed_of()
    told = send(f"Usage/{getattr(feed, by)}", {"data": [event("a"), event("b")]})
    example = json.loads(README.partition("```json second door\n")[2].partition("```")[0])
    sent = UsageImport.objects.get()
    for item in example["results"]["items"]:
        item["instance"] |= {"trackingId": str(sent.tracking_id), "udrFeedId": feed.pk}
    example["results"]["items"][1]["instance"]["udrFeedName"] = feed.api_name
    assert (told.status_code, told.json()) == (200, {**example, "trackingId": str(sent.tracking_id)})
    work()
    assert Udr.objects.count() == 2


def test_a_refusal_tells_every_fault_as_the_readme_says():
    example = json.loads(README.partition("```json second door refusal\n")[2].partition("```")[0])
    told = send(f"Usage/{feed_of().pk}", {"data": [event("a")], "mode": "test", "more": 1})
    assert told.status_code == 400
    assert told["Content-Type"].startswith("application/json")
    answer = told.json()
    assert answer | {"trackingId": "…"} == example
    assert not UsageImport.objects.exists()


@pytest.mark.parametrize(
    ("address", "body"), [("Json", RECORD), ("Json/Multi", {"data": [RECORD]})], ids=["one record", "several"]
)
def test_records_are_sent(address, body):
    feed = feed_of(EVENTS)
    assert send(f"Usage/{address}/{feed.api_name}", body).status_code == 200
    work()
    assert Udr.objects.count() == 1


def test_the_same_key_sends_once():
    feed, client = feed_of(), client_of(SENDS)
    said = {"data": [event("a")]}
    told = [
        client.post(f"/api/DataImport/Usage/{feed.pk}", said, headers={"Idempotency-Key": "k"}).json()["trackingId"]
        for _ in range(2)
    ]
    assert told[0] == told[1]
    assert UsageImport.objects.count() == 1


def test_a_feed_is_told_by_number_and_by_name():
    feed = feed_of()
    for reference in (feed.pk, feed.api_name):
        (told,) = instances(get(f"DataImport/Usage/Feed/{reference}"))
        assert (told["id"], told["apiName"], told["enabled"]) == (feed.pk, feed.api_name, True)


def test_the_history_has_the_counters_by_their_names():
    feed = feed_of()
    sent = posted(feed, event("a"), event("b", "ten"), event("a"))
    work()
    by_number, by_tracking_id = (
        instances(get(f"DataImport/Usage/History/{reference}")) for reference in (sent.pk, sent.tracking_id)
    )
    assert by_number == by_tracking_id == instances(get("DataImport/Usage/History"))
    (told,) = by_number
    counters = ("importCount", "importExceptionCount", "importSkipRecordCount", "importDuplicateCount", "recordCount")
    assert [told[name] for name in counters] == [1, 1, 0, 1, 3]
    assert (told["udrFeedId"], told["dataImportHistoryStatusTypeName"]) == (feed.pk, "completed")
    (detail,) = instances(get(f"DataImport/Usage/History/{sent.pk}/Detail"))
    assert detail.items() >= told.items()
    assert (detail["attempts"], detail["ratedCount"]) == (1, 0)


def test_the_history_comes_in_pages_and_by_feed():
    feeds = [feed_of(), feed_of()]
    for number in range(4):
        posted(feeds[number % 2], event(f"e{number}"))
    told = get("DataImport/Usage/History?page=2&pageSize=3")
    assert (told["results"]["totalCount"], len(instances(told))) == (4, 1)
    of_feed = get(f"DataImport/Usage/History?udrFeedId={feeds[0].pk}")
    assert {one["udrFeedId"] for one in instances(of_feed)} == {feeds[0].pk}
    assert get("DataImport/Usage/History?udrFeedId=none")["results"] == {"totalCount": 0, "items": []}


def test_exceptions_are_told_with_their_latest_revision():
    sent = posted(feed_of(), event("a", "ten"))
    other = posted(feed_of(), event("b", "ten"))
    work()
    mine = ImportException.objects.get(usage_import=sent)
    raw = event("a", "eleven")
    services.correct_exception(exception=mine, raw=raw, reason="misread", by=None, now=NOW)
    work()
    (told,) = instances(get(f"DataImportHistory/{sent.tracking_id}/Exception"))
    assert (told["dataImportExceptionId"], told["originatingFileRecordIndex"]) == (mine.pk, 1)
    assert (told["revisionNumber"], told["dataSnippet"]) == (1, raw)
    assert (told["dataImportExceptionErrorTypeName"], told["dataImportExceptionStatusTypeName"]) == (
        "bad_number",
        "open",
    )
    every = instances(get("DataImportHistory/Exception/Paged"))
    assert [one["dataImportHistoryId"] for one in every] == [other.pk, sent.pk]


READS = (
    "DataImport/Usage/History",
    "DataImport/Usage/History/{sent}",
    "DataImport/Usage/History/{sent}/Detail",
    "DataImportHistory/Exception/Paged",
    "DataImportHistory/{sent}/Exception",
    "DataImport/Usage/Feed/{feed}",
)


@pytest.mark.parametrize("address", READS)
def test_who_may_not_look_gets_nothing(address):
    feed = feed_of()
    sent = posted(feed, event("a", "ten"))
    work()
    path = "/api/" + address.format(sent=sent.pk, feed=feed.pk)
    assert APIClient().get(path).status_code == 401
    refused = client_of("mediation.view_udr").get(path)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, 403)
    elsewhere = client_of(*VIEWS, feeds=[feed_of()]).get(path)
    assert elsewhere.status_code == 404 or elsewhere.json()["results"]["items"] == []


def test_who_may_not_send_is_refused_and_other_feeds_are_not_found():
    feed, said = feed_of(), {"data": [event("a")]}
    for address in ("Usage", "Usage/Json", "Usage/Json/Multi"):
        assert send(f"{address}/{feed.pk}", said, client_of(*VIEWS)).status_code == 403
        assert send(f"{address}/{feed.pk}", said, APIClient()).status_code == 401
        assert send(f"{address}/{feed.pk}", said, client_of(SENDS, feeds=[feed_of()])).status_code == 404
    assert not UsageImport.objects.exists()


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("DataImport/Usage/History/7", 404),
        ("DataImport/Usage/History/nothing", 404),
        ("DataImport/Usage/History/99999999999999999999", 404),
        ("DataImportHistory/7/Exception", 404),
        ("DataImport/Usage/Feed/none", 404),
        ("DataImport/Usage/Feed/%00", 404),
        ("DataImport/Usage/History?page=0", 400),
        ("DataImport/Usage/History?page=101", 400),
        ("DataImportHistory/Exception/Paged?pageSize=0", 400),
        ("DataImport/Nothing", 404),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(address, status):
    answer = client_of(*VIEWS).get(f"/api/{address}")
    assert answer.status_code == status
    assert answer.json()["errors"]


@pytest.mark.parametrize("address", ["DataImport/Usage/History", "DataImportHistory/Exception/Paged"])
def test_twenty_rows_ask_no_more_questions_than_two(address):
    feed, counted = feed_of(), []
    for count in (2, 20):
        for number in range(count):
            posted(feed, event(f"{count}-{number}", "ten"))
        work()
        client = client_of(*VIEWS)
        with CaptureQueriesContext(connection) as asked:
            get(address, client)
        counted.append(len(asked))
    assert counted[0] == counted[1]
