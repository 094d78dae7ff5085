"""Usage voided and amended by its key: what counts, what is charged, and what `reconcile` finds, whatever happened."""

import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum
from rest_framework.test import APIClient

from config.reconciling import RULES, differences
from ingestion import services as ingestion
from ingestion.models import ImportException, LeftOutRecord, UsageImport
from mediation.models import Udr, UdrBatch, UsageClass, VoidedUdr
from mediation.selectors import counting_udrs
from rating import services as rating
from rating.models import BillingPeriod, Charge, RatingException
from tests.ingestion.factories import feed_of, posted, user_with, work
from tests.mediation.profiles import document
from tests.rating.factories import RateFactory, graduated, subscriber

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
PRICE = Decimal("0.5")
KEYED = document(
    format={"kind": "delimited", "columns": ["date", "id", "who", "value", "class"]},
    fields={"UniquenessIdentifier": {"source": "id"}},
    uniqueness=["UniquenessIdentifier"],
)


def call(key, value, who, at="2026-04-02T10:00:00Z"):
    return f"{at},{key},{who},{value},calls"


def amended(feed, *records, reason="measured wrong", now=NOW):
    body = json.dumps({"data": list(records)}).encode()
    return ingestion.receive_usage(
        feed=feed, body=body, idempotency_key=None, by=None, now=now, amend_reason=reason
    ).usage_import


def voided(feed, *keys, reason="test call", now=NOW):
    return ingestion.ask_void(feed=feed, keys=keys, reason=reason, by=None, now=now)


def work_all(now=NOW):
    """Everything that waits, in every room."""
    worked = True
    while worked:
        work(now)
        worked = (
            ingestion.void_next(now=now)
            or bool(rating.rate_batches(now=now))
            or bool(rating.reverse_voided(now=now))
            or bool(rating.settle_waiting(now=now))
        )


def outcomes(void):
    return list(void.keys.order_by("number").values_list("key", "outcome"))


def standing():
    """What is charged in all, reversals included."""
    return Charge.objects.aggregate(amount=Sum("amount", default=Decimal(0)))["amount"]


def assert_reconciled():
    assert [found for rule in RULES if (found := differences(rule))] == []


@pytest.fixture
def feed():
    return feed_of(KEYED)


@pytest.fixture
def who(feed):
    rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
    return subscriber(rate.plan).identifier


def test_a_voided_record_counts_no_more_and_its_charge_is_reversed(feed, who):
    sent = posted(feed, call("a", 10, who), call("b", 6, who))
    work_all()
    assert standing() == 8
    void = voided(feed, "a", "never")
    work_all()
    void.refresh_from_db()
    assert (void.status, void.voided_count, void.not_found_count) == ("completed", 1, 1)
    assert outcomes(void) == [("a", "voided"), ("never", "not_found")]
    assert standing() == 3
    assert [udr.uniqueness_identifier for udr in counting_udrs(Udr.objects.all())] == ["b"]
    sent.refresh_from_db()
    assert sent.imported_count == 2
    assert UdrBatch.objects.get(import_id=sent.pk).voided_count == 1
    assert_reconciled()


def test_what_is_voided_before_it_is_rated_is_never_charged(feed, who):
    posted(feed, call("a", 10, who), call("b", 6, who))
    work()
    voided(feed, "a")
    work_all()
    assert Charge.objects.count() == 1
    assert standing() == 3
    assert_reconciled()


def test_a_void_waits_for_usage_that_was_received_before_it(feed, who):
    posted(feed, call("a", 10, who), now=NOW - timedelta(minutes=1))
    void = voided(feed, "a")
    assert ingestion.void_next(now=NOW)
    assert outcomes(void) == [("a", "waiting")]
    work_all()
    work_all(NOW + timedelta(seconds=10))
    assert outcomes(void) == [("a", "voided")]
    assert standing() == 0
    assert_reconciled()


