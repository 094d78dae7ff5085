"""The UDR table, partitioned by month, and the keys of all that was seen.

Django cannot declare either: a partitioned table's key must hold the partition column, and the admin wants one column as
its key. So the tables are made in SQL and described to Django.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone

TABLES = """
CREATE TABLE mediation_udr (
    id bigint NOT NULL,
    date timestamptz NOT NULL,
    feed_id bigint NOT NULL,
    import_id bigint NOT NULL,
    record_number bigint NOT NULL,
    usage_class_id bigint NOT NULL,
    identifier_type_id bigint NOT NULL,
    inbound boolean NOT NULL,
    reverse_rating boolean NOT NULL,
    primary_data_row integer,
    usage_bill_date timestamptz,
    value numeric(21,6) NOT NULL,
    amount numeric(32,11),
    currency varchar(3),
    source_zone varchar(64),
    originating_identifier text,
    terminating_identifier text,
    udr_usage_identifier text,
    candidate_terminating_identifier text,
    uniqueness_identifier text,
    extensions jsonb,
    PRIMARY KEY (id, date)
) PARTITION BY RANGE (date);
CREATE TABLE mediation_udr_default PARTITION OF mediation_udr DEFAULT;

CREATE TABLE mediation_udrkey (
    feed_id bigint NOT NULL,
    udr_id bigint NOT NULL,
    content_hash uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (feed_id, key)
);
-- Keys are written in the order of their UDRs, so a summary of each block range finds those of a batch.
CREATE INDEX udr_key_by_udr ON mediation_udrkey USING brin (udr_id) WITH (pages_per_range = 16, autosummarize = on);
"""


def make_first_partitions(apps, schema_editor):
    from mediation.store import ensure_month_partitions, months_around

    ensure_month_partitions("mediation_udr", months_around(timezone.now().date(), back=15, ahead=3))


class Migration(migrations.Migration):
    dependencies = [("mediation", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLES, "DROP TABLE mediation_udrkey; DROP TABLE mediation_udr;"),
            ],
            state_operations=[
                migrations.CreateModel(
                    name='Udr',
                    fields=[
                        ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                        ('date', models.DateTimeField(help_text='When the usage happened, UTC.')),
                        ('source_zone', models.CharField(help_text='The zone the source gave the date in.', max_length=64, null=True)),
                        ('feed_id', models.BigIntegerField()),
                        ('import_id', models.BigIntegerField()),
                        ('record_number', models.BigIntegerField(help_text='Line of the file or place in the request, from 1.')),
                        ('originating_identifier', models.TextField(null=True)),
                        ('terminating_identifier', models.TextField(null=True)),
                        ('udr_usage_identifier', models.TextField(null=True, verbose_name='UDR usage identifier')),
                        ('candidate_terminating_identifier', models.TextField(null=True)),
                        ('uniqueness_identifier', models.TextField(null=True)),
                        ('value', models.DecimalField(decimal_places=6, help_text='The measured quantity.', max_digits=21)),
                        ('amount', models.DecimalField(decimal_places=11, help_text='Money that came in the record, for pass-through rates.', max_digits=32, null=True)),
                        ('currency', models.CharField(max_length=3, null=True)),
                        ('inbound', models.BooleanField()),
                        ('reverse_rating', models.BooleanField()),
                        ('primary_data_row', models.IntegerField(null=True)),
                        ('usage_bill_date', models.DateTimeField(null=True)),
                        ('extensions', models.JSONField(help_text='Values that the profile keeps beside the named fields.', null=True)),
                        ('identifier_type', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to='mediation.identifiertype')),
                        ('usage_class', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to='mediation.usageclass')),
                    ],
                    options={
                        'verbose_name': 'UDR',
                        'verbose_name_plural': 'UDRs',
                    },
                ),
                migrations.CreateModel(
                    name='UdrKey',
                    fields=[
                        ('id', models.BigIntegerField(db_column='udr_id', help_text='The UDR that holds the key.', primary_key=True, serialize=False)),
                        ('feed_id', models.BigIntegerField()),
                        ('key', models.TextField()),
                        ('content_hash', models.UUIDField(help_text="The first 128 bits of the content's SHA-256.")),
                    ],
                    options={
                        'verbose_name': 'UDR key',
                    },
                ),
            ],
        ),
        migrations.RunPython(make_first_partitions, migrations.RunPython.noop),
    ]
