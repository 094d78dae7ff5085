"""Notices: what is out of the usual range of a feed or an account, until it is back or somebody says why."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class Notice(models.Model):
    """Something unusual that was seen. Of each kind one stands open for a feed or an account, renewed while it lasts.

    It closes by itself when things are as usual again. Acknowledging it says that a person knows, and why it is so.
    """

    class Kind(models.TextChoices):
        SILENCE = "silence", "silent feed"
        SPIKE = "spike", "more records than usual"
        DROP = "drop", "fewer records than usual"
        DUPLICATES = "duplicates", "more duplicates than usual"
        EXCEPTIONS = "exceptions", "more exceptions than usual"
        VALUE = "value", "more charged than usual"
        ACCOUNT = "account", "account charged more than usual"
        WEBHOOK = "webhook", "webhook endpoint disabled"
        LOGIN = "login", "many wrong passwords"

    kind = models.CharField(max_length=10, choices=Kind)
    feed_id = models.BigIntegerField("feed", null=True)
    account_id = models.BigIntegerField("account", null=True)
    text = models.TextField(help_text="What was seen, and what is usual.")
    numbers = models.JSONField(help_text="The figures that it was judged by.")
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, help_text="When it was back in the usual range.")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    comment = models.TextField(blank=True, help_text="What the person who acknowledged it says.")

    class Meta:
        default_permissions = ("view",)
        permissions = [("acknowledge_notice", "Can acknowledge notices")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "feed_id", "account_id"],
                condition=Q(closed_at__isnull=True),
                nulls_distinct=False,
                name="one_open_notice_of_a_kind",
            ),
            models.CheckConstraint(
                name="notice_is_acknowledged_with_a_comment",
                condition=Q(acknowledged_at__isnull=True) | ~Q(comment=""),
            ),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(closed_at__isnull=True), name="notice_open")]

    def __str__(self) -> str:
        return self.get_kind_display()
