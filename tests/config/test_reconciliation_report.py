"""The monthly reconciliation: against brute-force counting, over drawn sequences of what happens to usage."""

import csv
import io
import random
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from config import reconciliation, tasks
from config.models import Reconciliation
from config.reconciliation import counting, pages
from config.reconciliation.counting import count_month
from config.reconciliation.lines import as_json, from_json, total
from ingestion import services as ingestion
from ingestion.models import ImportException, LeftOutRecord, UsageImport
from mediation.models import UDR_ID_BITS, Udr, UdrBatch, UsageClass
from rating import services as rating
from rating.models import Charge, RatingException
from tests.config.workbooks import sheets_of
from tests.ingestion.factories import event, feed_of, filed, posted, user_with, work
from tests.rating.factories import RateFactory, subscriber

pytestmark = pytest.mark.django_db

MAY = date(2026, 5, 1)
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def rate_all(now):
    while rating.rate_batches(now=now) or rating.settle_waiting(now=now):
        pass


@pytest.fixture
def feeds():
    return [feed_of(name="Anna"), feed_of(name="Berta")]


# Counting everything row by row, in Python


def brute(month=MAY):
    found = {}
    for one in UsageImport.objects.all():
        day = one.received_at.astimezone(UTC).date()
        if (day.year, day.month) != (month.year, month.month):
            continue
        told = found.setdefault((one.feed_id, day), dict.fromkeys(("received", "waiting", "outcomes"), 0) | EMPTY)
        told["imports"] += 1
        told["received"] += one.record_count
        told["waiting"] += one.waiting_count
        rows = {"import_id": one.pk}
        refused = ImportException.objects.filter(usage_import=one, attempt=one.attempt)
        told["exceptions"] += sum(each.status not in ("resolved", "superseded") for each in refused)
        for each in LeftOutRecord.objects.filter(usage_import=one, attempt=one.attempt):
            told["skipped" if each.outcome == "skipped" else "duplicates"] += 1
        batches = {batch.pk: batch for batch in UdrBatch.objects.filter(**rows)}
        for udr in Udr.objects.filter(**rows):
            count_udr(told, one, batches[udr.pk >> UDR_ID_BITS], udr)
    return found


EMPTY = dict.fromkeys(
    (
        *("imports", "imported", "earlier", "exceptions", "skipped", "duplicates", "charged", "unrated"),
        *("written_off", "not_rated", "taking_back", "amount"),
    ),
    0,
)


def count_udr(told, one, batch, udr):
    charges = list(Charge.objects.filter(udr_id=udr.pk))
    stands = sum(1 if charge.kind == "charge" else -1 for charge in charges) > 0
    told["amount"] += sum(charge.amount for charge in charges)
    counts = batch.status in ("staged", "mediated", "rated", "errored")
    if not counts:
        told["taking_back"] += stands
        return
    is_newest = batch.status == "staged" or one.attempt == 1 or one.status == "completed"
    told["imported" if is_newest else "earlier"] += 1
    told["charged"] += stands
    told["not_rated"] += batch.status != "rated"
    refusal = RatingException.objects.filter(udr_id=udr.pk).first()
    told["unrated"] += refusal is not None and refusal.status == "open"
    told["written_off"] += refusal is not None and refusal.status == "written_off"


def assert_the_report_is_what_is_there():
    expected = brute()
    for is_small in (True, False):
        lines = count_month(MAY, is_small=is_small)
        assert {(line.feed_id, line.day) for line in lines} == set(expected)
        for line in lines:
            told = expected[(line.feed_id, line.day)]
            names = [name for name in told if name not in ("amount", "outcomes")]
            assert {name: getattr(line, name) for name in names} == {name: told[name] for name in names}
            assert sum(line.amounts.values()) == told["amount"]
            assert line.agrees, line
    return lines


# Drawn sequences


