"""Four eyes hold where an act does what another one needs two for: by parts, by other ways, or a moment before."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections, transaction
from django.utils import timezone
from knox.models import AuthToken

from config.approving.deciding import DECIDE, UnableToDecide, approve, ask_for_approval, refuse
from config.approving.policy import KINDS
from config.approving.records import DEEDS
from config.models import ChargeEstimate
from ingestion import services as ingestion
from ingestion.models import GroupCorrection, ImportException, UsageImport
from ingestion.selectors import Group
from mediation import services as mediation
from mediation.core.reading import delimited
from mediation.models import UdrBatch
from mediation.services.approving import NeedsSecondPerson
from tests.ingestion.factories import BY_EVENT, NOW, event, feed_of, filed, posted, user_with, work
from tests.mediation.profiles import document

pytestmark = pytest.mark.django_db


def test_what_nobody_knows_the_value_of_is_not_written_off_among_what_is_worth_little(settings):
    settings.FOUR_EYES = {"write_off": Decimal(100)}
    feed = feed_of()
    ChargeEstimate.objects.create(feed_id=feed.pk, currency="EUR", record_count=10, quantity=1, amount=10)
    posted(feed, event("a", value="1;5"))
    posted(feed_of(), event("b", value="1;5"))
    work()
    by = user_with("ingestion.writeoff_importexception")
    with pytest.raises(NeedsSecondPerson):
        ingestion.write_off_exceptions(exceptions=ImportException.objects.all(), reason="test data", by=by, now=NOW)
    alone = ImportException.objects.filter(feed=feed)
    assert ingestion.write_off_exceptions(exceptions=alone, reason="test data", by=by, now=NOW) == 1


MAY = (
    "ingestion.correct_importexception",
    "ingestion.reprocess_importexception",
    "ingestion.reprocess_usageimport",
    "ingestion.review_importexception",
)
LATER = NOW + timedelta(hours=1)
RULE = {"kind": "substitute", "field": "value", "pattern": "x", "replacement": "1"}


def one_exception():
    return ImportException.objects.get(status="open")


WAYS = {
    "mediate exceptions again": lambda by: ingestion.reprocess_exceptions(
        exceptions=ImportException.objects.all(), by=by, now=LATER
    ),
    "try exceptions again later": lambda by: ingestion.retry_later(
        exceptions=ImportException.objects.all(), by=by, now=LATER
    ),
    "correct a record": lambda by: ingestion.correct_exception(
        exception=one_exception(), changes={"value": "1"}, reason="a typo", by=by, now=LATER
    ),
    "correct a group of records": lambda by: ingestion.ask_correction(
        group=Group(one_exception().feed_id, one_exception().code, one_exception().field, "x"),
        rule=RULE,
        reason="a typo",
        by=by,
        now=LATER,
    ),
}


@pytest.fixture
def charged_envelope(settings, monkeypatch):
    """A file of two chunks: one is refused for its bad record, the other charged."""
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    monkeypatch.setattr(delimited, "MAX_CHUNK_RECORDS", 2)
    feed = feed_of(document(BY_EVENT, envelope="chunk"))
    one = filed(feed, event("a"), event("bad", value="x"), event("b"), event("c"))
    work()
    UdrBatch.objects.update(status="rated", finished_at=NOW)
    return one


def test_every_way_to_have_an_import_mediated_again_is_known():
    assert set(WAYS) | {"undo a correction"} == set(DEEDS)


@pytest.mark.parametrize("way", WAYS)
def test_one_record_of_a_charged_envelope_needs_two_as_the_whole_import_does(charged_envelope, way):
    by, second = user_with(*MAY), user_with(*MAY, DECIDE)
    with pytest.raises(NeedsSecondPerson) as stopped, transaction.atomic():
        WAYS[way](by)
    work(LATER)
    charged_envelope.refresh_from_db()
    assert charged_envelope.attempt == 1
    approve(approval=ask_for_approval(asked=stopped.value.asked, why="", now=LATER), by=second, now=LATER)
    moment = LATER + timedelta(minutes=2)
    ingestion.retry_due(now=moment)
    while ingestion.correct_next_portion(now=moment):
        pass
    work(moment)
    charged_envelope.refresh_from_db()
    assert charged_envelope.attempt == 2


@pytest.mark.parametrize("way", WAYS)
def test_one_record_of_an_envelope_that_is_not_charged_needs_nobody(charged_envelope, way):
    UdrBatch.objects.update(status="mediated", finished_at=None)
    WAYS[way](user_with(*MAY))


def test_to_undo_a_correction_whose_repeats_are_charged_needs_two(settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    feed, by = feed_of(), user_with(*MAY)
    posted(feed, event("a", value="1;5"))
    work()
    group = Group(feed.pk, one_exception().code, one_exception().field, "1;5")
    rule = {"kind": "substitute", "raw": True, "pattern": "1;5", "replacement": "15"}
    correction = ingestion.ask_correction(group=group, rule=rule, reason="a typo", by=by, now=LATER)
    while ingestion.correct_next_portion(now=LATER):
        pass
    repeating = posted(feed, event("a", value="15"), event("b"), now=LATER)
    work(LATER)
    UdrBatch.objects.filter(import_id=repeating.pk).update(status="rated", finished_at=NOW)
    asked = GroupCorrection.objects.get(pk=correction.pk)
    with pytest.raises(NeedsSecondPerson) as stopped, transaction.atomic():
        ingestion.undo_correction(correction=asked, by=by, now=LATER)
    approval = ask_for_approval(asked=stopped.value.asked, why="", now=LATER)
    approve(approval=approval, by=user_with(*MAY, DECIDE), now=LATER)
    asked.refresh_from_db()
    assert asked.status == "undone"


def test_what_a_worker_is_rating_counts_as_charged(settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    posted(feed_of(), event("a"))
    work()
    UdrBatch.objects.update(claimed_until=NOW + timedelta(seconds=5))
    by = user_with(*MAY)
    with pytest.raises(NeedsSecondPerson), transaction.atomic():
        ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=by, now=NOW)
    assert ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=by, now=LATER) == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_a_worker_is_still_rating_after_its_claim_ran_out_counts_as_charged(settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    posted(feed_of(), event("a"))
    work()
    by = user_with(*MAY)
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM mediation_udrbatch FOR UPDATE")
        with pytest.raises(NeedsSecondPerson):
            ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=by, now=LATER)
    finally:
        other.rollback()  # at once: a connection that is closed lets go of its locks a moment later
        other.close()
    assert ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=by, now=LATER) == 1


def asked_by(somebody):
    posted(feed_of(), event("a", value="x"))
    work()
    with pytest.raises(NeedsSecondPerson) as stopped, transaction.atomic():
        ingestion.write_off_exceptions(exceptions=ImportException.objects.all(), reason="r", by=somebody, now=NOW)
    return ask_for_approval(asked=stopped.value.asked, why="", now=timezone.now())


def test_who_issued_the_token_that_can_have_asked_does_not_decide(settings):
    """Else a billing admin asks as a service user and approves it himself."""
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    may = "ingestion.writeoff_importexception"
    service, issuer, another = user_with(may), user_with(may, DECIDE), user_with(may, DECIDE)
    with mediation.acting(by=issuer):
        AuthToken.objects.create(user=service)
    approval = asked_by(service)
    with pytest.raises(UnableToDecide, match="You issued a token"):
        approve(approval=approval, by=issuer, now=timezone.now())
    with pytest.raises(UnableToDecide, match="You issued a token"):
        refuse(approval=approval, by=issuer, why="no", now=timezone.now())
    assert "written off" in approve(approval=approval, by=another, now=timezone.now())


def test_a_token_that_had_expired_asked_for_nothing(settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    may = "ingestion.writeoff_importexception"
    service, issuer = user_with(may), user_with(may, DECIDE)
    with mediation.acting(by=issuer):
        AuthToken.objects.create(user=service, expiry=timedelta(seconds=-1))
    assert "written off" in approve(approval=asked_by(service), by=issuer, now=timezone.now())
