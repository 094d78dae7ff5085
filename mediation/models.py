"""The tables of mediation: Data Profiles, the classes and types that UDRs name, and the UDR itself."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

# A UDR's id is its batch's id and its place in the batch in one number (17 bits: at most 131,071 UDRs a batch), so that
# the primary key is the index by batch, and the same batch cannot be written twice.
UDR_ID_BITS = 17
MAX_UDRS_PER_BATCH = (1 << UDR_ID_BITS) - 1


class UsageClassType(models.Model):
    """A category of usage classes, for reports and for reading records."""

    name = models.CharField(max_length=200, unique=True)

    def __str__(self) -> str:
        return self.name


class UsageClass(models.Model):
    """What kind of usage a record is; drives the search for a rate."""

    class Unit(models.TextChoices):
        COUNT = "count", "count"
        TIME = "time", "time (seconds)"
        DATA = "data", "data (bytes)"

    class PaidBy(models.TextChoices):
        USAGE = "usage", "UDR usage identifier"
        ORIGINATING = "originating", "originating identifier"
        TERMINATING = "terminating", "terminating identifier"
        DIRECTION = "direction", "by direction (outbound: originating, inbound: terminating; reverse rating: the other)"

    name = models.CharField(max_length=200, unique=True, help_text="As records name it, letter for letter.")
    usage_class_type = models.ForeignKey(UsageClassType, on_delete=models.PROTECT, null=True, blank=True)
    unit = models.CharField(max_length=10, choices=Unit, default=Unit.COUNT, help_text="What a record's value counts.")
    paid_by = models.CharField(
        max_length=12,
        choices=PaidBy,
        default=PaidBy.USAGE,
        help_text="Which of a record's identifiers names the service that pays.",
    )

    class Meta:
        verbose_name_plural = "usage classes"

    def __str__(self) -> str:
        return self.name


class IdentifierType(models.Model):
    """What kind of identifier a record carries: a telephone number, an IMSI, an account key."""

    name = models.CharField(max_length=200, unique=True)

    def __str__(self) -> str:
        return self.name


class DataProfile(models.Model):
    """How the rows of a source are read, mapped and filtered; lives in numbered, immutable versions."""

    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name


class ProfileVersion(models.Model):
    """One state of a Data Profile. A draft may change; once activated it never does."""

    class Status(models.TextChoices):
        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"
        RETIRED = "retired", "retired"

    profile = models.ForeignKey(DataProfile, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT, editable=False)
    spec = models.JSONField(help_text="Format, fields, skip filters and uniqueness; see the README of mediation.")
    note = models.CharField(max_length=500, blank=True, help_text="What this version changes, and why.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile", "number"], name="profile_version_number_once"),
            models.UniqueConstraint(
                fields=["profile"], condition=Q(status="active"), name="profile_has_one_active_version"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.profile} v{self.number}"


class UdrBatch(models.Model):
    """The UDRs of one import that one transaction wrote, and how far they have come.

    staged (written by a reprocess that is not finished) -> mediated -> rated; a reprocess supersedes the batches of the
    attempt before, and rating reverses what it charged for those. held: of a backfill that is not closed; it counts
    nowhere until it is.
    """

    class Status(models.TextChoices):
        HELD = "held", "held"
        STAGED = "staged", "staged"
        MEDIATED = "mediated", "mediated"
        RATED = "rated", "rated"
        SUPERSEDED = "superseded", "superseded"
        REVERSED = "reversed", "reversed"
        ERRORED = "errored", "errored"

    status = models.CharField(max_length=10, choices=Status, default=Status.MEDIATED)
    feed_id = models.BigIntegerField(help_text="The feed that the usage came by.")
    import_id = models.BigIntegerField(db_index=True, help_text="The usage import that it is a part of.")
    udr_count = models.PositiveIntegerField()
    uncharged_count = models.PositiveIntegerField(
        default=0, help_text="Of a rated batch: UDRs with a rating exception."
    )
    voided_count = models.PositiveIntegerField(default=0, db_default=0, help_text="UDRs that were voided since.")
    backfill_id = models.BigIntegerField(null=True, help_text="The backfill that it came by.")
    mediated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, help_text="When it was rated, or its charges were reversed.")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "UDR batch"
        verbose_name_plural = "UDR batches"
        indexes = [
            # Every closing of a period asks for these; those that are ready to be rated are among them.
            models.Index(
                fields=["id"],
                condition=Q(status__in=["staged", "mediated", "superseded", "errored"]),
                name="udr_batch_unfinished",
            ),
            models.Index(fields=["backfill_id"], condition=Q(backfill_id__isnull=False), name="udr_batch_of_backfill"),
        ]

    def __str__(self) -> str:
        return f"UDR batch {self.pk}"


class Udr(models.Model):
    """A usage data record: one mediated record, the language that ingestion and rating share.

    Partitioned by month of `date` (see migration 0002); the table's key is (id, date), Django's is id. No foreign keys:
    their triggers would cost more than the COPY; mediation resolves every id before it writes.
    """

    id = models.BigIntegerField(primary_key=True)
    date = models.DateTimeField(help_text="When the usage happened, UTC.")
    source_zone = models.CharField(max_length=64, null=True, help_text="The zone the source gave the date in.")  # noqa: DJ001
    feed_id = models.BigIntegerField()
    import_id = models.BigIntegerField()
    record_number = models.BigIntegerField(help_text="Line of the file or place in the request, from 1.")
    usage_class = models.ForeignKey(UsageClass, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    identifier_type = models.ForeignKey(
        IdentifierType, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    originating_identifier = models.TextField(null=True)  # noqa: DJ001
    terminating_identifier = models.TextField(null=True)  # noqa: DJ001
    udr_usage_identifier = models.TextField("UDR usage identifier", null=True)  # noqa: DJ001
    candidate_terminating_identifier = models.TextField(null=True)  # noqa: DJ001
    uniqueness_identifier = models.TextField(null=True)  # noqa: DJ001
    value = models.DecimalField(max_digits=21, decimal_places=6, help_text="The measured quantity.")
    amount = models.DecimalField(
        max_digits=32, decimal_places=11, null=True, help_text="Money that came in the record, for pass-through rates."
    )
    currency = models.CharField(max_length=3, null=True)  # noqa: DJ001
    inbound = models.BooleanField()
    reverse_rating = models.BooleanField()
    primary_data_row = models.IntegerField(null=True)
    usage_bill_date = models.DateTimeField(null=True)
    extensions = models.JSONField(null=True, help_text="Values that the profile keeps beside the named fields.")
    repairs = models.TextField(null=True, help_text="Codes of the rules that repaired it, parted by spaces.")  # noqa: DJ001

    class Meta:
        verbose_name = "UDR"
        verbose_name_plural = "UDRs"

    def __str__(self) -> str:
        return f"UDR {self.pk}"


class UdrKey(models.Model):
    """What was seen, for ever: one row for every live UDR under its feed's uniqueness key.

    The key is the source's own text, or its day and a hash where the whole content is the key, so that keys that come
    together lie together in the index (random keys cost six-fold at 20 million). The table's key is (feed_id, key).
    """

    id = models.BigIntegerField(primary_key=True, db_column="udr_id", help_text="The UDR that holds the key.")
    feed_id = models.BigIntegerField()
    key = models.TextField()
    content_hash = models.UUIDField(help_text="The first 128 bits of the content's SHA-256.")

    class Meta:
        verbose_name = "UDR key"

    def __str__(self) -> str:
        return self.key


class VoidedUdr(models.Model):
    """A UDR that was taken back by itself, while the batch that it lies in counts: its row stays, its key is free.

    It is written in the transaction that frees the key; rating takes back what was charged and then says so here.
    """

    id = models.BigIntegerField(primary_key=True, db_column="udr_id", help_text="The UDR.")
    udr_date = models.DateTimeField(help_text="When the usage happened, UTC.")
    feed_id = models.BigIntegerField()
    key = models.TextField(help_text="The key that it held.")
    import_id = models.BigIntegerField()
    record_number = models.BigIntegerField()
    requested_at = models.DateTimeField(
        help_text="When it was asked for: what came with the key before then is no usage, what comes later is."
    )
    request_id = models.UUIDField(help_text="The tracking id of the void or of the import that amends.")
    voided_at = models.DateTimeField()
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField()
    replaced_by = models.BigIntegerField(null=True, help_text="The UDR that amends it.")
    backfill_id = models.BigIntegerField(
        null=True, help_text="The backfill that took it back, whose window it lies in."
    )
    content_hash = models.UUIDField(null=True, help_text="Of the key that a backfill freed, so that it can come back.")
    settled_at = models.DateTimeField(null=True, help_text="When nothing that it was charged stood any more.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Of workers to take its charges back.")
    next_try_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "voided UDR"
        constraints = [models.CheckConstraint(name="voided_udr_needs_a_reason", condition=~Q(reason=""))]
        indexes = [
            models.Index(fields=["feed_id", "key"], name="voided_udr_key"),
            # Whoever mediates asks for these; a backfill takes back a million at once, and tells them by its window.
            models.Index(
                fields=["feed_id", "requested_at"],
                condition=Q(backfill_id__isnull=True),
                name="voided_udr_requested",
            ),
            models.Index(fields=["backfill_id"], condition=Q(backfill_id__isnull=False), name="voided_udr_by_backfill"),
            models.Index(fields=["request_id"], name="voided_udr_request"),
            models.Index(fields=["import_id"], name="voided_udr_import"),
            models.Index(fields=["id"], condition=Q(settled_at__isnull=True), name="voided_udr_unsettled"),
        ]

    def __str__(self) -> str:
        return f"voided UDR {self.pk}"


class BackfillWindow(models.Model):
    """The stretch of time that a backfill replaces in a feed, as mediation heeds it. Its number is the backfill's.

    held: its UDRs count nowhere and their keys are apart (under the number of the backfill, negative, in place of the
    feed's); counting: they took the place of what came before `counts_since`; gone: it was given up or taken back.
    """

    class Status(models.TextChoices):
        HELD = "held", "held"
        COUNTING = "counting", "counting"
        GONE = "gone", "gone"

    id = models.BigIntegerField(primary_key=True)
    feed_id = models.BigIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    status = models.CharField(max_length=8, choices=Status, default=Status.HELD)
    counts_since = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["feed_id"], condition=Q(status="counting"), name="backfill_window_counting")]

    def __str__(self) -> str:
        return f"window of backfill {self.pk}"


class RestoredUdr(models.Model):
    """A UDR that counts again after the backfill which took it back was reverted, and is to be charged again."""

    id = models.BigIntegerField(primary_key=True, db_column="udr_id", help_text="The UDR.")
    udr_date = models.DateTimeField()
    restored_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"restored UDR {self.pk}"


class Bell(models.Model):
    """A bell that wakes a worker: rung once however many ring it, until a worker answers.

    Work itself is a query over rows; the bell only says that somebody should look. A lost bell costs seconds.
    """

    name = models.CharField(max_length=20, primary_key=True)
    is_ringing = models.BooleanField(default=False)
    rung_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class GoldenSample(models.Model):
    """Rows that a profile is known to read rightly, with the UDRs expected of them; a version that breaks one waits.

    expected: one object a record, with its number, outcome, reason and the text of every UDR field.
    """

    profile = models.ForeignKey(DataProfile, on_delete=models.CASCADE, related_name="golden_samples")
    name = models.CharField(max_length=200)
    content = models.TextField("rows", help_text="The sample as text, a file or lines.")
    is_rows = models.BooleanField("rows without a header", default=False, help_text="Lines as a request sends them.")
    expected = models.JSONField(help_text="What becomes of each record.")
    note = models.CharField(max_length=500, blank=True, help_text="What this sample guards.")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["profile", "name"], name="golden_sample_once_a_profile")]

    def __str__(self) -> str:
        return self.name


class GoldenSampleChange(models.Model):
    """What a golden sample was before somebody changed or removed it on purpose: who, when and why."""

    profile = models.ForeignKey(DataProfile, on_delete=models.CASCADE, related_name="golden_sample_changes")
    name = models.CharField(max_length=200)
    content = models.TextField("rows before")
    expected = models.JSONField("expected before")
    is_removal = models.BooleanField("removed", default=False)
    reason = models.TextField()
    changed_at = models.DateTimeField()
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="golden_sample_change_needs_a_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.name} before {self.changed_at:%Y-%m-%d %H:%M}"


class LookupTable(models.Model):
    """A table in which profiles look texts up: by exact value, by range or by longest prefix."""

    class Kind(models.TextChoices):
        EXACT = "exact", "exact value"
        RANGE = "range", "range of numbers"
        TEXT_RANGE = "text_range", "range of texts"
        PREFIX = "prefix", "longest prefix"

    name = models.CharField(max_length=100, unique=True, help_text="As profiles name it.")
    description = models.TextField(blank=True)
    kind = models.CharField(
        max_length=10,
        choices=Kind,
        default=Kind.EXACT,
        help_text="A range begins with its low bound and ends before its high one; an empty bound is open.",
    )
    key_column = models.CharField(
        max_length=100, default="key", help_text="What files call the key. Ranges have low and high instead."
    )
    columns = models.JSONField(help_text="The columns that a lookup can give, a list of names.")
    row_count = models.PositiveIntegerField("rows", default=0, editable=False)
    version = models.PositiveIntegerField(
        default=0, editable=False, help_text="How many times its rows changed; workers keep a table by it."
    )
    changed_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.name


class LookupRow(models.Model):
    """A row of a lookup table, valid from a moment until before another; empty is open."""

    table = models.ForeignKey(LookupTable, on_delete=models.CASCADE, related_name="rows", db_index=False)
    key = models.CharField(max_length=500, null=True)  # noqa: DJ001 - a range has none
    low = models.CharField(max_length=100, null=True, help_text="Belongs to the range.")  # noqa: DJ001
    high = models.CharField(max_length=100, null=True, help_text="Does not belong to the range.")  # noqa: DJ001
    values = models.JSONField(help_text="Column to text.")
    valid_from = models.DateTimeField(null=True)
    valid_to = models.DateTimeField(null=True, help_text="The first moment at which it is no longer valid.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["table", "key", "low", "high", "valid_from"], nulls_distinct=False, name="lookup_row_once"
            ),
            models.CheckConstraint(
                name="lookup_row_has_a_key_or_a_range",
                condition=Q(key__isnull=True) | Q(low__isnull=True, high__isnull=True),
            ),
            models.CheckConstraint(
                name="lookup_row_ends_after_it_begins",
                condition=Q(valid_from__isnull=True) | Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
            ),
        ]

    def __str__(self) -> str:
        return self.key if self.key is not None else f"{self.low or '…'} to {self.high or '…'}"


class UsageUnit(models.Model):
    """A unit in which sources measure usage, as a multiple of what a usage class counts: one, seconds or bytes."""

    name = models.CharField(
        max_length=30,
        unique=True,
        help_text="As records and profiles name it, letter for letter. KB is 1,000 bytes, KiB is 1,024.",
    )
    kind = models.CharField(max_length=10, choices=UsageClass.Unit)
    multiplier = models.DecimalField(
        max_digits=26, decimal_places=9, help_text="How many of the base unit one of it is: one, seconds or bytes."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="usage_unit_multiplies_by_more_than_0", condition=Q(multiplier__gt=0)),
        ]

    def __str__(self) -> str:
        return self.name
