"""Plans get versions, tiers and allowances get counters and grants, statements get numbers and taxes."""

import django.core.validators
import django.db.models.deletion
import rating.models.accounts
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

DROP_OLD_TRIGGERS = """
DROP TRIGGER keep_used_tier ON rating_tier;
DROP FUNCTION rating_keep_used_tier();
DROP TRIGGER keep_used_rate ON rating_rate;
DROP FUNCTION rating_keep_used_rate();
"""

CHARGE = """
ALTER TABLE rating_charge
    ADD COLUMN version_id bigint,
    ADD COLUMN part smallint NOT NULL DEFAULT 0,
    ADD COLUMN counting_period_id bigint,
    ADD COLUMN free_quantity numeric(21, 6) NOT NULL DEFAULT 0,
    ADD COLUMN credit numeric(32, 11) NOT NULL DEFAULT 0,
    ADD COLUMN cost numeric(32, 11),
    ALTER COLUMN tier_position TYPE numeric(38, 12);
ALTER TABLE rating_charge DROP CONSTRAINT charge_bucket_within_quantity;
ALTER TABLE rating_charge ADD CONSTRAINT charge_bucket_within_quantity CHECK (
    (kind = 'charge' AND bucket_quantity >= 0 AND rated_quantity >= bucket_quantity)
    OR (kind = 'charge' AND bucket_quantity = 0)
    OR (kind = 'reversal' AND bucket_quantity <= 0 AND rated_quantity <= bucket_quantity)
    OR (kind = 'reversal' AND bucket_quantity = 0)
);
CREATE INDEX charge_counted_elsewhere ON rating_charge (counting_period_id) WHERE counting_period_id <> period_id;
"""

DRAWS = """
CREATE TABLE rating_bucketdraw (
    charge_id bigint NOT NULL,
    place smallint NOT NULL,
    date timestamptz NOT NULL,
    kind varchar(9) NOT NULL,
    bucket_id bigint NOT NULL,
    account_id bigint NOT NULL,
    service_id bigint NOT NULL,
    starts_at timestamptz NOT NULL,
    quantity numeric(38, 11) NOT NULL,
    amount numeric(32, 11) NOT NULL,
    "left" numeric(38, 11) NOT NULL,
    PRIMARY KEY (charge_id, place, date)
) PARTITION BY RANGE (date);
CREATE TABLE rating_bucketdraw_default PARTITION OF rating_bucketdraw DEFAULT
"""


def make_first_partitions(apps, schema_editor):
    """15 months back to 3 ahead; a schedule makes the later ones."""
    from django.utils import timezone

    from mediation.store import ensure_month_partitions, months_around

    ensure_month_partitions("rating_bucketdraw", months_around(timezone.now().date(), back=15, ahead=3))


def key_to(to, **options):
    return models.ForeignKey(
        db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to=to,
        **options,
    )


def big_id():
    return ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


AFTER_START = Q(("ends_at__isnull", True), ("ends_at__gt", models.F("starts_at")), _connector="OR")
PROTECT = django.db.models.deletion.PROTECT
CASCADE = django.db.models.deletion.CASCADE


