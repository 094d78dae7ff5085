"""The tables of ingestion: feeds, the import history, its chunks, and what did not become a UDR."""

import uuid

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q

from mediation.models import DataProfile, ProfileVersion


class Feed(models.Model):
    """A configured source of usage: where it arrives, and which Data Profile reads it."""

    name = models.CharField(max_length=200, unique=True)
    api_name = models.CharField(
        "API name",
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"^[A-Za-z][A-Za-z0-9_-]*$", "A letter, then letters, digits, - and _ only.")],
        help_text="Stands in the address that integrators post to. Do not change it once they use it.",
    )
    description = models.TextField(blank=True)
    is_enabled = models.BooleanField("enabled", default=True, help_text="A disabled feed refuses usage at every door.")
    profile = models.ForeignKey(
        DataProfile, on_delete=models.PROTECT, verbose_name="Data Profile", related_name="feeds"
    )
    max_age_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Older usage is an exception (too_old). Empty: any age is taken."
    )
    max_future_minutes = models.PositiveIntegerField(
        default=1440, help_text="Usage further ahead than this is an exception (in_future)."
    )
    pickup_location = models.CharField(
        max_length=500,
        blank=True,
        help_text="A folder (path or fsspec URL) that is looked at every minute; files go to done/ or failed/ in it.",
    )
    pickup_pattern = models.CharField(max_length=100, default="*", help_text="Which file names to take, such as *.csv.")

    class Meta:
        permissions = [("every_feed", "Can see every feed, also those to come")]

    def __str__(self) -> str:
        return self.name


class FeedGrant(models.Model):
    """A feed whose usage a person or service user may see and send; who may see every feed needs none."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="feed_grants")
    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "feed"], name="feed_grant_once")]

    def __str__(self) -> str:
        return f"{self.feed} for {self.user}"


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
        ]

    def __str__(self) -> str:
        return f"{self.file_name or self.source} {self.tracking_id}"


class ImportBody(models.Model):
    """The body of an API submission, as received; written in the transaction that accepts it."""

    usage_import = models.OneToOneField(
        UsageImport, on_delete=models.CASCADE, primary_key=True, related_name="body", db_column="import_id"
    )
    content = models.BinaryField()

    def __str__(self) -> str:
        return f"body of import {self.pk}"


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

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["usage_import", "attempt", "number"], name="import_chunk_once"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status__in=["waiting", "claimed"]), name="import_chunk_to_mediate"),
            models.Index(
                fields=["correction_id"], condition=Q(correction_id__isnull=False), name="import_chunk_of_correction"
            ),
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of import {self.usage_import_id}"


class ImportException(models.Model):
    """A record that could not become a UDR, with the reason and the record as received."""

    class Status(models.TextChoices):
        OPEN = "open", "open"
        REPROCESSING = "reprocessing", "reprocessing"  # waits to be mediated again
        RESOLVED = "resolved", "resolved"  # became a UDR, was skipped, or proved a duplicate
        WRITTEN_OFF = "written_off", "written off"
        SUPERSEDED = "superseded", "superseded"  # the whole import was reprocessed since

    usage_import = models.ForeignKey(
        UsageImport,
        on_delete=models.DO_NOTHING,
        related_name="exceptions",
        db_column="import_id",
        db_index=False,
        db_constraint=False,
    )
    attempt = models.PositiveSmallIntegerField()
    feed = models.ForeignKey(Feed, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    record_number = models.BigIntegerField(help_text="Line of the file or place in the request, from 1.")
    raw = models.TextField("record as received")
    code = models.CharField(max_length=40)
    field = models.CharField(max_length=200, blank=True)
    value = models.CharField(
        "offending value", max_length=200, blank=True, db_default="", help_text="The text that the field had, clipped."
    )
    message = models.TextField()
    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField()
    last_tried_at = models.DateTimeField()
    revision_count = models.PositiveSmallIntegerField(default=0)
    retry_attempts = models.PositiveSmallIntegerField(default=0, help_text="Tries of the mediation asked for last.")
    next_try_at = models.DateTimeField(null=True, blank=True, help_text="When it is mediated again by itself.")
    retry_round = models.PositiveSmallIntegerField(
        db_default=0, default=0, help_text="How many tries of the schedule are over."
    )
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    close_reason = models.TextField(blank=True)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )

    class Meta:
        verbose_name = "import exception"
        permissions = [
            ("correct_importexception", "Can correct import exceptions"),
            ("writeoff_importexception", "Can write off import exceptions"),
            ("reprocess_importexception", "Can reprocess import exceptions"),
            ("review_importexception", "Can assign, comment and retry import exceptions"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["usage_import", "attempt", "record_number"], name="import_exception_once_a_record"
            ),
            models.CheckConstraint(
                name="write_off_needs_a_reason", condition=~Q(status="written_off") | ~Q(close_reason="")
            ),
        ]
        indexes = [
            # Groups are counted in it alone, a million open exceptions in a third of a second.
            models.Index(
                fields=["feed", "code", "field", "value", "id"],
                include=["created_at"],
                condition=Q(status="open"),
                name="import_exception_group",
            ),
            models.Index(
                fields=["next_try_at"],
                condition=Q(status="open", next_try_at__isnull=False),
                name="import_exception_next_try",
            ),
            models.Index(
                fields=["assigned_to"], condition=Q(assigned_to__isnull=False), name="import_exception_assigned"
            ),
            models.Index(fields=["id"], condition=Q(status="reprocessing"), name="import_exception_to_retry"),
            models.Index(fields=["created_at"], name="import_exception_created"),
        ]

    def __str__(self) -> str:
        return f"{self.code} in record {self.record_number}"


ANY_VALUE = "None: whatever the value."


class GroupCorrection(models.Model):
    """One rule for all the open exceptions of a group: what was asked, and how far workers have come.

    It means the exceptions of the group that were open when it was asked for, up to `max_exception_id`. Each ends in
    one of four counts: resolved, still an exception, unchanged by the rule, or passed over.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        ERRORED = "errored", "errored"  # crashed too often; `error` holds the trace
        UNDOING = "undoing", "being undone"  # so many records that a worker does it
        UNDONE = "undone", "undone"

    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=40)
    field = models.CharField(max_length=200, blank=True)
    value = models.CharField("offending value", max_length=200, null=True, blank=True, help_text=ANY_VALUE)  # noqa: DJ001
    rule = models.JSONField(help_text="As `parse_rule` takes it.")
    reason = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    max_exception_id = models.BigIntegerField()
    last_exception_id = models.BigIntegerField(default=0, help_text="Up to here the exceptions are decided.")
    record_count = models.PositiveIntegerField("records", default=0, help_text="In the group when it was asked for.")
    corrected_count = models.PositiveIntegerField("corrected", default=0, help_text="Records that the rule changed.")
    resolved_count = models.PositiveIntegerField("resolved", default=0)
    still_count = models.PositiveIntegerField("still exceptions", default=0)
    unchanged_count = models.PositiveIntegerField("unchanged", default=0, help_text="The rule changed nothing in them.")
    passed_count = models.PositiveIntegerField(
        "passed over",
        default=0,
        help_text="Not open when their turn came, or their import is mediated again as a whole.",
    )
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Tries of the portion that is next.")
    error = models.TextField(blank=True)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(name="group_correction_needs_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="a_completed_correction_decided_every_record",
                condition=~Q(status="completed")
                | Q(record_count=F("resolved_count") + F("still_count") + F("unchanged_count") + F("passed_count")),
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(status__in=["waiting", "running", "undoing"]),
                name="group_correction_to_work",
            ),
        ]

    def __str__(self) -> str:
        return f"correction {self.pk}"

    @property
    def done_count(self) -> int:
        """How many records are decided."""
        return self.resolved_count + self.still_count + self.unchanged_count + self.passed_count


