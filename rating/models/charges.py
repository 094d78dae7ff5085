"""What was charged, and how far tiers and allowances have come."""

from typing import Any

from django.contrib.auth.models import User
from django.db import models
from django.db.models import F, Q

from mediation.models import UsageClass

from .accounts import Account, BillingPeriod, Service, ServiceIdentifier
from .plans import Bucket, PlanVersion, Rate, RatePlan


def _fact_key(to: type[models.Model], **options: Any) -> Any:
    """A foreign key without constraint and index: rows come by COPY, and the core resolves every id beforehand."""
    return models.ForeignKey(
        to, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", **options
    )


class Counter(models.Model):
    """How far the tiers of a rate are used up, by whose usage shares them."""

    period_id = models.BigIntegerField(help_text="0 where it never starts again.")
    account = _fact_key(Account)
    service_id = models.BigIntegerField(help_text="0 where an account or a family shares it.")
    rate = _fact_key(Rate)
    key = models.TextField(help_text="The fields that the rate counts by, and the window.")
    level = models.DecimalField(max_digits=38, decimal_places=12, help_text="What the aggregation has come to.")
    held = models.DecimalField(max_digits=38, decimal_places=12, help_text="Of weighted sums, the level held now.")
    position = models.DecimalField(
        max_digits=38, decimal_places=12, help_text="Units priced, or the amounts of which a share was."
    )
    records = models.BigIntegerField()
    at = models.DateTimeField(null=True, help_text="The date of the latest record.")
    credit = models.DecimalField(max_digits=38, decimal_places=11, help_text="Paid from buckets of money.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period_id", "account", "service_id", "rate", "key"], name="counter_once")
        ]


class SeenMember(models.Model):
    """A value that a unique count has counted."""

    period_id = models.BigIntegerField()
    account = _fact_key(Account)
    service_id = models.BigIntegerField()
    rate = _fact_key(Rate)
    key = models.TextField()
    member = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["period_id", "account", "service_id", "rate", "key", "member"], name="seen_member_once"
            )
        ]


class BucketGrant(models.Model):
    """What a bucket gave to its owner for a time, and what is used of it: units, or money.

    Of a bucket whose grants are given one by one it is there before anything draws on it, with who gave it and why.
    """

    bucket = _fact_key(Bucket)
    account = _fact_key(Account)
    service_id = models.BigIntegerField(help_text="0 where an account or a family shares it.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    granted = models.DecimalField(
        max_digits=38, decimal_places=11, help_text="With what was carried over and refilled."
    )
    carried = models.DecimalField(max_digits=38, decimal_places=11, help_text="Of it, from the grant before.")
    refills = models.BigIntegerField()
    used = models.DecimalField(max_digits=38, decimal_places=11)
    reason = models.TextField(blank=True, db_default="", help_text="Why it was given.")
    given_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "bucket", "service_id", "starts_at"], name="bucket_grant_once"),
            models.CheckConstraint(
                name="bucket_grant_is_not_overdrawn", condition=Q(used__gte=0) & Q(granted__gte=F("used"))
            ),
        ]


