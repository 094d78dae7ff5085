"""How often signing in has failed of late."""

from django.conf import settings
from django.db import models


class LoginTries(models.Model):
    """The wrong tries of one kind, counted from wherever they came to whichever process, see config.access.braking.

    Names are not kept as they were typed: people type passwords into the wrong field.
    """

    class Kind(models.TextChoices):
        BROWSER = "browser", "a browser that was signed in before"
        NAME_AND_ADDRESS = "both", "a name from an address"
        NAME = "name", "a name from anywhere"
        ADDRESS = "address", "an address with any name"

    key = models.CharField(max_length=64, unique=True, help_text="A digest of what they have in common.")
    kind = models.CharField(max_length=7, choices=Kind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="Who has the name; empty where nobody has.",
    )
    address = models.GenericIPAddressField(null=True, help_text="Where the last one came from.")
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(help_text="When the last one came.")
    closed_until = models.DateTimeField(null=True, help_text="Until then none is looked at.")
    braked_since = models.DateTimeField(null=True, help_text="Since when there are gaps between them.")

    class Meta:
        default_permissions = ()
        verbose_name = verbose_name_plural = "wrong sign-ins"
        indexes = [models.Index(fields=["failed_at"], name="login_tries_by_age")]

    def __str__(self) -> str:
        return f"{self.failures} from {self.get_kind_display()}"