def test_what_is_sent_after_a_void_waits_for_it_however_soon_it_comes(feed, who):
    posted(feed, call("a", 10, who), now=NOW - timedelta(minutes=3))
    work_all(NOW - timedelta(minutes=3))
    voided(feed, "a", now=NOW - timedelta(minutes=2))
    sent = posted(feed, call("a", 4, who), now=NOW - timedelta(minutes=1))
    assert not ingestion.mediate_next_chunks(now=NOW)
    work_all()
    sent.refresh_from_db()
    assert sent.imported_count == 1
    assert standing() == 2
    assert_reconciled()


def test_a_key_is_voided_once_and_may_come_again(feed, who):
    posted(feed, call("a", 10, who), now=NOW - timedelta(hours=3))
    work_all()
    voided(feed, "a", now=NOW - timedelta(hours=2))
    work_all()
    again = voided(feed, "a", now=NOW - timedelta(hours=1))
    work_all()
    assert outcomes(again) == [("a", "already_voided")]
    posted(feed, call("a", 4, who))
    work_all()
    assert standing() == 2
    assert_reconciled()


def test_the_import_of_a_voided_record_mediated_again_leaves_it_out(feed, who):
    sent = posted(feed, call("a", 10, who), call("b", 6, who), now=NOW - timedelta(hours=1))
    repeated = posted(feed, call("a", 10, who), now=NOW - timedelta(minutes=50))
    work_all()
    voided(feed, "a")
    work_all()
    for one in (sent, repeated):
        ingestion.reprocess_imports(imports=UsageImport.objects.filter(pk=one.pk), by=None, now=NOW)
        work_all()
        one.refresh_from_db()
    assert (sent.imported_count, sent.skipped_count) == (1, 1)
    assert (repeated.imported_count, repeated.skipped_count) == (0, 1)
    assert set(LeftOutRecord.objects.filter(attempt=2).values_list("reason", flat=True)) == {"voided"}
    assert standing() == 3
    assert_reconciled()


def test_a_rating_exception_of_voided_usage_is_closed(feed, who):
    posted(feed, call("a", 10, "nobody"))
    work_all()
    assert RatingException.objects.get().status == "open"
    voided(feed, "a")
    work_all()
    assert RatingException.objects.get().status == "superseded"
    assert UdrBatch.objects.get().uncharged_count == 0
    assert_reconciled()


def test_the_tiers_of_other_usage_are_priced_as_if_the_voided_had_never_come(feed):
    rate = graduated(usage_class=UsageClass.objects.get(name="calls"))
    one, other = subscriber(rate.plan).identifier, subscriber(rate.plan).identifier
    posted(feed, *(call(f"x{day}", 60, one, f"2026-05-{day:02}T10:00:00Z") for day in (1, 2, 3)))
    posted(feed, *(call(f"y{day}", 60, other, f"2026-05-{day:02}T10:00:00Z") for day in (2, 3)))
    work_all()
    voided(feed, "x1")
    work_all()
    amounts = Charge.objects.values("account").annotate(total=Sum("amount")).values_list("total", flat=True)
    assert len(set(amounts)) == 1
    assert_reconciled()