class BucketDraw(models.Model):
    """A movement of a bucket: by which charge, how much, and what was left; partitioned by month of `date`."""

    class Kind(models.TextChoices):
        DRAW = "draw", "draw"
        GIVE_BACK = "give_back", "given back"
        REFILL = "refill", "refill"

    charge_id = models.BigIntegerField(primary_key=True)
    place = models.SmallIntegerField(help_text="Among the movements of the charge.")
    date = models.DateTimeField(help_text="When the usage happened, UTC.")
    kind = models.CharField(max_length=9, choices=Kind)
    bucket = _fact_key(Bucket)
    account = _fact_key(Account)
    service_id = models.BigIntegerField()
    starts_at = models.DateTimeField(help_text="Of the grant.")
    quantity = models.DecimalField(max_digits=38, decimal_places=11)
    amount = models.DecimalField(max_digits=32, decimal_places=11, help_text="What the movement itself cost.")
    left = models.DecimalField(max_digits=38, decimal_places=11, help_text="After it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["charge_id", "place", "date"], name="bucket_draw_once")]


class Charge(models.Model):
    """A priced UDR, or the reversal of one; partitioned by month of `date`, the table's key is (id, date).

    Its id is its UDR's id and its place among the UDR's charges (see `core.frames.ENTRY_BITS`), so that a UDR cannot be
    charged twice.
    """

    class Kind(models.TextChoices):
        CHARGE = "charge", "charge"
        REVERSAL = "reversal", "reversal"

    id = models.BigIntegerField(primary_key=True)
    udr_id = models.BigIntegerField("UDR")
    date = models.DateTimeField(help_text="When the usage happened, UTC.")
    kind = models.CharField(max_length=8, choices=Kind)
    import_id = models.BigIntegerField("import")
    account = _fact_key(Account)
    service = _fact_key(Service)
    service_identifier = _fact_key(ServiceIdentifier)
    period = _fact_key(BillingPeriod)
    usage_class = _fact_key(UsageClass)
    plan = _fact_key(RatePlan)
    version = _fact_key(PlanVersion)
    rate = _fact_key(Rate)
    part = models.SmallIntegerField(default=0, help_text="Of a record that was split at the boundary of a time period.")
    counting_period_id = models.BigIntegerField(
        help_text="Whose tiers and allowances it used: another than it is billed in where it corrects a closed one."
    )
    quantity = models.DecimalField(max_digits=21, decimal_places=6, help_text="As measured.")
    rated_quantity = models.DecimalField(max_digits=21, decimal_places=6, help_text="After rounding.")
    free_quantity = models.DecimalField(max_digits=21, decimal_places=6, default=0, help_text="Of it, free units.")
    bucket_quantity = models.DecimalField(max_digits=21, decimal_places=6, help_text="Of it, drawn from buckets.")
    tier_position = models.DecimalField(
        max_digits=38, decimal_places=12, null=True, help_text="How far the rate's tiers were used up before."
    )
    credit = models.DecimalField(
        max_digits=32, decimal_places=11, default=0, help_text="Paid from buckets of money; the amount is without it."
    )
    cost = models.DecimalField(max_digits=32, decimal_places=11, null=True, help_text="What the usage costs us.")
    amount = models.DecimalField(max_digits=32, decimal_places=11)
    currency = models.CharField(max_length=3)
    rated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["period"], name="charge_period"),
            models.Index(
                fields=["counting_period_id"],
                condition=~Q(counting_period_id=F("period_id")),
                name="charge_counted_elsewhere",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="charge_bucket_within_quantity",
                condition=Q(kind="charge", bucket_quantity__gte=0, rated_quantity__gte=F("bucket_quantity"))
                | Q(kind="charge", bucket_quantity=0)
                | Q(kind="reversal", bucket_quantity__lte=0, rated_quantity__lte=F("bucket_quantity"))
                | Q(kind="reversal", bucket_quantity=0),
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of UDR {self.udr_id}"


class CountedPeriod(models.Model):
    """A period with so many charges that they are added up by day beforehand, for who asks what an account used.

    Whoever writes a charge of usage before `before` empties it, in the same transaction; workers count again.
    """

    period_id = models.BigIntegerField(primary_key=True)
    before = models.DateTimeField(null=True, help_text="Charges of usage before then are counted. Empty: none is.")
    has_lines = models.BooleanField(default=False, help_text="They are counted by service and identifier too.")
    counted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"counted period {self.period_id}"


class CountedUsage(models.Model):
    """Charges less reversals that a period bills of one day of usage, in the account's zone, added up."""

    period_id = models.BigIntegerField()
    by_line = models.BooleanField(help_text="Told apart by service and identifier too.")
    day = models.DateField()
    usage_class = _fact_key(UsageClass)
    service = _fact_key(Service, null=True)
    service_identifier = _fact_key(ServiceIdentifier, null=True)
    plan = _fact_key(RatePlan)
    rate = _fact_key(Rate)
    feed_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    record_count = models.BigIntegerField()
    quantity = models.DecimalField(max_digits=38, decimal_places=6)
    rated_quantity = models.DecimalField(max_digits=38, decimal_places=6)
    free_quantity = models.DecimalField(max_digits=38, decimal_places=6)
    bucket_quantity = models.DecimalField(max_digits=38, decimal_places=6)
    credit = models.DecimalField(max_digits=38, decimal_places=11)
    amount = models.DecimalField(max_digits=38, decimal_places=11)

    class Meta:
        indexes = [models.Index(fields=["period_id", "by_line", "day"], name="counted_usage_days")]

    def __str__(self) -> str:
        return f"usage of {self.day} in period {self.period_id}"