class World:
    """Feeds whose usage comes, is corrected, mediated again, rated, written off, in an order that is drawn."""

    def __init__(self, feeds, seed):
        self.feeds, self.draw, self.now, self.number = feeds, random.Random(seed), NOW, 0
        price = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price="0.00333333333")
        self.known = [subscriber(price.plan).identifier for _ in range(15)]

    def record(self):
        self.number += self.draw.random() < 0.8  # else the key of the one before: a duplicate or a conflict
        who = self.draw.choice(self.known) if self.draw.random() < 0.6 else f"nobody-{self.number}"
        value = self.draw.choice(["1", "7.5", "x"])
        at = f"2026-05-{self.draw.randint(1, 9):02}T10:00:{self.number % 60:02}Z"
        return event(who=who, value=value, date=at)

    def arrive(self):
        records = [self.record() for _ in range(self.draw.randint(1, 5))]
        feed = self.draw.choice(self.feeds)
        at = self.now - timedelta(days=self.draw.randint(0, 25))
        if self.draw.random() < 0.5:
            posted(feed, *records, now=at)
        else:
            self.number += 1
            filed(feed, *records, event(who=f"file-{self.number}"), now=at)

    def mediate(self):
        work(self.now)

    def mediate_a_little(self):
        _ = ingestion.plan_next_import(now=self.now) or ingestion.mediate_next_chunks(now=self.now)

    def rate(self):
        rate_all(self.now)

    def correct(self):
        refused = ImportException.objects.filter(status="open").order_by("?").first()
        if refused:
            raw = refused.raw.replace(",x,", ",3,")
            ingestion.correct_exception(exception=refused, raw=raw, reason="typed", by=None, now=self.now)

    def reprocess(self):
        done = UsageImport.objects.filter(status="completed").order_by("pk")
        if done:
            chosen = self.draw.choice(list(done)).pk
            with suppress(ingestion.UnableToReprocess):
                ingestion.reprocess_imports(imports=UsageImport.objects.filter(pk=chosen), by=None, now=self.now)

    def write_off(self):
        refused = ImportException.objects.filter(status="open")[:1].values("pk")
        rows = ImportException.objects.filter(pk__in=list(refused.values_list("pk", flat=True)))
        if rows:
            ingestion.write_off_exceptions(exceptions=rows, reason="lost", by=None, now=self.now)

    def write_off_rating(self):
        chosen = list(RatingException.objects.filter(status="open").values_list("pk", flat=True)[:1])
        if chosen:
            rows = RatingException.objects.filter(pk__in=chosen)
            rating.write_off_rating_exceptions(exceptions=rows, reason="free", by=None, now=self.now)

    def step(self):
        moves = (
            *(self.arrive, self.arrive, self.mediate, self.mediate, self.mediate_a_little, self.rate, self.rate),
            *(self.correct, self.correct, self.reprocess, self.write_off, self.write_off_rating),
        )
        self.draw.choice(moves)()
        self.now += timedelta(minutes=1)


@pytest.mark.parametrize("seed", range(6))
def test_the_report_is_brute_force_counting_whatever_happened(feeds, seed):
    world = World(feeds, seed)
    for _ in range(25):
        world.step()
        assert_the_report_is_what_is_there()
    world.mediate()
    world.rate()
    lines = assert_the_report_is_what_is_there()
    assert total(lines).received
    assert not total(lines).taking_back


# The page and its files


def page(client, page="reconciliation", **query):
    return client.get(reverse(f"admin:{page}", query=query or None))


def browser(*permissions, feeds=None):
    user = user_with(*permissions, feeds=feeds)
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def received(feeds):
    """A day of each feed: a record charged, one refused, one that nobody pays; Berta's is not rated yet."""
    price = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price="0.00333333333")
    known = subscriber(price.plan).identifier
    posted(feeds[0], event(who=known), event(who="nobody"), event(value="x"), now=NOW - timedelta(days=3))
    work(NOW)
    rate_all(NOW)
    posted(feeds[1], event(who="later"), now=NOW)
    work(NOW)
    return feeds


