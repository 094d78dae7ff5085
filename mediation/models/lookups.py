"""Tables in which profiles look texts up."""

from django.db import models
from django.db.models import F, Q


class LookupTable(models.Model):
    """A table in which profiles look texts up: by exact value, by range or by longest prefix."""

    class Kind(models.TextChoices):
        EXACT = "exact", "exact value"
        RANGE = "range", "range of numbers"
        TEXT_RANGE = "text_range", "range of texts"
        PREFIX = "prefix", "longest prefix"

    name = models.CharField(max_length=100, unique=True, help_text="As profiles name it.")
    description = models.TextField(blank=True)
    kind = models.CharField(
        max_length=10,
        choices=Kind,
        default=Kind.EXACT,
        help_text="A range begins with its low bound and ends before its high one; an empty bound is open.",
    )
    key_column = models.CharField(
        max_length=100, default="key", help_text="What files call the key. Ranges have low and high instead."
    )
    columns = models.JSONField(help_text="The columns that a lookup can give, a list of names.")
    row_count = models.PositiveIntegerField("rows", default=0, editable=False)
    version = models.PositiveIntegerField(
        default=0, editable=False, help_text="How many times its rows changed; workers keep a table by it."
    )
    changed_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.name


class LookupRow(models.Model):
    """A row of a lookup table, valid from a moment until before another; empty is open."""

    table = models.ForeignKey(LookupTable, on_delete=models.CASCADE, related_name="rows", db_index=False)
    key = models.CharField(max_length=500, null=True)  # noqa: DJ001 - a range has none
    low = models.CharField(max_length=100, null=True, help_text="Belongs to the range.")  # noqa: DJ001
    high = models.CharField(max_length=100, null=True, help_text="Does not belong to the range.")  # noqa: DJ001
    values = models.JSONField(help_text="Column to text.")
    valid_from = models.DateTimeField(null=True)
    valid_to = models.DateTimeField(null=True, help_text="The first moment at which it is no longer valid.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["table", "key", "low", "high", "valid_from"], nulls_distinct=False, name="lookup_row_once"
            ),
            models.CheckConstraint(
                name="lookup_row_has_a_key_or_a_range",
                condition=Q(key__isnull=True) | Q(low__isnull=True, high__isnull=True),
            ),
            models.CheckConstraint(
                name="lookup_row_ends_after_it_begins",
                condition=Q(valid_from__isnull=True) | Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
            ),
        ]

    def __str__(self) -> str:
        return self.key if self.key is not None else f"{self.low or '…'} to {self.high or '…'}"
