"""A whole import mediated again: a new attempt that replaces the one before, and never adds to it."""

import time
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from django.core.exceptions import PermissionDenied
from django.db.models import Sum

from config.history import work_once
from ingestion import selectors, services
from ingestion.models import Feed, ImportException, LeftOutRecord, UsageImport
from mediation import services as mediation_services
from mediation.core.reading import delimited
from mediation.models import Udr, UdrBatch, UdrKey
from rating.models import Charge
from tests.mediation.profiles import document
from tests.rating.factories import AccountFactory, RateFactory, ServiceIdentifierFactory

from .factories import (
    BY_EVENT,
    NAMED,
    NOW,
    UsageClassFactory,
    counts,
    event,
    feed_of,
    filed,
    new_version,
    posted,
    user_with,
    work,
    work_through_tries,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
LATER = NOW + timedelta(hours=1)
DOUBLED = document(BY_EVENT, fields={"Value": {"literal": "2"}})
SKIPPING = document(BY_EVENT, skip=[{"name": "b", "source": "who", "operator": "equals", "values": ["b"]}])


def reprocess(*imports, by=None):
    chosen = UsageImport.objects.filter(pk__in=[one.pk for one in imports])
    return services.reprocess_imports(imports=chosen, by=by, now=LATER)


def counting():
    """(identifier, value) of the UDRs that count today."""
    ids = UdrBatch.objects.filter(status__in=["mediated", "rated"]).values_list("pk", flat=True)
    return sorted((u.udr_usage_identifier, int(u.value)) for u in Udr.objects.all() if u.pk >> 17 in set(ids))


def statuses():
    return list(UdrBatch.objects.order_by("pk").values_list("status", flat=True))


@pytest.mark.parametrize("door", [posted, filed])
def test_the_new_attempt_replaces_the_old(door):
    feed = feed_of()
    usage_import = door(feed, event("a"), event("b"), event("c", value="x"))
    work()
    UdrBatch.objects.update(status="rated")
    version = new_version(feed, DOUBLED)
    assert reprocess(usage_import) == 1
    assert counts(usage_import)[0] in ("waiting", "received")
    assert counting() == [("a", 10), ("b", 10)]
    work(now=LATER)
    assert counts(usage_import) == ("completed", 3, 0, 0, 0)
    assert (usage_import.attempt, usage_import.profile_version) == (2, version)
    assert usage_import.ended_at > LATER
    assert counting() == [("a", 2), ("b", 2), ("c", 2)]
    assert statuses() == ["superseded", "mediated"]
    assert ImportException.objects.get().status == "superseded"
    assert UdrKey.objects.count() == 3


def test_an_attempt_counts_only_when_its_last_chunk_is_done(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 1)
    feed = feed_of()
    usage_import = filed(feed, event("a"), event("b"))
    work()
    new_version(feed, DOUBLED)
    reprocess(usage_import)
    services.plan_next_import(now=LATER)
    services.mediate_next_chunks(now=LATER)
    assert statuses() == ["mediated", "mediated", "staged"]
    assert counting() == [("a", 10), ("b", 10)]
    work()
    assert statuses() == ["reversed", "reversed", "mediated", "mediated"]
    assert counting() == [("a", 2), ("b", 2)]


def test_a_second_reprocess_replaces_the_first():
    feed = feed_of()
    usage_import = posted(feed, event("a"), event("b"))
    work()
    for attempt in (2, 3):
        reprocess(usage_import)
        work()
        assert counts(usage_import) == ("completed", 2, 0, 0, 0)
        assert usage_import.attempt == attempt
        UdrBatch.objects.filter(status="superseded").update(status="reversed")
    assert statuses() == ["reversed", "reversed", "mediated"]
    assert counting() == [("a", 10), ("b", 10)]


def test_a_record_that_is_imported_no_more_frees_its_key():
    feed = feed_of()
    usage_import = posted(feed, event("a"), event("b"))
    work()
    new_version(feed, SKIPPING)
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 1, 0, 1, 0)
    assert list(UdrKey.objects.values_list("key", flat=True)) == ["a"]
    new_version(feed, BY_EVENT)
    other = posted(feed, event("b"))
    work()
    assert counts(other) == ("completed", 1, 0, 0, 0)


def test_an_attempt_that_imports_nothing_takes_the_old_udrs_back():
    feed = feed_of()
    usage_import = posted(feed, event("b"))
    work()
    new_version(feed, SKIPPING)
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 0, 0, 1, 0)
    assert (counting(), statuses(), UdrKey.objects.count()) == ([], ["reversed"], 0)


def test_duplicates_of_others_stay_duplicates_and_repeats_within_the_import_too():
    feed = feed_of()
    posted(feed, event("a"))
    work()
    usage_import = posted(feed, event("a"), event("b"), event("b"), event("b", value="3"))
    work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 2)
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 2)
    assert LeftOutRecord.objects.filter(attempt=2).count() == 2
    held_by = UdrKey.objects.get(key="b").pk
    assert LeftOutRecord.objects.get(attempt=2, reason="b").udr_id == held_by


