"""Feeds, and who sees and uses which."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from mediation.models import DataProfile


class Feed(models.Model):
    """A configured source of usage: where it arrives, and which Data Profile reads it."""

    name = models.CharField(max_length=200, unique=True)
    api_name = models.CharField(
        "API name",
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"^[A-Za-z][A-Za-z0-9_-]*$", "A letter, then letters, digits, - and _ only.")],
        help_text="Stands in the address that integrators post to. Do not change it once they use it.",
    )
    description = models.TextField(blank=True)
    is_enabled = models.BooleanField("enabled", default=True, help_text="A disabled feed refuses usage at every door.")
    profile = models.ForeignKey(
        DataProfile, on_delete=models.PROTECT, verbose_name="Data Profile", related_name="feeds"
    )
    max_age_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Older usage is an exception (too_old). Empty: any age is taken."
    )
    max_future_minutes = models.PositiveIntegerField(
        default=1440, help_text="Usage further ahead than this is an exception (in_future)."
    )
    pickup_location = models.CharField(
        max_length=500,
        blank=True,
        help_text="A folder (path or fsspec URL) that is looked at every minute; files go to done/ or failed/ in it.",
    )
    pickup_pattern = models.CharField(max_length=100, default="*", help_text="Which file names to take, such as *.csv.")

    class Meta:
        permissions = [("every_feed", "Can see every feed, also those to come")]

    def __str__(self) -> str:
        return self.name


class FeedGrant(models.Model):
    """A feed whose usage a person or service user may see and send; who may see every feed needs none."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="feed_grants")
    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "feed"], name="feed_grant_once")]

    def __str__(self) -> str:
        return f"{self.feed} for {self.user}"