class ExceptionComment(models.Model):
    """What somebody said about an import exception, or about a group of them; kept for ever."""

    exception = models.ForeignKey(
        ImportException, on_delete=models.PROTECT, null=True, db_index=False, related_name="comments"
    )
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="+", db_index=False)
    code = models.CharField(max_length=40)
    field = models.CharField(max_length=200, blank=True)
    value = models.CharField("offending value", max_length=200, null=True, blank=True, help_text=ANY_VALUE)  # noqa: DJ001
    text = models.TextField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = "comment on import exceptions"
        verbose_name_plural = "comments on import exceptions"
        constraints = [models.CheckConstraint(name="comment_says_something", condition=~Q(text=""))]
        indexes = [
            models.Index(fields=["exception"], condition=Q(exception__isnull=False), name="comment_on_exception"),
            models.Index(
                fields=["feed", "code", "field", "value"], condition=Q(exception__isnull=True), name="comment_on_group"
            ),
        ]

    def __str__(self) -> str:
        return self.text


class ExceptionRevision(models.Model):
    """A correction of a record: another text, or other source fields laid over what is read; the original stays.

    Revisions build on each other in the order of their numbers; a new text forgets the changes made before it.
    """

    exception = models.ForeignKey(ImportException, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveSmallIntegerField()
    raw = models.TextField("record as corrected", null=True, help_text="Empty: the text stays as it was.")  # noqa: DJ001
    changes = models.JSONField(null=True, help_text="Source field to its text, or to null.")
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    correction = models.ForeignKey(
        GroupCorrection, on_delete=models.PROTECT, null=True, related_name="revisions", db_index=False
    )
    fault_before = models.JSONField(null=True, help_text="Code, field, value and message that it was to mend.")
    has_resolved = models.BooleanField(db_default=False, default=False, help_text="Of a group correction.")
    withdrawn_at = models.DateTimeField(null=True, help_text="When its group correction was undone.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["exception", "number"], name="exception_revision_once"),
            models.CheckConstraint(
                name="a_revision_changes_something", condition=Q(raw__isnull=False) | Q(changes__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["correction"], condition=Q(correction__isnull=False), name="revision_of_correction"),
        ]

    def __str__(self) -> str:
        return f"revision {self.number}"


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
