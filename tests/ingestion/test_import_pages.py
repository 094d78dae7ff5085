"""An import's page: how fast it goes, what it was, its steps and attempts; and two attempts beside each other."""

import gzip
import json
import re
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ingestion import services
from ingestion.admin.progress import lasting, pace_of
from ingestion.models import ImportChunk, ImportException, UsageImport
from ingestion.services.attempts import attempts_of, compare_attempts
from ingestion.services.beginnings import beginning_of
from ingestion.services.comparing import UnableToCompare
from ingestion.services.steps import steps_of
from mediation.models import UsageClass
from rating.services import rate_batches
from tests.config.crowd import person
from tests.ingestion.factories import (
    BY_EVENT,
    NOW,
    UsageClassFactory,
    event,
    feed_of,
    filed,
    new_version,
    posted,
    user_with,
    work,
)
from tests.rating.factories import ServiceIdentifierFactory, graduated

pytestmark = pytest.mark.django_db
SEES = ("ingestion.view_usageimport", "rating.view_charge", "rating.view_statement")


@pytest.fixture
def feed():
    made = feed_of(BY_EVENT)
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"), tiers=((None, "0.5"),))
    ServiceIdentifierFactory(identifier="e1", service__account__rate_plan=rate.plan)
    return made


def page(client, usage_import, name="change", **query):
    response = client.get(reverse(f"admin:ingestion_usageimport_{name}", args=[usage_import.pk]), query)
    assert response.status_code == 200
    return response.content.decode()


def rated(now):
    work(now)
    while rate_batches(now=now):
        pass


def again(usage_import, now):
    services.reprocess_imports(imports=UsageImport.objects.filter(pk=usage_import.pk), by=None, now=now)
    rated(now)
    usage_import.refresh_from_db()


def test_the_page_says_what_the_request_was_and_hands_it_out(feed):
    taken = posted(feed, event("e1", "2"), event("<script>alert(1)</script>"), key="my-key")
    client = person(*SEES)
    html = page(client, taken)
    assert "How the request begins" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html
    assert "my-key" in html
    assert taken.content_hash in html
    response = client.get(reverse("admin:ingestion_usageimport_payload", args=[taken.pk]))
    assert json.loads(b"".join(response.streaming_content))["data"][0] == event("e1", "2")
    assert response["Content-Disposition"] == f'attachment; filename="{taken.tracking_id}.json"'
    assert (response["Content-Type"], response["X-Content-Type-Options"]) == ("application/json", "nosniff")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("in/may.csv", "text/csv"),
        ("may.CSV", "text/csv"),
        ("may.html", "application/octet-stream"),
        ("may.svg", "application/octet-stream"),
        ("may", "application/octet-stream"),
    ],
)
def test_a_file_is_handed_out_as_what_no_browser_would_run(feed, name, kind):
    taken = filed(feed, event("e1"), name=name)
    response = person(*SEES).get(reverse("admin:ingestion_usageimport_payload", args=[taken.pk]))
    assert response["Content-Type"] == kind
    assert response["Content-Disposition"] == f'attachment; filename="{name.split("/")[-1]}"'


def test_the_beginning_of_what_came_is_bounded_text(feed):
    long = filed(feed, *(f"{event(f'e{number}')},{'x' * 3_000}" for number in range(40)), name="long.csv")
    beginning = beginning_of(long)
    assert beginning.is_cut
    assert {len(line) for line in beginning.lines} == {401}
    assert len(beginning.lines) == 2
    assert beginning_of(filed(feed, b"PK\x03\x04\0\0", name="b.zip")).said.startswith("It is not text")
    assert beginning_of(filed(feed, b"\xff\xfeabc", name="c.csv")).lines == ("��abc",)
    default_storage.delete(long.payload.name)
    assert beginning_of(long).said == "The original is not in the file storage any more."
    assert page(person(*SEES), long)


def test_a_packed_file_begins_as_it_was_unpacked(feed):
    taken = filed(feed, gzip.compress((event("e1") + "\n").encode()), name="may.csv.gz")
    work()
    taken.refresh_from_db()
    assert beginning_of(taken).lines == (event("e1"),)


def test_an_import_at_work_says_how_fast_it_goes_and_how_long_it_will_take(feed):
    taken = filed(feed, event("e1"))
    assert pace_of(taken, NOW) == "It waits for a worker."
    taken.started_at, taken.record_count = NOW - timedelta(seconds=10), 0
    assert pace_of(taken, NOW) == "The first records are being read."
    taken.record_count = 50_000
    parts = ((0, 250, "done"), (250, 1000, "waiting"))
    for number, (start, end, status) in enumerate(parts, 1):
        ImportChunk.objects.create(
            usage_import=taken,
            number=number,
            byte_start=start,
            byte_end=end,
            status=status,
            feed_id=feed.pk,
            profile_version_id=taken.profile_version_id,
        )
    assert pace_of(taken, NOW) == "5,000 records a second, 25 % of the file; about 30 s left."
    assert 'href="">Refresh</a>' in page(person(*SEES), taken)


def test_a_stretch_of_time_is_told_in_its_two_largest_units():
    told = [lasting(seconds) for seconds in (0, 0.4, 3, 59, 60, 3_725, 86_400, 90_061)]
    assert told == ["< 0.1 s", "0.4 s", "3 s", "59 s", "1 min", "1 h 2 min", "1 d", "1 d 1 h"]


