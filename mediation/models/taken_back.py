"""UDRs that were taken back by themselves, by windows of backfills, and that count again."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class VoidedUdr(models.Model):
    """A UDR that was taken back by itself, while the batch that it lies in counts: its row stays, its key is free.

    It is written in the transaction that frees the key; rating takes back what was charged and then says so here.
    """

    id = models.BigIntegerField(primary_key=True, db_column="udr_id", help_text="The UDR.")
    udr_date = models.DateTimeField(help_text="When the usage happened, UTC.")
    feed_id = models.BigIntegerField()
    key = models.TextField(help_text="The key that it held.")
    import_id = models.BigIntegerField()
    record_number = models.BigIntegerField()
    requested_at = models.DateTimeField(
        help_text="When it was asked for: what came with the key before then is no usage, what comes later is."
    )
    request_id = models.UUIDField(help_text="The tracking id of the void or of the import that amends.")
    voided_at = models.DateTimeField()
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField()
    replaced_by = models.BigIntegerField(null=True, help_text="The UDR that amends it.")
    backfill_id = models.BigIntegerField(
        null=True, help_text="The backfill that took it back, whose window it lies in."
    )
    content_hash = models.UUIDField(null=True, help_text="Of the key that a backfill freed, so that it can come back.")
    settled_at = models.DateTimeField(null=True, help_text="When nothing that it was charged stood any more.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Of workers to take its charges back.")
    next_try_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "voided UDR"
        constraints = [models.CheckConstraint(name="voided_udr_needs_a_reason", condition=~Q(reason=""))]
        indexes = [
            models.Index(fields=["feed_id", "key"], name="voided_udr_key"),
            # Whoever mediates asks for these; a backfill takes back a million at once, and tells them by its window.
            models.Index(
                fields=["feed_id", "requested_at"],
                condition=Q(backfill_id__isnull=True),
                name="voided_udr_requested",
            ),
            models.Index(fields=["backfill_id"], condition=Q(backfill_id__isnull=False), name="voided_udr_by_backfill"),
            models.Index(fields=["request_id"], name="voided_udr_request"),
            models.Index(fields=["import_id"], name="voided_udr_import"),
            models.Index(fields=["id"], condition=Q(settled_at__isnull=True), name="voided_udr_unsettled"),
        ]

    def __str__(self) -> str:
        return f"voided UDR {self.pk}"


class BackfillWindow(models.Model):
    """The stretch of time that a backfill replaces in a feed, as mediation heeds it. Its number is the backfill's.

    held: its UDRs count nowhere and their keys are apart (under the number of the backfill, negative, in place of the
    feed's); counting: they took the place of what came before `counts_since`; gone: it was given up or taken back.
    """

    class Status(models.TextChoices):
        HELD = "held", "held"
        COUNTING = "counting", "counting"
        GONE = "gone", "gone"

    id = models.BigIntegerField(primary_key=True)
    feed_id = models.BigIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    status = models.CharField(max_length=8, choices=Status, default=Status.HELD)
    counts_since = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["feed_id"], condition=Q(status="counting"), name="backfill_window_counting")]

    def __str__(self) -> str:
        return f"window of backfill {self.pk}"


class RestoredUdr(models.Model):
    """A UDR that counts again after the backfill which took it back was reverted, and is to be charged again."""

    id = models.BigIntegerField(primary_key=True, db_column="udr_id", help_text="The UDR.")
    udr_date = models.DateTimeField()
    restored_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"restored UDR {self.pk}"
