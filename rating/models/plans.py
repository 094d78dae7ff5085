"""What usage costs: rate plans, their ordered groups, rates, tiers and allowances."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from mediation.models import UsageClass

is_currency = RegexValidator(r"^[A-Z]{3}$", "Three capital letters, as in ISO 4217.")


class RatePlan(models.Model):
    """A price list. Attached to services and accounts; the default one serves whoever has none."""

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)
    is_default = models.BooleanField(
        "default plan",
        default=False,
        help_text="Prices the usage of services whose accounts have no plan of their own.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="one_default_rate_plan",
                violation_error_message="Another rate plan is the default one already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class RateGroup(models.Model):
    """Rates of one currency and validity. Groups are searched top-down; the first with a matching rate wins."""

    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="groups")
    position = models.PositiveSmallIntegerField(help_text="Searched from the lowest number up.")
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3, validators=[is_currency])
    starts_at = models.DateTimeField(help_text="Prices usage from this moment.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Prices usage before this moment. Empty: no end.")
    amount_precision = models.PositiveSmallIntegerField(
        default=11, validators=[MaxValueValidator(11)], help_text="Decimals that each charge is rounded to."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "position"], name="rate_group_position_once_a_plan"),
            models.CheckConstraint(
                name="rate_group_ends_after_it_starts",
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
            ),
            models.CheckConstraint(name="amount_precision_to_11", condition=Q(amount_precision__range=(0, 11))),
        ]

    def __str__(self) -> str:
        return f"{self.plan} / {self.name}"


class Rate(models.Model):
    """How the usage of one class is rounded and priced in a group."""

    class Model(models.TextChoices):
        PER_UNIT = "per_unit", "per unit"
        FIXED = "fixed", "fixed per record"
        PASS_THROUGH = "pass_through", "pass-through (the amount comes in the record)"
        GRADUATED = "graduated", "graduated tiers"

    group = models.ForeignKey(RateGroup, on_delete=models.PROTECT, related_name="rates")
    usage_class = models.ForeignKey(UsageClass, on_delete=models.PROTECT, related_name="rates")
    model = models.CharField(max_length=12, choices=Model, default=Model.PER_UNIT)
    price = models.DecimalField(
        max_digits=17,
        decimal_places=11,
        null=True,
        blank=True,
        help_text="A unit's or a record's; tiers have their own.",
    )
    minimum = models.DecimalField(
        max_digits=21, decimal_places=6, default=0, help_text="Less usage than this counts as this much."
    )
    increment = models.DecimalField(
        max_digits=21,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="Usage above the minimum is rounded up by steps of this. Empty: it stays as measured.",
    )
    is_used = models.BooleanField(
        "used", default=False, editable=False, help_text="Charges were made with it, so it stays as it is."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "usage_class"], name="one_rate_a_class_and_group"),
            models.CheckConstraint(
                name="rate_price_fits_its_model",
                condition=Q(model__in=["per_unit", "fixed"], price__isnull=False)
                | Q(model__in=["pass_through", "graduated"], price__isnull=True),
                violation_error_message="Per-unit and fixed rates need a price; the others have none of their own.",
            ),
            models.CheckConstraint(
                name="rate_price_is_not_negative",
                condition=Q(price__isnull=True) | Q(price__gte=0),
                violation_error_message="A price is zero or more; a negative one would pay whoever uses most.",
            ),
            models.CheckConstraint(
                name="rate_rounding_is_positive",
                condition=Q(minimum__gte=0) & (Q(increment__isnull=True) | Q(increment__gt=0)),
                violation_error_message="The minimum is zero or more, the increment is more than zero or empty.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.usage_class}, {self.get_model_display()}"


class Tier(models.Model):
    """A stretch of a graduated rate: from the bound of the tier before, exclusive, to its own, inclusive."""

    rate = models.ForeignKey(Rate, on_delete=models.CASCADE, related_name="tiers")
    up_to = models.DecimalField(
        max_digits=21, decimal_places=6, null=True, blank=True, help_text="The last unit of the tier. Empty: no end."
    )
    price = models.DecimalField(max_digits=17, decimal_places=11, help_text="Of each unit in the tier.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rate", "up_to"], name="tier_bound_once_a_rate", nulls_distinct=False),
            models.CheckConstraint(
                name="tier_price_is_not_negative",
                condition=Q(price__gte=0),
                violation_error_message="A price is zero or more; a negative one would pay whoever uses most.",
            ),
            models.CheckConstraint(name="tier_bound_is_positive", condition=Q(up_to__isnull=True) | Q(up_to__gt=0)),
        ]

    def __str__(self) -> str:
        return f"up to {self.up_to}" if self.up_to is not None else "no end"


class Bucket(models.Model):
    """An allowance of a plan, given anew to each service in each billing period; what is left over is lost."""

    plan = models.ForeignKey(RatePlan, on_delete=models.PROTECT, related_name="buckets")
    name = models.CharField(max_length=200)
    size = models.DecimalField(max_digits=21, decimal_places=6)
    usage_classes = models.ManyToManyField(UsageClass, related_name="+", help_text="The usage that draws on it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "name"], name="bucket_name_once_a_plan"),
            models.CheckConstraint(name="bucket_size_is_positive", condition=Q(size__gt=0)),
        ]

    def __str__(self) -> str:
        return self.name

    def check_usage_classes(self, usage_classes: Iterable[UsageClass]) -> None:
        """Raise ValidationError where another bucket of the plan serves one of the classes already."""
        others = Bucket.objects.filter(plan_id=self.plan_id, usage_classes__in=list(usage_classes)).exclude(pk=self.pk)
        taken = others.values_list("usage_classes__name", "name").order_by("name")
        if taken:
            listed = ", ".join(f"{class_name} (in {bucket})" for class_name, bucket in taken)
            raise ValidationError(
                f"A usage class draws on one bucket of a plan only; already served: {listed}. Take it out there first."
            )
