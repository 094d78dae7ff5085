"""What a person likes to see."""

from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models


def is_time_zone(name: str) -> None:
    """Raise ValidationError unless `name` is a time zone of the tz database."""
    if name not in available_timezones():
        raise ValidationError("%(name)s is no time zone. Name one as Europe/Berlin.", params={"name": name})


class Preference(models.Model):
    """The time zone in which a person is shown moments; who has chosen none is shown UTC."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="preference"
    )
    time_zone = models.CharField(max_length=64, validators=[is_time_zone])

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.user}: {self.time_zone}"
