"""Busy periods are counted beforehand, and nobody who asks what an account used can tell."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.reconciling import RULES, differences
from mediation.models import Udr, UdrBatch, VoidedUdr
from rating import services, store
from rating.models import BillingPeriod, Charge, CountedPeriod, CountedUsage, ServiceIdentifier
from rating.store import counted_usage
from tests.ingestion.factories import FeedFactory, user_with

from .factories import LONG_AGO, NOW, RateFactory, ServiceFactory, subscriber, used, waiting

pytestmark = pytest.mark.django_db
MAY_DAYS = "from=2026-05-01&to=2026-05-31"
JULY = datetime(2026, 7, 15, tzinfo=UTC)
QUESTIONS = (
    *("day,class", "class", "day", "service", "identifier", "plan", "rate", "day,class,service,identifier,plan,rate"),
    *("day,class&page_size=2", "day&from=2026-05-02&to=2026-05-02", "class&from=2026-04-30&to=2026-05-03"),
)


def at(day, hour=12):
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def rate_all():
    while services.reverse_voided(now=NOW) + services.rate_batches(now=NOW):
        pass


def count_all(now=JULY):
    services.find_busy_periods()
    counted = 0
    while services.count_next_period(now=now):
        counted += 1
    return counted


@pytest.fixture(autouse=True)
def everything_is_busy(monkeypatch):
    monkeypatch.setattr(counted_usage, "BUSY", 2)


@pytest.fixture
def rate():
    return RateFactory(price="0.10", usage_class__name="calls")


@pytest.fixture
def owner(rate):
    return subscriber(rate.plan, number="100041", name="Harbour")


@pytest.fixture
def month(rate, owner):
    """Two classes, four days, and a line more."""
    other = RateFactory(group=rate.group, usage_class__name="data", price="1")
    second = ServiceFactory(account=owner.service.account).identifiers.create(identifier="2nd", starts_at=LONG_AGO)
    udrs = [
        used(one, line, 3, date=at(day)) for one in (rate, other) for line in (owner, second) for day in range(1, 5)
    ]
    batch = waiting(*udrs, *udrs, *udrs)
    rate_all()
    return batch


def asked(question="day,class", by=None):
    client = APIClient()
    client.force_authenticate(by or user_with("rating.view_charge"))
    pages, address = [], f"/api/v1/accounts/100041/usage?by={question}"
    address += "" if "from=" in question else f"&{MAY_DAYS}"
    while address:
        answer = client.get(address)
        assert answer.status_code == 200, answer.content
        told = answer.json()
        pages.append((told["totals"], told["results"]))
        address = told["next"]
    return pages


def reads_charges(question="day,class"):
    with CaptureQueriesContext(connection) as queries:
        asked(question)
    return any("FROM rating_charge" in one["sql"] for one in queries)


def broken():
    return [rule.name for rule in RULES if differences(rule)]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_the_same_counted_or_not(month, question):
    before = asked(question)
    assert count_all() == 1
    assert not reads_charges(question)
    assert asked(question) == before


def test_usage_of_feeds_that_were_not_granted_stays_out(month):
    for pk, is_told in ((1, True), (777, False)):
        reader = user_with("rating.view_charge", feeds=[FeedFactory(pk=pk)])
        before = asked(by=reader)
        count_all()
        assert asked(by=reader) == before
        assert bool(before[0][1]) == is_told


def test_days_that_still_come_in_are_read_as_they_are(rate, owner):
    waiting(*[used(rate, owner, date=at(day)) for day in (1, 2, 3, 4)])
    rate_all()
    count_all(now=at(4))
    assert CountedPeriod.objects.get().before == datetime(2026, 5, 2, 22, tzinfo=UTC)  # midnight in Vienna
    assert CountedUsage.objects.filter(by_line=False).count() == 2
    assert reads_charges()
    waiting(used(rate, owner, date=at(4, hour=13)))
    rate_all()
    assert CountedPeriod.objects.get().before is not None
    assert [(row["day"][-1], row["record_count"]) for row in asked()[0][1]] == [("1", 1), ("2", 1), ("3", 1), ("4", 2)]


def test_a_period_is_counted_further_as_days_go_by_and_once_for_all_when_it_is_over(month):
    assert count_all(now=at(4)) == 1
    assert count_all(now=at(5)) == 0
    assert count_all(now=at(20)) == 1
    assert count_all(now=JULY) == 1
    assert count_all(now=JULY + timedelta(days=300)) == 0


def late(rate, owner, batch):
    waiting(used(rate, owner, 9, date=at(2)))


def replaced(rate, owner, batch):
    UdrBatch.objects.filter(pk=batch.pk).update(status="superseded")


def voided(rate, owner, batch):
    udr = Udr.objects.filter(id__gte=batch.pk << 17).earliest("pk")
    UdrBatch.objects.filter(pk=batch.pk).update(voided_count=1)
    VoidedUdr.objects.create(
        id=udr.pk,
        udr_date=udr.date,
        feed_id=1,
        key="k",
        import_id=1,
        record_number=1,
        requested_at=NOW,
        request_id="6b1ff3ae-9c8b-4b39-b4a5-0d9ab1c1a001",
        voided_at=NOW,
        reason="wrong",
    )


@pytest.mark.parametrize("change", [late, replaced, voided])
def test_what_changes_counted_usage_has_it_counted_again_and_is_told_at_once(rate, owner, month, change):
    count_all()
    before = asked()
    change(rate, owner, month)
    rate_all()
    told = asked()
    assert told != before
    assert reads_charges()
    assert "counted_usage_is_charged" not in broken()
    assert count_all(now=JULY + timedelta(minutes=4)) == 0  # it rests: more may come
    assert count_all(now=JULY + timedelta(minutes=6)) == 1
    assert asked() == told
    assert "counted_usage_is_charged" not in broken()


@pytest.fixture
def many_lines(rate, owner):
    """Four lines that were used once."""
    lines = [
        ServiceFactory(account=owner.service.account).identifiers.create(identifier=f"line {n}", starts_at=LONG_AGO)
        for n in range(4)
    ]
    waiting(*[used(rate, line, date=at(1)) for line in lines])
    rate_all()


def test_a_period_of_many_lines_that_use_little_is_counted_without_them(many_lines):
    before = {question: asked(question) for question in QUESTIONS}
    count_all()
    assert (CountedPeriod.objects.get().has_lines, CountedUsage.objects.count()) == (False, 1)
    assert {question: asked(question) for question in QUESTIONS} == before
    assert "counted_usage_is_charged" not in broken()
    assert not reads_charges("day,class,plan,rate")
    assert reads_charges("service")


def rows_written():
    """Inserted and deleted by this connection; what earlier tests wrote may be among them until the server took it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_ins, n_tup_del FROM pg_stat_xact_user_tables WHERE relname = 'rating_countedusage'"
        )
        return cursor.fetchone()


