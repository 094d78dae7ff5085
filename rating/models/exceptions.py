"""UDRs that could not be charged, and why."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from mediation.models import UsageClass

from .accounts import Account, Service


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

    class Meta:
        permissions = [
            ("rerate_ratingexception", "Can rerate rating exceptions"),
            ("writeoff_ratingexception", "Can write off rating exceptions"),
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
        ]

    def __str__(self) -> str:
        return f"{self.cause} of UDR {self.udr_id}"
