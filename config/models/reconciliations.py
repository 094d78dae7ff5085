"""Months that were reconciled by a worker, because counting them takes longer than a reader waits."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class Reconciliation(models.Model):
    """What was received in a month (UTC) and what became of it, by feed and day, as it stood when it was counted."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        DONE = "done", "done"
        ERRORED = "errored", "errored"  # crashed too often; `error` holds the trace

    month = models.DateField(unique=True, help_text="Its first day.")
    status = models.CharField(max_length=7, choices=Status, default=Status.WAITING)
    asked_at = models.DateTimeField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    as_of = models.DateTimeField(null=True, help_text="The moment that the lines tell of.")
    took_seconds = models.DecimalField(max_digits=9, decimal_places=3, null=True)
    lines = models.JSONField(default=list, help_text="A list for each feed and day, see config.reconciliation.")
    error = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["id"], condition=Q(status__in=["waiting", "running"]), name="reconciliation_to_count"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%B %Y}"
