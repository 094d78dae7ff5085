"""Usage priced again for many accounts: what would change is shown first; a what-if ends there, a rerate is applied."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from .accounts import Account
from .plans import PlanVersion


class Repricing(models.Model):
    """A question what past usage would cost, by a draft version of its plan or by the plans of today."""

    class Kind(models.TextChoices):
        RERATE = "rerate", "rerate"
        WHAT_IF = "what_if", "what if"

    class Status(models.TextChoices):
        COUNTING = "counting", "being worked out"
        SHOWN = "shown", "worked out"
        WAITING = "waiting", "being applied"
        APPLIED = "applied", "applied"
        ERRORED = "errored", "errored"

    kind = models.CharField(max_length=7, choices=Kind)
    status = models.CharField(max_length=8, choices=Status, default=Status.COUNTING)
    version = models.ForeignKey(
        PlanVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="What if this version had priced the usage of its plan?",
    )
    filters = models.JSONField(help_text="Which usage: account, plan, usage class, import, from, until.")
    reason = models.TextField(blank=True, help_text="Why; it stays with what is changed.")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    shown_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)
    applied_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    totals = models.JSONField(
        default=list,
        encoder=DjangoJSONEncoder,
        help_text="What its accounts come to, by currency, once it is worked out and once it is applied.",
    )
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Of the accounts that are being worked on.")
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "rerate or what-if"
        verbose_name_plural = "rerates and what-ifs"
        permissions = [("rerate_charge", "Can rerate charges"), ("what_if", "Can ask what usage would cost")]
        constraints = [
            models.CheckConstraint(
                name="what_if_needs_a_version",
                condition=Q(kind="rerate", version__isnull=True) | Q(kind="what_if", version__isnull=False),
            ),
            models.CheckConstraint(name="rerate_needs_a_reason", condition=~Q(kind="rerate") | ~Q(reason="")),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status__in=["counting", "waiting"]), name="repricing_unfinished")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"


class RepricedAccount(models.Model):
    """An account of a repricing: what its usage there cost, and what it would cost or costs now."""

    repricing = models.ForeignKey(Repricing, on_delete=models.CASCADE, related_name="accounts")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    udr_count = models.BigIntegerField("UDRs")
    is_done = models.BooleanField(default=False, help_text="In the step that the repricing is at.")
    before = models.DecimalField(max_digits=38, decimal_places=11, null=True)
    after = models.DecimalField(max_digits=38, decimal_places=11, null=True)
    changed_count = models.BigIntegerField("changed charges", null=True)
    refused_count = models.BigIntegerField("could not be charged", null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repricing", "account"], name="repriced_account_once"),
            models.CheckConstraint(name="repriced_udrs", condition=Q(udr_count__gte=0)),
        ]
        indexes = [
            models.Index(fields=["repricing", "id"], condition=Q(is_done=False), name="repriced_account_waiting")
        ]

    def __str__(self) -> str:
        return str(self.account)
