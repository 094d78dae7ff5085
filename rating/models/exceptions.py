"""UDRs that could not be charged, and why; who looks after them, what was said of them, and what is tried again."""

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Func, Q, Value, When
from django.db.models.functions import Coalesce, Left

from mediation.models import UsageClass

from .accounts import Account, Service

MAX_SUBJECT = 300
BY_IDENTIFIER = ("no_identifier_match", "identifier_not_valid_at_date")
# Messages say what is missing, and when; usage of other moments lacks the same.
MOMENTLESS = Func(
    F("message"),
    Value(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"),
    Value("…"),
    Value("g"),
    function="regexp_replace",
    output_field=models.TextField(),
)


class ExceptionRerate(models.Model):
    """Rating exceptions that somebody asked to rate again together; workers do it in portions."""

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        COMPLETED = "completed", "completed"
        ERRORED = "errored", "errored"

    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    feed_id = models.BigIntegerField("feed", null=True, help_text="Empty: of several feeds.")
    group = models.JSONField(null=True, help_text="The group that it was asked for; empty: chosen by hand.")
    exception_count = models.PositiveIntegerField("exceptions", help_text="That were open when it was asked for.")
    tried_count = models.PositiveIntegerField("tried", default=0)
    charged_count = models.PositiveIntegerField("charged", default=0)
    created_at = models.DateTimeField("asked at")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", verbose_name="asked by"
    )
    ended_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Of the portion that is being rated.")
    try_at = models.DateTimeField("next try at", null=True, help_text="After a crash; empty: at once.")
    error = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = "rerate of exceptions"
        verbose_name_plural = "rerates of exceptions"
        indexes = [models.Index(fields=["id"], condition=Q(status="waiting"), name="exception_rerate_waiting")]

    def __str__(self) -> str:
        return f"rerate {self.pk} of {self.exception_count:,} exceptions"


class RatingException(models.Model):
    """A UDR that could not be charged. It is not edited: configuration is put right, then it is rated again."""

    class Cause(models.TextChoices):
        NO_IDENTIFIER_MATCH = "no_identifier_match", "no service has the identifier"
        IDENTIFIER_NOT_VALID_AT_DATE = "identifier_not_valid_at_date", "identifier not valid at the date"
        NO_RATE_PLAN = "no_rate_plan", "no rate plan"
        NO_RATE_GROUP = "no_rate_group", "no rate group"
        NO_RATE = "no_rate", "no rate"
        FINAL_BILL_ISSUED = "final_bill_issued", "final bill issued"
        SYSTEM_ERROR = "system_error", "system error"

    class Status(models.TextChoices):
        OPEN = "open", "open"
        RESOLVED = "resolved", "resolved"
        WRITTEN_OFF = "written_off", "written off"
        SUPERSEDED = "superseded", "superseded"  # the import was reprocessed since

    udr_id = models.BigIntegerField("UDR", unique=True)
    udr_date = models.DateTimeField("date of the usage")
    feed_id = models.BigIntegerField("feed")
    import_id = models.BigIntegerField("import")
    usage_class = models.ForeignKey(
        UsageClass, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    cause = models.CharField(max_length=30, choices=Cause)
    message = models.TextField(help_text="What is missing, and what to do.")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    service = models.ForeignKey(
        Service, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    value = models.DecimalField(max_digits=21, decimal_places=6)
    identifier = models.TextField(null=True, help_text="The one that names who pays.")  # noqa: DJ001
    status = models.CharField(max_length=11, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField()
    last_tried_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(db_default=1)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    close_reason = models.TextField(blank=True, db_default="")
    subject = models.GeneratedField(
        expression=Left(
            Case(
                When(cause__in=BY_IDENTIFIER, then=Coalesce(F("identifier"), Value(""))),
                default=MOMENTLESS,
                output_field=models.TextField(),
            ),
            MAX_SUBJECT,
        ),
        output_field=models.TextField(),
        db_persist=True,
        help_text="What is missing: the identifier that nobody has, or the message without its moments.",
    )
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    rerate = models.ForeignKey(
        ExceptionRerate,
        on_delete=models.SET_NULL,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="exceptions",
        help_text="Which is to rate it again.",
    )
    next_try_at = models.DateTimeField(null=True, help_text="When it is rated again by itself.")
    retry_round = models.PositiveSmallIntegerField(db_default=0, help_text="How often it was, by the schedule.")

    class Meta:
        permissions = [
            ("rerate_ratingexception", "Can rerate rating exceptions"),
            ("writeoff_ratingexception", "Can write off rating exceptions"),
            ("review_ratingexception", "Can assign rating exceptions, comment on them and have them tried again later"),
        ]
        constraints = [
            models.CheckConstraint(
                name="rating_write_off_needs_a_reason", condition=~Q(status="written_off") | ~Q(close_reason="")
            )
        ]
        indexes = [
            models.Index(fields=["cause"], condition=Q(status="open"), name="rating_exception_open"),
            models.Index(fields=["import_id"], name="rating_exception_import"),
            models.Index(fields=["created_at"], name="rating_exception_created"),
            # Groups are counted in it alone: a million open exceptions in 0.4 s, in 4 s from the table.
            models.Index(
                fields=["feed_id", "cause", "usage_class", "subject"],
                include=["value", "created_at", "assigned_to"],
                condition=Q(status="open"),
                name="rating_exception_groups",
            ),
            models.Index(
                fields=["assigned_to"], condition=Q(assigned_to__isnull=False), name="rating_exception_assigned"
            ),
            models.Index(fields=["rerate", "id"], condition=Q(rerate__isnull=False), name="rating_exception_rerate"),
            models.Index(
                fields=["next_try_at"],
                condition=Q(status="open", next_try_at__isnull=False),
                name="rating_exception_try_again",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cause} of UDR {self.udr_id}"


class RatingExceptionComment(models.Model):
    """What somebody said about a rating exception, or about a group of them; kept for ever."""

    exception = models.ForeignKey(
        RatingException, on_delete=models.PROTECT, null=True, db_index=False, related_name="comments"
    )
    feed_id = models.BigIntegerField("feed")
    cause = models.CharField(max_length=30, choices=RatingException.Cause)
    usage_class = models.ForeignKey(
        UsageClass, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    subject = models.CharField(max_length=MAX_SUBJECT, blank=True)
    text = models.TextField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = "comment on rating exceptions"
        verbose_name_plural = "comments on rating exceptions"
        constraints = [models.CheckConstraint(name="rating_comment_says_something", condition=~Q(text=""))]
        indexes = [
            models.Index(
                fields=["exception"], condition=Q(exception__isnull=False), name="rating_comment_on_exception"
            ),
            models.Index(
                fields=["feed_id", "cause", "usage_class", "subject"],
                condition=Q(exception__isnull=True),
                name="rating_comment_on_group",
            ),
        ]

    def __str__(self) -> str:
        return self.text
