"""The import history, its bytes and its chunks."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ingestion.core.bodies import Body, Shape
from ingestion.models.backfills import Backfill
from ingestion.models.feeds import Feed
from mediation.models import ProfileVersion


class UsageImport(models.Model):
    """One submission or file: a line of the import history."""

    class Source(models.TextChoices):
        API = "api", "API"
        COMMAND = "command", "command line"
        UPLOAD = "upload", "upload"
        PICKUP = "pickup", "pick-up"

    class Status(models.TextChoices):
        RECEIVED = "received", "received"  # a file is stored, its chunks are not known yet
        WAITING = "waiting", "waiting"  # chunks are known, none is done
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"  # refused as a whole; `error` says why
        ERRORED = "errored", "errored"  # crashed too often; `error` holds the trace; can be tried again

    tracking_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="imports")
    profile_version = models.ForeignKey(ProfileVersion, on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=10, choices=Source)
    status = models.CharField(max_length=10, choices=Status)
    attempt = models.PositiveSmallIntegerField(default=1, help_text="How many times it was mediated as a whole.")
    file_name = models.CharField(max_length=500, blank=True)
    payload = models.FileField(null=True, blank=True, help_text="The file as received, named by its content hash.")
    unpacked = models.FileField(
        null=True,
        blank=True,
        help_text="What a packed file, or a workbook, was written out to.",
    )
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of the bytes as received, in hex.")
    byte_size = models.BigIntegerField()
    header = models.JSONField(null=True, help_text="The column names of a file that names its columns.")
    file_fields = models.JSONField(null=True, help_text="What its header and trailer records say.")
    received_at = models.DateTimeField()
    received_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    amend_reason = models.TextField(
        blank=True,
        default="",
        db_default="",
        help_text="Why its records take the place of what their keys stand for; empty: they are new usage.",
    )
    backfill = models.ForeignKey(
        Backfill,
        on_delete=models.PROTECT,
        null=True,
        related_name="imports",
        db_index=False,
        help_text="The backfill that it was sent into; its UDRs count once that is closed.",
    )
    request_id = models.CharField(
        "request",
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="As its sender, the log and the audit call the request that it came by.",
    )
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    plan_attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    record_count = models.BigIntegerField(default=0)
    imported_count = models.BigIntegerField("imported", default=0)
    exception_count = models.BigIntegerField("exceptions", default=0)
    skipped_count = models.BigIntegerField("skipped", default=0)
    duplicate_count = models.BigIntegerField("duplicates", default=0)
    repaired_count = models.BigIntegerField("repaired", default=0, help_text="Of the imported, by the profile's rules.")
    waiting_count = models.BigIntegerField("waiting", default=0, help_text="Received, not mediated yet.")

    class Meta:
        verbose_name = "usage import"
        verbose_name_plural = "usage import history"
        permissions = [("reprocess_usageimport", "Can reprocess usage imports")]
        constraints = [
            models.CheckConstraint(
                name="every_record_has_one_outcome",
                condition=Q(
                    record_count=F("imported_count")
                    + F("exception_count")
                    + F("skipped_count")
                    + F("duplicate_count")
                    + F("waiting_count")
                ),
            ),
            models.CheckConstraint(
                name="a_completed_import_waits_for_nothing", condition=~Q(status="completed") | Q(waiting_count=0)
            ),
            models.CheckConstraint(
                name="import_counts_are_not_negative",
                condition=Q(
                    imported_count__gte=0,
                    exception_count__gte=0,
                    skipped_count__gte=0,
                    duplicate_count__gte=0,
                    waiting_count__gte=0,
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["feed", "content_hash"], name="usage_import_same_file"),
            models.Index(fields=["received_at"], name="usage_import_received"),
            models.Index(fields=["id"], condition=Q(status="received"), name="usage_import_to_plan"),
            models.Index(fields=["file_name"], condition=~Q(file_name=""), name="usage_import_by_file"),
            models.Index(fields=["backfill"], condition=Q(backfill__isnull=False), name="usage_import_of_backfill"),
        ]

    def __str__(self) -> str:
        return f"{self.file_name or self.source} {self.tracking_id}"


class ImportBody(models.Model):
    """The body of an API submission, as received; written in the transaction that accepts it."""

    usage_import = models.OneToOneField(
        UsageImport, on_delete=models.CASCADE, primary_key=True, related_name="body", db_column="import_id"
    )
    content = models.BinaryField(help_text="Unpacked, if it came packed.")
    shape = models.CharField(
        max_length=10,
        choices=[(shape.value, shape.value) for shape in Shape],
        default=Shape.JSON,
        db_default=Shape.JSON.value,
        help_text="How its records stand in it.",
    )
    header_lines = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many of its first lines name its columns, and hold no record."
    )

    def __str__(self) -> str:
        return f"body of import {self.pk}"

    @property
    def as_sent(self) -> Body:
        """What its records are read from."""
        return Body(self.pk, bytes(self.content), self.shape, self.header_lines)


class ImportChunk(models.Model):
    """A part of an import that one transaction decides: the work row, and the ledger of outcomes.

    An import's counters are the sums of its chunks' counters of the current attempt. Records that a correction moves
    out of the exceptions are a chunk of their own, with a negative exception count.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        CLAIMED = "claimed", "claimed"
        DONE = "done", "done"
        ERRORED = "errored", "errored"

    usage_import = models.ForeignKey(
        UsageImport, on_delete=models.CASCADE, related_name="chunks", db_column="import_id", db_index=False
    )
    attempt = models.PositiveSmallIntegerField(default=1)
    number = models.PositiveIntegerField()
    feed_id = models.BigIntegerField()
    profile_version_id = models.BigIntegerField()
    byte_start = models.BigIntegerField(null=True, help_text="Empty: the whole body of an API submission.")
    byte_end = models.BigIntegerField(null=True)
    first_record_number = models.BigIntegerField(default=1)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    batch_id = models.BigIntegerField(null=True, help_text="The UDR batch that it wrote.")
    imported_count = models.IntegerField(default=0)
    exception_count = models.IntegerField(default=0)
    skipped_count = models.IntegerField(default=0)
    duplicate_count = models.IntegerField(default=0)
    repaired_count = models.IntegerField(default=0, help_text="Of the imported.")
    waiting_count = models.IntegerField(default=0, help_text="Known to be in it while it is not done.")
    ended_at = models.DateTimeField(null=True)
    correction_id = models.BigIntegerField(null=True, help_text="The group correction that entered it.")
    amends = models.BooleanField(default=False, db_default=False, help_text="Its import has a reason to amend.")
    backfill_id = models.BigIntegerField(null=True, help_text="The backfill that its import was sent into.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["usage_import", "attempt", "number"], name="import_chunk_once"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status__in=["waiting", "claimed"]), name="import_chunk_to_mediate"),
            models.Index(
                fields=["feed_id", "usage_import"],
                condition=Q(amends=True, status__in=["waiting", "claimed"]),
                name="import_chunk_to_amend",
            ),
            models.Index(
                fields=["correction_id"], condition=Q(correction_id__isnull=False), name="import_chunk_of_correction"
            ),
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of import {self.usage_import_id}"


class IdempotencyKey(models.Model):
    """A submission's Idempotency-Key and what it was answered with; kept as long as the import."""

    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    content_hash = models.CharField(max_length=64)
    usage_import = models.ForeignKey(UsageImport, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["feed", "key"], name="idempotency_key_once_a_feed")]

    def __str__(self) -> str:
        return self.key
