"""Records that could not become UDRs: their reasons, corrections and what was said about them."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ingestion.models.feeds import Feed
from ingestion.models.imports import UsageImport


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
    is_undone_as_whole = models.BooleanField(
        "undone as a whole",
        db_default=False,
        default=False,
        help_text="By mediating its imports again: some of it was rated, or they were mediated again since.",
    )

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
