"""The life of an export in the background: asked for, claimed, made, downloaded, expired."""

import hashlib
import logging
import secrets
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config.models import ExportJob
from mediation import services as mediation
from mediation.admin import kit
from mediation.admin.export import Wish, changelist_of, export_of
from mediation.services.exporting import Export, Kind, UnableToExport, Written, write_export
from mediation.services.seeing import feeds_seen
from rating.store import is_alone

log = logging.getLogger(__name__)

Status = ExportJob.Status

KEPT = timedelta(days=7)
CLAIM = timedelta(seconds=60)
MAX_ATTEMPTS = 5
MOST_WAITING = 20  # of one person
TOLD_EVERY_SECONDS = 1.0
# Totals of many rows, and the storing of a large file, take minutes in which nothing is told.
HELD_EVERY_SECONDS = 10.0
# The worker's own limit is 30 minutes; what ends before it says why.
LONGEST_SECONDS = 1_500
ALONE = "config_exports"

PROGRESS = (
    "UPDATE config_exportjob SET row_count = %s, row_total = %s, claimed_until = %s WHERE id = %s AND attempts = %s"
)


def ask_for_export(
    *, screen: str, wish: Wish, told_filters: list[Any], row_total: int, by: User, now: datetime
) -> ExportJob:
    """Let workers make a file of a list; screen: the label of its model; row_total: an estimate, for the progress.

    Raises UnableToExport where the person has too many of them waiting, PermissionDenied.
    """
    mediation.require_permission(by, "config.add_exportjob")
    waiting = ExportJob.objects.filter(created_by=by, status__in=(Status.WAITING, Status.RUNNING)).count()
    if waiting >= MOST_WAITING:
        raise UnableToExport(f"{waiting} of your exports are still to be made. Ask again when some are done.")
    with transaction.atomic():
        job = ExportJob.objects.create(
            screen=screen,
            query=wish.query,
            time_zone=timezone.get_current_timezone_name(),
            told_filters=told_filters,
            columns=list(wish.columns),
            kind=wish.kind,
            created_at=now,
            created_by=by,
            row_total=row_total,
        )
        mediation.ring(name="export", now=now)
    return job


def jobs_waiting(now: datetime) -> QuerySet[ExportJob]:
    """Exports that a worker may claim: new ones, and those whose worker is gone."""
    unfinished = ExportJob.objects.filter(status__in=(Status.WAITING, Status.RUNNING))
    return unfinished.filter(Q(claimed_until=None) | Q(claimed_until__lt=now))


def make_next_export(*, now: datetime) -> bool:
    """Make the next file; False where none waits, or another is being made: exports leave workers to the usage."""
    job = _claim(now)
    if job is None:
        return False
    try:
        _make(job)
    except UnableToExport as refusal:
        _end(job, Status.REFUSED, error=str(refusal))
    except PermissionDenied:
        _end(job, Status.REFUSED, error="You may not see this list any more.")
    except Exception:
        log.exception("export crashed", extra={"export_id": job.pk})
        # Tried again when the claim has run out.
        ExportJob.objects.filter(pk=job.pk).update(error=traceback.format_exc())
    return True


@transaction.atomic
def _claim(now: datetime) -> ExportJob | None:
    """The oldest that waits. One whose workers died or crashed too often is parked."""
    if not is_alone(ALONE) or ExportJob.objects.filter(status=Status.RUNNING, claimed_until__gte=now).exists():
        return None
    job = jobs_waiting(now).select_for_update(of=("self",), skip_locked=True).order_by("attempts", "pk").first()
    if job is None:
        return None
    if job.attempts >= MAX_ATTEMPTS:
        said = job.error or f"The worker died in each of {MAX_ATTEMPTS} attempts."
        ExportJob.objects.filter(pk=job.pk).update(status=Status.ERRORED, error=said, claimed_until=None, ended_at=now)
        log.error("export parked", extra={"export_id": job.pk})
        return None
    ExportJob.objects.filter(pk=job.pk).update(
        status=Status.RUNNING,
        attempts=F("attempts") + 1,
        claimed_until=now + CLAIM,
        started_at=now,
        row_count=0,
        # Named before it is written, so that what a dead worker left is found; nobody can guess it.
        file_name=job.file_name or f"exports/{secrets.token_urlsafe(32)}.{Kind(job.kind).ending}",
    )
    return ExportJob.objects.select_related("created_by").get(pk=job.pk)


def _make(job: ExportJob) -> None:
    by = User.objects.get(pk=job.created_by_id)
    export = export_as(job, by)
    feeds = feeds_seen(by)
    with tempfile.NamedTemporaryFile() as target, _Progress(job) as told:
        written = write_export(export, target, kind=Kind(job.kind), told=told)
        target.flush()
        told.say(written)
        digest, size = _measured(target)
        _store(job.file_name, target)
    now = timezone.now()
    _end(
        job,
        Status.DONE,
        row_count=written.row_count,
        row_total=written.row_total,
        totals=[
            {
                "currency": total.currency,
                "rows": total.row_count,
                "sums": [(name, None if found is None else str(found)) for name, found in total.sums.items()],
            }
            for total in written.totals
        ],
        feeds=None if feeds is None else sorted(feeds),
        byte_size=size,
        sha256=digest,
        expires_at=now + KEPT,
        error="",
    )


