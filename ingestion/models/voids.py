"""Requests to take usage back by its key, and what became of each key."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ingestion.models.feeds import Feed


class UsageVoid(models.Model):
    """A request to take usage of a feed back; its counts are those of its keys."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        COMPLETED = "completed", "completed"
        ERRORED = "errored", "errored"  # crashed too often; `error` holds the trace; can be tried again

    tracking_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    reason = models.TextField(help_text="Why it is taken back; it stays with every UDR.")
    received_at = models.DateTimeField()
    received_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - none is not an empty one
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of the keys and the reason, in hex.")
    key_count = models.PositiveIntegerField("keys")
    voided_count = models.PositiveIntegerField("voided", default=0)
    already_voided_count = models.PositiveIntegerField("voided before", default=0)
    not_found_count = models.PositiveIntegerField("not found", default=0)
    refused_count = models.PositiveIntegerField("refused", default=0)
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    held_up_since = models.DateTimeField(null=True, help_text="Since when its feed was never free at its turn.")
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "void of usage"
        verbose_name_plural = "voids of usage"
        permissions = [("void_usage", "Can void and amend usage")]
        constraints = [
            models.UniqueConstraint(fields=["feed", "idempotency_key"], name="void_once_an_idempotency_key"),
            models.CheckConstraint(name="void_needs_a_reason", condition=~Q(reason="")),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(status="waiting"), name="usage_void_waiting")]

    def __str__(self) -> str:
        return f"void {self.tracking_id}"


class KeyToVoid(models.Model):
    """A key of a void request, and what became of the usage behind it."""

    class Outcome(models.TextChoices):
        WAITING = "waiting", "waiting"
        VOIDED = "voided", "voided"
        ALREADY_VOIDED = "already_voided", "voided before"
        NOT_FOUND = "not_found", "not found"
        REFUSED = "refused", "refused"

    void = models.ForeignKey(UsageVoid, on_delete=models.CASCADE, related_name="keys", db_index=False)
    number = models.PositiveSmallIntegerField(help_text="Its place in the request, from 1.")
    key = models.TextField()
    outcome = models.CharField(max_length=14, choices=Outcome, default=Outcome.WAITING)
    detail = models.TextField(blank=True, help_text="Why it was refused.")
    udr_id = models.BigIntegerField("UDR", null=True, help_text="The UDR that is voided by it, or was before.")

    class Meta:
        verbose_name = "key to void"
        verbose_name_plural = "keys to void"
        constraints = [models.UniqueConstraint(fields=["void", "number"], name="key_to_void_once")]

    def __str__(self) -> str:
        return f"key {self.number}"
