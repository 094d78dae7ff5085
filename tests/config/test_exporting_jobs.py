"""Exports in the background: made as the person who asked, with totals that add up, kept for a week."""

import csv
import io
from datetime import timedelta
from decimal import Decimal, localcontext

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from config import exporting, tasks
from config.exporting import jobs
from config.models import ExportJob
from ingestion.models import Feed, FeedGrant, UsageImport
from mediation.admin.export import Wish
from mediation.services import exporting as files
from mediation.services.exporting import Kind, UnableToExport
from rating.models import Charge
from tests.config.crowd import crowd
from tests.config.workbooks import sheets_of

Status = ExportJob.Status
RIGHTS = ("config.add_exportjob", "config.view_exportjob", "rating.view_charge", "ingestion.view_usageimport")

pytestmark = pytest.mark.django_db


def finance(*rights, name="finance", every_feed=True):
    user = User.objects.create(username=name, is_staff=True)
    for right in (*(rights or RIGHTS), *(["ingestion.every_feed"] if every_feed else [])):
        app_label, codename = right.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
    return user


def browser(user):
    client = Client()
    client.force_login(user)
    return client


def ask(user, *, screen="rating.Charge", query="", columns=("id", "amount", "currency"), kind=Kind.CSV):
    wish = Wish(query, tuple(columns), kind)
    return exporting.ask_for_export(screen=screen, wish=wish, told_filters=[], row_total=0, by=user, now=timezone.now())


def made(job):
    exporting.make_next_export(now=timezone.now())
    job.refresh_from_db()
    return job


def content(job):
    with default_storage.open(job.file_name) as file:
        return file.read()


def page(name, job):
    return reverse(f"admin:config_exportjob_{name}", args=[job.pk])


# Asked for


def test_the_button_of_a_lists_page_makes_a_job_and_rings(django_capture_on_commit_callbacks):
    crowd(1, 2)
    client = browser(finance())
    asked = {"to": "background", "column": ["id", "amount"], "as": "xlsx", "kind__exact": "charge"}
    OrmQ.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(reverse("admin:rating_charge_export_page"), asked)
    job = ExportJob.objects.latest("pk")
    assert response["Location"] == page("change", job)
    assert (job.screen, job.query, job.columns, job.kind) == (
        "rating.Charge",
        "kind__exact=charge",
        ["id", "amount"],
        "xlsx",
    )
    assert job.told_filters == [["kind", "charge"]]
    assert OrmQ.objects.count() == 1
    assert "0</strong> of about 2" in client.get(response["Location"]).content.decode()


def test_who_may_not_start_jobs_is_refused_on_the_page_and_in_the_service():
    user = finance("rating.view_charge")
    crowd(1, 1)
    client = browser(user)
    address = reverse("admin:rating_charge_export_page")
    assert "in the background" not in client.get(address).content.decode()
    assert client.post(address, {"to": "background"}).status_code == 403
    with pytest.raises(PermissionDenied):
        ask(user)