def export_as(job: ExportJob, by: User) -> Export:
    """The list in the job's filter as `by` sees it now: permissions and feeds are asked anew.

    Raises PermissionDenied, and UnableToExport where the list or its filter is not there any more.
    """
    screen = screen_of(job)
    if not _sees_list(screen, by):
        raise PermissionDenied
    request = _asking(by)
    columns = screen.export_columns()
    if gone := [name for name in job.columns if name not in columns]:
        raise UnableToExport(f"The list has no column {gone[0]!r} any more. Ask for the export again.")
    with timezone.override(ZoneInfo(job.time_zone)):
        rows = changelist_of(screen, request, job.query).queryset
    return export_of(screen, rows, tuple(job.columns))


def _sees_list(screen: kit.ModelAdmin, by: User) -> bool:
    """As the list itself lets people in: some ask for another right than their model's own."""
    return bool(by.is_active and screen.has_view_permission(_asking(by)))


def _asking(by: User) -> HttpRequest:
    request = HttpRequest()
    request.method, request.user = "GET", by
    return request


def screen_of(job: ExportJob) -> kit.ModelAdmin:
    """The list that a job exports."""
    for model, screen in admin.site._registry.items():
        if model._meta.label == job.screen and isinstance(screen, kit.ModelAdmin):
            return screen
    raise UnableToExport(f"There is no list of {job.screen} any more.")


def _measured(target: Any) -> tuple[str, int]:
    target.seek(0)
    digest = hashlib.file_digest(target, "sha256").hexdigest()
    return digest, target.tell()


def _store(name: str, target: Any) -> None:
    default_storage.delete(name)  # what an earlier attempt left
    target.seek(0)
    saved = default_storage.save(name, File(target))
    if saved != name:
        raise RuntimeError(f"the storage named the file {saved}")


def _end(job: ExportJob, status: str, **found: Any) -> None:
    """Let the job be at rest, unless another worker has taken it meanwhile."""
    own = ExportJob.objects.filter(pk=job.pk, attempts=job.attempts, status=Status.RUNNING)
    own.update(status=status, ended_at=timezone.now(), claimed_until=None, **found)


class _Progress:
    """Tells how far a job is and holds the claim, over a connection of its own: the job's is in one long transaction.

    A thread does it, whatever the job is at; it ends with the worker, or when the job has taken too long.
    """

    def __init__(self, job: ExportJob) -> None:
        self.job, self.connection = job, connection.copy()
        self.connection.inc_thread_sharing()
        self.began_at = self.told_at = time.monotonic()
        self.latest = Written()
        self.speaking, self.is_over = threading.Lock(), threading.Event()
        self.holder = threading.Thread(target=self._hold, name=f"export-{job.pk}", daemon=True)

    def __enter__(self) -> "_Progress":
        self.holder.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self.is_over.set()
        self.holder.join()
        self.connection.close()

    def __call__(self, so_far: Written) -> None:
        at = time.monotonic()
        if self._is_too_long(at):
            raise UnableToExport(
                f"It took more than {LONGEST_SECONDS // 60} minutes. Filter the list, or export it month by month."
            )
        self.latest = so_far
        if at - self.told_at >= TOLD_EVERY_SECONDS:
            self.told_at = at
            self.say(so_far)

    def _is_too_long(self, at: float) -> bool:
        return at - self.began_at > LONGEST_SECONDS

    def _hold(self) -> None:
        while not self.is_over.wait(HELD_EVERY_SECONDS) and not self._is_too_long(time.monotonic()):
            try:
                self.say(self.latest)
            except DatabaseError:
                log.warning("export could not hold its claim", exc_info=True, extra={"export_id": self.job.pk})
                with self.speaking:
                    self.connection.close()

    def say(self, so_far: Written) -> None:
        claimed_until = timezone.now() + CLAIM
        told: list[Any] = [so_far.row_count, so_far.row_total, claimed_until, self.job.pk, self.job.attempts]
        with self.speaking, self.connection.cursor() as cursor:
            cursor.execute(PROGRESS, told)


def may_download(job: ExportJob, by: User) -> bool:
    """Whether a person may have the file: it is his or he may see all, and he still sees the list and its feeds."""
    if job.created_by_id != by.pk and not by.has_perm("config.view_any_exportjob"):
        return False
    if not _sees_list(screen_of(job), by):
        return False
    seen = feeds_seen(by)
    return seen is None or (job.feeds is not None and seen.issuperset(job.feeds))


def open_file(job: ExportJob) -> BinaryIO | None:
    """The bytes of a finished export; None where it is expired, or the storage has lost it."""
    if job.status != Status.DONE or (job.expires_at and job.expires_at < timezone.now()):
        return None
    try:
        return default_storage.open(job.file_name, "rb")  # type: ignore[return-value]
    except FileNotFoundError:
        return None


def expire_exports(*, now: datetime, delete: Callable[[str], None] = default_storage.delete) -> int:
    """Delete the files whose time is over, and what was left of jobs that failed; returns how many."""
    over = Q(status=Status.DONE, expires_at__lt=now)
    failed = Q(status__in=(Status.REFUSED, Status.ERRORED)) & ~Q(file_name="")
    expired = list(ExportJob.objects.filter(over | failed).order_by("pk")[:1_000])
    for job in expired:
        if job.file_name:
            delete(job.file_name)
        status = Status.EXPIRED if job.status == Status.DONE else job.status
        ExportJob.objects.filter(pk=job.pk).update(status=status, file_name="")
    return len(expired)
