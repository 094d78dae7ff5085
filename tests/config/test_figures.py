"""Figures are what the ledgers add up to, counted once, however often and in whatever order workers count them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum
from django.utils import timezone

from config.dashboard import figures
from config.dashboard.value_at_risk import (
    average_charge_by_feed,
    currency_of_estimates,
    value_of_import_exceptions,
    value_of_rating_exceptions,
    values_of_groups,
    whole_value_of_import_exceptions,
    whole_value_of_rating_exceptions,
)
from config.models import AccountFigure, ArrivalFigure, ChargeEstimate, ChargeFigure, FigureRun, OpenFigure
from ingestion.models import ImportException, UsageImport
from mediation.models import UdrBatch
from rating.models import Charge, RatingException
from rating.services import rate_batches
from tests.ingestion.factories import event, feed_of, posted, work
from tests.rating.factories import RateFactory, subscriber, used, waiting

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def charged(*values, at, rate=None, owner=None):
    """UDRs of these values are rated at a moment, at 0.10 a unit; returns their rate and who owns the identifier."""
    rate = rate or RateFactory(price="0.10")
    owner = owner or subscriber(rate.plan)
    waiting(*(used(rate, owner, value) for value in values))
    while rate_batches(now=at):
        pass
    return rate, owner


def count(now=NOON, key="charges"):
    """Count, as if the run before had rested long enough."""
    FigureRun.objects.filter(key=key).update(took_seconds=0)
    assert figures.count_figures(key=key, now=now)


def everything():
    return (
        list(ChargeFigure.objects.order_by("day", "usage_class_id", "feed_id").values_list("day", "feed_id", "amount")),
        dict(AccountFigure.objects.values_list("account_id").order_by().annotate(total=Sum("amount"))),
    )


def total_of(**condition):
    return ChargeFigure.objects.filter(**condition).aggregate(total=Sum("amount"))["total"]


def test_charges_by_day_are_what_the_ledger_adds_up_to():
    rate, owner = charged("10", "20.5", at=NOON - 3 * DAY)
    charged("7", at=NOON, rate=rate, owner=owner)
    count()
    parts = ChargeFigure.objects.filter(feed_id__isnull=False, usage_class_id__isnull=False)
    assert list(parts.order_by("day").values_list("day", "record_count", "quantity", "amount")) == [
        (date(2026, 11, 17), 2, Decimal("30.5"), Decimal("3.05")),
        (date(2026, 11, 20), 1, Decimal(7), Decimal("0.70")),
    ]
    whole = Charge.objects.aggregate(total=Sum("amount"))["total"]
    assert total_of(feed_id__isnull=True, usage_class_id__isnull=True) == whole
    assert total_of(feed_id__isnull=False, usage_class_id__isnull=True) == whole
    assert AccountFigure.objects.aggregate(total=Sum("amount"))["total"] == whole


def test_counting_bit_by_bit_comes_to_the_same_as_counting_from_the_ground_up():
    rate, owner = charged("10", at=NOON - 3 * DAY)
    for back in (2, 1, 0):
        charged(f"{back + 1}", f"{back + 5}", at=NOON - back * DAY, rate=rate, owner=owner)
        count(NOON - back * DAY + timedelta(minutes=5))
    bit_by_bit = everything()
    figures.count_anew(now=NOON + timedelta(hours=1))
    assert everything() == bit_by_bit
    assert bit_by_bit[1] == {owner.service.account_id: Charge.objects.aggregate(total=Sum("amount"))["total"]}


def test_a_charge_that_comes_late_to_yesterday_is_counted_after_midnight():
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    rate, owner = charged("10", at=midnight - timedelta(minutes=5))
    count(midnight + timedelta(minutes=1))
    charged("20", at=midnight - timedelta(minutes=1), rate=rate, owner=owner)
    count(midnight + timedelta(minutes=3))
    assert everything()[1] == {owner.service.account_id: Decimal("3")}


def test_what_is_taken_back_counts_less():
    charged("10", "20", at=NOON - DAY)
    UdrBatch.objects.update(status="superseded")
    while rate_batches(now=NOON):
        pass
    count()
    assert Charge.objects.count() == 4
    assert total_of(feed_id__isnull=True, usage_class_id__isnull=True) == 0
    assert AccountFigure.objects.aggregate(total=Sum("amount"))["total"] == 0


def test_arrivals_are_what_the_history_says():
    feed = feed_of()
    posted(feed, event("a"), event("b", value="x"), now=NOON - timedelta(hours=2))
    posted(feed, event("c"), now=NOON)
    work(NOON)
    count(key="arrivals")
    days = ArrivalFigure.objects.filter(span="day").values_list("starts_at", "import_count", "record_count")
    assert list(days) == [(datetime(2026, 11, 20, tzinfo=UTC), 2, 3)]
    hours = ArrivalFigure.objects.filter(span="hour").order_by("starts_at")
    assert list(hours.values_list("starts_at__hour", "imported_count", "exception_count")) == [(10, 1, 1), (12, 1, 0)]


def test_older_days_are_counted_again_in_turn(monkeypatch):
    monkeypatch.setattr(figures, "is_small", lambda table: False)
    posted(feed_of(), event("a", value="x"), now=NOON - 40 * DAY)
    work(NOON - 40 * DAY)
    count(key="arrivals")
    UsageImport.objects.update(exception_count=0, imported_count=1)
    runs = figures.KEPT_DAYS // figures.OLDER_DAYS
    for number in range(runs):
        count(NOON + timedelta(minutes=number + 1), key="arrivals")
    day = ArrivalFigure.objects.get(span="day")
    assert (day.imported_count, day.exception_count) == (1, 0)


def test_open_exceptions_are_counted_by_code_and_cause():
    feed = feed_of()
    posted(feed, event("a", value="x"), event("b", value="y"), event("c"), now=NOON)
    work(NOON)
    waiting({"usage_class": RateFactory().usage_class, "identifier": "nobody's", "value": "3"})
    rate_batches(now=NOON)
    count(key="open")
    found = OpenFigure.objects.order_by("kind").values_list("kind", "reason", "count", "quantity")
    assert ("import", ImportException.objects.first().code, 2, None) in list(found)
    assert ("rating", "no_identifier_match", 1, Decimal(3)) in list(found)


def test_a_kind_rests_twenty_times_as_long_as_it_took():
    assert figures.count_figures(key="open", now=NOON)
    assert not figures.count_figures(key="open", now=NOON + timedelta(seconds=1))
    FigureRun.objects.update(took_seconds=10)
    assert not figures.count_figures(key="open", now=NOON + timedelta(seconds=199))
    assert figures.count_figures(key="open", now=NOON + timedelta(seconds=201))


def test_a_small_house_is_counted_at_once_and_a_large_one_by_workers(monkeypatch):
    now = timezone.now()
    assert set(figures.freshen(now=now).values()) == {now}
    FigureRun.objects.update(took_seconds=30)
    later = now + timedelta(hours=1)
    assert set(figures.freshen(now=later).values()) == {now}
    FigureRun.objects.all().delete()
    monkeypatch.setattr(figures, "is_small", lambda table: False)
    assert set(figures.freshen(now=later).values()) == {None}


def test_nothing_is_known_of_value_before_anything_is_charged():
    posted(feed_of(), event("a", value="x"), now=NOON)
    work(NOON)
    count()
    assert value_of_import_exceptions(ImportException.objects.all()) is None
    assert currency_of_estimates() is None


def test_exceptions_are_worth_what_records_like_them_were_charged():
    rate, _ = charged("10", "30", at=NOON)  # 4.00 for two records of feed 1
    waiting({"usage_class": rate.usage_class, "identifier": "nobody's", "value": "25"})
    rate_batches(now=NOON)
    count()
    assert average_charge_by_feed()[1].of_records(1) == 2
    assert values_of_groups([{1: 5}, {1: 5, 99: 1_000}, {99: 3}, {}]) == [
        Decimal("10.00"),
        Decimal("10.00"),
        None,
        None,
    ]
    assert value_of_rating_exceptions(RatingException.objects.all()) == Decimal("2.50")
    assert currency_of_estimates() == "EUR"


def test_old_charges_are_nothing_to_estimate_by():
    charged("10", at=NOON - 40 * DAY)
    count()
    assert average_charge_by_feed() == {}


def test_whoever_decides_by_a_value_is_told_of_none_where_part_of_it_is_unknown():
    """Records that nothing is known of would count as nothing among others."""
    feed, never_charged = feed_of(), feed_of()
    ChargeEstimate.objects.create(feed_id=feed.pk, currency="EUR", record_count=10, quantity=10, amount=10)
    posted(feed, event("a", value="x"), now=NOON)
    posted(never_charged, event("b", value="y"), now=NOON)
    work(NOON)
    everything_open = ImportException.objects.all()
    assert value_of_import_exceptions(everything_open) == 1
    assert whole_value_of_import_exceptions(everything_open) is None
    assert whole_value_of_import_exceptions(everything_open.filter(feed=feed)) == 1


def test_a_usage_class_that_was_never_charged_for_makes_the_whole_of_udrs_unknown():
    rate, _ = charged("10", "30", at=NOON)
    count()
    never_charged = RateFactory().usage_class
    for usage_class in (rate.usage_class, never_charged):
        waiting({"usage_class": usage_class, "identifier": "nobody's", "value": "25"})
    rate_batches(now=NOON)
    everything_open = RatingException.objects.all()
    assert value_of_rating_exceptions(everything_open) == Decimal("2.50")
    assert whole_value_of_rating_exceptions(everything_open) is None
    assert whole_value_of_rating_exceptions(everything_open.exclude(usage_class=never_charged)) == Decimal("2.50")
