"""The numbers for a monitor: what they tell, who may read them, and that they cost the same with any usage."""

import os
import subprocess
import sys
from datetime import UTC, timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from config.dashboard import figures
from config.models import ArrivalFigure
from ingestion.models import UsageImport
from mediation.models import Bell, UdrBatch
from tests.config.crowd import crowd
from tests.ingestion.factories import event, feed_of, posted, work

pytestmark = pytest.mark.django_db


def read(client, **headers):
    """Each number by its name and labels."""
    answer = client.get("/metrics", **headers)
    assert answer.status_code == 200, answer.content
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_an_empty_house_has_numbers_too(client):
    told = read(client)
    assert told[("sluice_work_waiting", ("kind", "mediate"))] == 0
    assert told[("sluice_oldest_work_seconds", ("kind", "rate"))] == 0
    assert told[("sluice_database_connections_limit",)] > 0


def test_records_of_today_are_told_by_feed_and_outcome(client):
    feed = feed_of()
    now = timezone.now()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    counts = {"imported_count": 5, "exception_count": 2, "skipped_count": 0, "duplicate_count": 1, "waiting_count": 3}
    ArrivalFigure.objects.create(
        span="day", starts_at=midnight, feed_id=feed.pk, import_count=1, record_count=11, last_at=now, **counts
    )
    told = read(client)
    for outcome, count in (("imported", 5), ("exception", 2), ("duplicate", 1), ("waiting", 3)):
        assert told[("sluice_records_today", ("feed", feed.api_name), ("outcome", outcome))] == count


def test_what_waits_is_told_with_its_age(client):
    posted(feed_of(), event(), now=timezone.now() - timedelta(minutes=5))
    told = read(client)
    assert told[("sluice_work_waiting", ("kind", "mediate"))] == 1
    assert 290 < told[("sluice_oldest_work_seconds", ("kind", "mediate"))] < 330
    assert client.get("/readyz").json()["oldest_work_seconds"]["mediate"] > 290


def test_steps_are_told_by_their_times(client):
    now = timezone.now()
    posted(feed_of(), event())
    work()
    received = now - timedelta(seconds=30)
    UsageImport.objects.update(received_at=received, ended_at=received + timedelta(seconds=3))
    UdrBatch.objects.update(status="rated", mediated_at=received, finished_at=received + timedelta(seconds=7))
    told = read(client)
    for step, seconds in (("received_to_mediated", 3), ("mediated_to_rated", 7)):
        assert told[("sluice_step_seconds", ("quantile", "0.5"), ("step", step))] == pytest.approx(seconds)
        assert told[("sluice_step_count", ("step", step))] == 1


def test_open_exceptions_are_told_by_reason_as_counted(client):
    posted(feed_of(), event(value="no number"))
    work()
    figures.count_anew(now=timezone.now())
    told = read(client)
    assert sum(value for name, value in told.items() if name[0] == "sluice_open_exceptions") == 1


def test_the_heartbeat_is_the_age_of_the_last_answer(client):
    Bell.objects.create(name="pulse", answered_at=timezone.now() - timedelta(seconds=42))
    assert 42 <= read(client)[("sluice_heartbeat_age_seconds",)] < 60
    assert 42 <= client.get("/readyz").json()["heartbeat_age_seconds"] < 60


def test_as_many_queries_for_any_number_of_rows(client):
    crowd(1, 2)
    with CaptureQueriesContext(connection) as for_two:
        read(client)
    crowd(3, 20)
    with CaptureQueriesContext(connection) as for_twenty:
        read(client)
    assert len(for_twenty) == len(for_two)


def test_who_asks_through_a_proxy_or_from_afar_needs_the_token(client):
    for afar in ({"REMOTE_ADDR": "203.0.113.9"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, {"REMOTE_ADDR": ""}):
        answer = client.get("/metrics", **afar)
        assert (answer.status_code, "sluice_" in answer.content.decode()) == (401, False)
        with override_settings(METRICS_TOKEN="a long secret"):
            assert client.get("/metrics", **afar).status_code == 401
            assert client.get("/metrics", **afar, HTTP_AUTHORIZATION="Bearer wrong").status_code == 401
            assert read(client, **afar, HTTP_AUTHORIZATION="Bearer a long secret")


def test_no_empty_token_is_a_token(client):
    with override_settings(METRICS_TOKEN=""):
        answer = client.get("/metrics", REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION="Bearer ")
    assert answer.status_code == 401


SENDING = "api/v1/feeds/<str:feed>/usage"


def test_requests_are_counted_and_timed_by_the_pattern_of_their_address(client):
    def counted(route, method="GET", status="200"):
        labels = (("method", method), ("route", route), ("status", status))
        return read(client).get(("sluice_http_requests_total", *labels), 0)

    before = counted("healthz"), counted("none", status="404"), counted(SENDING, "POST", "401")
    client.get("/healthz")
    client.get("/nowhere/at/all")
    client.post("/api/v1/feeds/x/usage")
    client.generic("BREW", "/healthz")
    after = counted("healthz"), counted("none", status="404"), counted(SENDING, "POST", "401")
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]
    assert counted("healthz", "other", "405") >= 1
    told = read(client)
    assert told[("sluice_http_request_seconds_count", ("route", "healthz"))] >= 2
    assert told[("sluice_http_request_seconds_bucket", ("le", "+Inf"), ("route", "healthz"))] >= 2


def test_all_of_the_admin_is_one_route_and_crashes_are_counted_too(client, admin_client, monkeypatch):
    admin_client.get("/admin/")
    admin_client.get("/admin/mediation/udr/")
    admin_client.raise_request_exception = False
    monkeypatch.setattr("ingestion.api.imports.ImportList.get_queryset", None)
    assert admin_client.get("/api/v1/imports").status_code == 500
    routes = {dict(key[1:])["route"]: key for key in read(client) if key[0] == "sluice_http_requests_total"}
    assert "admin" in routes
    assert not [route for route in routes if route.startswith("admin/")]


COUNTING = """
from config.metrics import requests
requests.REQUESTS.labels("api:usage", "POST", "202").inc()
requests.SECONDS.labels("api:usage").observe(0.2)
if {ends}:
    raise SystemExit
print("ready", flush=True)
input()
"""


def test_what_several_processes_counted_is_added_up_and_outlives_them(tmp_path):
    """Two at once have two seats; whoever comes later takes one over, with its counts."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def start(*, ends):
        command = [sys.executable, "-c", COUNTING.format(ends=ends)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, **pipes)

    waiting = [start(ends=False) for _ in range(2)]
    assert [process.stdout.readline() for process in waiting] == ["ready\n"] * 2
    waiting[0].kill()
    waiting[0].wait()
    for _ in range(3):
        assert start(ends=True).wait() == 0
    waiting[1].communicate("\n")
    (total,) = [
        sample.value
        for family in MultiProcessCollector(CollectorRegistry(), path=str(tmp_path)).collect()
        for sample in family.samples
        if sample.name == "sluice_http_requests_total"
    ]
    assert total == 5
    assert sorted(path.name for path in tmp_path.glob("*.db")) == [
        *("counter_1.db", "counter_2.db", "histogram_1.db", "histogram_2.db")
    ]
