"""The claim of an export is held for as long as it is made, whatever it is at; its file is given to whoever sees it."""

import time
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from config.exporting import jobs
from config.models import ExportJob
from tests.config.test_exporting_jobs import ask, browser, finance, made, page

pytestmark = pytest.mark.django_db
Status = ExportJob.Status


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("step", ["write_export", "_store"])
def test_a_step_that_tells_nothing_for_longer_than_a_claim_is_not_taken_for_dead(monkeypatch, step):
    monkeypatch.setattr(jobs, "CLAIM", timedelta(seconds=0.4))
    monkeypatch.setattr(jobs, "HELD_EVERY_SECONDS", 0.05)
    claimed, usual = [], getattr(jobs, step)

    def slow(*args, **kwargs):
        time.sleep(1)
        claimed.append(jobs.jobs_waiting(timezone.now()).exists())
        return usual(*args, **kwargs)

    monkeypatch.setattr(jobs, step, slow)
    job = made(ask(finance()))
    assert claimed == [False]
    assert (job.status, job.attempts) == (Status.DONE, 1)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_worker_that_was_given_up_does_not_hold_the_claim_of_the_next():
    ask(finance())
    first = jobs._claim(timezone.now())
    second = jobs._claim(timezone.now() + 2 * jobs.CLAIM)
    with jobs._Progress(first) as told:
        told.say(jobs.Written(row_count=7))
    held = ExportJob.objects.get(pk=second.pk)
    assert (held.row_count, held.claimed_until) == (0, second.claimed_until)


@pytest.mark.parametrize(
    ("screen", "right"),
    [
        ("ingestion.GroupCorrection", "ingestion.view_importexception"),
        ("rating.ExceptionRerate", "rating.view_ratingexception"),
    ],
)
def test_a_list_that_asks_for_another_right_than_its_models_own_can_be_downloaded(screen, right):
    user = finance("config.add_exportjob", "config.view_exportjob", right)
    name = screen.lower().replace(".", "_")
    assert browser(user).get(reverse(f"admin:{name}_changelist")).status_code == 200
    job = made(ask(user, screen=screen, columns=["id"]))
    assert job.status == Status.DONE
    assert browser(user).get(page("download", job)).status_code == 200
    user.user_permissions.clear()
    assert browser(user).get(page("download", job)).status_code in (403, 404)
