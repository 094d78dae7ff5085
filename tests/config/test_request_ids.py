"""Every answer bears the id of its request, which log and audit name too."""

import json
import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken
from structlog.testing import capture_logs

from config.models import AuditEntry
from ingestion.models import ImportException
from tests.ingestion.factories import event, feed_of, posted, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    user = User.objects.create_superuser("source")
    text = AuthToken.objects.create(user=user, expiry=timedelta(days=1))[1]
    return Client(headers={"Authorization": f"Token {text}"}, raise_request_exception=False)


def post(client, address, body, **headers):
    return client.post(f"/api/v1/{address}", json.dumps(body), content_type="application/json", headers=headers)


def test_an_id_that_is_sent_comes_back_with_every_answer(client, monkeypatch):
    feed = feed_of()
    sent = {"X-Request-ID": "gateway-7:2026/05.1"}
    body = {"data": [event()]}
    answers = [post(client, f"feeds/{feed.api_name}/usage", body, **sent) for _ in range(2)]  # the second is remembered
    answers += [
        post(client, f"feeds/{feed.api_name}/usage", {"data": 7}, **sent),
        client.get("/api/v1/nowhere", headers=sent),
        Client().get("/api/v1/imports", headers=sent),
        client.get("/healthz", headers=sent),
        client.get("/admin/nowhere/", headers=sent),
    ]
    monkeypatch.setattr("ingestion.selectors.history", None)
    monkeypatch.setattr("ingestion.api.imports.ImportList.get_queryset", None)
    answers.append(client.get("/api/v1/imports", headers=sent))
    assert [answer.status_code for answer in answers] == [202, 202, 400, 404, 401, 200, 302, 500]
    assert {answer["X-Request-ID"] for answer in answers} == {"gateway-7:2026/05.1"}


@pytest.mark.parametrize("sent", ["", " ", "a b", "x" * 101, "<script>", "a\tb", "é", "-x", "a;b", '"a"'])
def test_an_id_that_is_not_clean_is_not_taken(sent, client):
    answer = client.get("/healthz", headers={"X-Request-ID": sent})
    assert answer["X-Request-ID"] != sent
    assert uuid.UUID(answer["X-Request-ID"])


def test_two_requests_without_an_id_have_two(client):
    assert client.get("/healthz")["X-Request-ID"] != client.get("/healthz")["X-Request-ID"]


def test_the_audit_names_the_request(client):
    posted(feed_of(), event(value="x"))
    work()
    exception = ImportException.objects.get()
    body, sent = {"reason": "given up"}, {"X-Request-ID": "gateway-8"}
    assert post(client, f"exceptions/{exception.pk}/write-off", body, **sent).status_code == 202
    entry = AuditEntry.objects.filter(table_name="ingestion_importexception").latest("pk")
    assert (entry.request_id, entry.after["status"]) == ("gateway-8", "written_off")


def test_the_log_names_the_request(client):
    from structlog.contextvars import merge_contextvars

    with capture_logs(processors=[merge_contextvars]) as lines:
        client.get("/healthz", headers={"X-Request-ID": "probe-1"})
    finished = [line for line in lines if line["event"] == "request_finished"]
    assert [line["request_id"] for line in finished] == ["probe-1"]
    assert settings.MIDDLEWARE[0] == "config.access.request_ids.RequestIdMiddleware"
