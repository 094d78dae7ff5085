"""What a token may do beside its user, when it was revoked, and when it was used last."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from knox.models import AuthToken


class TokenScope(models.Model):
    """A token's name and what narrows it; a token without a scope does whatever its user may.

    Feeds are kept by their numbers and not by a foreign key: a feed that is deleted leaves the token narrower, never
    wider.
    """

    token = models.OneToOneField(AuthToken, on_delete=models.CASCADE, related_name="scope")
    name = models.CharField(max_length=100, help_text="Which system, or which of its parts, has the token.")
    feeds = models.JSONField(null=True, help_text="The feeds it is limited to, by their numbers. Empty: its user's.")
    verbs = models.JSONField(null=True, help_text="What it is limited to, see config.access.verbs. Empty: its user's.")
    requests_per_minute = models.PositiveIntegerField(
        null=True, help_text="Empty: SLUICE_REQUESTS_PER_MINUTE. 0: as many as come."
    )
    records_per_minute = models.PositiveIntegerField(
        null=True, help_text="Empty: SLUICE_RECORDS_PER_MINUTE. 0: as many as come."
    )
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    revoke_reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                name="a_revoked_token_has_a_reason",
                condition=Q(revoked_at__isnull=True, revoke_reason="")
                | Q(revoked_at__isnull=False) & ~Q(revoke_reason=""),
            )
        ]

    def __str__(self) -> str:
        return self.name


class TokenQuota(models.Model):
    """What was given out to processes of what a token may send in a minute, see config.access.quota."""

    token = models.OneToOneField(
        AuthToken, on_delete=models.CASCADE, related_name="+", primary_key=True, db_constraint=False
    )
    minute = models.BigIntegerField()  # since 1970
    requests = models.BigIntegerField()
    records = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.requests} requests, {self.records} records in minute {self.minute}"


class TokenUse(models.Model):
    """When a token was used last, and from where: to the minute, since each request would write it otherwise."""

    # Without a constraint: noting a use never stands in the way of a token's end.
    token = models.OneToOneField(
        AuthToken, on_delete=models.CASCADE, related_name="use", primary_key=True, db_constraint=False
    )
    last_used_at = models.DateTimeField()
    last_used_from = models.GenericIPAddressField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"used {self.last_used_at:%Y-%m-%d %H:%M}"