class Migration(migrations.Migration):
    dependencies = [
        ("rating", "0004_used_rates_stay"),
        ("mediation", "0008_paid_by_direction"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(DROP_OLD_TRIGGERS, migrations.RunSQL.noop),
        # Plans.
        migrations.AddField(
            "rateplan",
            "currency",
            models.CharField(
                default="", help_text="Of all its prices.", max_length=3,
                validators=[django.core.validators.RegexValidator("^[A-Z]{3}$", "Three capital letters, as in ISO 4217.")],
            ),
            preserve_default=False,
        ),
        migrations.RemoveConstraint("rateplan", "one_default_rate_plan"),
        migrations.AlterField(
            "rateplan",
            "is_default",
            models.BooleanField(
                default=False,
                help_text="Prices the usage of accounts of its currency that have no plan of their own.",
                verbose_name="default plan",
            ),
        ),
        migrations.CreateModel(
            name="PlanVersion",
            fields=[
                big_id(),
                ("number", models.PositiveIntegerField()),
                ("document", models.JSONField(help_text="The plan document; rating/README.md lists its keys.")),
                ("note", models.CharField(blank=True, help_text="What is new in it, and why.", max_length=200)),
                ("status", models.CharField(choices=[("draft", "draft"), ("active", "active")], default="draft", max_length=6)),
                ("starts_at", models.DateTimeField(blank=True, help_text="Prices usage from this moment.", null=True)),
                ("created_at", models.DateTimeField()),
                ("activated_at", models.DateTimeField(blank=True, null=True)),
                ("activated_by", models.ForeignKey(blank=True, null=True, on_delete=PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("created_by", models.ForeignKey(blank=True, null=True, on_delete=PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("plan", models.ForeignKey(on_delete=PROTECT, related_name="versions", to="rating.rateplan")),
            ],
            options={
                "permissions": [("activate_planversion", "Can activate rate plan versions")],
                "constraints": [
                    models.UniqueConstraint(fields=("plan", "number"), name="plan_version_number_once"),
                    models.UniqueConstraint(condition=Q(("status", "active")), fields=("plan", "starts_at"), name="plan_version_starts_once"),
                    models.CheckConstraint(
                        condition=Q(
                            Q(("activated_at__isnull", True), ("status", "draft")),
                            Q(("activated_at__isnull", False), ("starts_at__isnull", False), ("status", "active")),
                            _connector="OR",
                        ),
                        name="active_plan_version_starts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Package",
            fields=[
                big_id(),
                ("name", models.CharField(max_length=200, unique=True)),
                ("description", models.TextField(blank=True)),
                ("rate_plan", models.ForeignKey(on_delete=PROTECT, related_name="packages", to="rating.rateplan")),
            ],
        ),
        # Rates and buckets keep their numbers; what they say moves into the documents.
        migrations.RemoveConstraint("rate", "one_rate_a_class_and_group"),
        migrations.RemoveConstraint("rate", "rate_price_fits_its_model"),
        migrations.RemoveConstraint("rate", "rate_price_is_not_negative"),
        migrations.RemoveConstraint("rate", "rate_rounding_is_positive"),
        migrations.RenameField("rate", "group", "old_group"),
        migrations.AddField("rate", "plan", models.ForeignKey(null=True, on_delete=PROTECT, related_name="rates", to="rating.rateplan")),
        migrations.AddField("rate", "group", models.CharField(default="", max_length=200, verbose_name="rate group"), preserve_default=False),
        migrations.AddField("rate", "name", models.CharField(default="", max_length=200), preserve_default=False),
        # Taxes.
        migrations.CreateModel(
            name="Jurisdiction",
            fields=[
                big_id(),
                ("name", models.CharField(max_length=60, unique=True)),
                ("rounding", models.CharField(choices=[("line", "each statement line"), ("total", "the total of each tax")], default="line", help_text="Where tax is rounded to the minor unit.", max_length=5)),
                ("prices_include_tax", models.BooleanField(default=False, help_text="Prices contain the tax; otherwise it is added to them.")),
                ("mixed_category", models.CharField(blank=True, help_text="The tax category of a commitment about usage of several. Empty: such a statement cannot be closed.", max_length=60)),
            ],
        ),
        migrations.CreateModel(
            name="ClassTaxCategory",
            fields=[
                big_id(),
                ("category", models.CharField(max_length=60)),
                ("usage_class", models.OneToOneField(on_delete=CASCADE, related_name="+", to="mediation.usageclass")),
            ],
            options={"verbose_name": "tax category", "verbose_name_plural": "tax categories"},
        ),
        migrations.CreateModel(
            name="TaxCode",
            fields=[
                big_id(),
                ("category", models.CharField(max_length=60)),
                ("name", models.CharField(max_length=100)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, help_text="Valid before this moment. Empty: no end.", null=True)),
                ("jurisdiction", models.ForeignKey(on_delete=PROTECT, related_name="tax_codes", to="rating.jurisdiction")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("jurisdiction", "category", "starts_at"), name="tax_code_starts_once"),
                    models.CheckConstraint(condition=AFTER_START, name="tax_code_ends_after_it_starts"),
                ]
            },
        ),
        migrations.CreateModel(
            name="TaxPart",
            fields=[
                big_id(),
                ("position", models.PositiveSmallIntegerField(default=1)),
                ("name", models.CharField(max_length=100)),
                ("percent", models.DecimalField(decimal_places=6, max_digits=9, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(100)])),
                ("is_compound", models.BooleanField(default=False, help_text="Bears on the parts before it too, not on the amount alone.", verbose_name="compound")),
                ("code", models.ForeignKey(on_delete=CASCADE, related_name="parts", to="rating.taxcode")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("code", "position"), name="tax_part_position_once"),
                    models.CheckConstraint(condition=Q(("percent__range", (0, 100))), name="tax_percent_to_100"),
                ]
            },
        ),
        migrations.CreateModel(
            name="TaxExemption",
            fields=[
                big_id(),
                ("category", models.CharField(blank=True, help_text="Empty: every category.", max_length=60)),
                ("certificate", models.CharField(help_text="What proves it: a number, a document.", max_length=200)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("account", models.ForeignKey(on_delete=CASCADE, related_name="tax_exemptions", to="rating.account")),
            ],
            options={"constraints": [models.CheckConstraint(condition=AFTER_START, name="tax_exemption_ends_after_it_starts")]},
        ),
        # Accounts.
        migrations.AddField(
            "account",
            "jurisdiction",
            models.ForeignKey(blank=True, help_text="Whose taxes its statements bear. Empty: none.", null=True, on_delete=PROTECT, related_name="accounts", to="rating.jurisdiction"),
        ),
        migrations.AddField("service", "package", models.ForeignKey(blank=True, null=True, on_delete=PROTECT, related_name="services", to="rating.package")),
        migrations.AddField(
            "service",
            "jurisdiction",
            models.ForeignKey(blank=True, help_text="Where the service is taxed. Empty: where the account is.", null=True, on_delete=PROTECT, related_name="+", to="rating.jurisdiction"),
        ),
        migrations.AlterField(
            "service",
            "rate_plan",
            models.ForeignKey(blank=True, help_text="Empty: the plan of the package or the account.", null=True, on_delete=PROTECT, related_name="services", to="rating.rateplan"),
        ),
        migrations.AddField(
            "billingperiod",
            "is_unsettled",
            models.BooleanField(
                default=False,
                help_text="Something in it was taken back since it was last priced in the order of its dates.",
                verbose_name="to be put in order",
            ),
        ),
        migrations.AddIndex(
            "billingperiod",
            models.Index(condition=Q(("is_unsettled", True)), fields=["id"], name="billing_period_unsettled"),
        ),
        # Counters and grants.
        migrations.CreateModel(
            name="Counter",
            fields=[
                big_id(),
                ("period_id", models.BigIntegerField(help_text="0 where it never starts again.")),
                ("service_id", models.BigIntegerField(help_text="0 where an account or a family shares it.")),
                ("key", models.TextField(help_text="The fields that the rate counts by, and the window.")),
                ("level", models.DecimalField(decimal_places=12, help_text="What the aggregation has come to.", max_digits=38)),
                ("held", models.DecimalField(decimal_places=12, help_text="Of weighted sums, the level held now.", max_digits=38)),
                ("position", models.DecimalField(decimal_places=12, help_text="Units priced, or the amounts of which a share was.", max_digits=38)),
                ("records", models.BigIntegerField()),
                ("at", models.DateTimeField(help_text="The date of the latest record.", null=True)),
                ("credit", models.DecimalField(decimal_places=11, help_text="Paid from buckets of money.", max_digits=38)),
                ("account", key_to("rating.account")),
                ("rate", key_to("rating.rate")),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("period_id", "account", "service_id", "rate", "key"), name="counter_once")]},
        ),
        migrations.CreateModel(
            name="SeenMember",
            fields=[
                big_id(),
                ("period_id", models.BigIntegerField()),
                ("service_id", models.BigIntegerField()),
                ("key", models.TextField()),
                ("member", models.TextField()),
                ("account", key_to("rating.account")),
                ("rate", key_to("rating.rate")),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("period_id", "account", "service_id", "rate", "key", "member"), name="seen_member_once")]},
        ),
        migrations.CreateModel(
            name="BucketGrant",
            fields=[
                big_id(),
                ("service_id", models.BigIntegerField(help_text="0 where an account or a family shares it.")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(null=True)),
                ("granted", models.DecimalField(decimal_places=11, help_text="With what was carried over and refilled.", max_digits=38)),
                ("carried", models.DecimalField(decimal_places=11, help_text="Of it, from the grant before.", max_digits=38)),
                ("refills", models.BigIntegerField()),
                ("used", models.DecimalField(decimal_places=11, max_digits=38)),
                ("account", key_to("rating.account")),
                ("bucket", key_to("rating.bucket")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "bucket", "service_id", "starts_at"), name="bucket_grant_once"),
                    models.CheckConstraint(condition=Q(("used__gte", 0), ("granted__gte", F("used"))), name="bucket_grant_is_not_overdrawn"),
                ]
            },
        ),
        # Overwritten by every batch: room in the page lets that happen without touching an index.
        migrations.RunSQL(
            "ALTER TABLE rating_counter SET (fillfactor = 60); ALTER TABLE rating_bucketgrant SET (fillfactor = 60)",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            DRAWS,
            "DROP TABLE rating_bucketdraw",
            state_operations=[
                migrations.CreateModel(
                    name="BucketDraw",
                    fields=[
                        ("charge_id", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("place", models.SmallIntegerField(help_text="Among the movements of the charge.")),
                        ("date", models.DateTimeField(help_text="When the usage happened, UTC.")),
                        ("kind", models.CharField(choices=[("draw", "draw"), ("give_back", "given back"), ("refill", "refill")], max_length=9)),
                        ("service_id", models.BigIntegerField()),
                        ("starts_at", models.DateTimeField(help_text="Of the grant.")),
                        ("quantity", models.DecimalField(decimal_places=11, max_digits=38)),
                        ("amount", models.DecimalField(decimal_places=11, help_text="What the movement itself cost.", max_digits=32)),
                        ("left", models.DecimalField(decimal_places=11, help_text="After it.", max_digits=38)),
                        ("account", key_to("rating.account")),
                        ("bucket", key_to("rating.bucket")),
                    ],
                    options={"constraints": [models.UniqueConstraint(fields=("charge_id", "place", "date"), name="bucket_draw_once")]},
                )
            ],
        ),
        migrations.RunPython(make_first_partitions, migrations.RunPython.noop),
        # Statements.
        migrations.CreateModel(
            name="Statement",
            fields=[
                big_id(),
                ("number", models.BigIntegerField(unique=True)),
                ("issued_at", models.DateTimeField()),
                ("currency", models.CharField(max_length=3)),
                ("amount", models.DecimalField(decimal_places=11, help_text="The exact sum of the lines.", max_digits=38)),
                ("subtotal", models.DecimalField(decimal_places=11, help_text="The sum of the rounded lines.", max_digits=38)),
                ("tax_total", models.DecimalField(decimal_places=11, max_digits=38)),
                ("total", models.DecimalField(decimal_places=11, help_text="What is to be paid.", max_digits=38)),
                ("period", models.OneToOneField(on_delete=PROTECT, related_name="statement", to="rating.billingperiod")),
            ],
        ),
        migrations.CreateModel(
            name="StatementTax",
            fields=[
                big_id(),
                ("position", models.PositiveIntegerField()),
                ("line", models.PositiveIntegerField(help_text="The position of the line.")),
                ("jurisdiction", models.CharField(max_length=60)),
                ("category", models.CharField(max_length=60)),
                ("code", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=100)),
                ("percent", models.DecimalField(decimal_places=6, max_digits=9)),
                ("base", models.DecimalField(decimal_places=11, max_digits=38)),
                ("amount", models.DecimalField(decimal_places=11, max_digits=38)),
                ("statement", models.ForeignKey(on_delete=PROTECT, related_name="taxes", to="rating.statement")),
            ],
            options={
                "verbose_name_plural": "statement taxes",
                "constraints": [models.UniqueConstraint(fields=("statement", "position"), name="statement_tax_position_once")],
            },
        ),
        migrations.RemoveConstraint("statementline", "statement_line_once"),
        migrations.AddField("statementline", "statement", models.ForeignKey(null=True, on_delete=PROTECT, related_name="lines", to="rating.statement")),
        migrations.AddField("statementline", "position", models.PositiveIntegerField(default=0, help_text="1 the first."), preserve_default=False),
        migrations.AddField(
            "statementline",
            "kind",
            models.CharField(
                choices=[("usage", "usage"), ("adjustment", "adjustment"), ("true_up", "true-up to the minimum"), ("maximum", "above the maximum"), ("overage", "overage")],
                default="usage",
                max_length=10,
            ),
            preserve_default=False,
        ),
        migrations.AddField("statementline", "description", models.TextField(default="", help_text="What it is for, in words."), preserve_default=False),
        migrations.AddField("statementline", "plan", models.ForeignKey(db_index=False, null=True, on_delete=PROTECT, related_name="+", to="rating.rateplan")),
        migrations.AlterField("statementline", "usage_class", models.ForeignKey(db_index=False, null=True, on_delete=PROTECT, related_name="+", to="mediation.usageclass")),
        migrations.AddField("statementline", "rate", models.ForeignKey(db_index=False, null=True, on_delete=PROTECT, related_name="+", to="rating.rate")),
        migrations.AddField("statementline", "service", models.ForeignKey(db_index=False, null=True, on_delete=PROTECT, related_name="+", to="rating.service")),
        migrations.AddField("statementline", "tier", models.PositiveSmallIntegerField(help_text="1 the first; none where the line is not of one tier.", null=True)),
        migrations.AddField("statementline", "tier_above", models.DecimalField(decimal_places=12, max_digits=38, null=True)),
        migrations.AddField("statementline", "tier_up_to", models.DecimalField(decimal_places=12, max_digits=38, null=True)),
        migrations.AddField("statementline", "commitment", models.CharField(blank=True, default="", max_length=200), preserve_default=False),
        migrations.AddField("statementline", "adjusts", models.CharField(blank=True, default="", help_text="The number of the statement that it corrects.", max_length=20), preserve_default=False),
        migrations.AddField("statementline", "jurisdiction", models.CharField(blank=True, default="", max_length=60), preserve_default=False),
        migrations.AddField("statementline", "tax_category", models.CharField(blank=True, default="", max_length=60), preserve_default=False),
        migrations.AlterField("statementline", "quantity", models.DecimalField(decimal_places=6, help_text="As measured.", max_digits=38)),
        migrations.AlterField("statementline", "rated_quantity", models.DecimalField(decimal_places=6, help_text="After rounding.", max_digits=38)),
        migrations.AddField("statementline", "free_quantity", models.DecimalField(decimal_places=6, default=0, max_digits=38)),
        migrations.AlterField("statementline", "bucket_quantity", models.DecimalField(decimal_places=6, max_digits=38)),
        migrations.AddField("statementline", "credit", models.DecimalField(decimal_places=11, default=0, help_text="Paid from buckets of money.", max_digits=38)),
        migrations.AddField("statementline", "cost", models.DecimalField(decimal_places=11, default=0, help_text="What the usage costs us.", max_digits=38)),
        # Charges.
        migrations.RunSQL(
            CHARGE,
            migrations.RunSQL.noop,
            state_operations=[
                migrations.AddField("charge", "version", key_to("rating.planversion", null=True)),
                migrations.AddField("charge", "part", models.SmallIntegerField(default=0, help_text="Of a record that was split at the boundary of a time period.")),
                migrations.AddField("charge", "counting_period_id", models.BigIntegerField(null=True)),
                migrations.AddField("charge", "free_quantity", models.DecimalField(decimal_places=6, default=0, help_text="Of it, free units.", max_digits=21)),
                migrations.AddField("charge", "credit", models.DecimalField(decimal_places=11, default=0, help_text="Paid from buckets of money; the amount is without it.", max_digits=32)),
                migrations.AddField("charge", "cost", models.DecimalField(decimal_places=11, help_text="What the usage costs us.", max_digits=32, null=True)),
                migrations.AlterField("charge", "bucket_quantity", models.DecimalField(decimal_places=6, help_text="Of it, drawn from buckets.", max_digits=21)),
                migrations.AlterField("charge", "tier_position", models.DecimalField(decimal_places=12, help_text="How far the rate's tiers were used up before.", max_digits=38, null=True)),
                migrations.RemoveConstraint("charge", "charge_bucket_within_quantity"),
                migrations.AddConstraint(
                    "charge",
                    models.CheckConstraint(
                        condition=Q(("bucket_quantity__gte", 0), ("kind", "charge"), ("rated_quantity__gte", F("bucket_quantity")))
                        | Q(("bucket_quantity", 0), ("kind", "charge"))
                        | Q(("bucket_quantity__lte", 0), ("kind", "reversal"), ("rated_quantity__lte", F("bucket_quantity")))
                        | Q(("bucket_quantity", 0), ("kind", "reversal")),
                        name="charge_bucket_within_quantity",
                    ),
                ),
                migrations.AddIndex(
                    "charge",
                    models.Index(
                        condition=Q(("counting_period_id", F("period_id")), _negated=True),
                        fields=["counting_period_id"],
                        name="charge_counted_elsewhere",
                    ),
                ),
            ],
        ),
    ]
