"""Whoever sends usage reads what became of each record: its outcome, why, its UDR, its charges."""

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.answering.places import page_of
from ingestion import services as ingestion
from ingestion.models import ImportException, UsageImport
from mediation.models import Udr, UdrBatch, UsageClass, VoidedUdr
from rating.models import Charge, RatingException
from rating.services import rate_batches
from tests.ingestion.factories import BY_EVENT, NOW, event, feed_of, filed, posted, user_with, work
from tests.ingestion.test_parts import CALLS, WAITS, start, stop
from tests.rating.factories import ServiceIdentifierFactory, graduated

pytestmark = pytest.mark.django_db
VIEWER = ("ingestion.view_usageimport", "ingestion.view_importexception", "rating.view_charge")


@pytest.fixture
def feed():
    """A feed whose usage is charged to whoever owns “e1”."""
    made = feed_of(BY_EVENT)
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"), tiers=((10, "1"), (None, "0.5")))
    ServiceIdentifierFactory(identifier="e1", service__account__rate_plan=rate.plan)
    return made


def rated():
    work()
    while rate_batches(now=NOW):
        pass


def client_of(*permissions, by=None, **options):
    client = APIClient()
    client.force_authenticate(by or user_with(*permissions, **options))
    return client


def records(usage_import, query="", client=None):
    answer = (client or client_of(*VIEWER)).get(f"/api/v1/imports/{usage_import.tracking_id}/records{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def outcomes(usage_import, query=""):
    return [(row["record_number"], row["outcome"]) for row in records(usage_import, query)["results"]]


def test_every_record_is_told_with_what_became_of_it(feed):
    """A charged record, one whose payer nobody knows, one that cannot be read, and one that came before."""
    sent = posted(feed, event("e1"), event("nobody"), event("e3", "ten"), event("e1"))
    rated()
    charged, kept_back, refused, repeated = records(sent)["results"]
    udrs = {udr.record_number: udr.pk for udr in Udr.objects.all()}
    assert (charged["outcome"], charged["rating"], charged["udr_ids"]) == ("imported", "charged", [udrs[1]])
    assert charged["charge_ids"] == [Charge.objects.get().pk]
    assert (kept_back["outcome"], kept_back["rating"], kept_back["charge_ids"]) == ("imported", "exception", [])
    assert kept_back["rating_code"] == "no_identifier_match"
    assert kept_back["rating_exception_id"] == RatingException.objects.get().pk
    exception = ImportException.objects.get()
    assert (refused["outcome"], refused["code"], refused["reason"]) == ("exception", "bad_number", exception.message)
    assert (refused["exception_id"], refused["exception_status"], refused["udr_ids"]) == (exception.pk, "open", [])
    assert (repeated["outcome"], repeated["duplicate_of_udr_id"]) == ("duplicate", udrs[1])
    assert (repeated["duplicate_of_tracking_id"], repeated["duplicate_of_record_number"]) == (str(sent.tracking_id), 1)


def test_records_wait_until_they_are_mediated(feed):
    sent = posted(feed, event("e1"), event("e2"))
    told = records(sent)
    assert told["is_complete"] is False
    assert [(row["record_number"], row["outcome"]) for row in told["results"]] == [(1, "waiting"), (2, "waiting")]
    work()
    told = records(sent)
    assert told["is_complete"] is True
    assert [row["rating"] for row in told["results"]] == ["waiting", "waiting"]


def test_pages_put_together_are_every_record_once_in_order(feed):
    rows = [event(f"e{number}", "ten" if number % 3 else "1") for number in range(1, 24)]
    sent = filed(feed, *rows, *rows[:5])
    rated()
    client, address, numbers = client_of(*VIEWER), f"/api/v1/imports/{sent.tracking_id}/records?page_size=4", []
    while address:
        told = client.get(address).json()
        assert len(told["results"]) <= 4
        numbers += [row["record_number"] for row in told["results"]]
        address = told["next"]
    assert numbers == list(range(1, 29))


@pytest.mark.parametrize("outcome", ["imported", "exception", "skipped", "duplicate", "waiting"])
def test_one_outcome_is_as_many_records_as_the_history_counts(outcome):
    feed = feed_of(BY_EVENT)
    sent = posted(feed, *[event(f"e{number}", "ten" if number % 2 else "1") for number in range(9)], event("e2"))
    work()
    sent.refresh_from_db()
    count = {"exception": sent.exception_count, "duplicate": sent.duplicate_count, "imported": sent.imported_count}
    client, found, cursor = client_of(*VIEWER), [], 0
    while cursor is not None:
        told = records(sent, f"?outcome={outcome}&page_size=2&cursor={cursor}", client)
        found += told["results"]
        cursor = int(told["next"].rpartition("cursor=")[2].partition("&")[0]) if told["next"] else None
    assert len(found) == count.get(outcome, 0)
    assert {row["outcome"] for row in found} <= {outcome}


def test_an_exception_that_was_mended_is_what_it_became(feed):
    sent = posted(feed, event("e1"), event("e2", "ten"))
    work()
    mended = ImportException.objects.get()
    ingestion.correct_exception(exception=mended, raw=event("e2", "10"), reason="misread", by=None, now=NOW)
    work()
    assert outcomes(sent) == [(1, "imported"), (2, "imported")]
    assert outcomes(sent, "?outcome=imported") == [(1, "imported"), (2, "imported")]
    assert outcomes(sent, "?outcome=exception") == []


def test_an_earlier_attempt_is_told_as_it_was(feed):
    sent = posted(feed, event("e1"), event("e2", "ten"))
    rated()
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    rated()
    before = records(sent, "?attempt=1")
    assert (before["attempt"], before["is_complete"]) == (1, True)
    assert [row["rating"] for row in before["results"]] == ["replaced", None]
    assert [row["rating"] for row in records(sent)["results"]] == ["charged", None]


def test_rows_that_make_one_record_are_told_apart():
    """As the history counts them: a row that waits for the others of its record is skipped so far."""
    sent = posted(feed_of(CALLS), start("a"), stop("a"), start("b"))
    work()
    told = records(sent)["results"]
    assert sorted(row["outcome"] for row in told) == ["imported", "skipped", "skipped"]
    assert told[2]["reason"] == WAITS
    assert len(records(sent, "?outcome=skipped")["results"]) == 2


def test_a_record_of_a_voided_udr_says_so(feed):
    sent = posted(feed, event("e1"))
    rated()
    udr = Udr.objects.get()
    VoidedUdr.objects.create(
        pk=udr.pk,
        udr_date=udr.date,
        feed_id=feed.pk,
        key="e1",
        import_id=sent.pk,
        record_number=1,
        requested_at=NOW,
        request_id=sent.tracking_id,
        voided_at=NOW,
        reason="sent in error",
    )
    (row,) = records(sent)["results"]
    assert (row["outcome"], row["rating"]) == ("imported", "voided")


def test_what_a_person_may_not_see_of_rating_and_of_reasons_is_left_out(feed):
    sent = posted(feed, event("e1"), event("e2", "ten"))
    rated()
    charged, refused = records(sent, client=client_of("ingestion.view_usageimport"))["results"]
    assert (charged["rating"], charged["charge_ids"], refused["reason"]) == (None, [], None)
    assert (charged["outcome"], refused["code"]) == ("imported", "bad_number")


def test_who_may_only_send_reads_his_own(feed):
    sender = user_with("ingestion.add_usageimport", feeds=[feed])
    sent, other = posted(feed, event("e1", "ten"), by=sender), posted(feed, event("e2"))
    work()
    client = client_of(by=sender)
    assert records(sent, client=client)["results"][0]["reason"]
    assert client.get(f"/api/v1/imports/{other.tracking_id}/records").status_code == 404


def test_others_are_refused_and_other_feeds_are_not_found(feed):
    sent = posted(feed, event("e1"))
    address = f"/api/v1/imports/{sent.tracking_id}/records"
    assert client_of().get(address).status_code == 403
    assert APIClient().get(address).status_code == 401
    assert client_of(*VIEWER, feeds=[feed_of()]).get(address).status_code == 404


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("outcome=lost", "unknown_outcome"),
        ("attempt=2", "bad_attempt"),
        ("cursor=-1", "bad_cursor"),
        ("page_size=1001", "bad_page_size"),
    ],
)
def test_a_question_that_makes_no_sense_is_a_problem(feed, query, code):
    sent = posted(feed, event("e1"))
    for more in ("", "&format=csv"):
        answer = client_of(*VIEWER).get(f"/api/v1/imports/{sent.tracking_id}/records?{query}{more}")
        if more and query.startswith(("cursor", "page_size")):
            continue
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert answer["Content-Type"].startswith("application/problem+json")


