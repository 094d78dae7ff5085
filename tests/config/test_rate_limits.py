"""What is too much is refused for a while and stored nowhere: by token and minute, and by what waits."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from config.access import gate, quota
from config.access.quota import Limits, Quotas, Share, Spent, carry, divide
from config.models import TokenQuota
from ingestion.api import gates, regulars
from ingestion.models import ImportBody, UsageImport
from tests.config.test_tokens import source, token_of
from tests.ingestion.factories import event, feed_of, work

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
MINUTE = int(NOON.timestamp()) // 60


def test_a_share_is_a_twentieth_until_nothing_is_left():
    spent, share = divide(Spent(MINUTE, 0, 0), Share(MINUTE, 0, 0), Limits(100, 1000))
    assert (spent, share) == ((MINUTE, 5, 50), Share(MINUTE, 5, 50))
    spent, share = divide(Spent(MINUTE, 98, 0), Share(MINUTE, 0, 7), Limits(100, 1000))
    assert (spent, share) == ((MINUTE, 100, 0), Share(MINUTE, 2, 7))
    spent, share = divide(spent, Share(MINUTE, 0, 7), Limits(100, 1000))
    assert (spent.requests, share.wait_seconds) == (100, 60)


def test_a_limit_below_twenty_is_given_out_one_by_one():
    spent, share = divide(Spent(MINUTE, 0, 0), Share(MINUTE, 0, 0), Limits(3, 0))
    assert (spent.requests, share.requests) == (1, 1)


def test_what_a_request_held_above_the_limit_is_paid_off_minute_by_minute():
    limits = Limits(0, 100)
    spent, share = divide(Spent(MINUTE, 0, 5), Share(MINUTE, 0, -995), limits)
    assert (spent.records, share.wait_seconds) == (1000, 600)
    for minutes, records in ((1, 900), (9, 100), (10, 0), (99, 0)):
        assert carry(spent, MINUTE + minutes, limits) == (MINUTE + minutes, 0, records)
    assert divide(carry(spent, MINUTE + 9, limits), Share(MINUTE + 9, 0, 0), limits)[1].wait_seconds == 60
    assert divide(carry(spent, MINUTE + 10, limits), Share(MINUTE + 10, 0, 0), limits)[1].records == 5


def test_a_host_whose_clock_is_behind_gives_nothing_back():
    assert carry(Spent(MINUTE, 9, 9), MINUTE - 1, Limits(10, 10)) == (MINUTE, 9, 9)


@given(
    limits=st.builds(Limits, st.integers(1, 60), st.integers(1, 60)),
    sent=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30)), max_size=200),
)
@settings(max_examples=100, deadline=None)
def test_several_processes_together_never_let_in_more_than_the_limit(limits, sent):
    """In a minute: no more requests, and records only as long as some are left."""
    spent, shares = Spent(MINUTE, 0, 0), [Share(MINUTE, 0, 0)] * 3
    requests, records, largest = 0, 0, 0
    for process, count in sent:
        share = shares[process]
        if not share.is_open(limits) and not share.wait_seconds:
            spent, share = divide(spent, share, limits)
        if share.is_open(limits):
            requests, records, largest = requests + 1, records + count, max(largest, count)
            share = Share(MINUTE, share.requests - 1, share.records - count)
        shares[process] = share
    assert requests <= limits.requests
    assert records < limits.records + len(shares) * largest


class Clock:
    def __init__(self, monkeypatch):
        self.at = NOON + timedelta(days=200)
        monkeypatch.setattr(timezone, "now", lambda: self.at)

    def pass_(self, seconds):
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(monkeypatch)
    quotas, backlog = Quotas(), gates.Backlog()
    monkeypatch.setattr(gate, "QUOTAS", quotas)
    monkeypatch.setattr("ingestion.api.usage.BACKLOG", backlog)
    return clock


def sender(**limits):
    feed, user = feed_of(), source()
    token, text = token_of(user)
    token.scope.__class__.objects.update(**limits)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {text}")

    def send(*records, **headers):
        body = json.dumps({"data": list(records) or [event()]})
        address = f"/api/v1/feeds/{feed.api_name}/usage"
        return client.post(address, body, content_type="application/json", headers=headers)

    return send, client, token


@pytest.mark.django_db
def test_requests_above_the_limit_are_refused_until_the_next_minute(clock):
    send, client, _ = sender(requests_per_minute=3)
    clock.pass_(20)
    assert [send().status_code for _ in range(3)] == [202] * 3
    before = ImportBody.objects.count()
    for _ in range(2):
        answer = send()
        assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
        assert answer["Content-Type"] == "application/problem+json"
        assert 39 <= int(answer["Retry-After"]) <= 41
    assert client.get("/api/v1/imports").status_code == 429
    assert ImportBody.objects.count() == before
    clock.pass_(int(answer["Retry-After"]))
    assert client.get("/api/v1/imports").status_code == 200
    assert [send().status_code for _ in range(3)] == [202, 202, 429]
    work(now=timezone.now())


@pytest.mark.django_db
def test_answers_tell_the_limits_and_what_is_left_of_them(clock):
    send, client, _ = sender(requests_per_minute=3, records_per_minute=50)
    clock.pass_(20)
    told = []
    for answer in (send(), client.get("/api/v1/imports"), send(event("a"), event("b")), send()):
        assert answer["RateLimit-Policy"] == '"requests";q=3;w=60, "records";q=50;w=60'
        told.append(answer["RateLimit"])
    assert answer.status_code == 429
    assert told == [
        '"requests";r=2;t=40, "records";r=49;t=40',
        '"requests";r=1;t=40, "records";r=49;t=40',
        '"requests";r=0;t=40, "records";r=47;t=40',
        '"requests";r=0;t=40, "records";r=47;t=40',
    ]
    clock.pass_(40)
    assert client.get("/api/v1/imports")["RateLimit"] == '"requests";r=2;t=60, "records";r=50;t=60'


@pytest.mark.django_db
def test_only_limits_that_there_are_are_told(clock):
    send, _, token = sender(records_per_minute=5)
    assert send()["RateLimit-Policy"] == '"records";q=5;w=60'
    assert "RateLimit" not in APIClient().get("/api/v1/imports").headers
    token.scope.__class__.objects.update(records_per_minute=None)
    regulars._known.clear()
    assert not {"RateLimit", "RateLimit-Policy"} & set(send().headers)


@pytest.mark.django_db
def test_records_are_counted_whichever_way_they_come_and_repeats_are_not(clock):
    send, _, _ = sender(records_per_minute=5)
    two = [event("a"), event("b")]
    key = {"Idempotency-Key": "k"}
    assert [send(*two, **key).status_code for _ in range(4)] == [202] * 4
    assert [send(*two).status_code for _ in range(3)] == [202, 202, 429]
    clock.pass_(60)
    assert [send(*two).status_code for _ in range(3)] == [202, 202, 429]
    assert UsageImport.objects.count() == 5


@pytest.mark.django_db
def test_a_request_of_more_records_than_a_minute_has_is_taken_and_paid_off(clock):
    send, _, _ = sender(records_per_minute=10)
    assert send(*(event(str(n)) for n in range(25))).status_code == 202
    answer = send()
    assert (answer.status_code, int(answer["Retry-After"]) // 60) == (429, 2)
    clock.pass_(60)
    assert send().status_code == 429
    clock.pass_(61)
    assert send().status_code == 202


@pytest.mark.django_db
def test_two_processes_share_one_limit_and_ask_the_database_twenty_times(
    clock, monkeypatch, django_assert_max_num_queries
):
    _, _, token = sender(requests_per_minute=200)
    token.scope.refresh_from_db()
    processes = [Quotas(), Quotas()]
    with django_assert_max_num_queries(22 * 5):
        taken = [processes[n % 2].take_request(token, clock.at) for n in range(400)]
    assert taken.count(None) == 200
    assert TokenQuota.objects.get().requests == 200


@pytest.mark.django_db
def test_a_token_without_limits_costs_no_statement_and_the_settings_limit_it(
    clock, settings, django_assert_num_queries
):
    _, _, token = sender()
    token.scope.refresh_from_db()
    with django_assert_num_queries(0):
        assert Quotas().take_request(token, clock.at) is None
    settings.REQUESTS_PER_MINUTE = 1
    quotas = Quotas()
    assert [quotas.take_request(token, clock.at) for _ in range(2)] == [None, 60]
    token.scope.requests_per_minute = 0
    assert Quotas().take_request(token, clock.at) is None


@pytest.mark.django_db
def test_the_memory_of_shares_is_bounded(clock, monkeypatch):
    monkeypatch.setattr(quota, "MOST", 2)
    quotas = Quotas()
    for _ in range(4):
        token = sender(requests_per_minute=9)[2]
        token.scope.requests_per_minute = 9
        quotas.take_request(token, clock.at)
    assert len(quotas._shares) == 2


@pytest.mark.django_db
def test_too_much_that_waits_is_answered_with_503_until_it_is_done(clock, settings):
    send, client, _ = sender()
    settings.MAX_WAITING_RECORDS = 3
    assert [send(event("a"), event("b")).status_code for _ in range(2)] == [202, 202]
    clock.pass_(3)
    for headers in ({}, {"Idempotency-Key": "k"}):
        answer = send(**headers)
        assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "backlogged", "10")
        assert answer["Content-Type"] == "application/problem+json"
    assert client.get("/api/v1/imports").status_code == 200
    assert UsageImport.objects.count() == 2
    work(now=clock.at)
    clock.pass_(3)
    assert send(**{"Idempotency-Key": "k"}).status_code == 202
    settings.MAX_WAITING_RECORDS = 0
    assert not gates.Backlog().is_high(clock.at)
