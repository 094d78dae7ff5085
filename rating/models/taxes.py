"""What is taxed where: jurisdictions, their tax codes in parts, categories of classes, and who is exempt."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from mediation.models import UsageClass


class Jurisdiction(models.Model):
    """Whose taxes a statement bears, and how they are reckoned."""

    class Rounding(models.TextChoices):
        LINE = "line", "each statement line"
        TOTAL = "total", "the total of each tax"

    name = models.CharField(max_length=60, unique=True)
    rounding = models.CharField(
        max_length=5, choices=Rounding, default=Rounding.LINE, help_text="Where tax is rounded to the minor unit."
    )
    prices_include_tax = models.BooleanField(
        default=False, help_text="Prices contain the tax; otherwise it is added to them."
    )
    mixed_category = models.CharField(
        max_length=60,
        blank=True,
        help_text="The tax category of a commitment about usage of several. Empty: such a statement cannot be closed.",
    )

    def __str__(self) -> str:
        return self.name


class ClassTaxCategory(models.Model):
    """The tax category of a usage class. A class without one is not taxed."""

    usage_class = models.OneToOneField(UsageClass, on_delete=models.CASCADE, related_name="+")
    category = models.CharField(max_length=60)

    class Meta:
        verbose_name = "tax category"
        verbose_name_plural = "tax categories"

    def __str__(self) -> str:
        return f"{self.usage_class}: {self.category}"


class TaxCode(models.Model):
    """The tax on a category in a jurisdiction, from one moment to before another; the sum of its parts."""

    jurisdiction = models.ForeignKey(Jurisdiction, on_delete=models.PROTECT, related_name="tax_codes")
    category = models.CharField(max_length=60)
    name = models.CharField(max_length=100)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Valid before this moment. Empty: no end.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["jurisdiction", "category", "starts_at"], name="tax_code_starts_once"),
            models.CheckConstraint(
                name="tax_code_ends_after_it_starts", condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at"))
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TaxPart(models.Model):
    """A percentage of a tax code."""

    code = models.ForeignKey(TaxCode, on_delete=models.CASCADE, related_name="parts")
    position = models.PositiveSmallIntegerField(default=1)
    name = models.CharField(max_length=100)
    percent = models.DecimalField(
        max_digits=9, decimal_places=6, validators=[MinValueValidator(0), MaxValueValidator(100)]
    )
    is_compound = models.BooleanField(
        "compound", default=False, help_text="Bears on the parts before it too, not on the amount alone."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "position"], name="tax_part_position_once"),
            models.CheckConstraint(name="tax_percent_to_100", condition=Q(percent__range=(0, 100))),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.percent} %"


class TaxExemption(models.Model):
    """An account that bears no tax on a category, or on any, from one moment to before another."""

    account = models.ForeignKey("rating.Account", on_delete=models.CASCADE, related_name="tax_exemptions")
    category = models.CharField(max_length=60, blank=True, help_text="Empty: every category.")
    certificate = models.CharField(max_length=200, help_text="What proves it: a number, a document.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="tax_exemption_ends_after_it_starts",
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.category or 'every category'}, {self.certificate}"
