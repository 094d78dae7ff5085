"""Mediation's services on a real PostgreSQL: profiles, bells, partitions, and COPY."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django_q.models import OrmQ

from ingestion import tasks
from mediation import selectors, services, store
from mediation.models import Bell, ProfileVersion, Udr, UdrKey
from tests.ingestion.factories import (
    NOW,
    DataProfileFactory,
    UsageClassFactory,
    counts,
    event,
    feed_of,
    posted,
    user_with,
    work,
)

from .profiles import ROWS, document

pytestmark = pytest.mark.django_db

# Profiles


def draft(profile=None, spec=ROWS, by=None):
    return services.create_draft(profile=profile or DataProfileFactory(), spec=spec, note="first", by=by)


def activate(version, by=None):
    services.activate_version(version=version, by=by, now=NOW)


def test_a_draft_becomes_active_and_retires_the_version_before():
    profile = DataProfileFactory()
    first, second = draft(profile), draft(profile)
    assert (first.number, second.number) == (1, 2)
    assert selectors.active_version(profile.pk) is None
    activate(first)
    activate(second)
    assert list(profile.versions.order_by("number").values_list("status", flat=True)) == ["retired", "active"]
    assert selectors.active_version(profile.pk) == second
    assert second.activated_at == NOW


def test_a_profile_with_faults_cannot_be_activated_and_says_all_of_them():
    version = draft(spec=document(fields={"Date": None, "Value": {"source": "nowhere"}}))
    with pytest.raises(services.UnableToActivate) as refusal:
        activate(version)
    assert {fault.pointer for fault in refusal.value.faults} == {"/fields/Date", "/format/columns"}
    assert "/fields/Date: must be mapped" in str(refusal.value)
    version.refresh_from_db()
    assert (version.status, version.activated_at) == ("draft", None)


def test_drafts_change_and_activated_versions_never_do():
    version = draft()
    services.update_draft(version=version, spec=document(null_texts=["-"]), note="second", by=None)
    version.refresh_from_db()
    assert (version.spec["null_texts"], version.note) == (["-"], "second")
    activate(version)
    for status in ("active", "retired"):
        ProfileVersion.objects.filter(pk=version.pk).update(status=status)
        with pytest.raises(services.UnableToActivate, match="never changes"):
            services.update_draft(version=version, spec={}, note="third", by=None)
    with pytest.raises(services.UnableToActivate, match="is retired; make a new draft"):
        activate(version)


def test_the_table_holds_one_active_version_of_a_profile():
    profile = DataProfileFactory()
    activate(draft(profile))
    draft(profile)
    with pytest.raises(IntegrityError, match="profile_has_one_active_version"), transaction.atomic():
        profile.versions.update(status="active")


def test_profiles_ask_for_permissions():
    version, someone = draft(), user_with("mediation.view_profileversion")
    with pytest.raises(PermissionDenied):
        draft(by=someone)
    with pytest.raises(PermissionDenied):
        activate(version, by=someone)
    activate(version, by=user_with("mediation.change_profileversion"))


# Bells


def test_a_bell_rings_once_however_many_ring_and_again_after_an_answer(django_capture_on_commit_callbacks):
    for _ in range(3):
        with django_capture_on_commit_callbacks(execute=True):
            services.ring("mediate", NOW)
    assert OrmQ.objects.count() == 1
    assert Bell.objects.get().rung_at == NOW
    services.answer("mediate", NOW)
    assert services.ring_now("mediate", NOW)
    assert not services.ring_now("mediate", NOW)
    assert OrmQ.objects.count() == 2


def test_a_bell_rung_in_a_transaction_that_rolls_back_was_not_rung(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        services.ring("mediate", NOW)
        transaction.set_rollback(True)
    assert (OrmQ.objects.count(), Bell.objects.count()) == (0, 0)


def test_the_one_who_comes_does_all_that_waits_and_calls_for_help_while_there_is_more(monkeypatch):
    monkeypatch.setattr(tasks, "MANY", 2)
    imports = [posted(feed_of(), event("a")) for _ in range(3)]
    Bell.objects.update_or_create(name="mediate", defaults={"is_ringing": True, "rung_at": NOW})
    tasks.mediate_waiting()
    assert [counts(one)[0] for one in imports] == ["completed"] * 3
    assert OrmQ.objects.count() == 1
    OrmQ.objects.all().delete()
    tasks.mediate_waiting()
    assert not Bell.objects.get(name="mediate").is_ringing
    assert OrmQ.objects.count() == 0


# Partitions


def partition_of(udr_name):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM mediation_udr WHERE udr_usage_identifier = %s", [udr_name])
        return cursor.fetchone()[0]


def test_no_date_can_be_refused_by_the_table_and_partitions_take_over_what_they_are_for():
    posted(feed_of(), event("old", date="1990-05-31T23:59:59.999999Z"), event("older", date="1990-04-30T23:59:59Z"))
    work()
    assert partition_of("old") == partition_of("older") == "mediation_udr_default"
    table = Udr._meta.db_table
    assert store.ensure_month_partitions(table, [date(1990, 5, 1)]) == 1
    assert partition_of("old") == "mediation_udr_1990_05"
    assert partition_of("older") == "mediation_udr_default"
    assert store.ensure_month_partitions(table, [date(1990, 5, 1)]) == 0
    assert Udr.objects.count() == 2
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO mediation_udr SELECT * FROM mediation_udr WHERE udr_usage_identifier = 'old'")


def test_partitions_are_made_ahead_and_twice_is_harmless():
    far = datetime(2040, 12, 15, tzinfo=UTC)
    assert services.make_partitions_ahead(now=far, back=1, ahead=2) == 4
    assert services.make_partitions_ahead(now=far, back=1, ahead=2) == 0


def test_months_around_a_day():
    months = store.months_around(date(2026, 1, 31), back=1, ahead=12)
    assert (months[0], months[1], months[-1], len(months)) == (
        date(2025, 12, 1),
        date(2026, 1, 1),
        date(2027, 1, 1),
        14,
    )


# COPY


@pytest.mark.parametrize("text", ["", "\\.", "\\N", '"', "a\nb\r\n", ",", "NULL", "☃", " "])
def test_texts_survive_copy_both_ways(text):
    frame = pl.DataFrame({"feed_id": [1], "udr_id": [1], "content_hash": ["0" * 32], "key": [text]})
    assert store.copy_in(frame, UdrKey._meta.db_table) == 1
    assert UdrKey.objects.get().key == text


def test_a_single_column_of_end_marks_loses_no_row():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE one (name text)")
    frame = pl.DataFrame({"name": ["a", "\\.", "b"]})
    assert store.copy_in(frame, "one") == 3


def test_null_and_empty_text_stay_apart():
    frame = pl.DataFrame({"id": [1, 2], "name": [None, ""]}, schema={"id": pl.Int64, "name": pl.String})
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE apart (id bigint, name text)")
        store.copy_in(frame, "apart")
        cursor.execute("SELECT name FROM apart ORDER BY id")
        assert cursor.fetchall() == [(None,), ("",)]


def test_classes_that_records_name_come_with_their_types():
    UsageClassFactory()
    assert selectors.catalogue().classes.rows()[0][0] == "calls"
    assert "Unknown" in selectors.catalogue().identifier_types["identifier_type_name"].to_list()
