"""Groups of exceptions mended by one rule: asked for, done in portions by workers, taken back; nothing is lost."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.core.exceptions import PermissionDenied

from ingestion import selectors, services
from ingestion.models import ExceptionRevision, GroupCorrection, ImportChunk, ImportException, LeftOutRecord
from ingestion.selectors import Group
from ingestion.services.fixing import portions
from mediation.models import Udr
from tests.mediation.profiles import document

from .factories import (
    BY_EVENT,
    NOW,
    UsageClassFactory,
    counts,
    event,
    feed_of,
    in_threads,
    posted,
    user_with,
    work,
)
from .test_parts import CALLS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
LATER = NOW + timedelta(hours=1)
ALL = ImportException.objects
POINT = {"kind": "substitute", "field": "value", "pattern": ";", "replacement": "."}


def bad(number, value="1;5", **record):
    return event(f"bad{number}", value=value, **record)


def group(feed, value="1;5", field="Value", code="bad_number"):
    return Group(feed.pk, code, field, value)


def ask(feed, rule=POINT, of=None, by=None, reason="the switch writes semicolons"):
    return services.ask_correction(group=of or group(feed), rule=rule, reason=reason, by=by, now=LATER)


def corrected(feed, rule=POINT, **options):
    """A correction that workers have ended."""
    correction = ask(feed, rule, **options)
    mend()
    correction.refresh_from_db()
    return correction


def mend(now=LATER):
    while services.correct_next_portion(now=now):
        pass


def undo(correction, by=None):
    return services.undo_correction(correction=correction, by=by, now=LATER)


def told(correction):
    return (
        correction.status,
        correction.record_count,
        correction.resolved_count,
        correction.still_count,
        correction.unchanged_count,
        correction.passed_count,
    )


# Offending values and groups


def test_an_exception_keeps_the_text_that_its_field_had():
    feed = feed_of()
    posted(feed, bad(1), event("b", value=" x "), event("c", class_="fax"), event("d", value="7" * 300 + "x"), "a,b")
    work()
    found = dict(ALL.values_list("record_number", "value"))
    assert found == {1: "1;5", 2: " x ", 3: "fax", 4: "7" * 200, 5: ""}


def test_what_is_met_again_renews_the_offending_text():
    posted(feed_of(), bad(1))
    work()
    services.correct_exception(exception=ALL.get(), raw=event("b", value="y"), reason="", by=None, now=LATER)
    work()
    assert ALL.get().value == "y"


def test_exceptions_alike_are_one_group_the_largest_first():
    feed, other = feed_of(), feed_of()
    posted(feed, bad(1), bad(2), event("c", class_="fax"))
    posted(other, bad(1, value="2;5"), now=NOW + timedelta(minutes=5))
    work()
    found = selectors.exception_groups(feeds=None)
    assert [(one.group.feed_id, one.group.value, one.count) for one in found.groups] == [
        (feed.pk, "1;5", 2),
        (feed.pk, "fax", 1),
        (other.pk, "2;5", 1),
    ]
    assert found.more_count == 0
    first = found.groups[0].group
    assert first == group(feed)
    assert set(selectors.exceptions_of_group(first).values_list("record_number", flat=True)) == {1, 2}


def test_groups_are_narrowed_by_what_a_person_sees_and_asks_for():
    feed, other = feed_of(), feed_of()
    posted(feed, bad(1), event("c", class_="fax"))
    posted(other, bad(1, value="2;5"))
    work()

    def asked(**options):
        found = selectors.exception_groups(**{"feeds": None, **options})
        return [one.group.value for one in found.groups], found.more_count

    assert asked(feeds=frozenset({other.pk})) == (["2;5"], 0)
    assert asked(feeds=frozenset()) == ([], 0)
    assert asked(feed=feed.pk, code="bad_number") == (["1;5"], 0)
    assert asked(most=1) == (["1;5"], 2)
    assert asked(before=NOW) == ([], 0)
    assert asked(assigned_to=0)[1] == 0
    assert asked(assigned_to=user_with().pk) == ([], 0)


# Correcting a group


def test_one_rule_mends_every_record_of_a_group():
    feed = feed_of()
    one = posted(feed, event("a"), bad(1), bad(2), event("c", class_="fax"))
    other = posted(feed, bad(3), event("d"))
    work()
    correction = corrected(feed)
    assert told(correction) == ("completed", 3, 3, 0, 0, 0)
    assert (correction.corrected_count, correction.done_count, correction.ended_at) == (3, 3, LATER)
    assert counts(one) == ("completed", 3, 1, 0, 0)
    assert counts(other) == ("completed", 2, 0, 0, 0)
    assert [udr.value for udr in Udr.objects.filter(udr_usage_identifier__startswith="bad")] == [1.5] * 3
    exception = ALL.get(usage_import=one, record_number=2)
    assert (exception.status, exception.raw, exception.revision_count) == ("resolved", bad(1), 1)
    revision = exception.revisions.get()
    assert (revision.raw, revision.changes, revision.number) == (None, {"value": "1.5"}, 1)
    assert (revision.correction, revision.reason) == (correction, "the switch writes semicolons")
    assert (revision.has_resolved, revision.fault_before["code"]) == (True, "bad_number")


def test_what_the_rule_leaves_alone_or_does_not_mend_stays_open():
    feed = feed_of()
    usage_import = posted(feed, bad(1), bad(2), bad(3))
    work()
    rule = {
        "kind": "expression",
        "field": "value",
        "expression": "CASE WHEN who = 'bad1' THEN '2' WHEN who = 'bad2' THEN 'two' ELSE value END",
    }
    correction = corrected(feed, rule)
    assert told(correction) == ("completed", 3, 1, 1, 1, 0)
    assert counts(usage_import) == ("completed", 1, 2, 0, 0)
    assert list(ALL.order_by("pk").values_list("status", "value", "revision_count")) == [
        ("resolved", "1;5", 1),
        ("open", "two", 1),
        ("open", "1;5", 0),
    ]


def test_a_mended_record_may_be_skipped_or_a_duplicate():
    feed = feed_of(document(BY_EVENT, skip=[{"name": "test", "source": "who", "operator": "equals", "values": ["t"]}]))
    usage_import = posted(feed, event("a", value="15"), bad(1), event("a", value="1;5"))
    work()
    assert counts(usage_import) == ("completed", 1, 2, 0, 0)
    rule = {"kind": "substitute", "raw": True, "pattern": "bad1,1;5|1;5", "replacement": "15"}
    correction = corrected(feed, {**rule, "pattern": "bad1,1;5", "replacement": "t,5"})
    assert told(correction) == ("completed", 2, 1, 0, 1, 0)
    other = corrected(feed, {**rule, "pattern": "1;5"})
    assert told(other) == ("completed", 1, 1, 0, 0, 0)
    assert counts(usage_import) == ("completed", 1, 0, 1, 1)
    undo(correction)
    undo(other)
    assert counts(usage_import) == ("completed", 1, 2, 0, 0)
    assert not LeftOutRecord.objects.exists()


def test_rows_alike_that_are_mended_alike_are_duplicates_and_otherwise_are_not():
    feed = feed_of(document(BY_EVENT, uniqueness=[]))
    usage_import = posted(feed, bad(1), bad(1), bad(1))
    work()
    first = ALL.order_by("pk").first()
    services.correct_exception(exception=first, changes={"value": "3"}, reason="", by=None, now=LATER)
    work()
    correction = corrected(feed)
    assert told(correction) == ("completed", 2, 2, 0, 0, 0)
    assert counts(usage_import) == ("completed", 2, 0, 0, 1)
    assert sorted(udr.value for udr in Udr.objects.all()) == [1.5, 3]


def test_the_correction_of_a_group_means_what_was_open_when_it_was_asked_for():
    feed = feed_of()
    posted(feed, bad(1), bad(2))
    work()
    correction = ask(feed)
    services.write_off_exceptions(exceptions=ALL.filter(record_number=2), reason="test", by=None, now=LATER)
    posted(feed, bad(3))
    work()
    mend()
    correction.refresh_from_db()
    assert told(correction) == ("completed", 2, 1, 0, 0, 1)
    assert ALL.get(raw=bad(3)).status == "open"


def test_an_import_that_is_mediated_again_is_passed_over_and_takes_no_part():
    feed = feed_of()
    usage_import = posted(feed, bad(1), bad(2))
    work()
    correction = ask(feed)
    services.reprocess_imports(imports=type(usage_import).objects.all(), by=None, now=LATER)
    mend()
    correction.refresh_from_db()
    assert told(correction) == ("completed", 2, 0, 0, 0, 2)
    work(LATER)
    assert counts(usage_import) == ("completed", 0, 2, 0, 0)


def test_corrections_hold_when_the_import_is_mediated_again():
    feed = feed_of()
    usage_import = posted(feed, event("a"), bad(1), bad(2))
    work()
    corrected(
        feed, {"kind": "expression", "field": "value", "expression": "CASE who WHEN 'bad1' THEN '4' ELSE 'x' END"}
    )
    services.reprocess_imports(imports=type(usage_import).objects.all(), by=None, now=LATER)
    work(LATER)
    assert counts(usage_import) == ("completed", 2, 1, 0, 0)
    exception = ALL.get(status="open")
    assert (exception.attempt, exception.value, exception.raw, exception.revision_count) == (2, "x", bad(2), 0)
    # Changes of an attempt before stand under the new ones, also when the exception is tried alone.
    services.correct_exception(exception=exception, changes={"class": "fax"}, reason="", by=None, now=LATER)
    work(LATER)
    exception.refresh_from_db()
    assert (exception.code, exception.value) == ("bad_number", "x")
    UsageClassFactory(name="fax")
    corrected(feed, {"kind": "set", "field": "value", "text": "9"}, of=group(feed, "x"))
    assert Udr.objects.get(udr_usage_identifier="bad2").usage_class.name == "fax"


def test_a_group_is_corrected_once_at_a_time_with_a_reason_and_something_to_correct():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    with pytest.raises(services.UnableToFix, match="Say why"):
        ask(feed, reason=" ")
    with pytest.raises(services.UnableToFix, match="no open exceptions"):
        ask(feed, of=group(feed, "8;8"))
    with pytest.raises(services.FaultyRuleError, match="no source field"):
        ask(feed, {**POINT, "field": "worth"})
    ask(feed)
    with pytest.raises(services.UnableToFix, match="being corrected already"):
        ask(feed)
    mend()


def test_only_who_may_correct_and_sees_the_feed_corrects_a_group():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    with pytest.raises(PermissionDenied):
        ask(feed, by=user_with("ingestion.reprocess_importexception"))
    with pytest.raises(PermissionDenied):
        ask(feed, by=user_with("ingestion.correct_importexception", feeds=[]))
    clerk = user_with("ingestion.correct_importexception", feeds=[feed])
    correction = ask(feed, by=clerk)
    mend()
    assert ExceptionRevision.objects.get().created_by == clerk
    correction.refresh_from_db()
    with pytest.raises(PermissionDenied):
        undo(correction, by=user_with())


def test_a_profile_whose_rows_make_records_together_takes_no_rule():
    feed = feed_of(CALLS)
    with pytest.raises(services.FaultyRuleError, match="make records together"):
        services.parse_rule(rule=POINT, feed=feed)


# Portions


def test_every_portion_is_kept_when_a_worker_dies_before_the_next():
    feed = feed_of()
    usage_import = posted(feed, *map(bad, range(5)))
    work()
    correction = ask(feed)
    with patch.object(portions, "PORTION_RECORDS", 2):
        assert services.correct_next_portion(now=LATER)
        with patch.object(portions.store, "copy_in_revisions", side_effect=RuntimeError("disk full")):
            assert services.correct_next_portion(now=LATER)
        correction.refresh_from_db()
        assert told(correction) == ("running", 5, 2, 0, 0, 0)
        assert "disk full" in correction.error
        assert counts(usage_import) == ("completed", 2, 3, 0, 0)
        mend()
    correction.refresh_from_db()
    assert told(correction) == ("completed", 5, 5, 0, 0, 0)
    assert correction.error == ""
    assert ImportChunk.objects.filter(correction_id=correction.pk).count() == 3
    assert counts(usage_import) == ("completed", 5, 0, 0, 0)


def test_a_correction_that_keeps_crashing_is_parked_and_can_go_on():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    correction = ask(feed)
    with patch.object(portions, "revisions_by", side_effect=RuntimeError("no rule")):
        for hour in range(6):
            mend(LATER + timedelta(hours=hour))
    correction.refresh_from_db()
    ended_at = LATER + timedelta(hours=3)
    assert (correction.status, correction.attempts, correction.ended_at) == ("errored", 5, ended_at)
    assert "no rule" in correction.error
    services.try_correction_again(correction=correction, by=None, now=LATER)
    mend()
    correction.refresh_from_db()
    assert told(correction) == ("completed", 1, 1, 0, 0, 0)


def test_a_claimed_correction_is_left_alone_until_its_worker_is_gone():
    feed = feed_of()
    posted(feed, bad(1))
    work()
    correction = ask(feed)
    GroupCorrection.objects.update(status="running", attempts=1, claimed_until=LATER + timedelta(seconds=20))
    assert not services.correct_next_portion(now=LATER)
    mend(LATER + timedelta(minutes=1))
    correction.refresh_from_db()
    assert correction.status == "completed"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_workers_at_once_correct_each_record_once():
    feed = feed_of()
    usage_import = posted(feed, *map(bad, range(30)))
    work()
    correction = ask(feed)
    with patch.object(portions, "PORTION_RECORDS", 3):
        assert in_threads(mend, 3) == []
    mend(LATER + timedelta(minutes=1))
    correction.refresh_from_db()
    assert told(correction) == ("completed", 30, 30, 0, 0, 0)
    assert counts(usage_import) == ("completed", 30, 0, 0, 0)


# Write-offs taken back


def test_a_write_off_is_taken_back_with_a_reason():
    feed = feed_of()
    usage_import = posted(feed, bad(1), bad(2))
    work()
    services.write_off_exceptions(exceptions=ALL.all(), reason="test data", by=None, now=LATER)
    with pytest.raises(services.UnableToReopen, match="Say why"):
        services.reopen_exceptions(exceptions=ALL.all(), reason="", by=None, now=LATER)
    with pytest.raises(PermissionDenied):
        services.reopen_exceptions(exceptions=ALL.all(), reason="x", by=user_with(), now=LATER)
    count = services.reopen_exceptions(exceptions=ALL.filter(record_number=1), reason="not test", by=None, now=LATER)
    assert count == 1
    assert dict(ALL.values_list("record_number", "status")) == {1: "open", 2: "written_off"}
    assert counts(usage_import) == ("completed", 0, 2, 0, 0)


# Envelopes


def test_an_import_with_an_envelope_is_mediated_again_once_all_of_its_records_are_corrected():
    feed = feed_of(document(BY_EVENT, envelope="file"))
    usage_import = posted(feed, event("a"), *map(bad, range(5)))
    work()
    assert counts(usage_import) == ("completed", 0, 5, 1, 0)
    with patch.object(portions, "PORTION_RECORDS", 2):
        correction = corrected(feed)
    assert told(correction) == ("completed", 5, 0, 0, 0, 5)
    assert correction.corrected_count == 5
    work(LATER)
    assert counts(usage_import) == ("completed", 6, 0, 0, 0)
    undo(correction)
    work(LATER)
    assert counts(usage_import) == ("completed", 0, 5, 1, 0)
