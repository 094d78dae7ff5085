"""What a closed period's statement says: numbered, with its lines and taxes, and never changed."""

from django.db import models

from mediation.models import UsageClass

from .accounts import BillingPeriod, Service
from .plans import Rate, RatePlan


class Statement(models.Model):
    """What an account owes for a period, as it was when the period was closed. Numbers have no gap.

    Triggers of the database (migration 0007) refuse to change or delete a statement, its lines and its taxes.
    """

    period = models.OneToOneField(BillingPeriod, on_delete=models.PROTECT, related_name="statement")
    number = models.BigIntegerField(unique=True)
    issued_at = models.DateTimeField()
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=11, help_text="The exact sum of the lines.")
    subtotal = models.DecimalField(max_digits=38, decimal_places=11, help_text="The sum of the rounded lines.")
    tax_total = models.DecimalField(max_digits=38, decimal_places=11)
    total = models.DecimalField(max_digits=38, decimal_places=11, help_text="What is to be paid.")

    def __str__(self) -> str:
        return f"{self.number:08}"


class StatementLine(models.Model):
    """A line of a statement: usage by class, rate and tier, a correction of an earlier statement, or a commitment."""

    class Kind(models.TextChoices):
        USAGE = "usage", "usage"
        ADJUSTMENT = "adjustment", "adjustment"
        TRUE_UP = "true_up", "true-up to the minimum"
        MAXIMUM = "maximum", "above the maximum"
        OVERAGE = "overage", "overage"

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField(help_text="1 the first.")
    kind = models.CharField(max_length=10, choices=Kind)
    description = models.TextField(help_text="What it is for, in words.")
    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    usage_class = models.ForeignKey(UsageClass, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    rate = models.ForeignKey(Rate, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    tier = models.PositiveSmallIntegerField(null=True, help_text="1 the first; none where the line is not of one tier.")
    tier_above = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    tier_up_to = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    commitment = models.CharField(max_length=200, blank=True)
    adjusts = models.CharField(max_length=20, blank=True, help_text="The number of the statement that it corrects.")
    jurisdiction = models.CharField(max_length=60, blank=True)
    tax_category = models.CharField(max_length=60, blank=True)
    record_count = models.BigIntegerField("records", help_text="Charges less reversals.")
    quantity = models.DecimalField(max_digits=38, decimal_places=6, help_text="As measured.")
    rated_quantity = models.DecimalField(max_digits=38, decimal_places=6, help_text="After rounding.")
    free_quantity = models.DecimalField(max_digits=38, decimal_places=6, default=0)
    bucket_quantity = models.DecimalField(max_digits=38, decimal_places=6)
    credit = models.DecimalField(max_digits=38, decimal_places=11, default=0, help_text="Paid from buckets of money.")
    cost = models.DecimalField(max_digits=38, decimal_places=11, default=0, help_text="What the usage costs us.")
    amount = models.DecimalField(max_digits=38, decimal_places=11, help_text="The exact sum of the charges.")
    line_amount = models.DecimalField(
        max_digits=38, decimal_places=11, help_text="Rounded half away from zero to the currency's minor unit."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["statement", "position"], name="statement_line_position_once")]

    def __str__(self) -> str:
        return self.description


class StatementTax(models.Model):
    """A part of a tax code on a line of a statement: its base and what it comes to."""

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="taxes")
    position = models.PositiveIntegerField()
    line = models.PositiveIntegerField(help_text="The position of the line.")
    jurisdiction = models.CharField(max_length=60)
    category = models.CharField(max_length=60)
    code = models.CharField(max_length=100)
    name = models.CharField(max_length=100)
    percent = models.DecimalField(max_digits=9, decimal_places=6)
    base = models.DecimalField(max_digits=38, decimal_places=11)
    amount = models.DecimalField(max_digits=38, decimal_places=11)

    class Meta:
        verbose_name_plural = "statement taxes"
        constraints = [models.UniqueConstraint(fields=["statement", "position"], name="statement_tax_position_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.percent} %"