def test_nobody_has_more_than_a_few_waiting(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    user = finance()
    ask(user)
    with pytest.raises(UnableToExport, match="still to be made"):
        ask(user)


def test_a_refusal_is_told_on_the_page_with_the_choice_kept(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 0)
    client = browser(finance())
    asked = {"to": "background", "column": "id", "kind__exact": "charge"}
    response = client.post(reverse("admin:rating_charge_export_page"), asked, follow=True)
    shown = response.content.decode()
    assert "still to be made" in shown
    assert 'value="id" checked' in shown
    assert 'value="amount" checked' not in shown


# Made


@pytest.mark.parametrize("kind", list(Kind))
def test_a_file_is_made_of_the_filter_and_adds_up_to_its_totals(kind):
    crowd(1, 3)
    ExportJob.objects.all().delete()
    Charge.objects.filter(pk=Charge.objects.first().pk).update(amount=Decimal("12345678901234567890.12345678901"))
    job = made(ask(finance(), query="kind__exact=charge", kind=kind))
    assert job.status == Status.DONE, job.error
    assert (job.row_count, job.row_total) == (3, 3)
    assert job.byte_size == len(content(job))
    if kind == Kind.WORKBOOK:
        _, *rows = sheets_of(io.BytesIO(content(job)))["Rows"]
    else:
        _, *rows = csv.reader(io.StringIO(content(job).decode()))
    with localcontext(prec=100):
        added = sum(Decimal(row[1]) for row in rows)
    [total] = job.totals
    assert (total["rows"], Decimal(dict(total["sums"])["amount"])) == (3, added)
    assert job.expires_at - timezone.now() > timedelta(days=6)


def test_a_job_shows_the_feeds_that_were_granted_when_it_runs():
    crowd(1, 3)
    ExportJob.objects.all().delete()
    user = finance(every_feed=False)
    grant = FeedGrant.objects.create(user=user, feed=Feed.objects.get(name="Feed 2"))
    first = made(ask(user, screen="ingestion.UsageImport", columns=["file_name"]))
    assert content(first) == b"file_name\nmay-2.csv\n"
    second = ask(user, screen="ingestion.UsageImport", columns=["file_name"])
    grant.delete()
    assert content(made(second)) == b"file_name\n"
    # What was made is not given out any more either.
    assert browser(user).get(page("download", first)).status_code == 403
    assert browser(user).get(page("download", second)).status_code == 200


def test_a_job_of_who_may_not_see_the_list_any_more_is_refused():
    job = ask(user := finance())
    user.user_permissions.remove(Permission.objects.get(codename="view_charge"))
    assert made(job).status == Status.REFUSED
    assert "may not see" in job.error


def test_a_filter_that_is_not_understood_any_more_is_refused_in_words():
    job = made(ask(finance(), query="nothing__such=1"))
    assert job.status == Status.REFUSED
    assert "filter" in job.error
    assert "Traceback" not in job.error


def test_days_are_meant_in_the_zone_of_who_asked():
    crowd(1, 1)
    ExportJob.objects.all().delete()
    UsageImport.objects.update(received_at="2026-05-01T23:30:00Z")
    day = {"screen": "ingestion.UsageImport", "query": "received_at__from=2026-05-02", "columns": ["id"]}
    user = finance()
    with timezone.override("Europe/Vienna"):
        job = ask(user, **day)
    assert made(job).row_count == 1
    assert made(ask(user, **day)).row_count == 0


def test_a_crash_is_tried_again_and_parked_in_the_end(monkeypatch):
    def crash(*args, **kwargs):
        raise OSError("the disk is full")

    job = ask(finance())
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "write_export", crash)
        now = timezone.now()
        assert exporting.make_next_export(now=now)
        job.refresh_from_db()
        assert job.status == Status.RUNNING
        assert "disk is full" in job.error
        assert not exporting.jobs_waiting(now).exists()
        for _ in range(jobs.MAX_ATTEMPTS):
            now += 2 * jobs.CLAIM
            exporting.make_next_export(now=now)
    job.refresh_from_db()
    assert job.status == Status.ERRORED
    assert job.attempts == jobs.MAX_ATTEMPTS


def test_after_a_killed_worker_the_next_begins_anew_under_the_same_name():
    crowd(1, 2)
    ExportJob.objects.all().delete()
    job = ask(finance())
    claimed = jobs._claim(timezone.now())
    default_storage.save(claimed.file_name, io.BytesIO(b"half a file"))
    assert not exporting.make_next_export(now=timezone.now())
    assert exporting.make_next_export(now=timezone.now() + 2 * jobs.CLAIM)
    job.refresh_from_db()
    assert (job.status, job.attempts, job.file_name) == (Status.DONE, 2, claimed.file_name)
    assert content(job).startswith(b"id,amount,currency\n")


def test_one_export_is_made_at_a_time_so_that_workers_are_left_for_usage():
    user = finance()
    ask(user)
    second = ask(user)
    assert jobs._claim(timezone.now()) is not None
    assert jobs._claim(timezone.now()) is None
    second.refresh_from_db()
    assert second.status == Status.WAITING


