"""Data Profiles in versions, and the samples that guard them."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class DataProfile(models.Model):
    """How the rows of a source are read, mapped and filtered; lives in numbered, immutable versions."""

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name


class ProfileVersion(models.Model):
    """One state of a Data Profile. A draft may change; once activated it never does."""

    class Status(models.TextChoices):
        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"
        RETIRED = "retired", "retired"

    profile = models.ForeignKey(DataProfile, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT, editable=False)
    spec = models.JSONField(help_text="Format, fields, skip filters and uniqueness; see the README of mediation.")
    note = models.CharField(max_length=500, blank=True, help_text="What this version changes, and why.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile", "number"], name="profile_version_number_once"),
            models.UniqueConstraint(
                fields=["profile"], condition=Q(status="active"), name="profile_has_one_active_version"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.profile} v{self.number}"


class GoldenSample(models.Model):
    """Rows that a profile is known to read rightly, with the UDRs expected of them; a version that breaks one waits.

    expected: one object a record, with its number, outcome, reason and the text of every UDR field.
    """

    profile = models.ForeignKey(DataProfile, on_delete=models.CASCADE, related_name="golden_samples")
    name = models.CharField(max_length=200)
    content = models.TextField("rows", help_text="The sample as text, a file or lines.")
    is_rows = models.BooleanField("rows without a header", default=False, help_text="Lines as a request sends them.")
    expected = models.JSONField(help_text="What becomes of each record.")
    note = models.CharField(max_length=500, blank=True, help_text="What this sample guards.")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["profile", "name"], name="golden_sample_once_a_profile")]

    def __str__(self) -> str:
        return self.name


class GoldenSampleChange(models.Model):
    """What a golden sample was before somebody changed or removed it on purpose: who, when and why."""

    profile = models.ForeignKey(DataProfile, on_delete=models.CASCADE, related_name="golden_sample_changes")
    name = models.CharField(max_length=200)
    content = models.TextField("rows before")
    expected = models.JSONField("expected before")
    is_removal = models.BooleanField("removed", default=False)
    reason = models.TextField()
    changed_at = models.DateTimeField()
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="golden_sample_change_needs_a_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.name} before {self.changed_at:%Y-%m-%d %H:%M}"