def test_repeats_in_two_chunks_of_one_attempt_are_counted_once(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 1)
    usage_import = filed(feed_of(), event("a"), event("a"), event("a", value="3"))
    work()
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 1)
    assert counting() == [("a", 10)]


def test_corrections_are_used_again():
    usage_import = posted(feed_of(), event("a"), event("b", value="x"), event("c", value="x"))
    work()
    exception = ImportException.objects.get(record_number=2)
    services.correct_exception(exception=exception, raw=event("b", value="7"), reason="", by=None, now=NOW)
    work()
    assert counts(usage_import) == ("completed", 2, 1, 0, 0)
    for _ in range(2):
        reprocess(usage_import)
        work()
        assert counts(usage_import) == ("completed", 2, 1, 0, 0)
        assert counting() == [("a", 10), ("b", 7)]
    assert list(ImportException.objects.filter(status="open").values_list("record_number", "raw")) == [
        (3, event("c", value="x"))
    ]


def test_an_import_that_is_mediated_again_has_ended_once_it_is_swapped(monkeypatch):
    usage_import = posted(feed_of(), event("a"))
    work()
    reprocess(usage_import)
    swap = mediation_services.swap_batches

    def swap_slowly(**told):
        time.sleep(1)
        swap(**told)

    monkeypatch.setattr(mediation_services, "swap_batches", swap_slowly)
    work(LATER)
    usage_import.refresh_from_db()
    assert usage_import.status == "completed"
    assert usage_import.ended_at > LATER + timedelta(seconds=1)


def test_a_chunk_that_is_mediated_again_reads_the_corrections_of_its_own_records_alone(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 3)
    feed = feed_of()
    usage_import = filed(feed, *(event(f"e{number}", value="x") for number in range(1, 9)))
    work()
    for exception in ImportException.objects.all():
        services.correct_exception(
            exception=exception, changes={"value": str(exception.record_number)}, reason="typo", by=None, now=NOW
        )
    work()
    new_version(feed, DOUBLED)
    reprocess(usage_import)
    read = []
    corrections_of = selectors.corrections_of
    monkeypatch.setattr(selectors, "corrections_of", lambda *told: read.append(corrections_of(*told)) or read[-1])
    work(LATER)
    assert counts(usage_import) == ("completed", 8, 0, 0, 0)
    assert len(read) > 2
    assert sorted(number for one in read for number in one) == list(range(1, 9))


def test_a_correction_that_no_longer_suits_the_profile_is_an_exception_of_its_own():
    feed = feed_of()
    usage_import = filed(feed, event("a", value="x"), event("b"))
    work()
    services.correct_exception(
        exception=ImportException.objects.get(), raw=event("a", class_="sms"), reason="", by=None, now=NOW
    )
    work()
    reprocess(usage_import)
    work()
    left = ImportException.objects.get(attempt=2)
    assert (left.code, left.raw) == ("unknown_usage_class", event("a", class_="sms"))


def test_write_offs_of_the_same_fault_carry_over_any_number_of_attempts():
    usage_import = posted(feed_of(), event("a", value="x"), event("b", class_="sms"), event("c"))
    work()
    services.write_off_exceptions(exceptions=ImportException.objects.all(), reason="test", by=None, now=NOW)
    reprocess(usage_import)
    work()
    fresh = ImportException.objects.filter(attempt=2)
    assert set(fresh.values_list("status", "close_reason")) == {("written_off", "test")}
    UsageClassFactory(name="sms")
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 2, 1, 0, 0)
    assert ImportException.objects.get(attempt=3).status == "written_off"


def test_a_write_off_that_was_taken_back_since_does_not_carry_over():
    usage_import = posted(feed_of(), event("a", value="x"), event("b", value="x"))
    work()
    services.write_off_exceptions(exceptions=ImportException.objects.all(), reason="test", by=None, now=NOW)
    reprocess(usage_import)
    work()
    one = ImportException.objects.filter(attempt=2, record_number=1)
    services.reopen_exceptions(exceptions=one, reason="they pay", by=None, now=NOW)
    reprocess(usage_import)
    work()
    latest = ImportException.objects.filter(attempt=3)
    assert dict(latest.values_list("record_number", "status")) == {1: "open", 2: "written_off"}


def test_a_failed_import_is_read_again_by_a_better_profile():
    feed = feed_of(NAMED)
    usage_import = filed(feed, "date;who;value;class", "2026-05-01;a;1;calls")
    work()
    assert counts(usage_import)[0] == "failed"
    new_version(feed, document(NAMED, format=NAMED["format"] | {"delimiter": ";"}))
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)
    assert (usage_import.attempt, usage_import.error) == (2, "")


