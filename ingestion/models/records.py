"""Records that became neither UDR nor exception: left out, or parts that wait for the others of theirs."""

from django.db import models
from django.db.models import Q

from ingestion.models.imports import UsageImport


class LeftOutRecord(models.Model):
    """A record that became neither a UDR nor an exception: skipped by a filter, or a duplicate."""

    class Outcome(models.TextChoices):
        SKIPPED = "skipped", "skipped"
        DUPLICATE = "duplicate", "duplicate"

    usage_import = models.ForeignKey(
        UsageImport,
        on_delete=models.DO_NOTHING,
        related_name="left_out",
        db_column="import_id",
        db_index=False,
        db_constraint=False,
    )
    attempt = models.PositiveSmallIntegerField()
    record_number = models.BigIntegerField()
    outcome = models.CharField(max_length=10, choices=Outcome)
    reason = models.CharField(max_length=200, help_text="The filter that skipped it, or its uniqueness key.")
    udr_id = models.BigIntegerField(null=True, help_text="The UDR that a duplicate repeats.")

    class Meta:
        verbose_name = "left-out record"
        constraints = [
            models.UniqueConstraint(fields=["usage_import", "attempt", "record_number"], name="left_out_once_a_record")
        ]
        indexes = [models.Index(fields=["udr_id"], condition=Q(outcome="duplicate"), name="left_out_repeats")]

    def __str__(self) -> str:
        return f"{self.outcome} record {self.record_number}"


class WaitingPart(models.Model):
    """A row that makes a record only together with others: it waits for them, or a row of another place carries it.

    One for each such row, whatever attempt read it last. A part that another import's record has taken stays taken when
    its own import is mediated again.
    """

    feed_id = models.BigIntegerField()
    key = models.TextField(db_collation="C", help_text="What the rows of one record share.")
    role = models.TextField(blank=True)
    usage_import = models.ForeignKey(
        UsageImport,
        on_delete=models.DO_NOTHING,
        related_name="waiting_parts",
        db_column="import_id",
        db_index=False,
        db_constraint=False,
    )
    attempt = models.PositiveSmallIntegerField()
    record_number = models.BigIntegerField()
    raw = models.TextField("record as received")
    received_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="When a part that still waits becomes an exception.")
    record_import_id = models.BigIntegerField(null=True, help_text="Empty while it waits: the import of its record.")
    record_attempt = models.PositiveSmallIntegerField(null=True)
    record_row = models.BigIntegerField(null=True, help_text="The number of the row that carries its record.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["usage_import", "record_number"], name="waiting_part_once_a_row"),
            models.CheckConstraint(
                name="a_part_waits_or_has_its_record",
                condition=Q(record_import_id=None, record_attempt=None, record_row=None)
                | Q(record_import_id__isnull=False, record_attempt__isnull=False, record_row__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["feed_id", "key"], name="waiting_part_by_key"),
            models.Index(fields=["expires_at"], condition=Q(record_import_id=None), name="waiting_part_expires"),
            models.Index(
                fields=["record_import_id"], condition=Q(record_import_id__isnull=False), name="waiting_part_taken"
            ),
        ]

    def __str__(self) -> str:
        return f"part {self.key}"
