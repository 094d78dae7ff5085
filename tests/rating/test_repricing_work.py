"""How repricings are worked on: account by account, by several workers, and on after a crash."""

from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import polars as pl
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from mediation.store import CopyMismatchError
from rating import services, store
from rating.models import BillingPeriod, Charge, RepricedAccount, Repricing
from rating.services import rerating

from .factories import LONG_AGO, NOW, RatePlanFactory, UsageClassFactory, activate, subscriber, waiting

TIERS = [{"up_to": "50", "price": "0.2"}, {"price": "0.1"}]


def said(plan, **price):
    rate = {"usage_class": "calls", **(price or {"model": "graduated", "tiers": TIERS})}
    return {"name": plan.name, "currency": "EUR", "groups": [{"name": "all", "rates": [rate]}]}


def work():
    while services.rate_batches(now=NOW) or services.reprice_waiting(now=NOW):
        pass


@pytest.fixture
def owners():
    """Two accounts of one plan with 40 units each: 8 EUR, and 13 for all 80 of one service."""
    calls, plan = UsageClassFactory(name="calls"), RatePlanFactory()
    activate(plan, said(plan))
    owners = [subscriber(plan), subscriber(plan)]
    for owner in owners:
        waiting({"usage_class": calls, "identifier": owner.identifier, "value": 40})
    work()
    return owners


@pytest.fixture
def one_by_one(monkeypatch):
    """Every account is worked on alone."""
    monkeypatch.setattr(rerating, "AT_ONCE", 1)


def asked_for(**filters):
    return services.propose_rerate(filters=filters, reason="a wrong price", by=None, now=NOW)


def dearer(owners):
    plan = owners[0].service.account.rate_plan
    return activate(plan, said(plan, model="per_unit", price="1"), starts_at=LONG_AGO + timedelta(days=1))


@contextmanager
def another_session():
    other_worker = connection.copy()
    try:
        with other_worker.cursor() as cursor:
            yield cursor
    finally:
        other_worker.close()


def amounts(asked):
    return {row.account_id: (row.before, row.after) for row in asked.accounts.all()}


@pytest.mark.django_db
@pytest.mark.parametrize("giver", [0, 1], ids=["before its new owner", "after its new owner"])
def test_usage_that_moves_is_noted_with_its_new_owner_whoever_is_worked_on_first(owners, one_by_one, giver):
    given, kept = owners[giver], owners[1 - giver]
    given.service = kept.service
    given.save()
    asked = asked_for()
    work()
    accounts = {place: owner.pk for place, owner in enumerate(RepricedAccount.objects.order_by("account_id"))}
    told = {pk: (row.before, row.after) for pk, row in RepricedAccount.objects.in_bulk().items()}
    assert told == {accounts[giver]: (8, 0), accounts[1 - giver]: (8, 13)}
    services.apply_rerate(asked=asked, by=None, now=NOW)
    work()
    asked.refresh_from_db()
    assert asked.status == "applied", asked.error
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 13
    told = {pk: (row.before, row.after) for pk, row in RepricedAccount.objects.in_bulk().items()}
    assert told == {accounts[giver]: (8, 0), accounts[1 - giver]: (8, 13)}


@pytest.mark.django_db
def test_a_step_that_crashes_is_tried_three_times_then_parked_and_goes_on_when_told(owners, one_by_one, monkeypatch):
    dearer(owners)
    asked = asked_for()
    assert services.reprice_waiting(now=NOW) == 1

    def crash(*args, **kwargs):
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(store, "note_accounts", crash)
        assert [services.reprice_waiting(now=NOW) for _ in range(4)] == [1, 1, 1, 0]
    asked.refresh_from_db()
    assert (asked.status, "the disk is full" in asked.error) == ("errored", True)
    assert sorted(asked.accounts.values_list("is_done", flat=True)) == [False, True]
    services.retry_repricing(asked=asked, by=None, now=NOW)
    work()
    asked.refresh_from_db()
    assert (asked.status, asked.error, asked.attempts) == ("shown", "", 0)
    assert set(amounts(asked).values()) == {(8, 40)}


