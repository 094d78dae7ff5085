"""What UDRs name: classes of usage, types of identifiers, and units."""

from django.db import models
from django.db.models import Q


class UsageClassType(models.Model):
    """A category of usage classes, for reports and for reading records."""

    name = models.CharField(max_length=200, unique=True)

    def __str__(self) -> str:
        return self.name


class UsageClass(models.Model):
    """What kind of usage a record is; drives the search for a rate."""

    class Unit(models.TextChoices):
        COUNT = "count", "count"
        TIME = "time", "time (seconds)"
        DATA = "data", "data (bytes)"

    class PaidBy(models.TextChoices):
        USAGE = "usage", "UDR usage identifier"
        ORIGINATING = "originating", "originating identifier"
        TERMINATING = "terminating", "terminating identifier"
        DIRECTION = "direction", "by direction (outbound: originating, inbound: terminating; reverse rating: the other)"

    name = models.CharField(max_length=200, unique=True, help_text="As records name it, letter for letter.")
    usage_class_type = models.ForeignKey(UsageClassType, on_delete=models.PROTECT, null=True, blank=True)
    unit = models.CharField(max_length=10, choices=Unit, default=Unit.COUNT, help_text="What a record's value counts.")
    paid_by = models.CharField(
        max_length=12,
        choices=PaidBy,
        default=PaidBy.USAGE,
        help_text="Which of a record's identifiers names the service that pays.",
    )

    class Meta:
        verbose_name_plural = "usage classes"

    def __str__(self) -> str:
        return self.name


class IdentifierType(models.Model):
    """What kind of identifier a record carries: a telephone number, an IMSI, an account key."""

    name = models.CharField(max_length=200, unique=True)

    def __str__(self) -> str:
        return self.name


class UsageUnit(models.Model):
    """A unit in which sources measure usage, as a multiple of what a usage class counts: one, seconds or bytes."""

    name = models.CharField(
        max_length=30,
        unique=True,
        help_text="As records and profiles name it, letter for letter. KB is 1,000 bytes, KiB is 1,024.",
    )
    kind = models.CharField(max_length=10, choices=UsageClass.Unit)
    multiplier = models.DecimalField(
        max_digits=26, decimal_places=9, help_text="How many of the base unit one of it is: one, seconds or bytes."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="usage_unit_multiplies_by_more_than_0", condition=Q(multiplier__gt=0)),
        ]

    def __str__(self) -> str:
        return self.name
