"""Feeds, and who sees and uses which."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from ingestion.core.locations import EXAMPLES, FaultyLocationError, location_of
from mediation.models import DataProfile


def readable_location(text: str) -> None:
    """Raise ValidationError where nothing can be picked up from a location."""
    try:
        location_of(text)
    except FaultyLocationError as error:
        raise ValidationError(str(error)) from None


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
        validators=[readable_location],
        help_text=(
            f"Looked at every minute; files go to done/ or failed/ in it. A folder, or one of a server: {EXAMPLES}."
        ),
    )
    pickup_credentials = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", "Capital letters, digits and _ only, as in a variable.")],
        help_text=(
            "Of a server, a name such as CARRIER: the workers' environment has them as SLUICE_PICKUP_CARRIER_USER,"
            " …_KEY_FILE or …_PASSWORD for SFTP, …_ACCESS_KEY_ID, …_SECRET_ACCESS_KEY and …_ENDPOINT for S3."
        ),
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


class PickupState(models.Model):
    """How looking at a feed's pick-up location goes: apart from the feed, whose changes are a person's."""

    feed = models.OneToOneField(Feed, on_delete=models.CASCADE, related_name="pickup_state")
    looked_at = models.DateTimeField()
    next_look_at = models.DateTimeField(null=True, help_text="A location that cannot be opened rests until then.")
    failures = models.PositiveIntegerField(default=0, help_text="Looks without success, one after the other.")
    error = models.TextField(blank=True, default="", help_text="The last trouble that there was.")
    error_at = models.DateTimeField(null=True)
    begun_file = models.TextField(
        blank=True, default="", db_default="", help_text="The file at hand; or over which its worker was killed."
    )
    begun_at = models.DateTimeField(null=True)
    held_up_by = models.TextField(
        blank=True, default="", db_default="", help_text="The file that held up the last look: it comes last now."
    )
    seen = models.JSONField(
        default=dict, db_default={}, help_text="Of files not taken yet: size, moment of writing, since when seen so."
    )

    def __str__(self) -> str:
        return f"pick-up of {self.feed}"