def test_the_same_records_come_as_csv_all_at_once(feed):
    sent = posted(feed, event("e1"), event("e2", "=ten"), event("e1"))
    rated()
    told = records(sent)["results"]
    client, address = client_of(*VIEWER), f"/api/v1/imports/{sent.tracking_id}/records"
    answer = client.get(address, {"format": "csv"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [row["outcome"] for row in rows] == [row["outcome"] for row in told]
    assert list(rows[0]) == list(told[0])
    assert rows[0]["charge_ids"] == str(Charge.objects.get().pk)


def test_twenty_records_ask_no_more_questions_than_two(feed):
    counted = []
    for count in (2, 20):
        sent = posted(feed, *[event(f"{count}-{number}", "ten" if number % 2 else "1") for number in range(count)])
        rated()
        with CaptureQueriesContext(connection) as asked:
            records(sent, client=client_of(by=user_with(*VIEWER)))
        counted.append(len(asked))
    assert counted[0] == counted[1]


def test_parts_of_a_file_are_read_as_far_as_the_page_goes(feed, settings):
    """Batches behind the end of the page are not looked at."""
    sent = filed(feed, *[event(f"e{number}") for number in range(30)])
    work()
    batch = UdrBatch.objects.get()
    with CaptureQueriesContext(connection) as asked:
        page = page_of(usage_import=sent, attempt=1, after=10, size=5)
    assert [one.number for one in page.records] == [11, 12, 13, 14, 15]
    assert page.last == 15
    assert len([one for one in asked if "unnest" in one["sql"] and str(batch.pk) in one["sql"]]) == 1
