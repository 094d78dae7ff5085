"""What was charged, how far tiers and allowances have come, and what a closed period's statement says."""

from typing import Any

from django.db import models
from django.db.models import F, Q

from mediation.models import UsageClass

from .accounts import Account, BillingPeriod, Service, ServiceIdentifier
from .plans import Bucket, Rate, RateGroup, RatePlan


def _fact_key(to: type[models.Model], **options: Any) -> Any:
    """A foreign key without constraint and index: rows come by COPY, and the core resolves every id beforehand."""
    return models.ForeignKey(
        to, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", **options
    )


class TierPosition(models.Model):
    """How much of a graduated rate a service has used up in a period."""

    period = _fact_key(BillingPeriod)
    service = _fact_key(Service)
    rate = _fact_key(Rate)
    quantity = models.DecimalField(max_digits=21, decimal_places=6)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "service", "rate"], name="tier_position_once"),
            models.CheckConstraint(name="tier_position_is_not_negative", condition=Q(quantity__gte=0)),
        ]


class BucketBalance(models.Model):
    """How much of an allowance a service has used up in a period."""

    period = _fact_key(BillingPeriod)
    service = _fact_key(Service)
    bucket = _fact_key(Bucket)
    used = models.DecimalField(max_digits=21, decimal_places=6)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "service", "bucket"], name="bucket_balance_once"),
            models.CheckConstraint(name="bucket_balance_is_not_negative", condition=Q(used__gte=0)),
        ]


class Charge(models.Model):
    """A priced UDR, or the reversal of one; partitioned by month of `date`, the table's key is (id, date).

    Its id is its UDR's id and its place among the UDR's charges (see `core.frames.ENTRY_BITS`), so that a UDR cannot be
    charged twice.
    """

    class Kind(models.TextChoices):
        CHARGE = "charge", "charge"
        REVERSAL = "reversal", "reversal"

    id = models.BigIntegerField(primary_key=True)
    udr_id = models.BigIntegerField("UDR")
    date = models.DateTimeField(help_text="When the usage happened, UTC.")
    kind = models.CharField(max_length=8, choices=Kind)
    import_id = models.BigIntegerField("import")
    account = _fact_key(Account)
    service = _fact_key(Service)
    service_identifier = _fact_key(ServiceIdentifier)
    period = _fact_key(BillingPeriod)
    usage_class = _fact_key(UsageClass)
    plan = _fact_key(RatePlan)
    rate_group = _fact_key(RateGroup)
    rate = _fact_key(Rate)
    bucket = _fact_key(Bucket, null=True)
    quantity = models.DecimalField(max_digits=21, decimal_places=6, help_text="As measured.")
    rated_quantity = models.DecimalField(max_digits=21, decimal_places=6, help_text="After rounding.")
    bucket_quantity = models.DecimalField(max_digits=21, decimal_places=6, help_text="Of it, drawn from the bucket.")
    tier_position = models.DecimalField(
        max_digits=21, decimal_places=6, null=True, help_text="How far the graduated rate was used up before."
    )
    amount = models.DecimalField(max_digits=32, decimal_places=11)
    currency = models.CharField(max_length=3)
    rated_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["period"], name="charge_period")]
        constraints = [
            models.CheckConstraint(
                name="charge_bucket_within_quantity",
                condition=Q(kind="charge", bucket_quantity__gte=0, rated_quantity__gte=F("bucket_quantity"))
                | Q(kind="reversal", bucket_quantity__lte=0, rated_quantity__lte=F("bucket_quantity")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of UDR {self.udr_id}"


class StatementLine(models.Model):
    """A period's charges of one class, written when the period is closed and never changed."""

    period = models.ForeignKey(BillingPeriod, on_delete=models.PROTECT, related_name="lines", db_index=False)
    usage_class = models.ForeignKey(UsageClass, on_delete=models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    record_count = models.BigIntegerField("records", help_text="Charges less reversals.")
    quantity = models.DecimalField(max_digits=32, decimal_places=6)
    rated_quantity = models.DecimalField(max_digits=32, decimal_places=6)
    bucket_quantity = models.DecimalField(max_digits=32, decimal_places=6)
    amount = models.DecimalField(max_digits=38, decimal_places=11, help_text="The exact sum of the charges.")
    line_amount = models.DecimalField(
        max_digits=38, decimal_places=11, help_text="Rounded half away from zero to the currency's minor unit."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "usage_class", "currency"], name="statement_line_once")
        ]

    def __str__(self) -> str:
        return f"{self.usage_class}: {self.line_amount} {self.currency}"
