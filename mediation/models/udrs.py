"""The UDR, the batches that UDRs are written in, and the keys by which they are known."""

from django.db import models
from django.db.models import Q

from mediation.models.words import IdentifierType, UsageClass

# A UDR's id is its batch's id and its place in the batch in one number (17 bits: at most 131,071 UDRs a batch), so that
# the primary key is the index by batch, and the same batch cannot be written twice.
UDR_ID_BITS = 17
MAX_UDRS_PER_BATCH = (1 << UDR_ID_BITS) - 1


class UdrBatch(models.Model):
    """The UDRs of one import that one transaction wrote, and how far they have come.

    staged (written by a reprocess that is not finished) -> mediated -> rated; a reprocess supersedes the batches of the
    attempt before, and rating reverses what it charged for those. held: of a backfill that is not closed; it counts
    nowhere until it is.
    """

    class Status(models.TextChoices):
        HELD = "held", "held"
        STAGED = "staged", "staged"
        MEDIATED = "mediated", "mediated"
        RATED = "rated", "rated"
        SUPERSEDED = "superseded", "superseded"
        REVERSED = "reversed", "reversed"
        ERRORED = "errored", "errored"

    status = models.CharField(max_length=10, choices=Status, default=Status.MEDIATED)
    feed_id = models.BigIntegerField(help_text="The feed that the usage came by.")
    import_id = models.BigIntegerField(db_index=True, help_text="The usage import that it is a part of.")
    udr_count = models.PositiveIntegerField()
    uncharged_count = models.PositiveIntegerField(
        default=0, help_text="Of a rated batch: UDRs with a rating exception."
    )
    voided_count = models.PositiveIntegerField(default=0, db_default=0, help_text="UDRs that were voided since.")
    backfill_id = models.BigIntegerField(null=True, help_text="The backfill that it came by.")
    mediated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, help_text="When it was rated, or its charges were reversed.")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "UDR batch"
        verbose_name_plural = "UDR batches"
        indexes = [
            # Every closing of a period asks for these; those that are ready to be rated are among them.
            models.Index(
                fields=["id"],
                condition=Q(status__in=["staged", "mediated", "superseded", "errored"]),
                name="udr_batch_unfinished",
            ),
            models.Index(fields=["backfill_id"], condition=Q(backfill_id__isnull=False), name="udr_batch_of_backfill"),
        ]

    def __str__(self) -> str:
        return f"UDR batch {self.pk}"


class Udr(models.Model):
    """A usage data record: one mediated record, the language that ingestion and rating share.

    Partitioned by month of `date` (see migration 0002); the table's key is (id, date), Django's is id. No foreign keys:
    their triggers would cost more than the COPY; mediation resolves every id before it writes.
    """

    id = models.BigIntegerField(primary_key=True)
    date = models.DateTimeField(help_text="When the usage happened, UTC.")
    source_zone = models.CharField(max_length=64, null=True, help_text="The zone the source gave the date in.")  # noqa: DJ001
    feed_id = models.BigIntegerField()
    import_id = models.BigIntegerField()
    record_number = models.BigIntegerField(help_text="Line of the file or place in the request, from 1.")
    usage_class = models.ForeignKey(UsageClass, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    identifier_type = models.ForeignKey(
        IdentifierType, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    originating_identifier = models.TextField(null=True)  # noqa: DJ001
    terminating_identifier = models.TextField(null=True)  # noqa: DJ001
    udr_usage_identifier = models.TextField("UDR usage identifier", null=True)  # noqa: DJ001
    candidate_terminating_identifier = models.TextField(null=True)  # noqa: DJ001
    uniqueness_identifier = models.TextField(null=True)  # noqa: DJ001
    value = models.DecimalField(max_digits=21, decimal_places=6, help_text="The measured quantity.")
    amount = models.DecimalField(
        max_digits=32, decimal_places=11, null=True, help_text="Money that came in the record, for pass-through rates."
    )
    currency = models.CharField(max_length=3, null=True)  # noqa: DJ001
    inbound = models.BooleanField()
    reverse_rating = models.BooleanField()
    primary_data_row = models.IntegerField(null=True)
    usage_bill_date = models.DateTimeField(null=True)
    extensions = models.JSONField(null=True, help_text="Values that the profile keeps beside the named fields.")
    repairs = models.TextField(null=True, help_text="Codes of the rules that repaired it, parted by spaces.")  # noqa: DJ001

    class Meta:
        verbose_name = "UDR"
        verbose_name_plural = "UDRs"

    def __str__(self) -> str:
        return f"UDR {self.pk}"


class UdrKey(models.Model):
    """What was seen, for ever: one row for every live UDR under its feed's uniqueness key.

    The key is the source's own text, or its day and a hash where the whole content is the key, so that keys that come
    together lie together in the index (random keys cost six-fold at 20 million). The table's key is (feed_id, key).
    """

    id = models.BigIntegerField(primary_key=True, db_column="udr_id", help_text="The UDR that holds the key.")
    feed_id = models.BigIntegerField()
    key = models.TextField()
    content_hash = models.UUIDField(help_text="The first 128 bits of the content's SHA-256.")

    class Meta:
        verbose_name = "UDR key"

    def __str__(self) -> str:
        return self.key
