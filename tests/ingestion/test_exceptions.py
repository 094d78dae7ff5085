"""Import exceptions: corrected, written off, mediated again; nothing is lost on the way."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from ingestion import selectors, services
from ingestion.models import ExceptionRevision, ImportException, LeftOutRecord
from ingestion.services import exceptions as exception_services
from mediation import services as mediation_services
from mediation.models import Udr, UdrBatch
from tests.mediation.profiles import document

from .factories import (
    BY_EVENT,
    EVENTS,
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
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]
LATER = NOW + timedelta(hours=1)
ALL = ImportException.objects


def correct(exception, raw, by=None, reason="typing error"):
    return services.correct_exception(exception=exception, raw=raw, reason=reason, by=by, now=LATER)


def reprocess(exceptions=None, by=None):
    exceptions = ALL.all() if exceptions is None else exceptions
    return services.reprocess_exceptions(exceptions=exceptions, by=by, now=LATER)


def write_off(exceptions=None, reason="test data", by=None):
    exceptions = ALL.all() if exceptions is None else exceptions
    return services.write_off_exceptions(exceptions=exceptions, reason=reason, by=by, now=LATER)


def the_exception(**record):
    usage_import = posted(feed_of(), event("a"), event(**{"who": "b", "value": "x", **record}))
    work()
    return usage_import, ImportException.objects.get()


def test_a_corrected_record_becomes_a_udr_and_the_original_stays():
    usage_import, exception = the_exception()
    clerk = user_with("ingestion.correct_importexception")
    revision = correct(exception, event("b", value="7"), by=clerk)
    assert (revision.number, revision.created_by, revision.created_at) == (1, clerk, LATER)
    work(now=LATER)
    exception.refresh_from_db()
    assert (exception.status, exception.raw, exception.closed_at) == ("resolved", event("b", value="x"), LATER)
    assert counts(usage_import) == ("completed", 2, 0, 0, 0)
    udr = Udr.objects.get(udr_usage_identifier="b")
    assert (udr.import_id, udr.record_number, udr.value) == (usage_import.pk, 2, 7)
    assert UdrBatch.objects.filter(import_id=usage_import.pk, status="mediated").count() == 2


def test_corrections_are_numbered_and_the_last_one_counts():
    usage_import, exception = the_exception()
    correct(exception, event("b", value="y"))
    work()
    exception.refresh_from_db()
    assert (exception.status, exception.code, exception.revision_count) == ("open", "bad_number", 1)
    assert "“y”" in exception.message
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)
    correct(exception, event("b", value="8"))
    work()
    assert list(ExceptionRevision.objects.order_by("number").values_list("number", flat=True)) == [1, 2]
    assert Udr.objects.get(udr_usage_identifier="b").value == 8


@pytest.mark.parametrize(("raw", "says"), [("", "is empty"), (" \n", "is empty"), ("a\0", "NUL")])
def test_a_correction_that_is_no_record_is_refused(raw, says):
    _, exception = the_exception()
    with pytest.raises(services.UnableToCorrect, match=says):
        correct(exception, raw)
    assert ExceptionRevision.objects.count() == 0


def test_only_open_exceptions_can_be_corrected():
    _, exception = the_exception()
    write_off()
    with pytest.raises(services.UnableToCorrect, match="written off"):
        correct(exception, event("b"))


def test_an_exception_of_an_import_that_runs_again_is_not_corrected():
    usage_import, exception = the_exception()
    services.reprocess_imports(imports=type(usage_import).objects.all(), by=None, now=LATER)
    with pytest.raises(services.UnableToCorrect, match="once that has completed"):
        correct(exception, event("b"))
    work()


def test_an_exception_may_prove_a_duplicate_or_be_skipped():
    feed = feed_of(document(BY_EVENT, skip=[{"name": "test", "source": "who", "operator": "equals", "values": ["t"]}]))
    usage_import = posted(feed, event("a"), event("b", value="x"), event("c", value="x"))
    work()
    correct(ALL.get(record_number=2), event("a"))
    correct(ALL.get(record_number=3), event("t"))
    work()
    assert counts(usage_import) == ("completed", 1, 0, 1, 1)
    assert set(ALL.values_list("status", flat=True)) == {"resolved"}
    assert sorted(LeftOutRecord.objects.values_list("record_number", "outcome", "attempt")) == [
        (2, "duplicate", 1),
        (3, "skipped", 1),
    ]


def test_a_correction_that_contradicts_a_known_record_stays_an_exception():
    usage_import, exception = the_exception()
    correct(exception, event("a", value="5"))
    work()
    exception.refresh_from_db()
    assert (exception.status, exception.code) == ("open", "conflict")
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)


def test_a_json_correction_is_one_object():
    usage_import = posted(feed_of(EVENTS), {"Date": "2026-05-01", "Id": "a", "Value": "x"})
    work()
    good = '{"Date": "2026-05-01", "Id": "a", "Value": 3}'
    correct(ALL.get(), good + good)
    work()
    assert ALL.get().code == "malformed"
    correct(ALL.get(), good)
    work()
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


def test_a_record_of_a_file_is_corrected_in_the_columns_of_its_file():
    usage_import = filed(feed_of(NAMED), "class,value,who,date", "calls,x,a,2026-05-01")
    work()
    correct(ALL.get(), "calls,3,a,2026-05-01")
    work()
    assert counts(usage_import) == ("completed", 1, 0, 0, 0)


# Mediated again


def test_one_many_or_all_in_a_filter_are_mediated_again_when_the_cause_is_gone():
    feed, other = feed_of(), feed_of()
    imports = [
        posted(feed, event("a", class_="sms"), event("b", class_="fax")),
        posted(feed, event("c", class_="sms")),
        posted(other, event("d", class_="sms")),
    ]
    work()
    UsageClassFactory(name="sms")
    assert reprocess(ALL.filter(record_number=1, usage_import=imports[0])) == 1
    work()
    assert counts(imports[0]) == ("completed", 1, 1, 0, 0)
    assert reprocess(ALL.filter(feed=feed, code="unknown_usage_class").order_by("-created_at")) == 2
    work(now=LATER)
    assert [counts(one) for one in imports] == [
        ("completed", 1, 1, 0, 0),
        ("completed", 1, 0, 0, 0),
        ("completed", 0, 1, 0, 0),
    ]
    assert ALL.get(record_number=2).last_tried_at == LATER
    assert reprocess() == 2
    work()
    assert sorted(Udr.objects.values_list("udr_usage_identifier", flat=True)) == ["a", "c", "d"]


def test_exceptions_are_mediated_by_the_profile_version_of_today():
    usage_import, exception = the_exception(value="1,5")
    feed = usage_import.feed
    assert exception.code == "too_many_columns"
    correct(exception, '2026-05-01,b,"1,5",calls')
    work()
    new_version(feed, document(BY_EVENT, fields={"Value": {"source": "value", "decimal_sign": ","}}))
    reprocess()
    work()
    assert counts(usage_import) == ("completed", 2, 0, 0, 0)


def test_without_an_active_version_exceptions_stay_open():
    usage_import, exception = the_exception()
    usage_import.feed.profile.versions.update(status="retired")
    reprocess()
    work(now=LATER)
    exception.refresh_from_db()
    assert (exception.status, exception.last_tried_at) == ("open", LATER)


def test_retries_that_crash_let_the_others_through_and_end_open():
    usage_import = posted(feed_of(), event("good", class_="sms"), event("poison", class_="sms"))
    work()
    UsageClassFactory(name="sms")
    reprocess()
    real = mediation_services.mediate

    def mediate(*, records, **others):
        if "poison" in "".join(records["raw"]):
            raise RuntimeError("poison")
        return real(records=records, **others)

    with patch.object(mediation_services, "mediate", mediate):
        work()
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)
    left = ALL.get(record_number=2)
    assert (left.status, left.retry_attempts) == ("open", selectors.MAX_ATTEMPTS)
    reprocess()
    work()
    assert counts(usage_import) == ("completed", 2, 0, 0, 0)


def test_exceptions_whose_import_is_opened_again_meanwhile_wait_for_that():
    usage_import, exception = the_exception()
    reprocess()
    # As if the reprocess of the whole import had come between asking and doing.
    type(usage_import).objects.update(status="waiting", attempt=2)
    exception_services._retry([exception.pk], LATER)
    exception.refresh_from_db()
    assert exception.status == "open"
    type(usage_import).objects.update(status="completed", attempt=1)


# Written off


def test_a_write_off_needs_a_reason_and_keeps_who_and_when():
    usage_import, exception = the_exception()
    clerk = user_with("ingestion.writeoff_importexception")
    for reason in ("", "  "):
        with pytest.raises(services.UnableToWriteOff, match="needs a reason"):
            write_off(reason=reason, by=clerk)
    assert write_off(by=clerk) == 1
    exception.refresh_from_db()
    assert (exception.status, exception.closed_by, exception.closed_at) == ("written_off", clerk, LATER)
    assert write_off() == 0
    assert reprocess() == 0
    assert counts(usage_import) == ("completed", 1, 1, 0, 0)


def test_the_table_itself_refuses_a_write_off_without_a_reason():
    the_exception()
    with pytest.raises(IntegrityError, match="write_off_needs_a_reason"), transaction.atomic():
        ALL.update(status="written_off")


@pytest.mark.parametrize(
    "verb", [lambda by: reprocess(by=by), lambda by: write_off(by=by), lambda by: correct(ALL.get(), "x", by=by)]
)
def test_each_verb_asks_for_its_permission(verb):
    the_exception()
    with pytest.raises(PermissionDenied):
        verb(user_with("ingestion.view_importexception"))
    assert ALL.get().status == "open"
