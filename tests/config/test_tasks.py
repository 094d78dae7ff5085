"""Bells that nobody heard ring again, and the clock's rows are set once."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from config import tasks
from config.schedules import SCHEDULES, set_schedules
from ingestion.services import pickups
from ingestion.store import places
from mediation.models import Bell

pytestmark = pytest.mark.django_db


def test_a_bell_that_rang_unheard_gets_another_task(django_capture_on_commit_callbacks):
    long_ago = timezone.now() - timedelta(minutes=2)
    Bell.objects.create(name="pulse", is_ringing=True, rung_at=long_ago)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sweep()
    assert Bell.objects.get(name="pulse").rung_at > long_ago
    assert OrmQ.objects.count() == 1


def test_a_bell_that_rings_since_just_now_is_left_alone(django_capture_on_commit_callbacks):
    just_now = timezone.now() - timedelta(seconds=5)
    Bell.objects.create(name="pulse", is_ringing=True, rung_at=just_now)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sweep()
    assert Bell.objects.get(name="pulse").rung_at == just_now
    assert OrmQ.objects.count() == 0


def test_the_pulse_is_answered():
    Bell.objects.create(name="pulse", is_ringing=True, rung_at=timezone.now())
    tasks.pulse()
    bell = Bell.objects.get(name="pulse")
    assert not bell.is_ringing
    assert bell.answered_at >= bell.rung_at


def test_schedules_are_set_once_and_keep_their_next_run():
    set_schedules()
    planned = timezone.now() + timedelta(hours=3)
    Schedule.objects.filter(name="make partitions").update(next_run=planned)
    set_schedules()
    assert Schedule.objects.count() == len(SCHEDULES)
    assert Schedule.objects.get(name="make partitions").next_run == planned


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_every_schedule_names_a_task_that_there_is(schedule):
    module, _, name = schedule["func"].rpartition(".")
    assert module == tasks.__name__
    assert callable(getattr(tasks, name))


def test_the_longest_transfer_and_what_follows_it_end_well_before_their_task_is_killed(monkeypatch):
    monkeypatch.setattr("django_q.scheduler.close_old_django_connections", lambda: None)
    set_schedules()
    Schedule.objects.exclude(name="poll pick-up locations").delete()
    Schedule.objects.update(next_run=timezone.now() - timedelta(minutes=1))
    scheduler()
    [queued] = [row.task for row in OrmQ.objects.all()]
    assert (queued["func"], queued["kwargs"]) == ("config.tasks.poll_pickups", {})
    at_most = pickups.MOST_SECONDS_OF_ALL + pickups.MOST_SECONDS + places.LONGEST_SECONDS
    assert at_most + 600 < queued["timeout"] < settings.Q_CLUSTER["retry"]
    assert places.LONGEST_SECONDS * 10_000_000 > 5 * 2**30