def test_the_page_says_that_everything_agrees_and_leads_to_the_lists(received):
    client = browser("config.view_reconciliation", "ingestion.view_usageimport")
    shown = page(client, month="2026-05").content.decode()
    assert "everything agrees" in shown
    assert "2026-05-17" in shown
    assert "0.0333333333 EUR" in shown
    address = reverse("admin:ingestion_usageimport_changelist")
    query = "received_at__gte=2026-05-17T00%3A00%3A00Z&amp;received_at__lt=2026-05-18T00%3A00%3A00Z"
    assert f"{address}?{query}&amp;feed__id__exact={received[0].pk}" in shown
    file = client.get(f"{reverse('admin:ingestion_usageimport_export')}?{query}".replace("&amp;", "&"))
    assert b"".join(file.streaming_content).count(b"\n") == 2


def test_a_difference_is_shown_where_it_is(received):
    LeftOutRecord.objects.create(
        usage_import=UsageImport.objects.earliest("pk"), attempt=1, record_number=77, outcome="skipped", reason="why"
    )
    Charge.objects.all().delete()
    shown = page(browser("config.view_reconciliation"), month="2026-05").content.decode()
    assert "1 line with a difference" in shown
    [line] = [line for line in count_month(MAY, is_small=True) if not line.agrees]
    assert (line.received_difference, line.udr_difference) == (-1, 1)


def test_the_files_hold_every_line_and_add_up(received):
    client = browser("config.view_reconciliation")
    told = page(client, "reconciliation_csv", month="2026-05").content.decode()
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [(row["feed"], row["day"], row["received"]) for row in rows] == [
        ("Anna", "2026-05-17", "3"),
        ("Berta", "2026-05-20", "1"),
    ]
    assert rows[0]["amount_EUR"] == "0.0333333333"
    book = b"".join(page(client, "reconciliation_xlsx", month="2026-05").streaming_content)
    sheets = sheets_of(io.BytesIO(book))
    assert list(sheets) == ["Days", "Feeds", "Totals"]
    header, totals = sheets["Totals"]
    assert totals[header.index("received")] == 4
    assert totals[header.index("amount_EUR")] == Decimal("0.0333333333")
    assert page(client, "reconciliation_csv", month="2026-05", feed=received[1].pk).content.decode().count("\n") == 2


def test_a_reader_of_one_feed_sees_that_feed_alone(received):
    client = browser("config.view_reconciliation", feeds=[received[1]])
    for name in ("reconciliation", "reconciliation_csv"):
        shown = page(client, name, month="2026-05").content.decode()
        assert "Berta" in shown
        assert "Anna" not in shown
    assert "Anna" not in page(client, month="2026-05", feed=received[0].pk).content.decode()


def test_who_may_not_reconcile_sees_neither_page_nor_files_nor_asks(received):
    client = browser("ingestion.view_usageimport")
    for name in ("reconciliation", "reconciliation_csv", "reconciliation_xlsx"):
        assert page(client, name).status_code == 403
    assert client.post(reverse("admin:reconciliation"), {"month": "2026-05"}).status_code == 403
    assert "Reconcile a month" not in client.get(reverse("admin:ingestion_usageimport_changelist")).content.decode()


def test_who_may_reconcile_is_led_there_from_the_front_page_and_from_the_lists_of_what_is_counted():
    lists = ("ingestion_usageimport", "rating_charge", "rating_statement")
    views = [f"{name.replace('_', '.view_')}" for name in lists]
    pages_ = [reverse("admin:index"), *(reverse(f"admin:{name}_changelist") for name in lists)]
    address = f'href="{reverse("admin:reconciliation")}"'
    reader, other = browser("config.view_reconciliation", *views), browser(*views)
    assert [one for one in pages_ if address not in reader.get(one).content.decode()] == []
    assert [one for one in pages_ if address in other.get(one).content.decode()] == []


