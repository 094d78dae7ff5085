"""What usage costs: rate plans in versions, with the rates and allowances that charges name."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

is_currency = RegexValidator(r"^[A-Z]{3}$", "Three capital letters, as in ISO 4217.")


class RatePlan(models.Model):
    """A price list in one currency. Attached to services, packages and accounts; the default one serves the others."""

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)
    currency = models.CharField(max_length=3, validators=[is_currency], help_text="Of all its prices.")
    is_default = models.BooleanField(
        "default plan",
        default=False,
        help_text="Prices the usage of accounts of its currency that have no plan of their own.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["currency"],
                condition=Q(is_default=True),
                name="one_default_rate_plan_a_currency",
                violation_error_message="Another rate plan is the default one of this currency already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class PlanVersion(models.Model):
    """The plan's document as it prices usage from a moment on, until the next version does; never edited once active.

    A trigger of the database (migration 0007) refuses to change or delete an active version.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"

    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField(help_text="The plan document; rating/README.md lists its keys.")
    note = models.CharField(max_length=200, blank=True, help_text="What is new in it, and why.")
    status = models.CharField(max_length=6, choices=Status, default=Status.DRAFT)
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Prices usage from this moment.")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    activated_at = models.DateTimeField(null=True, blank=True)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        permissions = [("activate_planversion", "Can activate rate plan versions")]
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="plan_version_number_once"),
            models.UniqueConstraint(
                fields=["plan", "starts_at"], condition=Q(status="active"), name="plan_version_starts_once"
            ),
            models.CheckConstraint(
                name="active_plan_version_starts",
                condition=Q(status="draft", activated_at__isnull=True)
                | Q(status="active", activated_at__isnull=False, starts_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan}, version {self.number}"


class Rate(models.Model):
    """A rate as charges name it, through all versions of its plan; what it costs stands in the versions' documents."""

    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="rates")
    group = models.CharField("rate group", max_length=200)
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "group", "name"], name="rate_once_a_plan")]

    def __str__(self) -> str:
        return f"{self.group} / {self.name}"


class Bucket(models.Model):
    """An allowance as draws name it, through all versions of its plan; its size stands in the versions' documents."""

    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="buckets")
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "name"], name="bucket_name_once_a_plan")]

    def __str__(self) -> str:
        return self.name


class Package(models.Model):
    """What is sold together under a name: services that have it are priced by its plan, unless they have their own."""

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)
    rate_plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="packages")

    def __str__(self) -> str:
        return self.name
