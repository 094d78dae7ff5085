"""A sender who waits is told what became of his usage, if it comes in time and if few wait already."""

import threading
import time

import pytest
from django.db import connection, connections
from rest_framework.test import APIClient

from config.supervisor import WEB_THREADS
from ingestion.api import waiting
from ingestion.models import UsageImport
from tests.ingestion.factories import event, feed_of, user_with, work


def sent(feed, user, wait, *records):
    client = APIClient()
    client.force_authenticate(user)
    return client.post(f"/api/v1/feeds/{feed.api_name}/usage?wait={wait}", {"data": list(records) or [event("e1")]})


@pytest.fixture
def sender(db):
    return user_with("ingestion.add_usageimport")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_who_waits_is_answered_with_the_finished_line_of_the_history():
    feed, sender = feed_of(), user_with("ingestion.add_usageimport")

    def mediate():
        while not UsageImport.objects.exists():
            time.sleep(0.01)
        work()
        connections.close_all()

    worker = threading.Thread(target=mediate)
    worker.start()
    answer = sent(feed, sender, 20, event("e1"), event("e2", "ten"))
    worker.join()
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["status"], told["imported_count"], told["exception_count"]) == ("completed", 1, 1)
    assert told["tracking_id"] == str(UsageImport.objects.get().tracking_id)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_no_transaction_is_open_while_somebody_waits(monkeypatch):
    feed, sender, seen = feed_of(), user_with("ingestion.add_usageimport"), []

    def look(seconds):
        seen.append(connection.in_atomic_block)
        work()

    monkeypatch.setattr(waiting, "sleep", look)
    assert sent(feed, sender, 5).status_code == 200
    assert seen == [False]


def test_what_has_not_ended_in_time_is_recorded_all_the_same(sender, monkeypatch):
    monkeypatch.setattr(waiting, "sleep", lambda seconds: None)
    moments = iter((0.0, 0.5, 1.5))
    monkeypatch.setattr(waiting, "monotonic", lambda: next(moments))
    answer = sent(feed_of(), sender, 1)
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
    assert UsageImport.objects.count() == 1


def test_who_finds_others_waiting_is_answered_at_once(sender, monkeypatch):
    monkeypatch.setattr(waiting, "sleep", lambda seconds: pytest.fail("it waited"))
    taken = [waiting._waiters.acquire(blocking=False) for _ in range(waiting.MOST_WAITERS)]
    try:
        assert taken == [True] * waiting.MOST_WAITERS
        assert sent(feed_of(), sender, 30).status_code == 202
    finally:
        for _ in taken:
            waiting._waiters.release()


def test_who_was_refused_or_crashed_does_not_wait_for_ever(sender, monkeypatch):
    def crash(seconds):
        raise OSError("cut off")

    monkeypatch.setattr(waiting, "sleep", crash)
    for _ in range(waiting.MOST_WAITERS + 1):
        with pytest.raises(OSError, match="cut off"):
            sent(feed_of(), sender, 30)


def test_a_thread_of_each_web_process_goes_on_serving():
    assert waiting.MOST_WAITERS < WEB_THREADS


@pytest.mark.parametrize("wait", ["31", "-1", "1.5", "soon", "9999"])
def test_a_wait_that_is_none_is_refused_before_anything_is_stored(sender, wait):
    answer = sent(feed_of(), sender, wait)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_wait")
    assert not UsageImport.objects.exists()


def test_the_answer_leads_to_the_import_and_to_its_records(sender):
    links = sent(feed_of(), sender, 0).json()["links"]
    client = APIClient()
    client.force_authenticate(sender)
    assert {name: client.get(address).status_code for name, address in links.items()} == {
        "import": 200,
        "exceptions": 200,
        "records": 200,
    }
