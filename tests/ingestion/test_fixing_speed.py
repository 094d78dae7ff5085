"""How long a person waits who clears ten thousand exceptions at once, and for the groups of a million."""

import time

import pytest
from django.db import connection

from ingestion import selectors, services
from ingestion.models import ImportException
from ingestion.selectors import Group

from .factories import NOW, event, feed_of, filed, new_version, posted, work
from .test_fixing import BY_EVENT, LATER, POINT, document

pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
MANY = 10_000


def clock(what, do):
    began = time.perf_counter()
    result = do()
    took = time.perf_counter() - began
    print(f"{what}: {took:.2f} s")
    return took, result


@pytest.mark.parametrize("kind", ["one file", "many submissions"])
def test_ten_thousand_exceptions_are_mended_by_one_rule_within_a_minute(kind):
    feed = feed_of()
    rows = [event(f"e{number}", value="1;5") for number in range(MANY)]
    if kind == "one file":
        filed(feed, *rows)
    else:
        for number in range(0, MANY, 10):
            posted(feed, *rows[number : number + 10])
    work()
    group = Group(feed.pk, "bad_number", "Value", "1;5")
    clock("preview", lambda: services.preview_rule(group=group, rule=POINT))
    correction = services.ask_correction(group=group, rule=POINT, reason="test", by=None, now=LATER)

    def mend():
        while services.correct_next_portion(now=LATER):
            pass

    took, _ = clock(f"{MANY:,} exceptions of {kind} corrected by a rule", mend)
    correction.refresh_from_db()
    assert correction.resolved_count == MANY
    undoing, _ = clock("undone", lambda: services.undo_correction(correction=correction, by=None, now=LATER))
    assert ImportException.objects.filter(status="open").count() == MANY
    assert max(took, undoing) < 60


@pytest.mark.parametrize("kind", ["one file", "many submissions"])
def test_ten_thousand_exceptions_are_mediated_again_within_a_minute(kind):
    feed = feed_of()
    rows = [event(f"e{number}", class_="fax") for number in range(MANY)]
    if kind == "one file":
        filed(feed, *rows)
    else:
        for number in range(0, MANY, 10):
            posted(feed, *rows[number : number + 10])
    work()
    new_version(feed, document(BY_EVENT, fields={"UsageClassName": {"literal": "calls"}}))

    def again():
        services.reprocess_exceptions(exceptions=ImportException.objects.all(), by=None, now=LATER)
        work(LATER)

    took, _ = clock(f"{MANY:,} exceptions of {kind} mediated again", again)
    assert not ImportException.objects.exclude(status="resolved").exists()
    assert took < 60


FILL = """
INSERT INTO ingestion_importexception (import_id, attempt, feed_id, record_number, raw, code, field, value, message,
    status, created_at, last_tried_at, revision_count, retry_attempts, close_reason)
SELECT %s, 1, %s, n, 'a', 'bad_number', 'Value', (n %% 5000)::text, 'm', 'open', %s, %s, 0, 0, ''
FROM generate_series(2, 1000001) n
"""


def test_the_groups_of_a_million_exceptions_are_counted_in_seconds():
    feed = feed_of()
    usage_import = posted(feed, event("a"))
    work()
    with connection.cursor() as cursor:
        # The audit of a million rows that nobody made takes minutes.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(FILL, [usage_import.pk, feed.pk, NOW, NOW])
        cursor.execute("ANALYZE ingestion_importexception")
    took, found = clock("groups of 1,000,000", lambda: selectors.exception_groups(feeds=None))
    assert (len(found.groups), found.more_count) == (200, 4_800)
    first, rows = clock(
        "first records of a group",
        lambda: list(selectors.exceptions_of_group(found.groups[0].group).order_by("pk")[:25]),
    )
    assert len(rows) == 25
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ingestion_importexception")
    assert took < 5
    assert first < 0.5
