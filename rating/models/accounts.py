"""Who pays: accounts, their services, who owned which identifier when, and the periods they are billed by."""

import zoneinfo
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from .plans import Package, RatePlan, is_currency
from .taxes import Jurisdiction

AT_CLOSING = "What was promised is reckoned by the plans that stand here when a period closes."
TO_CHANGE = "To change plans within a month, end this service and add another."
ENDS_AFTER_IT_STARTS = Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at"))


def is_time_zone(name: str) -> None:
    """Raise ValidationError where `name` is no zone of the IANA database."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone; use an IANA name such as Europe/Vienna.")


class Account(models.Model):
    """Who is billed: in one currency, by calendar months of one time zone."""

    number = models.CharField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    currency = models.CharField(max_length=3, validators=[is_currency])
    time_zone = models.CharField(max_length=64, default="UTC", validators=[is_time_zone])
    rate_plan = models.ForeignKey(
        RatePlan,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="accounts",
        help_text=f"Empty: the plan of the parent account, or else the default plan. {AT_CLOSING}",
    )
    jurisdiction = models.ForeignKey(
        Jurisdiction,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="accounts",
        help_text="Whose taxes its statements bear. Empty: none.",
    )
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the final bill was issued; nothing is charged any more."
    )

    def __str__(self) -> str:
        return f"{self.number} {self.name}"

    def clean(self) -> None:
        """Refuse a circle of parents, and a new zone or currency under periods that exist."""
        seen = {self.pk}
        above = self.parent
        while above is not None:
            if above.pk in seen:
                raise ValidationError({"parent": "An account cannot stand above itself."})
            seen.add(above.pk)
            above = above.parent
        before = Account.objects.filter(pk=self.pk, billing_periods__isnull=False).first()
        if before and (before.time_zone, before.currency) != (self.time_zone, self.currency):
            raise ValidationError(
                f"Account {self.number} has billing periods already: its time zone stays {before.time_zone} and its "
                f"currency {before.currency}. Open another account for a change."
            )


class Service(models.Model):
    """What an account uses: a line, a device, a subscription. Usage finds it by its identifiers."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="services")
    name = models.CharField(max_length=200)
    rate_plan = models.ForeignKey(
        RatePlan,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="services",
        help_text=f"Empty: the plan of the package or the account. {AT_CLOSING} {TO_CHANGE}",
    )
    package = models.ForeignKey(Package, on_delete=models.PROTECT, null=True, blank=True, related_name="services")
    jurisdiction = models.ForeignKey(
        Jurisdiction,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Where the service is taxed. Empty: where the account is.",
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(name="service_ends_after_it_starts", condition=ENDS_AFTER_IT_STARTS)]

    def __str__(self) -> str:
        return self.name


class ServiceIdentifier(models.Model):
    """An identifier that a service owned from one moment to before another.

    An exclusion constraint of the database (migration 0002) keeps an identifier from having two owners at one moment.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="identifiers")
    identifier = models.TextField(help_text="As records carry it, letter for letter.")
    starts_at = models.DateTimeField(help_text="Owned from this moment.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Owned before this moment. Empty: no end.")

    class Meta:
        constraints = [
            models.CheckConstraint(name="service_identifier_ends_after_it_starts", condition=ENDS_AFTER_IT_STARTS)
        ]
        indexes = [models.Index(fields=["identifier"], name="service_identifier_lookup")]

    def __str__(self) -> str:
        return self.identifier

    def clean(self) -> None:
        """Name the other owner, where the database would only refuse."""
        if self.starts_at is None:
            return  # its own field says that it is missing
        others = ServiceIdentifier.objects.filter(identifier=self.identifier).exclude(pk=self.pk)
        others = others.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=self.starts_at))
        if self.ends_at is not None:
            others = others.filter(starts_at__lt=self.ends_at)
        other = others.select_related("service__account").first()
        if other is not None:
            raise ValidationError(
                f"“{self.identifier}” belongs to service {other.service} of account {other.service.account} from "
                f"{other.starts_at} to {other.ends_at or 'no end'}. End it there first."
            )


class BillingPeriod(models.Model):
    """A calendar month in its account's time zone; made when the first usage of it is charged.

    Periods of an account are closed in order, so that everything before the last closed one counts as closed too.
    """

    class Status(models.TextChoices):
        OPEN = "open", "open"
        CLOSED = "closed", "closed"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="billing_periods")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    status = models.CharField(max_length=6, choices=Status, default=Status.OPEN)
    closed_at = models.DateTimeField(null=True, blank=True)
    is_unsettled = models.BooleanField(
        "to be put in order",
        default=False,
        help_text="Something in it was taken back since it was last priced in the order of its dates.",
    )
    close_asked_at = models.DateTimeField("to be closed since", null=True, blank=True)
    close_asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    close_refusal = models.TextField("why it was not closed", blank=True, db_default="")
    work_attempts = models.PositiveSmallIntegerField(
        "attempts", default=0, db_default=0, help_text="How often workers began to put it in order or to close it."
    )

    class Meta:
        permissions = [("close_billingperiod", "Can close billing periods")]
        indexes = [
            models.Index(fields=["id"], condition=Q(is_unsettled=True), name="billing_period_unsettled"),
            models.Index(
                fields=["starts_at", "id"],
                condition=Q(close_asked_at__isnull=False, status="open"),
                name="billing_period_to_close",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account", "starts_at"], name="billing_period_once"),
            models.CheckConstraint(name="billing_period_ends_after_it_starts", condition=Q(ends_at__gt=F("starts_at"))),
            models.CheckConstraint(
                name="billing_period_closed_at_a_moment",
                condition=Q(status="open", closed_at__isnull=True) | Q(status="closed", closed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        # A period starts at midnight of its account's zone, so half a month later is that month in every zone.
        return f"{self.starts_at + timedelta(days=14):%Y-%m}"
