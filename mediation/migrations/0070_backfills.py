"""Windows that backfills replace, what they take back and bring back, and batches that are held until they close."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mediation', '0040_voided_udrs'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BackfillWindow',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('feed_id', models.BigIntegerField()),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('held', 'held'), ('counting', 'counting'), ('gone', 'gone')], default='held', max_length=8)),
                ('counts_since', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='RestoredUdr',
            fields=[
                ('id', models.BigIntegerField(db_column='udr_id', help_text='The UDR.', primary_key=True, serialize=False)),
                ('udr_date', models.DateTimeField()),
                ('restored_at', models.DateTimeField()),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('next_try_at', models.DateTimeField(null=True)),
                ('error', models.TextField(blank=True)),
            ],
        ),
        migrations.RemoveIndex(
            model_name='voidedudr',
            name='voided_udr_requested',
        ),
        migrations.AddField(
            model_name='udrbatch',
            name='backfill_id',
            field=models.BigIntegerField(help_text='The backfill that it came by.', null=True),
        ),
        migrations.AddField(
            model_name='voidedudr',
            name='backfill_id',
            field=models.BigIntegerField(help_text='The backfill that took it back, whose window it lies in.', null=True),
        ),
        migrations.AddField(
            model_name='voidedudr',
            name='content_hash',
            field=models.UUIDField(help_text='Of the key that a backfill freed, so that it can come back.', null=True),
        ),
        migrations.AlterField(
            model_name='udrbatch',
            name='status',
            field=models.CharField(choices=[('held', 'held'), ('staged', 'staged'), ('mediated', 'mediated'), ('rated', 'rated'), ('superseded', 'superseded'), ('reversed', 'reversed'), ('errored', 'errored')], default='mediated', max_length=10),
        ),
        migrations.AddIndex(
            model_name='udrbatch',
            index=models.Index(condition=models.Q(('backfill_id__isnull', False)), fields=['backfill_id'], name='udr_batch_of_backfill'),
        ),
        migrations.AddIndex(
            model_name='voidedudr',
            index=models.Index(condition=models.Q(('backfill_id__isnull', True)), fields=['feed_id', 'requested_at'], name='voided_udr_requested'),
        ),
        migrations.AddIndex(
            model_name='voidedudr',
            index=models.Index(condition=models.Q(('backfill_id__isnull', False)), fields=['backfill_id'], name='voided_udr_by_backfill'),
        ),
        migrations.AddIndex(
            model_name='backfillwindow',
            index=models.Index(condition=models.Q(('status', 'counting')), fields=['feed_id'], name='backfill_window_counting'),
        ),
    ]