@pytest.mark.parametrize("month", ["", "2026-13", "0001-01", "9999-12", "x"])
def test_a_month_that_there_is_not_is_this_one(month):
    assert page(browser("config.view_reconciliation"), month=month).status_code == 200


def test_the_page_asks_as_many_queries_for_many_lines_as_for_one(received):
    client = browser("config.view_reconciliation")
    counts = []
    for days in (1, 8):
        for day in range(1, days):
            posted(received[0], event(who=f"more-{day}"), now=NOW - timedelta(days=day + 4))
        work(NOW)
        with CaptureQueriesContext(connection) as asked:
            page(client, month="2026-05")
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_more_lines_than_a_page_takes_are_shown_by_feed(received, monkeypatch):
    monkeypatch.setattr(pages, "MOST_LINES", 1)
    shown = page(browser("config.view_reconciliation"), month="2026-05").content.decode()
    assert "Anna" in shown
    assert "2026-05-17</th>" not in shown


# Large months


def test_a_large_month_is_counted_by_a_worker(received, monkeypatch):
    monkeypatch.setattr(counting, "MOST_IMPORTS_AT_ONCE", 1)
    client = browser("config.view_reconciliation")
    assert "a worker counts it" in page(client, month="2026-05").content.decode()
    asked = client.post(reverse("admin:reconciliation"), {"month": "2026-05", "feed": ""})
    assert "looks again" in client.get(asked["Location"]).content.decode()
    tasks.make_exports()
    kept = Reconciliation.objects.get()
    assert kept.status == "done", kept.error
    assert [from_json(line) for line in kept.lines] == count_month(MAY, is_small=True)
    shown = page(client, month="2026-05").content.decode()
    assert "everything agrees" in shown
    assert "Count it anew" in shown
    one = page(browser("config.view_reconciliation", feeds=[received[1]]), month="2026-05").content.decode()
    assert "Anna" not in one


@pytest.mark.parametrize("name", ["reconciliation_csv", "reconciliation_xlsx"])
def test_a_month_that_is_not_counted_has_no_file_and_says_so(received, monkeypatch, name):
    monkeypatch.setattr(counting, "MOST_IMPORTS_AT_ONCE", 1)
    client = browser("config.view_reconciliation")
    refused = page(client, name, month="2026-05")
    assert refused.status_code == 409
    assert "the page of the month has a button for it" in refused.content.decode()
    assert f"{reverse('admin:reconciliation')}?month=2026-05" in refused.content.decode()
    reconciliation.ask_to_reconcile(month=MAY, by=None, now=timezone.now())
    assert "It is being counted" in page(client, name, month="2026-05").content.decode()
    tasks.make_exports()
    assert page(client, name, month="2026-05").status_code == 200


def test_a_crash_is_tried_again_and_parked_in_the_end(monkeypatch):
    def crash(*args, **kwargs):
        raise OSError("out of disk")

    monkeypatch.setattr("config.reconciliation.work.count_month", crash)
    now = timezone.now()
    asked = reconciliation.ask_to_reconcile(month=MAY, by=None, now=now)
    for _ in range(7):
        reconciliation.reconcile_next_month(now=now)
        now += timedelta(hours=1)
    asked.refresh_from_db()
    assert (asked.status, asked.attempts) == ("errored", 5)
    assert "out of disk" in asked.error
    again = reconciliation.ask_to_reconcile(month=MAY, by=None, now=now)
    assert (again.status, again.attempts, again.error) == ("waiting", 0, "")


def test_a_line_is_kept_to_the_last_digit(feeds):
    world = World(feeds, 1)
    world.arrive()
    world.mediate()
    [line, *_] = count_month(MAY, is_small=True)
    wide = from_json(as_json(line) | {"amounts": {"EUR": "12345678901234567890123456.12345678901"}})
    assert total([wide, wide]).amounts["EUR"] == Decimal("24691357802469135780246912.24691357802")