@pytest.mark.django_db
def test_an_apply_that_crashed_goes_on_as_an_apply(owners, one_by_one, monkeypatch):
    dearer(owners)
    asked = asked_for()
    work()
    services.apply_rerate(asked=asked, by=None, now=NOW)
    services.reprice_waiting(now=NOW)
    Repricing.objects.update(status="errored")
    services.retry_repricing(asked=asked, by=None, now=NOW)
    asked.refresh_from_db()
    assert asked.status == "waiting"
    work()
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 80
    assert Charge.objects.filter(kind="reversal").count() == 2


@pytest.mark.django_db
def test_only_what_is_errored_is_tried_again_by_those_who_may(owners):
    asked = asked_for()
    with pytest.raises(services.UnableToRerate, match="only what is errored"):
        services.retry_repricing(asked=asked, by=None, now=NOW)
    with pytest.raises(PermissionDenied):
        services.retry_repricing(asked=asked, by=User.objects.create_user("nobody"), now=NOW)


@pytest.mark.django_db
def test_closed_periods_are_counted_where_something_would_change(owners):
    services.close_period(period=BillingPeriod.objects.first(), by=None, now=NOW)
    same = asked_for()
    work()
    assert store.closed_periods_charged(same.filters, repricing_id=same.pk) == 0
    dearer(owners)
    other = asked_for()
    work()
    assert store.closed_periods_charged(other.filters, repricing_id=other.pk) == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_workers_share_what_is_worked_out_and_the_last_one_finishes_it(owners, one_by_one):
    dearer(owners)
    asked = asked_for()
    assert services.reprice_waiting(now=NOW) == 1
    asked.accounts.update(is_done=False, before=None, after=None, changed_count=None, refused_count=None)
    mine, others = asked.accounts.order_by("pk")
    with another_session() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM rating_repricedaccount WHERE id = %s FOR UPDATE", [mine.pk])
        assert [services.reprice_waiting(now=NOW) for _ in range(2)] == [1, 0]
        asked.refresh_from_db()
        assert asked.status == "counting"
        assert amounts(asked) == {mine.account_id: (None, None), others.account_id: (Decimal(8), Decimal(40))}
        cursor.execute("ROLLBACK")
    work()
    asked.refresh_from_db()
    assert (asked.status, set(amounts(asked).values())) == ("shown", {(8, 40)})


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_rerate_that_another_worker_applies_is_left_to_it(owners):
    dearer(owners)
    asked = asked_for()
    work()
    services.apply_rerate(asked=asked, by=None, now=NOW)
    with another_session() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM rating_repricing WHERE id = %s FOR UPDATE", [asked.pk])
        assert services.reprice_waiting(now=NOW) == 0
        cursor.execute("ROLLBACK")
    work()
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 80


@pytest.mark.django_db
def test_a_worker_that_comes_too_late_leaves_what_came_to_its_next_step(owners, monkeypatch):
    dearer(owners)
    asked = asked_for()
    late = Repricing.objects.get()
    work()
    services.apply_rerate(asked=asked, by=None, now=NOW)
    with monkeypatch.context() as waited:
        waited.setattr(rerating, "_claim", lambda now: late)
        assert services.reprice_waiting(now=NOW) == 0
    assert not asked.accounts.filter(is_done=True).exists()
    work()
    asked.refresh_from_db()
    assert (asked.status, asked.attempts) == ("applied", 0)
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 80


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "is_applied"), [("shown", False), ("counting", True)])
def test_nothing_is_noted_of_accounts_at_another_step(owners, status, is_applied):
    asked = asked_for(account=owners[0].service.account_id)
    Repricing.objects.update(status=status)
    found = {"before": [Decimal(1)], "after": [Decimal(2)], "changed": [1], "refused": [0]}
    frame = pl.DataFrame({"account_id": [owners[0].service.account_id], **found})
    with pytest.raises(CopyMismatchError):
        store.note_accounts(asked.pk, frame, is_applied=is_applied)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_rerates_are_never_applied_at_the_same_time(owners):
    dearer(owners)
    asked = asked_for()
    work()
    services.apply_rerate(asked=asked, by=None, now=NOW)
    with another_session() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('rating_apply', 0))")
        assert services.reprice_waiting(now=NOW) == 0
        cursor.execute("ROLLBACK")
    asked.refresh_from_db()
    assert (asked.status, asked.attempts) == ("waiting", 0)
    work()
    assert Charge.objects.aggregate(total=Sum("amount"))["total"] == 80