def test_what_a_closed_period_billed_is_adjusted_in_the_open_one(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    [period] = BillingPeriod.objects.all()
    rating.close_period(period=period, by=None, now=NOW)
    voided(feed, "a")
    ingestion.void_next(now=NOW)
    later = BillingPeriod.objects.filter(status="open")
    assert not later.exists()
    work_all()
    reversal = Charge.objects.get(kind="reversal")
    assert reversal.period_id == later.get().pk
    assert (reversal.counting_period_id, reversal.amount) == (period.pk, -5)
    assert_reconciled()


def test_a_period_does_not_close_before_its_voids_are_settled(feed, who):
    posted(feed, call("a", 10, who))
    work_all()
    voided(feed, "a")
    ingestion.void_next(now=NOW)
    [period] = BillingPeriod.objects.all()
    with pytest.raises(rating.UnableToClosePeriod, match="1 voided UDRs wait"):
        rating.close_period(period=period, by=None, now=NOW)
    rating.ask_to_close(periods=BillingPeriod.objects.all(), by=None, now=NOW + timedelta(minutes=1))
    assert not rating.close_asked(now=NOW + timedelta(minutes=1))
    work_all()
    assert rating.close_asked(now=NOW + timedelta(minutes=1))
    assert_reconciled()


def test_a_crash_of_a_reversal_is_kept_and_tried_again(feed, who, monkeypatch):
    posted(feed, call("a", 10, who))
    work_all()
    voided(feed, "a")
    ingestion.void_next(now=NOW)
    with monkeypatch.context() as crashing:
        crashing.setattr("rating.services.voiding.reverse_charges", lambda **_: 1 / 0)
        assert rating.reverse_voided(now=NOW) == 1
    row = VoidedUdr.objects.get()
    assert "ZeroDivisionError" in row.error
    assert rating.reverse_voided(now=NOW) == 0
    work_all(NOW + timedelta(seconds=5))
    row.refresh_from_db()
    assert (row.error, standing()) == ("", 0)
    assert_reconciled()


def test_what_was_voided_is_told_to_who_asks(feed, who):
    sent = posted(feed, call("a", 10, who), call("b", 6, who))
    work_all()
    voided(feed, "a")
    work_all()
    client = APIClient()
    client.force_authenticate(user_with("ingestion.view_usageimport", "mediation.view_udr", "rating.view_charge"))
    asked = {"feed": feed.api_name, "keys": ["a", "b"]}
    told = client.post("/api/v1/usage-identifiers/lookup", asked, format="json").json()["results"]
    assert [one["outcome"] for one in told] == ["voided", "imported"]
    assert told[0]["udr_id"] == VoidedUdr.objects.get().pk
    rows = client.get(f"/api/v1/imports/{sent.tracking_id}/records").json()["results"]
    assert [(row["outcome"], row["rating"]) for row in rows] == [("imported", "voided"), ("imported", "charged")]
    assert [udr["uniqueness_identifier"] for udr in client.get("/api/v1/udrs").json()["results"]] == ["b"]


# Amendments


def test_an_amendment_takes_the_place_of_what_its_key_stood_for(feed, who):
    posted(feed, call("a", 10, who), call("b", 6, who), now=NOW - timedelta(hours=1))
    work_all()
    sent = amended(feed, call("a", 2, who), call("b", 6, who), call("c", 1, who))
    work_all()
    sent.refresh_from_db()
    assert (sent.imported_count, sent.duplicate_count, sent.exception_count) == (1, 1, 1)
    assert ImportException.objects.get().code == "nothing_to_amend"
    old = VoidedUdr.objects.get()
    new = Udr.objects.get(import_id=sent.pk)
    assert (old.replaced_by, old.reason, old.request_id) == (new.pk, "measured wrong", sent.tracking_id)
    assert standing() == 4
    assert_reconciled()


def test_an_amendment_that_cannot_be_read_leaves_what_is_there(feed, who):
    posted(feed, call("a", 10, who), now=NOW - timedelta(hours=1))
    work_all()
    amended(feed, call("a", "x", who))
    work_all()
    assert not VoidedUdr.objects.exists()
    assert standing() == 5
    refused = ImportException.objects.get()
    ingestion.correct_exception(exception=refused, raw=call("a", 3, who), reason="typed", by=None, now=NOW)
    work_all()
    assert standing() == Decimal("1.5")
    assert_reconciled()


def test_imports_mediated_again_do_not_undo_an_amendment(feed, who):
    sent = posted(feed, call("a", 10, who), now=NOW - timedelta(hours=1))
    work_all()
    mending = amended(feed, call("a", 2, who))
    work_all()
    for one in (sent, mending, sent):
        ingestion.reprocess_imports(imports=UsageImport.objects.filter(pk=one.pk), by=None, now=NOW)
        work_all()
        assert standing() == 1
        assert_reconciled()


def test_an_amendment_waits_for_usage_that_was_received_before_it(feed, who):
    first = posted(feed, call("a", 10, who), now=NOW - timedelta(minutes=1))
    amended(feed, call("a", 2, who))
    UsageImport.objects.get(pk=first.pk).chunks.update(status="claimed", claimed_until=NOW + timedelta(seconds=1))
    work_all()
    assert not Udr.objects.exists()
    work_all(NOW + timedelta(seconds=10))
    assert standing() == 1
    assert_reconciled()


def test_a_feed_that_knows_records_by_their_content_has_nothing_to_amend():
    feed = feed_of(document(uniqueness=[]))
    with pytest.raises(ingestion.UnableToReceive, match="void them"):
        amended(feed, "2026-05-01T10:00:00Z,e1,1,calls")


# Drawn histories


class World:
    """What happened to the usage of a feed in an order that is drawn, and what counts after it: key -> value."""

    def __init__(self, feed, seed):
        self.feed, self.draw, self.now = feed, random.Random(seed), NOW
        rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
        self.who = [subscriber(rate.plan).identifier for _ in range(2)]
        self.live, self.seen, self.vain, self.corrected = {}, set(), {}, {}

    def record(self):
        return self.draw.choice("abcdef"), self.draw.choice([2, 4, 6])

    def row(self, key, value):
        at = f"2026-{self.draw.choice((3, 4)):02}-0{1 + 'abcdef'.index(key)}T10:00:00Z"
        return call(key, value, self.who["abcdef".index(key) % 2], at="2026-04-01T10:00:00Z" if value == 2 else at)

    def send(self):
        records = dict(self.record() for _ in range(self.draw.randint(1, 3)))
        posted(self.feed, *(self.row(*one) for one in records.items()), now=self.now)
        self.live = records | self.live
        self.seen |= records.keys()

    def amend(self):
        records = dict(self.record() for _ in range(self.draw.randint(1, 2)))
        sent = amended(self.feed, *(self.row(*one) for one in records.items()), now=self.now)
        self.mend(sent, records)

    def mend(self, sent, records):
        """Only what was ever seen is mended, and nothing that was corrected since the amendment came."""
        for key, value in records.items():
            if key not in self.seen or self.corrected.get(key, NOW) > sent.received_at:
                self.vain.setdefault(sent.pk, {})[key] = value
            elif self.live.get(key) != value:
                self.corrected[key] = max(sent.received_at, self.corrected.get(key, NOW))
                self.live[key] = value

    def void(self):
        keys = self.draw.sample("abcdef", self.draw.randint(1, 3))
        voided(self.feed, *keys, now=self.now)
        for key in keys:
            if self.live.pop(key, None):
                self.corrected[key] = self.now

    def reprocess(self):
        self.work()
        done = list(UsageImport.objects.filter(status="completed").order_by("pk"))
        if done:
            chosen = self.draw.choice(done)
            ingestion.reprocess_imports(imports=UsageImport.objects.filter(pk=chosen.pk), by=None, now=self.now)
            self.mend(chosen, self.vain.pop(chosen.pk, {}))

    def close(self):
        self.work()
        for period in BillingPeriod.objects.filter(status="open", ends_at__lte=self.now).order_by("starts_at"):
            with suppress(rating.UnableToClosePeriod):
                rating.close_period(period=period, by=None, now=self.now)

    def mediate_a_little(self):
        ingestion.mediate_next_chunks(now=self.now)

    def rate_a_little(self):
        rating.rate_batches(now=self.now)

    def work(self):
        self.now += timedelta(minutes=1)
        work_all(self.now)

    def step(self):
        moves = (self.send, self.send, self.send, self.amend, self.amend, self.void, self.void, self.reprocess)
        moves += (self.mediate_a_little, self.mediate_a_little, self.rate_a_little, self.work, self.close)
        self.draw.choice(moves)()
        self.now += timedelta(minutes=1)

    def holds(self):
        self.work()
        counting = counting_udrs(Udr.objects.filter(feed_id=self.feed.pk))
        assert {udr.uniqueness_identifier: udr.value for udr in counting} == self.live
        assert standing() == sum(self.live.values()) * PRICE
        assert_reconciled()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happened_what_counts_is_what_was_said_last(feed, seed):
    world = World(feed, seed)
    for place in range(24):
        world.step()
        if place % 6 == 5:
            world.holds()
