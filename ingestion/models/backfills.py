"""Backfills: a stretch of past time of a feed that is sent again as a whole."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ingestion.models.feeds import Feed


class Backfill(models.Model):
    """A window of a feed whose usage is replaced, in one step, by what was sent into the backfill.

    open -> closing -> closed -> reverting -> reverted, or open -> abandoning -> abandoned.
    Workers do what ends in -ing.
    """

    class Status(models.TextChoices):
        OPEN = "open", "open"
        CLOSING = "closing", "closing"
        CLOSED = "closed", "closed"
        REVERTING = "reverting", "reverting"
        REVERTED = "reverted", "reverted"
        ABANDONING = "abandoning", "abandoning"
        ABANDONED = "abandoned", "abandoned"

    tracking_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    starts_at = models.DateTimeField(help_text="Belongs to the window.")
    ends_at = models.DateTimeField(help_text="The first moment behind it.")
    reason = models.TextField(help_text="Why it is sent again; it stays with every UDR that is replaced.")
    opened_at = models.DateTimeField()
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField(null=True, help_text="When it was last asked to be closed, reverted or abandoned.")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True, help_text="When it was reverted or abandoned.")
    refusal = models.TextField(blank=True, help_text="Why what was asked for last was not done.")
    udr_count = models.PositiveBigIntegerField("UDRs", default=0, help_text="Its own, that count since it was closed.")
    replaced_count = models.PositiveBigIntegerField("replaced UDRs", default=0)
    left_out_count = models.PositiveBigIntegerField(
        "left out",
        default=0,
        help_text="Its own whose key was taken outside of the window, or voided, before it was closed.",
    )
    restored_count = models.PositiveBigIntegerField("restored UDRs", default=0)
    difference = models.JSONField(null=True, help_text="What closing it changed, by usage class.")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        permissions = [("backfill_usage", "Can open, close, revert and abandon backfills")]
        constraints = [
            models.CheckConstraint(name="backfill_needs_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(name="backfill_ends_after_it_starts", condition=Q(ends_at__gt=F("starts_at"))),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(status__in=["closing", "reverting", "abandoning"]),
                name="backfill_to_work",
            ),
        ]

    def __str__(self) -> str:
        return f"backfill {self.tracking_id}"
