"""What one person asked for and a second one decides."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class Approval(models.Model):
    """An act that needs a second person: asked for by one, decided by another, carried out once.

    fingerprint: of what the act is about, as it was when it was asked for; what changed since has to be asked for anew.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        APPROVED = "approved", "approved"
        REFUSED = "refused", "refused"
        WITHDRAWN = "withdrawn", "withdrawn"
        EXPIRED = "expired", "expired"

    act = models.CharField(max_length=40)
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    summary = models.TextField("what is asked for")
    arguments = models.JSONField(help_text="What the act is given; rows by their numbers.")
    value = models.DecimalField(
        max_digits=38, decimal_places=11, null=True, help_text="What it may be worth. Empty: nobody knows."
    )
    subject_label = models.CharField(max_length=100, help_text="The model of what it is about.")
    subject_id = models.CharField(max_length=40, blank=True, help_text="Empty: of many.")
    feeds = models.JSONField(default=list, help_text="The feeds whose usage it is about, by their numbers.")
    request_hash = models.CharField(max_length=64, help_text="Of the act and its arguments.")
    fingerprint = models.CharField(max_length=64)
    asked_at = models.DateTimeField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    why = models.TextField("reason", blank=True)
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decision = models.TextField("what the second person said", blank=True)
    outcome = models.TextField("what was done", blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("decide_approval", "Can approve or refuse what others ask for")]
        constraints = [
            models.CheckConstraint(
                name="nobody_approves_their_own",
                condition=Q(decided_by__isnull=True) | Q(status="withdrawn") | ~Q(decided_by=F("asked_by")),
            ),
            models.CheckConstraint(
                name="an_approval_is_decided_by_somebody",
                condition=Q(status__in=["waiting", "expired"], decided_by__isnull=True, decided_at__isnull=True)
                | Q(
                    status__in=["approved", "refused", "withdrawn"],
                    decided_by__isnull=False,
                    decided_at__isnull=False,
                ),
            ),
            models.CheckConstraint(name="a_refusal_says_why", condition=~Q(status="refused") | ~Q(decision="")),
            models.UniqueConstraint(
                fields=["request_hash"], condition=Q(status="waiting"), name="approval_is_asked_for_once"
            ),
        ]
        indexes = [models.Index(fields=["subject_label"], condition=Q(status="waiting"), name="approval_waiting")]

    def __str__(self) -> str:
        return self.summary if len(self.summary) <= 100 else f"{self.summary[:99]}…"

    def is_open(self, now: datetime) -> bool:
        return self.status == self.Status.WAITING and self.expires_at > now
