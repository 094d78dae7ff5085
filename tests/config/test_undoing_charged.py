"""Corrections of groups undone once they are rated: records, charges, statements and what `reconcile` finds of it."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse

from config.answering.places import page_of
from config.approving.deciding import DECIDE, UnableToDecide, approve, ask_for_approval
from config.approving.policy import KINDS
from config.models import AuditEntry
from ingestion import services as ingestion
from ingestion.models import ExceptionRevision, GroupCorrection, ImportException, UsageImport
from ingestion.selectors import Group
from ingestion.services.fixing import undoing
from mediation.models import UdrBatch
from mediation.services.approving import NeedsSecondPerson
from rating import services as rating
from rating.models import BillingPeriod, Charge, RatingException
from tests.config.crowd import person
from tests.config.test_voiding import KEYED, NOW, assert_reconciled, call, feed, standing, who, work_all
from tests.ingestion.factories import counts, feed_of, filed, new_version, posted, user_with, work
from tests.mediation.profiles import document
from tests.telling import confirmed

__all__ = ["feed", "who"]
pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)
CORRECT, REPROCESS = "ingestion.correct_importexception", "ingestion.reprocess_usageimport"
SEE = "ingestion.view_importexception"
POINT = {"kind": "substitute", "field": "value", "pattern": "x", "replacement": ""}


def mend(feed, rule=POINT, value="1x", now=NOW):
    """A correction of a group that workers have ended."""
    group = Group(feed.pk, "bad_number", "Value", value)
    correction = ingestion.ask_correction(group=group, rule=rule, reason="the switch's units", by=None, now=now)
    while ingestion.correct_next_portion(now=now):
        pass
    correction.refresh_from_db()
    return correction


def undo(correction, by=None, now=LATER, **told):
    done = ingestion.undo_correction(correction=correction, by=by, now=now, **told)
    while ingestion.undo_next_correction(now=now):
        pass
    done.refresh_from_db()
    return done


def reprocess(now=NOW):
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=now)
    work_all(now)


def can_undo(correction, by=None):
    return ingestion.can_undo(correction=GroupCorrection.objects.get(pk=correction.pk), by=by, now=LATER)


def standing_exceptions():
    """Record number -> status and offending value, of the attempt that counts."""
    rows = ImportException.objects.exclude(status="superseded").select_related("usage_import")
    return {one.record_number: (one.status, one.value) for one in rows if one.attempt == one.usage_import.attempt}


@pytest.fixture
def sent(feed, who):
    return filed(feed, call("a", 10, who), call("b", "1x", who), call("c", "1x", who), call("d", "2x", who))


@pytest.fixture
def charged(feed, sent):
    """A correction of two records of a file of four, rated: 10 and two of 1, at 0.5."""
    work_all()
    correction = mend(feed)
    work_all()
    assert counts(sent) == ("completed", 3, 1, 0, 0)
    assert standing() == 6
    return correction


def test_a_charged_correction_is_undone_by_mediating_its_imports_without_it(charged, sent):
    assert can_undo(charged)
    undone = undo(charged)
    assert (undone.status, undone.is_undone_as_whole, undone.undone_at) == ("undone", True, LATER)
    assert ExceptionRevision.objects.filter(withdrawn_at=LATER).count() == 2
    assert standing() == 6  # until the new attempt is complete
    work_all(LATER)
    assert counts(sent) == ("completed", 1, 3, 0, 0)
    assert sent.attempt == 2
    assert standing_exceptions() == {2: ("open", "1x"), 3: ("open", "1x"), 4: ("open", "2x")}
    assert standing() == 5
    assert Charge.objects.filter(kind="reversal").count() == 3
    assert_reconciled()


def test_what_nobody_could_be_charged_for_can_be_undone(feed):
    sent = posted(feed, call("a", "1x", "nobody"))
    work_all()
    correction = mend(feed)
    work_all()
    assert RatingException.objects.get().status == "open"
    undo(correction)
    work_all(LATER)
    assert counts(sent) == ("completed", 0, 1, 0, 0)
    assert not RatingException.objects.filter(status="open").exists()
    assert_reconciled()


def test_the_group_can_be_corrected_anew_and_that_be_undone_too(charged, feed, sent):
    undo(charged)
    work_all(LATER)
    again = mend(feed, {"kind": "set", "field": "value", "text": "4"}, now=LATER)
    work_all(LATER)
    assert standing() == 9
    undo(again)
    work_all(LATER)
    assert standing() == 5
    assert counts(sent) == ("completed", 1, 3, 0, 0)
    assert_reconciled()


def test_undone_is_undone(charged):
    undo(charged)
    work_all(LATER)
    assert not can_undo(charged)
    with pytest.raises(ingestion.UnableToUndo, match="is undone; only one that has ended is undone"):
        undo(charged)


def test_what_was_mediated_again_since_is_undone_as_a_whole(charged, sent):
    reprocess()
    reprocess()
    assert counts(sent) == ("completed", 3, 1, 0, 0)  # the correction is read in again
    assert can_undo(charged)
    undo(charged)
    work_all(LATER)
    assert counts(sent) == ("completed", 1, 3, 0, 0)
    assert standing() == 5
    assert_reconciled()


def test_what_was_mediated_again_before_it_was_rated_is_undone_as_a_whole(feed, sent):
    work()
    correction = mend(feed)
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    work()
    assert undo(correction).is_undone_as_whole
    work_all(LATER)
    assert counts(sent) == ("completed", 1, 3, 0, 0)
    assert standing() == 5
    assert_reconciled()


def test_records_that_were_corrected_again_since_keep_that(charged, feed, sent):
    too_small = {"code": "too_small", "field": "Value", "rule": {"expression": "Value > 1"}}
    new_version(feed, document(KEYED, validations=[too_small]))
    reprocess()
    found = ImportException.objects.get(usage_import=sent, attempt=2, record_number=2)
    ingestion.correct_exception(exception=found, changes={"value": "7"}, reason="asked them", by=None, now=NOW)
    work_all()
    undo(charged)
    work_all(LATER)
    assert standing_exceptions().keys() == {3, 4}
    assert standing() == (10 + 7) / 2
    assert ExceptionRevision.objects.filter(withdrawn_at=None).count() == 2
    assert_reconciled()


def test_where_all_was_corrected_again_there_is_nothing_to_undo(feed, who):
    filed(feed, call("a", "1x", who), call("b", 4, who))
    work_all()
    correction = mend(feed, {"kind": "set", "field": "value", "text": "y"})
    ingestion.correct_exception(
        exception=ImportException.objects.get(), changes={"value": "7"}, reason="", by=None, now=NOW
    )
    work_all()
    reprocess()
    assert not can_undo(correction)
    with pytest.raises(ingestion.UnableToUndo, match="nothing of it is left"):
        undo(correction)


def test_what_a_statement_has_billed_is_adjusted(charged, sent):
    [april] = BillingPeriod.objects.all()
    rating.close_period(period=april, by=None, now=LATER)
    undo(charged)
    work_all(LATER)
    assert standing() == 5
    may = BillingPeriod.objects.get(status="open")
    rating.close_period(period=may, by=None, now=NOW + timedelta(days=40))
    assert_reconciled()


@pytest.mark.parametrize("envelope", ["chunk", "file"])
def test_an_envelope_that_a_correction_let_in_is_refused_again(who, envelope):
    feed = feed_of(document(KEYED, envelope=envelope))
    sent = filed(feed, call("a", 10, who), call("b", "1x", who))
    work_all()
    correction = mend(feed)
    work_all()
    assert counts(sent) == ("completed", 2, 0, 0, 0)
    undo(correction)
    work_all(LATER)
    assert counts(sent) == ("completed", 0, 1, 1, 0)
    assert standing() == 0
    assert_reconciled()


def test_what_repeated_a_record_is_charged_in_its_place(feed, who):
    raw = {"kind": "substitute", "raw": True, "pattern": "1x", "replacement": "10"}
    posted(feed, call("a", "1x", who))
    work_all()
    correction = mend(feed, raw)
    again = posted(feed, call("a", 10, who))
    work_all()
    assert counts(again) == ("completed", 0, 0, 0, 1)
    undo(correction)
    work_all(LATER)
    assert counts(again) == ("completed", 1, 0, 0, 0)
    assert standing() == 5
    assert_reconciled()


# While something runs


def test_it_is_not_undone_while_its_import_is_mediated_again(charged, sent):
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    assert not can_undo(charged)
    with pytest.raises(ingestion.UnableToUndo, match=rf"1 of its imports are being .* {sent.tracking_id}"):
        undo(charged)
    work_all()
    assert can_undo(charged)


def test_it_is_not_undone_while_exceptions_of_its_import_are_mediated_again(charged):
    ingestion.reprocess_exceptions(exceptions=ImportException.objects.filter(status="open"), by=None, now=NOW)
    assert not can_undo(charged)
    with pytest.raises(ingestion.UnableToUndo, match="some of their exceptions"):
        undo(charged)
    work_all()
    assert undo(charged).status == "undone"


def test_an_import_that_is_parked_may_be_mediated_without_the_correction_that_crashes_it(charged, sent):
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    with patch("ingestion.services.mediating._corrected", side_effect=RuntimeError("the rule's text")):
        for minutes in range(0, 30, 3):
            work(NOW + timedelta(minutes=minutes))
    sent.refresh_from_db()
    assert sent.status == "errored"
    undo(charged)
    work_all(LATER)
    assert counts(sent) == ("completed", 1, 3, 0, 0)
    assert standing() == 5
    assert_reconciled()


def test_while_a_worker_is_rating_it_is_undone_as_a_whole(feed, sent):
    work()
    correction = mend(feed)
    UdrBatch.objects.update(claimed_until=LATER + timedelta(seconds=5))
    assert undo(correction).is_undone_as_whole
    UdrBatch.objects.update(claimed_until=None)
    work_all(LATER)
    assert standing() == 5
    assert_reconciled()


def test_without_an_active_version_it_is_neither_offered_nor_undone(charged, feed):
    feed.profile.versions.update(status="retired")
    assert not can_undo(charged)
    with pytest.raises(ingestion.UnableToUndo, match="no active version"):
        undo(charged)


def test_who_was_told_otherwise_is_asked_again(charged):
    with pytest.raises(ingestion.UndoingMoved):
        undo(charged, as_whole=False)
    assert undo(charged, as_whole=True).status == "undone"


# Of many records


@pytest.fixture
def two_are_many(monkeypatch):
    monkeypatch.setattr(undoing, "AT_ONCE", 1)


def test_a_worker_undoes_what_is_many(two_are_many, charged, sent):
    by = user_with(CORRECT, REPROCESS)
    assert ingestion.undo_correction(correction=charged, by=by, now=LATER).status == "undoing"
    assert not can_undo(charged)
    while ingestion.undo_next_correction(now=LATER):
        pass
    work_all(LATER)
    charged.refresh_from_db()
    assert (charged.status, charged.undone_by) == ("undone", by)
    assert counts(sent) == ("completed", 1, 3, 0, 0)
    assert_reconciled()


def test_what_is_rated_before_the_worker_comes_stands_and_can_be_undone_as_a_whole(two_are_many, feed, sent):
    work()
    correction = mend(feed)
    ingestion.undo_correction(correction=correction, by=None, now=LATER)
    work_all()
    while ingestion.undo_next_correction(now=LATER):
        pass
    correction.refresh_from_db()
    assert (correction.status, correction.is_undone_as_whole) == ("completed", False)
    assert "2 of its 2 records are rated by now" in correction.error
    assert can_undo(correction)
    assert undo(correction).status == "undone"
    work_all(LATER)
    assert standing() == 5
    assert_reconciled()


def test_who_may_not_mediate_imports_again_any_more_undoes_nothing(two_are_many, charged):
    by = user_with(CORRECT, REPROCESS)
    ingestion.undo_correction(correction=charged, by=by, now=LATER)
    by.user_permissions.filter(codename="reprocess_usageimport").delete()
    while ingestion.undo_next_correction(now=LATER):
        pass
    charged.refresh_from_db()
    assert (charged.status, charged.is_undone_as_whole) == ("completed", False)
    assert "may not undo this correction any more" in charged.error


# Who may, and with whom


@pytest.mark.parametrize("only", [CORRECT, REPROCESS])
def test_it_takes_the_right_to_correct_and_the_right_to_mediate_imports_again(charged, only):
    by = user_with(only)
    assert not can_undo(charged, by)
    with pytest.raises(PermissionDenied):
        undo(charged, by)
    assert can_undo(charged, user_with(CORRECT, REPROCESS))


def test_a_charged_correction_takes_two_people(settings, charged, sent):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    by = user_with(CORRECT, REPROCESS)
    with pytest.raises(NeedsSecondPerson) as stopped, transaction.atomic():
        undo(charged, by)
    assert ExceptionRevision.objects.filter(withdrawn_at=None).count() == 2
    approval = ask_for_approval(asked=stopped.value.asked, why="", now=LATER)
    approve(approval=approval, by=user_with(CORRECT, REPROCESS, DECIDE), now=LATER)
    work_all(LATER)
    charged.refresh_from_db()
    assert (charged.status, charged.undone_by) == ("undone", by)
    assert counts(sent) == ("completed", 1, 3, 0, 0)


def test_what_was_agreed_to_before_it_was_rated_is_not_done_as_a_whole(settings, feed, who):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    by = user_with(CORRECT, REPROCESS)
    posted(feed, call("a", "1x", who))
    work()
    correction = mend(feed, {"kind": "substitute", "raw": True, "pattern": "1x", "replacement": "10"})
    repeating = posted(feed, call("a", 10, who), call("b", 1, who))
    work()
    UdrBatch.objects.filter(import_id=repeating.pk).update(claimed_until=LATER + timedelta(seconds=5))
    with pytest.raises(NeedsSecondPerson) as stopped, transaction.atomic():
        undo(correction, by)
    approval = ask_for_approval(asked=stopped.value.asked, why="", now=LATER)
    work_all()
    with pytest.raises(UnableToDecide, match="what undoing it does now"):
        approve(approval=approval, by=user_with(CORRECT, REPROCESS, DECIDE), now=LATER)


# On screen and in the audit


def addresses(correction):
    return [reverse(f"admin:ingestion_groupcorrection_{name}", args=[correction.pk]) for name in ("change", "undo")]


def test_the_page_says_what_undoing_does_with_counts(charged, sent):
    client = person(SEE, CORRECT, REPROCESS)
    change, undo_it = addresses(charged)
    assert undo_it in client.get(change).content.decode()
    html = client.get(undo_it).content.decode()
    assert "1 import of" in html
    assert "all of their 4 records" in html
    assert "corrections of 2 records are withdrawn" in html
    assert "charges of 3 UDRs will be reversed" in html
    html = confirmed(client, undo_it).content.decode()
    assert "its imports will be mediated again" in html
    assert undo_it not in html
    work_all(LATER)
    assert counts(sent) == ("completed", 1, 3, 0, 0)
    assert undo_it not in client.get(change).content.decode()


def test_who_saw_the_page_before_it_was_rated_sees_it_anew(feed, sent):
    client = person(SEE, CORRECT, REPROCESS)
    work()
    correction = mend(feed)
    _, undo_it = addresses(correction)
    told = client.get(undo_it)
    assert "undoing takes more" in told.content.decode()
    work_all()
    html = client.post(undo_it, told.context["form"].initial).content.decode()
    assert "This is what undoing it does now" in html
    assert "charges of 3 UDRs will be reversed" in html
    assert "its imports will be mediated again" in confirmed(client, undo_it).content.decode()


def test_a_page_that_came_too_late_says_why(charged):
    client = person(SEE, CORRECT, REPROCESS)
    _, undo_it = addresses(charged)
    ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=None, now=NOW)
    assert "can be undone when they are through" in client.get(undo_it, follow=True).content.decode()


def test_the_audit_names_who_undid_it(charged):
    by = user_with(CORRECT, REPROCESS)
    undo(charged, by)
    tables = set(AuditEntry.objects.filter(actor_id=by.pk).values_list("table_name", flat=True))
    assert tables == {"ingestion_groupcorrection", "ingestion_exceptionrevision", "ingestion_usageimport"}


def test_the_records_of_the_attempt_before_are_told_as_it_made_them(charged, sent):
    undo(charged)
    work_all(LATER)
    told = {
        attempt: [one.outcome.value for one in page_of(usage_import=sent, attempt=attempt, after=0, size=10).records]
        for attempt in (1, 2)
    }
    assert told == {
        1: ["imported", "imported", "imported", "exception"],
        2: ["imported", "exception", "exception", "exception"],
    }
