"""Charges, partitioned by month of the usage's date; a default partition means that no date can be refused."""

import django.db.models
from django.db import migrations, models
from django.utils import timezone

TABLE = """
CREATE TABLE rating_charge (
    id bigint NOT NULL,
    udr_id bigint NOT NULL,
    date timestamptz NOT NULL,
    rated_at timestamptz NOT NULL,
    import_id bigint NOT NULL,
    account_id bigint NOT NULL,
    service_id bigint NOT NULL,
    service_identifier_id bigint NOT NULL,
    period_id bigint NOT NULL,
    usage_class_id bigint NOT NULL,
    plan_id bigint NOT NULL,
    rate_group_id bigint NOT NULL,
    rate_id bigint NOT NULL,
    bucket_id bigint,
    quantity numeric(21, 6) NOT NULL,
    rated_quantity numeric(21, 6) NOT NULL,
    bucket_quantity numeric(21, 6) NOT NULL,
    tier_position numeric(21, 6),
    amount numeric(32, 11) NOT NULL,
    currency varchar(3) NOT NULL,
    kind varchar(8) NOT NULL,
    PRIMARY KEY (id, date),
    CONSTRAINT charge_bucket_within_quantity CHECK (
        (kind = 'charge' AND bucket_quantity >= 0 AND rated_quantity >= bucket_quantity)
        OR (kind = 'reversal' AND bucket_quantity <= 0 AND rated_quantity <= bucket_quantity)
    )
) PARTITION BY RANGE (date);
CREATE INDEX charge_period ON rating_charge (period_id);
CREATE TABLE rating_charge_default PARTITION OF rating_charge DEFAULT
"""


def make_first_partitions(apps, schema_editor):
    """15 months back to 3 ahead; a schedule makes the later ones."""
    from mediation.store import ensure_month_partitions, months_around

    ensure_month_partitions("rating_charge", months_around(timezone.now().date(), back=15, ahead=3))


class Migration(migrations.Migration):
    dependencies = [("rating", "0002_an_identifier_has_one_owner")]

    operations = [
        migrations.RunSQL(
            sql=TABLE,
            reverse_sql="DROP TABLE rating_charge",
            state_operations=[
                migrations.CreateModel(
                    name='Charge',
                    fields=[
                        ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                        ('udr_id', models.BigIntegerField(verbose_name='UDR')),
                        ('date', models.DateTimeField(help_text='When the usage happened, UTC.')),
                        ('kind', models.CharField(choices=[('charge', 'charge'), ('reversal', 'reversal')], max_length=8)),
                        ('import_id', models.BigIntegerField(verbose_name='import')),
                        ('quantity', models.DecimalField(decimal_places=6, help_text='As measured.', max_digits=21)),
                        ('rated_quantity', models.DecimalField(decimal_places=6, help_text='After rounding.', max_digits=21)),
                        ('bucket_quantity', models.DecimalField(decimal_places=6, help_text='Of it, drawn from the bucket.', max_digits=21)),
                        ('tier_position', models.DecimalField(decimal_places=6, help_text='How far the graduated rate was used up before.', max_digits=21, null=True)),
                        ('amount', models.DecimalField(decimal_places=11, max_digits=32)),
                        ('currency', models.CharField(max_length=3)),
                        ('rated_at', models.DateTimeField()),
                        ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.account')),
                        ('bucket', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.bucket')),
                        ('period', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.billingperiod')),
                        ('usage_class', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='mediation.usageclass')),
                        ('rate', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.rate')),
                        ('rate_group', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.rategroup')),
                        ('plan', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.rateplan')),
                        ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.service')),
                        ('service_identifier', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.DO_NOTHING, related_name='+', to='rating.serviceidentifier')),
                    ],
                ),
                migrations.AddIndex(
                    model_name='charge',
                    index=models.Index(fields=['period'], name='charge_period'),
                ),
                migrations.AddConstraint(
                    model_name='charge',
                    constraint=models.CheckConstraint(condition=models.Q(models.Q(('bucket_quantity__gte', 0), ('kind', 'charge'), ('rated_quantity__gte', models.F('bucket_quantity'))), models.Q(('bucket_quantity__lte', 0), ('kind', 'reversal'), ('rated_quantity__lte', models.F('bucket_quantity'))), _connector='OR'), name='charge_bucket_within_quantity'),
                ),
            ],
        ),
        migrations.RunPython(make_first_partitions, migrations.RunPython.noop),
    ]
