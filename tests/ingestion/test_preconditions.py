"""What changed since it was looked at is not changed by who has not seen that: ETag, If-Match, If-None-Match."""

import pytest
from rest_framework.test import APIClient

from ingestion import services
from ingestion.models import ImportException

from .factories import NOW, event, feed_of, posted, user_with, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
RIGHTS = [f"ingestion.{verb}_importexception" for verb in ("view", "correct", "writeoff", "reprocess", "review")]
ACTS = {
    "correct": {"raw": event(value="7"), "reason": "typo"},
    "write-off": {"reason": "given up"},
    "reprocess": {},
}


@pytest.fixture
def exception():
    posted(feed_of(), event(value="x"))
    work()
    return ImportException.objects.get()


@pytest.fixture
def client():
    client = APIClient()
    client.force_authenticate(user_with(*RIGHTS))
    return client


def address(exception, act=""):
    return f"/api/v1/exceptions/{exception.pk}" + (f"/{act}" if act else "")


def test_an_etag_stays_until_something_is_different(client, exception):
    first = client.get(address(exception))["ETag"]
    assert client.get(address(exception))["ETag"] == first
    assert first.startswith('"')
    services.write_off_exceptions(exceptions=ImportException.objects.all(), reason="x", by=None, now=NOW)
    assert client.get(address(exception))["ETag"] != first


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_who_has_it_already_is_not_sent_it_again(known, client, exception):
    etag = client.get(address(exception))["ETag"]
    answer = client.get(address(exception), headers={"If-None-Match": known.format(etag)})
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)
    assert client.get(address(exception), headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("known", ["{}", '"other", {}', "*"])
def test_what_is_as_it_was_seen_is_acted_on(known, act, client, exception):
    etag = client.get(address(exception))["ETag"]
    answer = client.post(address(exception, act), ACTS[act], headers={"If-Match": known.format(etag)})
    assert answer.status_code == 202
    assert client.get(address(exception))["ETag"] != etag


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("known", ['"other"', "W/{now}", "{before}", "nonsense", ""])
def test_what_is_another_one_by_now_is_left_alone(known, act, client, exception):
    before = client.get(address(exception))["ETag"]
    services.correct_exception(exception=exception, raw=event(value="y"), reason="first", by=None, now=NOW)
    work()
    now = client.get(address(exception))["ETag"]
    assert now != before
    answer = client.post(address(exception, act), ACTS[act], headers={"If-Match": known.format(now=now, before=before)})
    assert (answer.status_code, answer.json()["code"], answer["ETag"]) == (412, "changed_meanwhile", now)
    assert answer["Content-Type"] == "application/problem+json"
    exception.refresh_from_db()
    assert (exception.status, exception.revision_count) == ("open", 1)
    again = client.post(address(exception, act), ACTS[act], headers={"If-Match": answer["ETag"]})
    assert again.status_code == 202


@pytest.mark.parametrize("act", ACTS)
def test_who_names_nothing_is_not_asked(act, client, exception):
    assert client.post(address(exception, act), ACTS[act]).status_code == 202
