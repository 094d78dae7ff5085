"""The second door takes calls as clients that were written for another product make them; /api/v1/ stays strict."""

import json

import pytest
from rest_framework.test import APIClient

from ingestion.models import UsageImport

from .factories import event, feed_of, posted, user_with

pytestmark = pytest.mark.django_db
HISTORY = "/api/DataImport/Usage/History"


@pytest.fixture
def client():
    client = APIClient()
    client.force_authenticate(
        user_with("ingestion.add_usageimport", "ingestion.view_usageimport", "ingestion.view_importexception")
    )
    return client


def some_history(count=3):
    feed = feed_of()
    return [posted(feed, event(f"e{number}")) for number in range(count)]


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("_=1763650000", 3),
        ("sort=created&order=desc&sort=id", 3),
        ("format=xml", 3),
        ("page=&pageSize=&udrFeedId=", 3),
        ("pageSize=5000", 3),
        ("pageSize=" + "9" * 5000, 3),
        ("Page=2&PageSize=2", 1),
        ("PAGESIZE=2", 2),
        ("pageSize=&PageSize=2", 2),
        ("UdrFeedID=none", 0),
    ],
)
def test_what_is_not_known_or_empty_is_left_unread_and_names_are_read_in_any_case(client, asked, count):
    some_history()
    answer = client.get(f"{HISTORY}?{asked}")
    assert answer.status_code == 200, answer.content
    assert len(answer.json()["results"]["items"]) == count


@pytest.mark.parametrize("asked", ["page=0", "pageSize=0", "pageSize=ten", "page=1&page=2", "page=1&Page=2"])
def test_what_is_read_and_makes_no_sense_is_still_refused(client, asked):
    answer = client.get(f"{HISTORY}?{asked}")
    assert (answer.status_code, answer.json()["type"]) == (400, "error")


@pytest.mark.parametrize("asked", ["wait=30", "wait=soon", "wait=", "backfill=none", "foo=1"])
def test_sending_reads_no_parameter_at_all(client, asked):
    answer = client.post(f"/api/DataImport/Usage/{feed_of().pk}?{asked}", {"data": [event()]})
    assert (answer.status_code, answer.json()["type"]) == (200, "sendMessage")


ACCEPTED = ["", "text/html", "application/xml", "garbage", "image/*;q=0.1, application/json;q=0", "text/csv"]


@pytest.mark.parametrize("accept", ACCEPTED)
def test_whatever_is_accepted_json_is_told(client, accept):
    feed = feed_of()
    told = [
        client.get(HISTORY, headers={"Accept": accept}),
        client.post(f"/api/DataImport/Usage/{feed.pk}", {"data": [event()]}, headers={"Accept": accept}),
        client.get(f"{HISTORY}/7777", headers={"Accept": accept}),
    ]
    assert [answer.status_code for answer in told] == [200, 200, 404]
    assert {answer["Content-Type"].partition(";")[0] for answer in told} == {"application/json"}


def test_by_the_first_door_too_an_accept_of_nothing_is_one_of_anything(client):
    assert client.get("/api/v1/imports", headers={"Accept": ""}).status_code == 200
    assert client.get("/api/v1/imports", headers={"Accept": " "}).status_code == 200
    said = {"data": [event()]}
    assert client.post(f"/api/v1/feeds/{feed_of().pk}/usage", said, headers={"Accept": ""}).status_code == 202


@pytest.mark.parametrize("called", ["", "text/json", "text/json; charset=utf-8", "Text/JSON"])
def test_a_body_without_a_type_and_one_of_text_json_are_json(client, called):
    body = json.dumps({"data": [event()]})
    feed = feed_of()
    answer = client.generic("POST", f"/api/DataImport/Usage/{feed.pk}", body, content_type=called)
    assert answer.status_code == 200, answer.content
    refused = client.generic("POST", f"/api/v1/feeds/{feed.pk}/usage", body, content_type=called)
    assert refused.status_code == 415
    other = client.generic("POST", f"/api/DataImport/Usage/{feed.pk}", body, content_type="text/csv")
    assert other.status_code == 415


@pytest.mark.parametrize(
    "path",
    [
        "DataImport/Usage/History/",
        "dataimport/usage/history",
        "DATAIMPORT/USAGE/HISTORY/",
        "DataImport/Usage/History/{sent}/",
        "DataImport/Usage/History/{tracking}/detail",
        "DataImport/Usage/feed/{feed}/",
        "dataimporthistory/exception/paged/",
        "DataImportHistory/{sent}/Exception/",
    ],
)
def test_a_slash_at_the_end_and_words_in_any_case_lead_to_the_same(client, path):
    (sent,) = some_history(1)
    known = {"sent": sent.pk, "tracking": sent.tracking_id, "feed": sent.feed.api_name}
    answer = client.get("/api/" + path.format(**known))
    assert (answer.status_code, answer.json()["type"]) == (200, "get")
    assert answer.wsgi_request.resolver_match.namespace == "second"


def test_usage_is_sent_so_too_and_refused_as_elsewhere(client):
    feed, said = feed_of(), {"data": [event()]}
    for path in (f"DataImport/Usage/{feed.pk}/", f"dataimport/usage/{feed.api_name}"):
        assert client.post(f"/api/{path}", said).status_code == 200
        assert APIClient(enforce_csrf_checks=True).post(f"/api/{path}", said).status_code == 401
        assert client.get(f"/api/{path}").status_code == 405
    assert UsageImport.objects.count() == 2


@pytest.mark.parametrize("path", ["DataImport/Nothing", "dataimport", "DataImport/", "DataImportHistory/a/b/c"])
def test_where_nothing_is_the_answer_has_this_doors_shape(client, path):
    answer = client.get(f"/api/{path}?foo=1", headers={"Accept": "text/html"})
    assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (404, "application/json")
    assert answer.json().keys() == {"trackingId", "type", "results", "errors"}
    assert client.post(f"/api/{path}", {}).status_code == 404


@pytest.mark.parametrize("path", ["DataImports/Usage", "data", "v1/nothing"])
def test_elsewhere_nothing_is_told_as_a_problem(client, path):
    answer = client.get(f"/api/{path}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
