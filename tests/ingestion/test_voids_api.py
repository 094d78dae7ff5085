"""Voids and amendments over HTTP: the examples of the README as they stand, every refusal, who sees what."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from config.approving.deciding import approve
from config.approving.policy import KINDS
from config.models import Approval
from ingestion import services
from ingestion.models import ImportException, KeyToVoid, UsageImport, UsageVoid
from mediation.models import Udr, VoidedUdr

from .factories import BY_EVENT, EVENTS, event, feed_of, in_threads, posted, user_with, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
README = Path(settings.BASE_DIR, "ingestion", "README.md").read_text()
MAY_VOID = ("ingestion.void_usage", "ingestion.add_usageimport", "ingestion.view_usageimport")


def example(name):
    return json.loads(re.search(rf"```json {name}\n(.*?)```", README, re.DOTALL)[1])


def client_of(user):
    return APIClient(headers={"Authorization": f"Token {AuthToken.objects.create(user=user)[1]}"})


@pytest.fixture
def feed():
    return feed_of(BY_EVENT, api_name="calls")


@pytest.fixture
def client():
    return client_of(user_with(*MAY_VOID))


def void(client, document, feed="calls", **headers):
    return client.post(f"/api/v1/feeds/{feed}/usage/void", document, format="json", headers=headers)


def amend(client, *rows, feed="calls", reason="measured wrong", **headers):
    address = f"/api/v1/feeds/{feed}/usage/amend?reason={reason}"
    return client.post(address, {"data": list(rows)}, format="json", headers=headers)


def work_all():
    while services.void_next(now=timezone.now()):
        pass
    work(timezone.now())


def codes(answer):
    assert answer["Content-Type"] == "application/problem+json"
    return [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]


def test_the_example_of_a_void_is_as_the_readme_says(feed, client):
    posted(feed, event("call-1"), event("call-2"), now=timezone.now())
    work_all()
    taken = void(client, example("void request"))
    assert taken.status_code == 202
    said = example("void answer")
    link = taken.json()["links"]["void"]
    assert taken.json() == said | {"tracking_id": taken.json()["tracking_id"], "links": {"void": link}}
    work_all()
    told = client.get(link).json()
    wanted = example("void outcome")
    changing = {name: told[name] for name in ("tracking_id", "received_at", "ended_at")}
    keys = [{**one, "udr_id": told["keys"][place]["udr_id"]} for place, one in enumerate(wanted["keys"])]
    assert told == wanted | changing | {"keys": keys}
    assert told["keys"][0]["udr_id"] == VoidedUdr.objects.get().pk


def test_a_voided_record_stays_imported_and_is_counted_beside(feed, client):
    sent = posted(feed, event("call-1"), event("call-2"), now=timezone.now())
    work_all()
    void(client, {"keys": ["call-1"], "reason": "test"})
    work_all()
    told = client.get(reverse("api:import", args=[sent.tracking_id])).json()
    assert (told["imported_count"], told["voided_count"]) == (2, 1)


def test_the_same_void_again_by_its_key_is_answered_with_the_first(feed, client):
    asked = {"keys": ["a"], "reason": "test"}
    first, again = (void(client, asked, **{"Idempotency-Key": "v1"}) for _ in range(2))
    assert first.json() == again.json()
    assert UsageVoid.objects.count() == 1
    other = void(client, {"keys": ["b"], "reason": "test"}, **{"Idempotency-Key": "v1"})
    assert (other.status_code, codes(other)) == (422, [("", "idempotency_key_reused")])
    assert void(client, asked, **{"Idempotency-Key": "x" * 256}).status_code == 400
    work_all()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_twins_at_once_are_one_void(feed):
    def ask():
        services.ask_void(feed=feed, keys=["a"], reason="test", by=None, now=timezone.now(), idempotency_key="twins")

    assert in_threads(ask, 4) == []
    assert UsageVoid.objects.count() == 1
    assert KeyToVoid.objects.count() == 1


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        ([], [("", "shape_not_read")]),
        ({}, [("/reason", "missing_reason"), ("/keys", "no_keys")]),
        (
            {"keys": "a", "reason": 1, "why": 2},
            [("/why", "unknown_member"), ("/keys", "not_a_list"), ("/reason", "not_text")],
        ),
        ({"keys": [1, "a"], "reason": "x"}, [("/keys/0", "bad_key")]),
        (
            {"keys": ["", "a\0", "a", "a", "k" * 201], "reason": "x"},
            [("/keys/0", "bad_key"), ("/keys/1", "bad_key"), ("/keys/3", "repeated_key"), ("/keys/4", "bad_key")],
        ),
        ({"keys": [str(one) for one in range(1001)], "reason": "x"}, [("/keys", "too_many_keys")]),
        ({"keys": ["a"], "reason": "x" * 1001}, [("/reason", "too_long")]),
    ],
)
def test_every_fault_of_a_void_is_told_at_once_and_nothing_is_stored(feed, client, document, faults):
    answer = void(client, document)
    assert (answer.status_code, codes(answer)) == (400, faults)
    assert not UsageVoid.objects.exists()


def test_who_may_not_void_is_refused_whatever_he_sends(feed):
    sender = client_of(user_with("ingestion.add_usageimport"))
    assert void(sender, {}).status_code == 403
    assert amend(sender, event()).status_code == 403
    assert sender.get("/api/v1/voids").status_code == 403
    assert APIClient().get("/api/v1/voids").status_code == 401
    reader = client_of(user_with("ingestion.void_usage"))
    assert amend(reader, event()).status_code == 403


def test_a_feed_that_was_not_granted_is_not_there(feed):
    own = feed_of(BY_EVENT, api_name="own")
    stranger = client_of(user_with(*MAY_VOID, feeds=[own]))
    for answer in (void(stranger, {"keys": ["a"], "reason": "x"}), amend(stranger, event())):
        assert (answer.status_code, codes(answer)) == (404, [("", "unknown_feed")])
    with pytest.raises(Exception, match="was not granted"):
        services.ask_void(feed=feed, keys=["a"], reason="x", by=user_with(*MAY_VOID, feeds=[own]), now=timezone.now())


def test_who_may_only_void_sees_his_own_voids_and_viewers_those_of_their_feeds(feed, client):
    mine = void(client, {"keys": ["a"], "reason": "mine"}).json()["tracking_id"]
    other = client_of(user_with(*MAY_VOID))
    assert other.get(f"/api/v1/voids/{mine}").status_code == 404
    assert other.get("/api/v1/voids").json()["results"] == []
    viewer = client_of(user_with("ingestion.view_usagevoid"))
    assert [one["reason"] for one in viewer.get("/api/v1/voids").json()["results"]] == ["mine"]
    narrow = client_of(user_with("ingestion.view_usagevoid", feeds=[]))
    assert narrow.get("/api/v1/voids").json()["results"] == []
    work_all()


def test_a_list_and_a_void_ask_as_many_queries_for_many_as_for_few(feed, client):
    counts = []
    for count in (2, 20):
        link = void(client, {"keys": [f"{count}-{one}" for one in range(count)], "reason": "x"}).json()["links"]["void"]
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get(link)
            client.get("/api/v1/voids")
        counts.append(len(asked))
    assert counts[0] == counts[1]
    work_all()


def test_an_amendment_is_an_import_with_outcomes_of_its_own(feed, client):
    posted(feed, event("call-1", value="10"), now=timezone.now())
    work_all()
    taken = amend(client, event("call-1", value="7"), event("call-2"))
    assert taken.status_code == 202
    work_all()
    told = client.get(taken.json()["links"]["import"]).json()
    assert (told["imported_count"], told["exception_count"]) == (1, 1)
    assert ImportException.objects.get().code == "nothing_to_amend"
    assert VoidedUdr.objects.get().reason == "measured wrong"
    assert Udr.objects.get(import_id=UsageImport.objects.get(amend_reason="measured wrong").pk).value == 7


def test_an_amendment_is_told_from_usage_by_its_idempotency_key(feed, client):
    posted(feed, event("call-1", value="10"), now=timezone.now())
    work_all()
    headers = {"Idempotency-Key": "one"}
    first, again = (amend(client, event("call-1", value="7"), **headers) for _ in range(2))
    assert first.json()["tracking_id"] == again.json()["tracking_id"]
    assert amend(client, event("call-1", value="7"), reason="other", **headers).status_code == 422
    address = "/api/v1/feeds/calls/usage"
    assert (
        client.post(address, {"data": [event("call-1", value="7")]}, format="json", headers=headers).status_code == 422
    )
    work_all()


def test_json_records_are_amended_by_what_their_feed_reads(client):
    feed = feed_of(EVENTS, api_name="events")
    record = {"Date": "2026-05-01T10:00:00Z", "Id": "call-1", "Value": 1.5}
    posted(feed, record, now=timezone.now())
    work_all()
    taken = client.post("/api/v1/feeds/events/usage/amend?reason=x", record | {"Value": 2.25}, format="json")
    assert taken.status_code == 202
    work_all()
    assert str(Udr.objects.order_by("pk").last().value) == "2.250000"
    assert VoidedUdr.objects.count() == 1


@pytest.mark.parametrize(
    ("reason", "code"), [("", "empty_parameter"), ("%20", "empty_parameter"), ("x" * 1001, "missing_reason")]
)
def test_an_amendment_needs_a_reason(feed, client, reason, code):
    answer = amend(client, event(), reason=reason)
    assert (answer.status_code, codes(answer)) == (400, [("", code)])
    assert not UsageImport.objects.exists()


def test_a_feed_without_a_key_has_nothing_to_amend(client):
    feed_of(BY_EVENT | {"uniqueness": []}, api_name="whole")
    answer = amend(client, event(), feed="whole")
    assert (answer.status_code, codes(answer)) == (409, [("", "not_amendable")])


def test_where_the_setting_asks_a_void_and_an_amendment_wait_for_a_second_person(feed, client, settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    posted(feed, event("call-1", value="10"), now=timezone.now())
    work_all()
    for answer in (void(client, {"keys": ["call-1"], "reason": "x"}), amend(client, event("call-1", value="7"))):
        assert (answer.status_code, codes(answer)) == (409, [("", "needs_second_person")])
    assert set(Approval.objects.values_list("act", flat=True)) == {"void_usage", "amend_usage"}
    assert not UsageVoid.objects.exists()
    assert UsageImport.objects.count() == 1


@pytest.mark.parametrize("act", ["void_usage", "amend_usage"])
def test_what_a_second_person_agrees_to_is_done(feed, client, settings, act):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    posted(feed, event("call-1", value="10"), now=timezone.now())
    work_all()
    if act == "void_usage":
        void(client, {"keys": ["call-1"], "reason": "x"})
    else:
        amend(client, event("call-1", value="7"))
    second = user_with(*MAY_VOID, "config.decide_approval", "config.view_approval")
    approve(approval=Approval.objects.get(), by=second, now=timezone.now())
    work_all()
    assert VoidedUdr.objects.count() == 1
