"""Webhooks: who wants to be told of what, what happened, and each try to tell it."""

import uuid
from typing import Any

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Q

from ingestion.models import Feed


def new_uid() -> uuid.UUID:
    return uuid.uuid4()


def usual_thresholds() -> list[int]:
    return [80, 100]


class EventType(models.TextChoices):
    IMPORT_FINISHED = "import.finished", "an import is finished"
    EXCEPTIONS_OPENED = "exceptions.opened", "exceptions were opened"
    FEED_SILENT = "feed.silent", "a feed is silent"
    STATEMENT_CLOSED = "statement.closed", "a statement is closed"
    BUCKET_THRESHOLD = "bucket.threshold", "a bucket is drawn to a threshold"
    TEST = "test", "test"


class WebhookEndpoint(models.Model):
    """An address outside that is told of events, as far as its owner may see them.

    Its secret is made from the house's own and the salt: whoever reads the table cannot sign.
    """

    name = models.CharField(max_length=200, unique=True)
    url = models.TextField(
        "address",
        help_text="Where events are sent, such as https://billing.example/sluice.",
        validators=[MaxLengthValidator(2_000)],
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The service user that receives. It is told only of what it may see.",
    )
    events = models.JSONField(help_text="What it is told of.")
    feeds = models.ManyToManyField(
        Feed, blank=True, related_name="+", help_text="Empty: every feed that the owner may see."
    )
    thresholds = models.JSONField(
        default=usual_thresholds, help_text="At which shares of a bucket's grant it is told, in percent."
    )
    is_enabled = models.BooleanField("enabled", default=True)
    secret_salt = models.CharField(max_length=64, editable=False)
    secret_check = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the secret.")
    previous_salt = models.CharField(max_length=64, blank=True, editable=False)
    previous_until = models.DateTimeField(null=True, editable=False, help_text="Until when the one before signs too.")
    created_at = models.DateTimeField(editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="Tries that failed, one after another.")
    failing_since = models.DateTimeField(null=True, editable=False)
    rests_until = models.DateTimeField(null=True, editable=False, help_text="It failed; nothing is sent before.")
    disabled_reason = models.TextField(blank=True, editable=False, help_text="Why the house stopped sending.")

    class Meta:
        verbose_name = "webhook endpoint"
        permissions = [("send_webhookendpoint", "Can send test events to webhook endpoints")]

    def __str__(self) -> str:
        return self.name


class WebhookEvent(models.Model):
    """Something that happened, written by triggers in the transaction in which it did, if any endpoint wants it.

    A worker spreads it: one delivery for each endpoint that wants it and may know.
    """

    uid = models.UUIDField(default=new_uid, unique=True, db_default=models.Func(function="gen_random_uuid"))
    type = models.CharField(max_length=20, choices=EventType)
    key = models.CharField(max_length=100, null=True, unique=True, help_text="Of what happens once.")  # noqa: DJ001
    feed_id = models.BigIntegerField("feed", null=True)
    subject_id = models.BigIntegerField(null=True, help_text="The import, notice, statement or grant.")
    threshold = models.PositiveSmallIntegerField(null=True)
    occurred_at = models.DateTimeField()
    numbers = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    due_at = models.DateTimeField(help_text="When it is spread at the earliest.")
    spread_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        verbose_name = "webhook event"
        indexes = [
            models.Index(fields=["due_at"], condition=Q(spread_at__isnull=True), name="webhook_event_to_spread"),
            models.Index(fields=["occurred_at"], name="webhook_event_occurred"),
            models.Index(
                fields=["feed_id", "spread_at"],
                condition=Q(type="exceptions.opened"),
                name="webhook_event_of_exceptions",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.uid}"


class WebhookDelivery(models.Model):
    """An event on its way to an endpoint: tried until it is taken, or for three days."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        DELIVERED = "done", "delivered"
        GIVEN_UP = "failed", "given up"

    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    body = models.TextField(help_text="As it is sent, each time the same.")
    status = models.CharField(max_length=7, choices=Status, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0, help_text="Since it was sent first, or sent again by hand.")
    created_at = models.DateTimeField()
    next_try_at = models.DateTimeField(null=True)
    give_up_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        default_permissions = ("view",)
        permissions = [("replay_webhookdelivery", "Can send webhook deliveries again")]
        constraints = [models.UniqueConstraint(fields=["event", "endpoint"], name="webhook_delivery_once")]
        indexes = [
            models.Index(
                fields=["endpoint", "next_try_at"], condition=Q(status="waiting"), name="webhook_delivery_waiting"
            ),
            models.Index(fields=["endpoint", "status", "created_at"], name="webhook_delivery_of_endpoint"),
            models.Index(
                fields=["claimed_until"], condition=Q(claimed_until__isnull=False), name="webhook_delivery_claimed"
            ),
        ]

    def __str__(self) -> str:
        return f"Delivery {self.pk}"


class WebhookAttempt(models.Model):
    """One try to deliver, and what the other side said."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField()
    status_code = models.PositiveSmallIntegerField("status", null=True, help_text="Empty: there was no answer.")
    answer = models.TextField(blank=True, help_text="Its first 1,000 characters.")
    error = models.TextField(blank=True)
    milliseconds = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"


def wants(event_type: str) -> Any:
    """The enabled endpoints that are told of events of a type."""
    return WebhookEndpoint.objects.filter(is_enabled=True, events__contains=[event_type])
