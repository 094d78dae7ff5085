"""A submission can be followed through the log: the lines of the web and those of the workers bear its ids."""

import io
import json
import logging
from contextlib import contextmanager
from datetime import timedelta
from logging.config import DictConfigurator
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from config.logging import formatter
from ingestion.models import UsageImport
from mediation.models import UdrBatch
from tests.config.working import worked
from tests.ingestion.factories import event, feed_of

pytestmark = pytest.mark.django_db


@contextmanager
def lines():
    """What a process of production would write meanwhile, line by line."""
    stream, told = io.StringIO(), []
    handler = logging.StreamHandler(stream)
    handler.setFormatter(DictConfigurator({}).configure_formatter(formatter(is_for_eyes=False)))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield told
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        told += [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def client():
    user = User.objects.create_superuser("source")
    text = AuthToken.objects.create(user=user, expiry=timedelta(days=1))[1]
    return Client(headers={"Authorization": f"Token {text}"}, raise_request_exception=False)


def post(client, request_id, body=None, feed=None):
    address = f"/api/v1/feeds/{(feed or feed_of()).api_name}/usage"
    headers = {"X-Request-ID": request_id}
    return client.post(
        address, json.dumps(body or {"data": [event()]}), content_type="application/json", headers=headers
    )


def test_one_post_is_followed_from_the_web_to_the_charge(client):
    with lines() as web:
        answer = post(client, "gateway-7")
    tracking_id = answer.json()["tracking_id"]
    (finished,) = [line for line in web if line["event"] == "request_finished"]
    assert (finished["request_id"], finished["tracking_id"]) == ("gateway-7", tracking_id)
    assert all(line["request_id"] == "gateway-7" for line in web)
    assert UsageImport.objects.get(tracking_id=tracking_id).request_id == "gateway-7"
    with lines() as worker:
        tasks = [worked("ingestion.tasks.mediate_waiting"), worked("rating.tasks.rate_waiting")]
    ours = [line for line in worker if tracking_id in line.get("tracking_ids", ())]
    assert [line["event"] for line in ours] == ["usage_mediated", "usage_rated"]
    assert [line["request_ids"] for line in ours] == [["gateway-7"]] * 2
    assert [line["task_id"] for line in ours] == tasks
    assert all("task_id" in line for line in worker)


def test_submissions_that_are_worked_on_together_are_all_named(client):
    feed = feed_of()
    for name in ("a", "b"):
        post(client, name, {"data": [event(name)]}, feed)
    with lines() as worker:
        worked("ingestion.tasks.mediate_waiting")
    (line,) = [line for line in worker if line["event"] == "usage_mediated"]
    assert line["request_ids"] == ["a", "b"]
    assert line["tracking_ids"] == [
        str(one) for one in UsageImport.objects.order_by("pk").values_list("tracking_id", flat=True)
    ]


@pytest.mark.parametrize(
    ("broken", "name", "told"),
    [
        ("ingestion.services.mediating.write_outcome", "ingestion.tasks.mediate_waiting", "chunks_crashed"),
        ("rating.services.batches.charge_usage", "rating.tasks.rate_waiting", "rating crashed"),
    ],
)
def test_a_crash_names_whose_usage_it_was(client, monkeypatch, broken, name, told):
    post(client, "gateway-9")
    if name.startswith("rating"):
        worked("ingestion.tasks.mediate_waiting")
    monkeypatch.setattr(broken, None)
    with lines() as worker:
        worked(name)
    crash = next(line for line in worker if line["event"] == told)
    assert crash["request_ids"] == ["gateway-9"]
    assert UUID(crash["tracking_ids"][0])
    assert crash["exception"]
    if name.startswith("rating"):
        assert crash["batch_ids"] == [UdrBatch.objects.get().pk]


def test_refusals_and_crashes_of_the_web_bear_the_request_too(client, monkeypatch):
    with lines() as refused:
        post(client, "gateway-1", {"data": 7})
    monkeypatch.setattr("ingestion.api.imports.ImportList.get_queryset", None)
    with lines() as crashed:
        assert client.get("/api/v1/imports", headers={"X-Request-ID": "gateway-2"}).status_code == 500
    assert {line["request_id"] for line in refused} == {"gateway-1"}
    assert {line["request_id"] for line in crashed} == {"gateway-2"}
    assert {line["logger"] for line in crashed} >= {"django.request"}


def test_what_no_request_brought_names_none():
    from tests.ingestion.factories import posted

    posted(feed_of(), event())
    assert UsageImport.objects.get().request_id == ""
