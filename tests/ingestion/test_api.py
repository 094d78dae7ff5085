"""The HTTP door: the two documented bodies as they stand, every refusal, and nothing stored by any of them."""

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from ingestion.models import ImportException, UsageImport
from mediation.models import Udr
from tests.mediation.profiles import document

from .factories import (
    BY_EVENT,
    EVENTS,
    FeedFactory,
    UsageClassFactory,
    UsageClassTypeFactory,
    counts,
    event,
    feed_of,
    posted,
    user_with,
    work,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
PROBLEM = "application/problem+json"
EVERYTHING = [
    *("ingestion.add_usageimport", "ingestion.view_usageimport", "ingestion.reprocess_usageimport"),
    *("ingestion.view_importexception", "ingestion.correct_importexception"),
    *("ingestion.writeoff_importexception", "ingestion.reprocess_importexception"),
]

RAW_BODY = """{
"data": [
"2022-05-01T01:01:00.01,Unknown,4038675309,4038675345,648-688-4180,94,False,False,data_class,Data_1,2022-05-01T01:01:00.01"
]
}"""
RAW_PROFILE = {
    "format": {
        "kind": "delimited",
        "columns": ["date", "kind", "from", "to", "id", "value", "in", "reverse", "class", "class type", "bill"],
    },
    "fields": {
        "DateTime": {"source": "date"},
        "UdrIdentifierTypeName": {"source": "kind"},
        "OriginatingIdentifier": {"source": "from"},
        "TerminatingIdentifier": {"source": "to"},
        "UdrUsageIdentifier": {"source": "id"},
        "Value": {"source": "value"},
        "Inbound": {"source": "in"},
        "ReverseRating": {"source": "reverse"},
        "UsageClassName": {"source": "class"},
        "UsageClassTypeName": {"source": "class type"},
        "UsageBillDate": {"source": "bill"},
    },
}
JSON_BODY = """{
"Date": "2026-04-16T14:32:00Z",
"UdrIdentifierTypeName": "Unknown",
"OriginatingIdentifier": "acct-100045",
"TerminatingIdentifier": "svc-api-gateway",
"UdrUsageIdentifier": "evt-20260416-00012345",
"Value": 1250,
"UsageClassName": "API Requests",
"UsageClassTypeName": "Requests",
"Inbound": false,
"PrimaryDataRow": 1,
"Extensions": {
"region": "us-east-1",
"plan": "growth",
"operation": "generateReport"
}
}"""
NAMES = [
    *("Date", "UdrIdentifierTypeName", "OriginatingIdentifier", "TerminatingIdentifier", "UdrUsageIdentifier", "Value"),
    *("UsageClassName", "UsageClassTypeName", "Inbound", "PrimaryDataRow", "Extensions"),
]
JSON_PROFILE = {
    "format": {"kind": "json"},
    "fields": {name: {"source": name} for name in NAMES},
    "uniqueness": ["UdrUsageIdentifier"],
}


def client_of(*permissions):
    client = APIClient()
    _, token = AuthToken.objects.create(user=user_with(*permissions))
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def client():
    return client_of(*EVERYTHING)


def post(client, feed, body, **headers):
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(f"/api/v1/feeds/{feed}/usage", content, content_type="application/json", headers=headers)


def refused(answer, status, code):
    """The faults of a refusal, which has left nothing behind."""
    document_ = answer.json()
    assert (answer.status_code, answer["Content-Type"], document_["code"]) == (status, PROBLEM, code)
    assert document_["status"] == status
    assert document_["detail"]
    assert document_["errors"]
    for fault in document_["errors"]:
        assert fault.keys() == {"pointer", "code", "detail"}
    return document_["errors"]


# Usage in


def test_the_raw_body_goes_through_exactly_as_it_is_documented(client):
    UsageClassFactory(name="data_class", usage_class_type=UsageClassTypeFactory(name="Data_1"))
    feed = feed_of(RAW_PROFILE)
    answer = post(client, feed.pk, RAW_BODY)
    assert answer.status_code == 202
    work(now=timezone.now())
    udr = Udr.objects.select_related("usage_class", "identifier_type").get()
    assert udr.date.isoformat() == udr.usage_bill_date.isoformat() == "2022-05-01T01:01:00.010000+00:00"
    assert (udr.originating_identifier, udr.terminating_identifier) == ("4038675309", "4038675345")
    assert (udr.udr_usage_identifier, udr.value) == ("648-688-4180", 94)
    assert (udr.inbound, udr.reverse_rating) == (False, False)
    assert (udr.usage_class.name, udr.identifier_type.name, udr.source_zone) == ("data_class", "Unknown", "UTC")


def test_the_json_body_goes_through_exactly_as_it_is_documented(client):
    UsageClassFactory(name="API Requests", usage_class_type=UsageClassTypeFactory(name="Requests"))
    feed = feed_of(JSON_PROFILE)
    assert post(client, feed.api_name, JSON_BODY).status_code == 202
    work(now=timezone.now())
    udr = Udr.objects.select_related("usage_class").get()
    assert udr.date.isoformat() == "2026-04-16T14:32:00+00:00"
    assert (udr.originating_identifier, udr.terminating_identifier) == ("acct-100045", "svc-api-gateway")
    assert (udr.udr_usage_identifier, udr.value) == ("evt-20260416-00012345", 1250)
    assert (udr.usage_class.name, udr.inbound, udr.primary_data_row) == ("API Requests", False, 1)
    assert udr.extensions == {"region": "us-east-1", "plan": "growth", "operation": "generateReport"}


def test_an_accepted_submission_is_answered_with_where_to_look(client):
    feed = feed_of()
    answer = post(client, feed.api_name, {"data": [event("a"), event("b")]})
    usage_import = UsageImport.objects.get()
    where = f"http://testserver/api/v1/imports/{usage_import.tracking_id}"
    assert answer.json() == {
        "tracking_id": str(usage_import.tracking_id),
        "feed": feed.api_name,
        "record_count": 2,
        "status": "waiting",
        "links": {"import": where, "exceptions": f"{where}/exceptions", "records": f"{where}/records"},
    }
    assert (usage_import.received_by.username[:5], usage_import.source) == ("user-", "api")
    work(now=timezone.now())
    assert client.get(answer.json()["links"]["import"]).json()["imported_count"] == 2


RECORD = {"Date": "2026-05-01", "Id": "a", "Value": 1}


@pytest.mark.parametrize("body", [RECORD, [RECORD], {"data": [RECORD]}, {**RECORD, "data": {}}])
def test_a_json_feed_takes_one_record_a_list_and_a_wrapped_list(client, body):
    assert post(client, feed_of(EVENTS).pk, body).json()["record_count"] == 1
    work(now=timezone.now())
    assert Udr.objects.count() == 1


def test_json_numbers_keep_their_digits_and_letters_stay_letters(client):
    feed = feed_of(document(EVENTS, fields={"Value": {"source": "Value"}, "Extensions": {"source": "x"}}))
    body = '{"Date": "2026-05-01", "Id": "é", "Value": 123456789012345.123456, "x": {"n": 0.1000000000000000000001}}'
    post(client, feed.pk, body)
    post(client, feed.pk, '{"Date": "2026-05-01", "Id": "ü", "Value": "x"}')
    work(now=timezone.now())
    assert str(Udr.objects.get().value) == "123456789012345.123456"
    assert '"Id":"ü"' in ImportException.objects.get().raw


def test_rows_are_rows_of_their_own(client):
    feed = feed_of()
    rows = [event("a"), '2026-05-01,"open,1,calls', event("b"), "2026-05-01,a\nb,1,calls", "", event("c")]
    post(client, feed.pk, {"data": rows})
    work(now=timezone.now())
    assert counts(UsageImport.objects.get()) == ("completed", 3, 3, 0, 0)
    assert sorted(ImportException.objects.values_list("record_number", "code")) == [
        (2, "malformed"),
        (4, "malformed"),
        (5, "too_few_columns"),
    ]


DEEP = '{"a":' * 101 + "1" + "}" * 101
BODIES = [
    ("rows", RECORD, 400, "shape_not_read", [""]),
    ("rows", [event()], 400, "shape_not_read", [""]),
    ("rows", {"data": [RECORD, event(), 1, None]}, 400, "record_not_read", ["/data/0", "/data/2", "/data/3"]),
    ("rows", {"data": event()}, 400, "not_a_list", ["/data"]),
    ("rows", {"data": []}, 400, "no_records", ["/data"]),
    ("rows", {"data": [event()] * 1001}, 400, "too_many_records", ["/data"]),
    ("rows", {"data": [event()], "a/b~": 1, "c": 2}, 400, "unknown_member", ["/a~1b~0", "/c"]),
    ("rows", '{"data": ["\\ud800", "a"]}', 400, "not_text", ["/data/0"]),
    ("json", {"data": [event()]}, 400, "record_not_read", ["/data/0"]),
    ("json", {"data": event()}, 400, "not_a_list", ["/data"]),
    ("json", [RECORD, event(), [RECORD]], 400, "record_not_read", ["/1", "/2"]),
    ("json", [], 400, "no_records", [""]),
    ("json", {"data": [RECORD] * 1001}, 400, "too_many_records", ["/data"]),
    ("json", "1", 400, "shape_not_read", [""]),
    ("json", "null", 400, "shape_not_read", [""]),
    ("json", '{"Value": NaN}', 400, "not_json", [""]),
    ("json", '{"Value": 1e99999}', 400, "not_json", [""]),
    ("json", DEEP, 400, "too_deep", [""]),
    ("json", f"[{DEEP}]", 400, "too_deep", ["/0"]),
    ("json", "[" * 100_000, 400, "not_json", [""]),
    *((kind, body, 400, "not_json", [""]) for kind in ("rows", "json") for body in ("", "{", "{'a': 1}", "[1] x")),
    *((kind, b'{"data": ["\xff"]}', 400, "not_utf8", [""]) for kind in ("rows", "json")),
]


@pytest.mark.parametrize(("kind", "body", "status", "code", "pointers"), BODIES, ids=range(len(BODIES)))
def test_a_body_that_cannot_be_read_is_refused_with_all_its_faults(client, kind, body, status, code, pointers):
    feed = feed_of(BY_EVENT if kind == "rows" else EVENTS)
    faults = refused(post(client, feed.pk, body), status, code)
    assert [fault["pointer"] for fault in faults] == pointers
    assert UsageImport.objects.count() == 0


def test_a_thousand_records_are_taken(client):
    assert post(client, feed_of().pk, {"data": [event(f"e{n}") for n in range(1000)]}).json()["record_count"] == 1000
    work(now=timezone.now())


def test_half_of_a_surrogate_pair_in_a_json_record_spoils_that_record(client):
    post(client, feed_of(EVENTS).pk, [{**RECORD, "Id": "\ud800"}, RECORD])
    work(now=timezone.now())
    assert counts(UsageImport.objects.get()) == ("completed", 1, 1, 0, 0)
    assert "\\ud800" in ImportException.objects.get().raw


@pytest.mark.parametrize("feed", ["nothing", "999999", "9" * 40, "٣", "%00"])
def test_an_unknown_feed(client, feed):
    refused(post(client, feed, RAW_BODY), 404, "unknown_feed")


def test_a_feed_that_takes_nothing_now(client):
    refused(post(client, feed_of(is_enabled=False).pk, RAW_BODY), 409, "feed_disabled")
    refused(post(client, FeedFactory().pk, RAW_BODY), 409, "profile_not_active")
    named = document(BY_EVENT, format={"kind": "delimited", "columns_by": "name", "header_rows": 1})
    refused(post(client, feed_of(named).pk, RAW_BODY), 409, "profile_needs_header")
    assert UsageImport.objects.count() == 0


def test_a_body_over_the_limit(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    refused(post(client, feed_of().pk, {"data": [event()] * 50}), 413, "too_large")
    assert UsageImport.objects.count() == 0


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_a_body_of_another_type(client, content_type):
    answer = client.generic("POST", f"/api/v1/feeds/{feed_of().pk}/usage", RAW_BODY, content_type=content_type)
    refused(answer, 415, "unsupported_media_type")


def test_a_charset_may_stand_behind_the_type(client):
    url = f"/api/v1/feeds/{feed_of().pk}/usage"
    body = json.dumps({"data": [event()]})
    assert client.generic("POST", url, body, content_type="application/json; charset=utf-8").status_code == 202
    work(now=timezone.now())


# Who may


def test_without_a_credential_nothing_is_said_about_feeds():
    feed = feed_of()
    refused(post(APIClient(), feed.pk, RAW_BODY), 401, "not_authenticated")
    for address in ("imports", "exceptions", f"feeds/{feed.pk}/usage"):
        answer = APIClient().get(f"/api/v1/{address}")
        refused(answer, 401, "not_authenticated")
        assert answer["WWW-Authenticate"] == "Token"


def test_a_wrong_an_expired_and_a_retired_token():
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Token nonsense")
    refused(post(client, feed_of().pk, RAW_BODY), 401, "authentication_failed")
    user = user_with(*EVERYTHING)
    _, token = AuthToken.objects.create(user=user, expiry=timedelta(seconds=-1))
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    refused(client.get("/api/v1/imports"), 401, "authentication_failed")
    _, token = AuthToken.objects.create(user=user)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.get("/api/v1/imports").status_code == 200
    user.is_active = False
    user.save()
    refused(client.get("/api/v1/imports"), 401, "authentication_failed")


def test_each_verb_asks_for_its_permission():
    feed = feed_of()
    usage_import = posted(feed, event(value="x"), now=timezone.now())
    work(now=timezone.now())
    exception = ImportException.objects.get()
    client = client_of()
    addresses = [
        f"feeds/{feed.pk}/usage",
        f"imports/{usage_import.tracking_id}/reprocess",
        *(f"exceptions/{exception.pk}/{verb}" for verb in ("correct", "write-off", "reprocess")),
    ]
    for address in addresses:
        body = {"data": [event()], "raw": "x", "reason": "x"}
        refused(client.post(f"/api/v1/{address}", body), 403, "permission_denied")
    for address in ("imports", f"imports/{usage_import.tracking_id}", "exceptions"):
        refused(client.get(f"/api/v1/{address}"), 403, "permission_denied")
    assert UsageImport.objects.count() == 1


# Once


def test_the_same_key_and_body_get_the_same_answer_again(client):
    feed = feed_of()
    body = {"data": [event()]}
    first = post(client, feed.pk, body, **{"Idempotency-Key": "k"})
    work(now=timezone.now())
    feed.is_enabled = False
    feed.save()
    again = post(client, feed.api_name, body, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert UsageImport.objects.count() == 1


def test_the_same_key_with_another_body_is_refused_and_with_another_feed_is_not(client):
    feed = feed_of()
    post(client, feed.pk, {"data": [event("a")]}, **{"Idempotency-Key": "k"})
    refused(post(client, feed.pk, {"data": [event("b")]}, **{"Idempotency-Key": "k"}), 422, "idempotency_key_reused")
    assert post(client, feed_of().pk, {"data": [event("b")]}, **{"Idempotency-Key": "k"}).status_code == 202
    for key in ("", "k" * 256, "k\0"):
        refused(post(client, feed.pk, {"data": [event("b")]}, **{"Idempotency-Key": key}), 400, "bad_idempotency_key")
    work(now=timezone.now())


def test_a_refused_request_does_not_use_up_its_key(client):
    feed = feed_of()
    refused(post(client, feed.pk, "{", **{"Idempotency-Key": "k"}), 400, "not_json")
    assert post(client, feed.pk, {"data": [event()]}, **{"Idempotency-Key": "k"}).status_code == 202
    work(now=timezone.now())


# The history


def test_the_history_is_listed_filtered_and_paged(client):
    feed, other = feed_of(), feed_of()
    imports = [posted(feed, event(f"e{n}"), now=timezone.now()) for n in range(3)]
    posted(other, event(value="x"), now=timezone.now() - timedelta(days=2))
    work(now=timezone.now())
    page = client.get("/api/v1/imports", {"page_size": 3}).json()
    assert len(page["results"]) == 3
    rest = client.get(page["next"]).json()
    ids = [row["tracking_id"] for row in page["results"] + rest["results"]]
    assert ids == [str(pk) for pk in UsageImport.objects.order_by("-pk").values_list("tracking_id", flat=True)]
    assert rest["next"] is None

    def found(**filters):
        return len(client.get("/api/v1/imports", filters).json()["results"])

    assert found(feed=feed.api_name) == 3
    assert found(status="completed") == 4
    assert found(source="upload") == 0
    assert found(received_after=(timezone.now() - timedelta(days=1)).isoformat()) == 3
    detail = client.get(f"/api/v1/imports/{imports[0].tracking_id}").json()
    assert {
        **{"feed": feed.api_name, "profile": feed.profile.name, "profile_version": 1, "source": "api"},
        **{"status": "completed", "record_count": 1, "imported_count": 1, "exception_count": 0},
        **{"skipped_count": 0, "duplicate_count": 0, "attempts": 1},
    }.items() <= detail.items()
    refused(client.get("/api/v1/imports", {"status": "happy"}), 400, "invalid")
    for cursor in ("nonsense", "cD1hYmM=", "cD0tNQ=="):  # of the latter two the texts are p=abc and p=-5
        refused(client.get("/api/v1/imports", {"cursor": cursor}), 400, "bad_cursor")
    refused(client.get(f"/api/v1/imports/{UsageImport().tracking_id}"), 404, "not_found")


def test_an_import_is_mediated_again_by_request(client):
    usage_import = posted(feed_of(), event(), now=timezone.now())
    address = reverse("api:reprocess-import", args=[usage_import.tracking_id])
    refused(client.post(address), 409, "unable_to_reprocess")
    work(now=timezone.now())
    answer = client.post(address)
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
    work(now=timezone.now())
    assert client.get(f"/api/v1/imports/{usage_import.tracking_id}").json()["attempts"] == 2
    refused(client.post(reverse("api:reprocess-import", args=[UsageImport().tracking_id])), 404, "not_found")


# Exceptions


def test_exceptions_are_listed_and_cleared_by_request(client):
    feed = feed_of()
    usage_import = posted(feed, event("a", value="x"), event("b", class_="sms"), now=timezone.now())
    work(now=timezone.now())
    rows = client.get(f"/api/v1/imports/{usage_import.tracking_id}/exceptions").json()["results"]
    assert [(row["record_number"], row["code"], row["field"]) for row in rows] == [
        (2, "unknown_usage_class", "UsageClassName"),
        (1, "bad_number", "Value"),
    ]
    assert rows[1]["raw"] == event("a", value="x")
    assert len(client.get("/api/v1/exceptions", {"code": "bad_number", "feed": feed.api_name}).json()["results"]) == 1
    second, first = (row["id"] for row in rows)

    refused(client.post(f"/api/v1/exceptions/{first}/correct", {}), 400, "invalid")
    refused(client.post(f"/api/v1/exceptions/{first}/correct", {"raw": "  "}), 409, "unable_to_correct")
    refused(client.post(f"/api/v1/exceptions/{first}/correct", {"raw": "a\0b"}), 400, "invalid")
    answer = client.post(f"/api/v1/exceptions/{first}/correct", {"raw": event("a"), "reason": "typing error"})
    assert (answer.status_code, answer.json()) == (202, {"id": first, "status": "reprocessing"})
    refused(client.post(f"/api/v1/exceptions/{first}/write-off", {"reason": "x"}), 409, "unable_to_write_off")
    work(now=timezone.now())
    [row] = client.get("/api/v1/exceptions", {"status": "resolved"}).json()["results"]
    assert [(one["number"], one["raw"], one["reason"]) for one in row["revisions"]] == [(1, event("a"), "typing error")]

    assert client.post(f"/api/v1/exceptions/{second}/reprocess").status_code == 202
    work(now=timezone.now())
    refused(client.post(f"/api/v1/exceptions/{second}/write-off", {"reason": " "}), 400, "invalid")
    answer = client.post(f"/api/v1/exceptions/{second}/write-off", {"reason": "no such class"})
    assert answer.json() == {"id": second, "status": "written_off"}
    refused(client.post(f"/api/v1/exceptions/{second}/reprocess"), 409, "unable_to_reprocess")
    refused(client.post(f"/api/v1/exceptions/{second}/correct", {"raw": "x"}), 409, "unable_to_correct")
    for verb in ("correct", "write-off", "reprocess"):
        refused(client.post(f"/api/v1/exceptions/0/{verb}", {"raw": "x", "reason": "x"}), 404, "not_found")
    refused(client.put(f"/api/v1/exceptions/{second}/correct", {}), 405, "method_not_allowed")


def test_lists_ask_the_database_a_fixed_number_of_questions(client, django_assert_max_num_queries):
    feed = feed_of()
    for _ in range(5):
        posted(feed, *(event(f"e{n}", value="x") for n in range(4)), now=timezone.now())
    work(now=timezone.now())
    for address in ("imports", "exceptions"):
        with django_assert_max_num_queries(8):
            assert client.get(f"/api/v1/{address}").json()["results"]


def test_who_may_only_send_follows_what_he_sent_and_nothing_else():
    feed = feed_of()
    sender, other = user_with("ingestion.add_usageimport"), user_with("ingestion.add_usageimport")
    mine = posted(feed, event("e1"), by=sender, now=timezone.now())
    theirs = posted(feed, event("e2", value="x"), by=other, now=timezone.now())
    work(now=timezone.now())
    client = APIClient()
    client.force_authenticate(sender)
    assert client.get(f"/api/v1/imports/{mine.tracking_id}").status_code == 200
    assert client.get(f"/api/v1/imports/{mine.tracking_id}/exceptions").json()["results"] == []
    assert client.get(f"/api/v1/imports/{theirs.tracking_id}").status_code == 404
    assert client.get(f"/api/v1/imports/{theirs.tracking_id}/exceptions").status_code == 404
    assert [one["tracking_id"] for one in client.get("/api/v1/imports").json()["results"]] == [str(mine.tracking_id)]
    assert client.get("/api/v1/exceptions").json()["results"] == []


@pytest.mark.parametrize("address", ["/api/v1/nowhere", "/api/v1/imports/", "/api/", "/api/v2/feeds/rows/usage"])
def test_an_address_with_nothing_at_it_is_a_problem_too(client, address):
    answer = client.get(address)
    assert (answer.status_code, answer["Content-Type"]) == (404, PROBLEM)
    assert answer.json()["code"] == "not_found"
