"""What the front page tells and would be dear to count for every reader: counted by workers, by feed, day and class."""

from django.db import models


class FigureRun(models.Model):
    """When figures of a kind were counted last, and what that took; the next run keeps a distance of its length."""

    class Key(models.TextChoices):
        ARRIVALS = "arrivals", "records received"
        CHARGES = "charges", "charges"
        OPEN = "open", "open exceptions"
        ANOMALIES = "anomalies", "anomalies"

    key = models.CharField(max_length=10, choices=Key, primary_key=True)
    as_of = models.DateTimeField(null=True, help_text="Nothing younger is in the figures.")
    took_seconds = models.DecimalField(max_digits=9, decimal_places=3, default=0)
    settled_until = models.DateField(null=True, help_text="What is before this day is not counted at every run.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.get_key_display()


class ArrivalFigure(models.Model):
    """What a feed received in an hour or a day (UTC), by outcome as it stands now."""

    class Span(models.TextChoices):
        HOUR = "hour", "hour"
        DAY = "day", "day"

    span = models.CharField(max_length=4, choices=Span)
    starts_at = models.DateTimeField()
    feed_id = models.BigIntegerField()
    import_count = models.BigIntegerField()
    record_count = models.BigIntegerField()
    imported_count = models.BigIntegerField()
    exception_count = models.BigIntegerField()
    skipped_count = models.BigIntegerField()
    duplicate_count = models.BigIntegerField()
    waiting_count = models.BigIntegerField()
    last_at = models.DateTimeField(help_text="When the last of it came.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["span", "starts_at", "feed_id"], name="arrival_figure_once"),
        ]

    def __str__(self) -> str:
        return f"{self.span} from {self.starts_at:%Y-%m-%d %H:%M}"


class ChargeFigure(models.Model):
    """What was charged on a day (UTC, of the rating) for usage of a feed and a class, less what was taken back.

    Beside the parts stand their sums, so that nobody adds up three hundred feeds times two thousand classes for a page:
    of all feeds where the feed is empty, of all classes where the class is.
    """

    day = models.DateField()
    feed_id = models.BigIntegerField(null=True)
    usage_class_id = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3)
    record_count = models.BigIntegerField()
    quantity = models.DecimalField(max_digits=38, decimal_places=6)
    amount = models.DecimalField(max_digits=38, decimal_places=11)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["day", "feed_id", "usage_class_id", "currency"],
                nulls_distinct=False,
                name="charge_figure_once",
            ),
        ]
        indexes = [
            models.Index(fields=["day"], condition=models.Q(feed_id__isnull=True), name="charge_figure_of_all_feeds"),
            models.Index(
                fields=["day"], condition=models.Q(usage_class_id__isnull=True), name="charge_figure_of_all_classes"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day}"


class AccountFigure(models.Model):
    """What an account was charged in a month (UTC, of the rating): the days that are over, and beside them the rest.

    Days that are over are added once; the others are counted anew at every run.
    """

    month = models.DateField(help_text="Its first day.")
    account_id = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    is_settled = models.BooleanField()
    record_count = models.BigIntegerField()
    amount = models.DecimalField(max_digits=38, decimal_places=11)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["month", "account_id", "currency", "is_settled"], name="account_figure_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class OpenFigure(models.Model):
    """Open exceptions of a feed and a code, or a cause and a class."""

    class Kind(models.TextChoices):
        IMPORT = "import", "import exceptions"
        RATING = "rating", "rating exceptions"

    kind = models.CharField(max_length=6, choices=Kind)
    feed_id = models.BigIntegerField()
    reason = models.CharField(max_length=40, help_text="The code or the cause.")
    usage_class_id = models.BigIntegerField(null=True)
    count = models.BigIntegerField()
    quantity = models.DecimalField(max_digits=38, decimal_places=6, null=True)
    oldest_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "feed_id", "reason", "usage_class_id"], nulls_distinct=False, name="open_figure_once"
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class ChargeEstimate(models.Model):
    """What a record of a feed, or usage of a class, was charged of late; in the currency of most charges."""

    feed_id = models.BigIntegerField(null=True, unique=True)
    usage_class_id = models.BigIntegerField(null=True, unique=True)
    currency = models.CharField(max_length=3)
    record_count = models.BigIntegerField()
    quantity = models.DecimalField(max_digits=38, decimal_places=6)
    amount = models.DecimalField(max_digits=38, decimal_places=11)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                name="charge_estimate_is_of_a_feed_or_a_class",
                condition=models.Q(feed_id__isnull=True, usage_class_id__isnull=False)
                | models.Q(feed_id__isnull=False, usage_class_id__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} for {self.record_count} records"
