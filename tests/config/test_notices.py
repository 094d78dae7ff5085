"""Notices: one of a kind for a feed, renewed while it lasts, closed by itself, acknowledged by who may."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.urls import reverse

from config.dashboard import noticing
from config.dashboard.anomalies import Finding
from config.models import AccountFigure, ArrivalFigure, ChargeFigure, FigureRun, Notice
from ingestion.models import Feed
from tests.config.crowd import do, person
from tests.ingestion.factories import FeedFactory, user_with
from tests.rating.factories import AccountFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 12, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ACKNOWLEDGE = ("config.view_notice", "config.acknowledge_notice")


def silence(feed_id=1, text="Nothing has come."):
    return Finding("silence", text, feed_id=feed_id, numbers={"quiet_hours": "6"})


def noticed(*findings, now=NOW):
    noticing.renew_notices(findings=findings, now=now)
    return list(Notice.objects.order_by("pk").values_list("kind", "feed_id", "opened_at", "last_seen_at", "closed_at"))


def test_a_notice_is_opened_once_and_renewed_while_it_lasts():
    noticed(silence())
    assert noticed(silence(text="Still nothing."), now=LATER) == [("silence", 1, NOW, LATER, None)]
    assert Notice.objects.get().text == "Still nothing."


def test_a_notice_closes_by_itself_and_opens_anew():
    noticed(silence())
    noticed(now=LATER)
    assert noticed(silence(), now=LATER + timedelta(hours=1)) == [
        ("silence", 1, NOW, NOW, LATER),
        ("silence", 1, LATER + timedelta(hours=1), LATER + timedelta(hours=1), None),
    ]


def test_each_feed_and_account_has_its_own():
    other = Finding("account", "More.", account_id=1, numbers={})
    assert len(noticed(silence(1), silence(2), other)) == 3


def test_the_database_keeps_a_second_open_one_out():
    noticed(silence())
    with pytest.raises(IntegrityError), transaction.atomic():
        Notice.objects.create(kind="silence", feed_id=1, text="", numbers={}, opened_at=NOW, last_seen_at=NOW)


def hours_of(feed, *, quiet):
    """Eight weeks of a feed that brings a thousand records every hour, until `quiet` hours ago."""
    last = NOW.replace(minute=0) - timedelta(hours=quiet)
    starts = [last - timedelta(hours=number) for number in range(24 * 56)]
    counts = dict.fromkeys(("exception_count", "skipped_count", "duplicate_count", "waiting_count"), 0)
    ArrivalFigure.objects.bulk_create(
        ArrivalFigure(
            span="hour",
            starts_at=start,
            feed_id=feed.pk,
            import_count=1,
            record_count=1000,
            imported_count=1000,
            last_at=start,
            **counts,
        )
        for start in starts
    )


def counted():
    for key in ("arrivals", "charges"):
        FigureRun.objects.create(key=key, as_of=NOW)


def test_watching_notices_the_feed_that_fell_silent_and_no_other():
    silent, well, disabled = FeedFactory(), FeedFactory(), FeedFactory(is_enabled=False)
    hours_of(silent, quiet=6)
    hours_of(well, quiet=0)
    hours_of(disabled, quiet=6)
    counted()
    assert noticing.watch(now=NOW) == 1
    assert Notice.objects.values_list("kind", "feed_id").get() == ("silence", silent.pk)


def test_nothing_is_judged_before_anything_is_counted():
    noticed(silence())
    assert noticing.watch(now=LATER) == 0
    assert Notice.objects.get().closed_at is None


def test_watching_notices_what_is_charged_far_above_the_usual():
    feed = FeedFactory()
    amounts = [(NOW.date() - timedelta(days=back), Decimal(100)) for back in range(1, 29)] + [
        (NOW.date(), Decimal(900))
    ]
    for day, amount in amounts:
        figure = {"day": day, "currency": "EUR", "record_count": 10, "quantity": 10, "amount": amount}
        ChargeFigure.objects.create(feed_id=feed.pk, **figure)
        ChargeFigure.objects.create(feed_id=feed.pk, usage_class_id=1, **figure)
    account, usual = AccountFactory(), AccountFactory()
    for month, amount in ((9, 50), (10, 60), (11, 5000)):
        figure = {"month": datetime(2026, month, 1).date(), "currency": "EUR", "record_count": 50}  # noqa: DTZ001
        AccountFigure.objects.create(account_id=account.pk, amount=amount, is_settled=True, **figure)
        AccountFigure.objects.create(account_id=usual.pk, amount=55, is_settled=False, **figure)
    counted()
    assert noticing.watch(now=NOW) == 2
    found = set(Notice.objects.values_list("kind", "feed_id", "account_id"))
    assert found == {("value", feed.pk, None), ("account", None, account.pk)}


def test_a_notice_is_acknowledged_with_a_comment():
    noticed(silence())
    by = user_with(*ACKNOWLEDGE)
    notice = Notice.objects.get()
    noticing.acknowledge_notice(notice=notice, comment=" Holiday. ", by=by, now=LATER)
    notice.refresh_from_db()
    assert (notice.acknowledged_by, notice.acknowledged_at, notice.comment) == (by, LATER, "Holiday.")
    with pytest.raises(noticing.UnableToAcknowledge, match="already"):
        noticing.acknowledge_notice(notice=notice, comment="Again.", by=by, now=LATER)


def test_a_comment_is_needed():
    noticed(silence())
    with pytest.raises(noticing.UnableToAcknowledge, match="behind it"):
        noticing.acknowledge_notice(notice=Notice.objects.get(), comment=" ", by=user_with(*ACKNOWLEDGE), now=LATER)


@pytest.mark.parametrize(("permissions", "feeds"), [(ACKNOWLEDGE[:1], None), (ACKNOWLEDGE, ())])
def test_acknowledging_needs_the_permission_and_the_feed(permissions, feeds):
    noticed(silence())
    with pytest.raises(PermissionDenied):
        noticing.acknowledge_notice(
            notice=Notice.objects.get(), comment="Why.", by=user_with(*permissions, feeds=feeds), now=LATER
        )


def test_accounts_are_for_who_sees_every_feed():
    noticed(Finding("account", "More.", account_id=1, numbers={}))
    by = user_with("config.acknowledge_notice", feeds=[FeedFactory()])
    assert list(noticing.notices_open(by)) == []
    with pytest.raises(PermissionDenied):
        noticing.acknowledge_notice(notice=Notice.objects.get(), comment="Why.", by=by, now=LATER)


def test_the_list_acknowledges_after_asking_why():
    feed = FeedFactory(name="North")
    noticed(silence(feed.pk))
    client, notice = person(*ACKNOWLEDGE, "ingestion.view_usageimport"), Notice.objects.get()
    assert "What is behind it?" in do(client, "config_notice", "acknowledge", notice.pk)
    page = do(client, "config_notice", "acknowledge", notice.pk, reason="Holiday.")
    assert "1 notice acknowledged." in page
    detail = client.get(reverse("admin:config_notice_change", args=[notice.pk])).content.decode()
    assert "Holiday." in detail
    assert "North" in detail


def test_who_may_only_look_gets_no_button():
    noticed(silence(FeedFactory().pk))
    client, notice = person("config.view_notice"), Notice.objects.get()
    page = client.get(reverse("admin:config_notice_change", args=[notice.pk])).content.decode()
    assert "Acknowledge…" not in page
    do(client, "config_notice", "acknowledge", notice.pk, reason="Because.")
    notice.refresh_from_db()
    assert notice.acknowledged_at is None


def test_a_person_with_granted_feeds_sees_their_notices_alone():
    mine, other = FeedFactory(name="Mine"), FeedFactory(name="Other")
    noticed(silence(mine.pk), silence(other.pk))
    client = person("config.view_notice", "ingestion.view_feed", feeds=[mine])
    page = client.get(reverse("admin:config_notice_changelist")).content.decode()
    assert "Mine" in page
    assert "Other" not in page
    assert Feed.objects.count() == 2