def test_a_workbook_of_too_many_rows_is_refused_with_what_to_do(monkeypatch):
    crowd(1, 3)
    ExportJob.objects.all().delete()
    monkeypatch.setattr(files, "MOST_ROWS_OF_A_WORKBOOK", 2)
    job = made(ask(finance(), kind=Kind.WORKBOOK))
    assert job.status == Status.REFUSED
    assert "Export them as CSV" in job.error


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_progress_is_seen_while_the_file_is_written(monkeypatch):
    crowd(1, 3)
    ExportJob.objects.all().delete()
    job = ask(finance())
    monkeypatch.setattr(jobs, "TOLD_EVERY_SECONDS", 0)
    seen = []
    write = jobs.write_export

    def watched(export, target, *, kind, told):
        def told_and_seen(so_far):
            told(so_far)
            with told.connection.cursor() as cursor:
                cursor.execute("SELECT row_count, row_total FROM config_exportjob WHERE id = %s", [job.pk])
                seen.append(cursor.fetchone())

        # Somebody else's row comes in the middle: neither the file nor the totals have it.
        def one_more(so_far):
            if not seen:
                with told.connection.cursor() as cursor:
                    cursor.execute("UPDATE rating_charge SET amount = amount + 1000")
            told_and_seen(so_far)

        return write(export, target, kind=kind, told=one_more)

    monkeypatch.setattr(jobs, "write_export", watched)
    made(job)
    assert job.status == Status.DONE, job.error
    assert seen == [(0, 3), (3, 3)]
    with localcontext(prec=100):
        added = sum(Decimal(row["amount"]) for row in csv.DictReader(io.StringIO(content(job).decode())))
    assert added == Decimal(dict(job.totals[0]["sums"])["amount"])
    assert added < 1000
    assert connection.in_atomic_block is False


# Looked at, downloaded, expired


def test_the_page_shows_totals_and_leads_to_the_file():
    crowd(1, 2)
    ExportJob.objects.all().delete()
    client = browser(user := finance())
    job = made(ask(user))
    shown = client.get(page("change", job)).content.decode()
    assert page("download", job) in shown
    progress = client.get(page("progress", job)).json()
    assert progress["at_rest"]
    file = client.get(page("download", job))
    assert file["Content-Disposition"].startswith('attachment; filename="charge-')
    assert b"".join(file.streaming_content) == content(job)


def test_exports_of_others_are_seen_by_who_may_see_all():
    crowd(1, 1)
    ExportJob.objects.all().delete()
    job = made(ask(finance()))
    other = browser(finance(name="another"))
    assert "No export yet" in other.get(reverse("admin:config_exportjob_changelist")).content.decode()
    for name in ("download", "progress"):
        assert other.get(page(name, job)).status_code == 404
    overseer = browser(finance(*RIGHTS, "config.view_any_exportjob", name="overseer"))
    assert overseer.get(page("download", job)).status_code == 200
    without_list = browser(
        finance("config.view_exportjob", "config.view_any_exportjob", name="without the right to see charges")
    )
    assert without_list.get(page("download", job)).status_code == 403
    assert browser(finance("rating.view_charge", name="no jobs")).get(page("download", job)).status_code == 403


def test_a_file_whose_time_is_over_is_deleted_and_the_row_stays():
    client = browser(user := finance())
    job = made(ask(user))
    name = job.file_name
    assert default_storage.exists(name)
    assert exporting.expire_exports(now=timezone.now()) == 0
    assert exporting.expire_exports(now=timezone.now() + timedelta(days=8)) == 1
    job.refresh_from_db()
    assert job.status == Status.EXPIRED
    assert not default_storage.exists(name)
    assert client.get(page("download", job)).status_code == 404
    assert client.get(page("change", job)).status_code == 200


def test_the_bell_makes_what_waits():
    job = ask(finance())
    assert tasks.work_ready(timezone.now())["export"][0].exists()
    tasks.make_exports()
    job.refresh_from_db()
    assert job.status == Status.DONE