def test_the_steps_of_an_import_are_told_in_time(feed):
    taken = filed(feed, event("e1", "2"), event("e2", "many"))
    rated(NOW + timedelta(minutes=1))
    corrected_at = NOW + timedelta(hours=1)
    exception = ImportException.objects.get()
    services.correct_exception(exception=exception, raw=event("e2", "4"), reason="typo", by=None, now=corrected_at)
    rated(corrected_at)
    taken.refresh_from_db()
    steps = steps_of(usage_import=taken, attempts=attempts_of(taken), by=user_with(*SEES))
    assert [step.title for step in steps] == ["Received", "Waited", "Mediated", "Rated", "Corrected"]
    assert steps[1].seconds == 60
    assert steps[3].ended_at == corrected_at


def test_an_import_that_waits_has_a_step_that_goes_on(feed):
    taken = filed(feed, event("e1"))
    steps = steps_of(usage_import=taken, attempts=attempts_of(taken), by=user_with(*SEES))
    assert [(step.title, step.ended_at is None) for step in steps] == [("Received", False), ("Waited", True)]
    assert "goes on" in page(person(*SEES), taken)


def test_each_attempt_is_told_and_the_one_that_counts_is_marked(feed):
    taken = filed(feed, event("e1", "2"), event("e2", "many"))
    rated(NOW)
    again(taken, NOW + timedelta(days=1))
    told = attempts_of(taken)
    assert [(one.number, one.is_counting, one.counts["imported"], one.counts["exceptions"]) for one in told] == [
        (2, True, 1, 1),
        (1, False, 1, 1),
    ]
    assert told[1].reversed_at == NOW + timedelta(days=1)
    html = page(person(*SEES), taken)
    assert "2 <strong>counts</strong>" in html
    assert reverse("admin:ingestion_usageimport_attempts", args=[taken.pk]) in html


def test_two_attempts_are_held_against_each_other_record_by_record(feed):
    UsageClassFactory(name="data")
    taken = filed(feed, event("e1", "2"), event("e2", "many"), event("e3", "3"), name="may.csv")
    rated(NOW)
    spec = feed.profile.versions.get().spec
    doubled = {**spec, "fields": {**spec["fields"], "UsageClassName": {"literal": "data"}}}
    new_version(feed, doubled)
    again(taken, NOW + timedelta(days=1))
    compared = compare_attempts(usage_import=taken, before=1, after=2, by=user_with(*SEES))
    assert compared.comparison.record_count == 3
    assert compared.comparison.transitions == [("imported", "imported", 2)]
    assert compared.comparison.fields == [("usage_class", 2)]
    assert [(name, bool(before), bool(after)) for name, _, before, after in compared.charged] == [
        ("calls", True, False)
    ]
    assert compared.charged[0][2].amount == 1
    html = page(person(*SEES), taken, "attempts", before=1, after=2)
    assert "<strong>2</strong> of 3 records differ" in html
    assert reverse("admin:trace_record", args=[taken.pk, 1]) in html
    assert "What was charged while each counted" in html


def test_an_attempt_of_which_a_record_was_corrected_counts_it_as_corrected(feed):
    taken = filed(feed, event("e1", "2"), event("e2", "many"))
    rated(NOW)
    exception = ImportException.objects.get()
    services.correct_exception(exception=exception, raw=event("e2", "4"), reason="typo", by=None, now=NOW)
    rated(NOW)
    again(taken, NOW + timedelta(days=1))
    assert compare_attempts(usage_import=taken, before=1, after=2, by=None).comparison.change_count == 0


def test_attempts_that_there_are_not_cannot_be_compared(feed):
    taken = filed(feed, event("e1"))
    work()
    with pytest.raises(UnableToCompare, match="There is no attempt 7 at this import"):
        compare_attempts(usage_import=taken, before=1, after=7, by=None)
    assert "There is no attempt 7" in page(person(*SEES), taken, "attempts", before="1", after="7")
    assert page(person(*SEES), taken, "attempts", before="x", after="²")


def test_attempts_are_for_those_who_see_imports_and_their_feed(feed):
    taken = filed(feed, event("e1"))
    address = reverse("admin:ingestion_usageimport_attempts", args=[taken.pk])
    assert person("ingestion.view_feed").get(address).status_code == 403
    assert person(*SEES, feeds=()).get(address).status_code == 404
    assert "What was charged" not in page(person(SEES[0]), taken, "attempts")


def test_the_page_shows_the_newest_chunks_only_and_asks_the_same_of_few_and_many(feed):
    few, many = filed(feed, event("e1"), name="a"), filed(feed, event("e2"), name="b")
    work()
    ImportChunk.objects.bulk_create(
        ImportChunk(
            usage_import=many,
            number=number,
            byte_start=0,
            byte_end=0,
            status="done",
            feed_id=feed.pk,
            profile_version_id=many.profile_version_id,
        )
        for number in range(2, 202)
    )
    client, asked = person(*SEES, "ingestion.view_importchunk"), []
    for one in (few, few, many):
        with CaptureQueriesContext(connection) as queries:
            html = page(client, one)
        asked.append(len(queries))
    assert asked[1] == asked[2]
    assert len(re.findall(r"chunk \d+ of import", html)) == 100