def test_an_import_that_cannot_be_read_again_keeps_what_it_was():
    """Its UDRs count and may be billed: the history must not say that nothing was imported."""
    feed = feed_of(NAMED)
    usage_import = filed(feed, "date,who,value,class", "2026-05-01,a,1,calls", "2026-05-01,b,x,calls")
    work()
    first = usage_import.profile_version
    new_version(feed, document(NAMED, format=NAMED["format"] | {"delimiter": ";"}))
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)
    assert (usage_import.attempt, usage_import.profile_version) == (1, first)
    assert "What was imported before stands" in usage_import.error
    exception = ImportException.objects.get()
    assert exception.status == "open"
    new_version(feed, NAMED)
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)
    assert usage_import.attempt == 2


def test_an_errored_import_can_be_replaced_by_a_new_attempt():
    feed = feed_of()
    usage_import = posted(feed, event("a"))
    with patch.object(mediation_services, "mediate", side_effect=RuntimeError):
        work_through_tries()
    assert counts(usage_import)[0] == "errored"
    reprocess(usage_import)
    work()
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)
    assert usage_import.error == ""


def test_an_import_is_not_reprocessed_while_it_or_its_exceptions_are_worked_on():
    usage_import = posted(feed_of(), event("a", value="x"))
    with pytest.raises(services.UnableToReprocess, match="have not ended"):
        reprocess(usage_import)
    work()
    services.reprocess_exceptions(exceptions=ImportException.objects.all(), by=None, now=NOW)
    with pytest.raises(services.UnableToReprocess, match="right now"):
        reprocess(usage_import)
    work()
    usage_import.feed.profile.versions.update(status="retired")
    with pytest.raises(services.UnableToReprocess, match="no active version"):
        reprocess(usage_import)


def test_reprocessing_asks_for_its_permission():
    usage_import = posted(feed_of(), event("a"))
    work()
    someone = user_with("ingestion.view_usageimport")
    with pytest.raises(PermissionDenied):
        reprocess(usage_import, by=someone)
    with pytest.raises(PermissionDenied):
        services.retry_errored(imports=UsageImport.objects.all(), by=someone, now=NOW)
    assert reprocess(usage_import, by=user_with("ingestion.reprocess_usageimport")) == 1
    work()


def test_charges_follow_the_new_attempt():
    rate = RateFactory(usage_class=UsageClassFactory(name="calls"), price=2)
    for name in ("a", "b"):
        ServiceIdentifierFactory(
            identifier=name, service__account=AccountFactory(rate_plan=rate.group.plan, currency="EUR")
        )
    feed = feed_of()
    usage_import = posted(feed, event("a"), event("b"))
    for spec, total in ((BY_EVENT, 40), (DOUBLED, 8), (SKIPPING, 20), (BY_EVENT, 40)):
        new_version(feed, spec)
        if usage_import.chunks.filter(status="done").exists():
            reprocess(usage_import)
        while work_once():
            pass
        assert Charge.objects.aggregate(total=Sum("amount"))["total"] == total
        assert set(statuses()) <= {"rated", "reversed"}


def test_a_record_that_comes_again_is_a_duplicate_though_a_new_version_reads_its_date_in_another_zone():
    zoned = {"source": "date", "date_format": "%Y-%m-%d %H:%M:%S", "time_zone": "UTC"}
    feed = feed_of(document(fields={"Date": zoned}))
    row = event("a", date="2026-05-02 05:00:00")
    posted(feed, row)
    work()
    new_version(feed, document(fields={"Date": {**zoned, "time_zone": "Australia/Sydney"}}))
    again = posted(feed, row)
    work()
    assert counts(again) == ("completed", 0, 0, 0, 1)


def test_what_repeated_a_record_that_counts_no_more_is_imported_after_all():
    feed = feed_of(max_future_minutes=100_000)
    early = posted(feed, event("a"), now=datetime(2026, 4, 1, tzinfo=UTC))
    repeat = posted(feed, event("a"), event("b"))
    work()
    assert counts(repeat) == ("completed", 1, 0, 0, 1)
    Feed.objects.update(max_future_minutes=60)
    reprocess(early)
    work(now=LATER)
    assert counts(early) == ("completed", 0, 1, 0, 0)
    assert counts(repeat) == ("completed", 2, 0, 0, 0)
    assert counting() == [("a", 10), ("b", 10)]


def test_what_repeats_a_record_that_still_counts_is_left_alone():
    feed = feed_of()
    first = posted(feed, event("a"))
    repeat = posted(feed, event("a"), event("b"))
    work()
    new_version(feed, DOUBLED)
    reprocess(first)
    work(now=LATER)
    repeat.refresh_from_db()
    assert (counts(repeat), repeat.attempt) == (("completed", 1, 0, 0, 1), 1)