def test_no_rows_of_lines_are_written_that_would_be_deleted_again(many_lines):
    inserted, deleted = rows_written()
    count_all()
    assert rows_written() == (inserted + 1, deleted)


def test_lines_are_kept_as_soon_as_there_are_at_most_half_as_many_as_charges(rate, owner, many_lines):
    lines = ServiceIdentifier.objects.filter(identifier__startswith="line")
    for more, has_lines in ((3, False), (1, True)):
        waiting(*[used(rate, line, date=at(1)) for line in lines[:more]])
        rate_all()
        CountedPeriod.objects.update(counted_at=None)
        count_all()
        assert CountedPeriod.objects.get().has_lines == has_lines
        assert CountedUsage.objects.filter(by_line=True).count() == 4 * has_lines
        assert reads_charges("service") != has_lines


def test_whether_lines_are_counted_is_asked_before_the_period_is_locked(month, monkeypatch):
    done = []
    for name in ("has_few_lines", "lock_periods", "count_period"):
        verb = getattr(store, name)
        monkeypatch.setattr(store, name, lambda *a, n=name, v=verb, **k: (done.append(n), v(*a, **k))[1])
    count_all()
    assert done == ["has_few_lines", "lock_periods", "count_period"]


def test_what_is_charged_in_a_later_period_counts_on_its_day(rate, owner, month):
    BillingPeriod.objects.update(status="closed", closed_at=NOW)
    waiting(used(rate, owner, 7, date=at(3)), used(rate, owner, 7, date=at(3)))
    rate_all()
    before = asked()
    assert count_all() == 2
    assert asked() == before
    assert not reads_charges()


def test_few_charges_are_not_counted(rate, owner):
    waiting(used(rate, owner, date=at(1)))
    rate_all()
    assert count_all() == 0
    assert not CountedPeriod.objects.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda: CountedUsage.objects.filter(by_line=True).first().delete(),
        lambda: CountedUsage.objects.filter(by_line=False).update(amount=Decimal(1)),
        lambda: CountedUsage.objects.update(record_count=1),
        lambda: Charge.objects.filter(pk=Charge.objects.earliest("pk").pk).update(quantity=77),
        lambda: UdrBatch.objects.update(feed_id=777),
        lambda: UdrBatch.objects.all().delete(),
    ],
)
def test_a_count_that_is_no_more_that_of_the_charges_is_found(month, damage):
    count_all()
    assert "counted_usage_is_charged" not in broken()
    damage()
    assert "counted_usage_is_charged" in broken()


TOLD = ("day", "feed_id", "usage_class_id", "plan_id", "rate_id", "currency", "record_count", *counted_usage.SUMS)


@pytest.mark.parametrize(
    ("by_line", "column"),
    [(True, "service_id"), (True, "service_identifier_id"), *product((True, False), TOLD)],
)
def test_whatever_an_answer_is_made_of_is_held_against_the_charges(month, by_line, column):
    count_all()
    other = {"day": F("day") + timedelta(days=1), "currency": "USD"}.get(column, F(column) + 1)
    CountedUsage.objects.filter(by_line=by_line).update(**{column: other})
    [rule] = [rule for rule in RULES if rule.name == "counted_usage_is_charged"]
    found = differences(rule)
    assert found
    assert {row[found.columns.index("by_line")] for row in found.rows} == {by_line}


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_nobody_counts_a_period_while_somebody_writes_charges_in_it(month):
    from psycopg import connect

    services.find_busy_periods()
    with connect(**connection.get_connection_params() | {"cursor_factory": None}) as other, connection.cursor() as ours:
        other.execute("SELECT FROM rating_billingperiod FOR NO KEY UPDATE")
        ours.execute("SET lock_timeout = '200ms'")
        with pytest.raises(Exception, match="lock timeout"):
            services.count_next_period(now=JULY)
        ours.execute("RESET lock_timeout")
        other.rollback()
    assert services.count_next_period(now=JULY)
