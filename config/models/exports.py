"""Exports that workers make in the background: what was asked, how far it is, and the file while it is kept."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class ExportJob(models.Model):
    """A list as one person filtered it, made into a file that is kept for some days; the row stays."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        DONE = "done", "done"
        REFUSED = "failed", "refused"  # `error` says why, in words for its owner
        ERRORED = "errored", "errored"  # crashed too often; `error` holds the trace
        EXPIRED = "expired", "file deleted"

    screen = models.CharField("list", max_length=100, help_text="The model that the list is of.")
    query = models.TextField(blank=True, help_text="The list's filter, as its address has it.")
    told_filters = models.JSONField("filter", default=list, help_text="The filter in words: pairs of what and which.")
    time_zone = models.CharField(max_length=64, default="UTC", help_text="In which the filter's days are meant.")
    columns = models.JSONField(help_text="The names of the columns, in their order.")
    kind = models.CharField("as", max_length=11, help_text="One of the kinds of mediation.services.exporting.")
    status = models.CharField(max_length=7, choices=Status, default=Status.WAITING)
    created_at = models.DateTimeField("asked")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    row_total = models.BigIntegerField("rows", help_text="Estimated until it runs, then counted.")
    row_count = models.BigIntegerField("rows written", default=0)
    totals = models.JSONField(default=list, help_text="By currency: rows, and pairs of column and exact sum, as texts.")
    feeds = models.JSONField(null=True, help_text="The feeds whose rows the file may hold; empty: every feed.")
    file_name = models.CharField(max_length=200, blank=True, help_text="In the file storage.")
    byte_size = models.BigIntegerField("bytes", null=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    expires_at = models.DateTimeField(null=True, help_text="When the file is deleted.")
    error = models.TextField(blank=True)

    class Meta:
        default_permissions = ("add", "view")
        permissions = [("view_any_exportjob", "Can view the exports of everybody, and their files")]
        indexes = [
            models.Index(fields=["id"], condition=Q(status__in=["waiting", "running"]), name="export_job_unfinished"),
            models.Index(fields=["expires_at"], condition=Q(status="done"), name="export_job_to_expire"),
            models.Index(fields=["created_by", "id"], name="export_job_owner"),
        ]
        constraints = [
            models.CheckConstraint(name="export_job_done_has_a_file", condition=~Q(status="done") | ~Q(sha256="")),
        ]

    def __str__(self) -> str:
        return f"Export {self.pk}"