class KilledError(BaseException):
    """What no worker outlives."""


def die(*args, **kwargs):
    raise KilledError


@pytest.mark.django_db
def test_a_repricing_whose_workers_are_killed_is_parked_after_three(owners, monkeypatch):
    asked = asked_for()
    with monkeypatch.context() as deadly:
        deadly.setattr(store, "chosen_charges", die)
        for _ in range(3):
            with pytest.raises(KilledError):
                services.reprice_waiting(now=NOW)
        assert services.reprice_waiting(now=NOW) == 0
    asked.refresh_from_db()
    assert (asked.status, asked.error) == ("errored", "The worker died in each of 3 attempts.")
    services.retry_repricing(asked=asked, by=None, now=NOW)
    work()
    asked.refresh_from_db()
    assert (asked.status, asked.error, asked.attempts) == ("shown", "", 0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_attempts_of_workers_that_still_work_park_nothing(owners):
    asked = asked_for()
    Repricing.objects.update(attempts=3)
    with another_session() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock_shared(hashtextextended('rating_repricing {asked.pk}', 0))")
        work()
    asked.refresh_from_db()
    assert (asked.status, asked.attempts) == ("shown", 0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_crash_parks_nothing_that_others_still_work_on(owners, monkeypatch):
    asked = asked_for()
    Repricing.objects.update(attempts=3)
    monkeypatch.setattr(store, "chosen_charges", lambda *args: 1 / 0)
    with another_session() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock_shared(hashtextextended('rating_repricing {asked.pk}', 0))")
        assert services.reprice_waiting(now=NOW) == 1
    asked.refresh_from_db()
    assert (asked.status, "ZeroDivisionError" in asked.error) == ("counting", True)
    assert services.reprice_waiting(now=NOW) == 0
    asked.refresh_from_db()
    assert (asked.status, "ZeroDivisionError" in asked.error) == ("errored", True)


@pytest.mark.django_db
def test_accounts_are_listed_at_once_for_one_and_by_a_worker_for_many(owners):
    one = asked_for(account=owners[0].service.account_id)
    many = asked_for()
    assert (one.accounts.count(), many.accounts.count()) == (1, 0)
    work()
    assert (one.accounts.count(), many.accounts.count()) == (1, 2)


@pytest.mark.django_db
def test_a_rerate_that_nothing_fits_ends_with_no_account(owners):
    asked = asked_for(usage_class=UsageClassFactory(name="texts").pk)
    work()
    asked.refresh_from_db()
    assert (asked.status, asked.totals, asked.accounts.count()) == ("shown", [], 0)


@pytest.mark.django_db
def test_one_account_is_listed_by_the_numbers_of_its_periods(owners):
    with CaptureQueriesContext(connection) as asked:
        asked_for(account=owners[0].service.account_id)
    (listed,) = [one["sql"] for one in asked if "FROM rating_charge" in one["sql"]]
    period = BillingPeriod.objects.get(account=owners[0].service.account_id)
    assert f"= ANY('{{{period.pk}}}'" in listed


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_accounts_that_another_worker_lists_are_waited_for(owners, monkeypatch):
    asked = asked_for()
    claimed = rerating._claim
    with another_session() as cursor:

        def claim(now):
            found = claimed(now)
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM rating_repricing WHERE id = %s FOR UPDATE", [asked.pk])
            return found

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(rerating, "_claim", claim)
            assert services.reprice_waiting(now=NOW) == 0
        cursor.execute("ROLLBACK")
    asked.refresh_from_db()
    assert (asked.status, asked.accounts.count()) == ("counting", 0)
    work()
    asked.refresh_from_db()
    assert (asked.status, asked.accounts.count()) == ("shown", 2)
