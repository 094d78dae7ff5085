"""Backfills, and which imports and chunks came by one."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ingestion', '0080_requests_of_imports'),
        ('mediation', '0070_backfills'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='importchunk',
            name='backfill_id',
            field=models.BigIntegerField(help_text='The backfill that its import was sent into.', null=True),
        ),
        migrations.CreateModel(
            name='Backfill',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tracking_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('status', models.CharField(choices=[('open', 'open'), ('closing', 'closing'), ('closed', 'closed'), ('reverting', 'reverting'), ('reverted', 'reverted'), ('abandoning', 'abandoning'), ('abandoned', 'abandoned')], default='open', max_length=10)),
                ('starts_at', models.DateTimeField(help_text='Belongs to the window.')),
                ('ends_at', models.DateTimeField(help_text='The first moment behind it.')),
                ('reason', models.TextField(help_text='Why it is sent again; it stays with every UDR that is replaced.')),
                ('opened_at', models.DateTimeField()),
                ('asked_at', models.DateTimeField(help_text='When it was last asked to be closed, reverted or abandoned.', null=True)),
                ('closed_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(help_text='When it was reverted or abandoned.', null=True)),
                ('refusal', models.TextField(blank=True, help_text='Why what was asked for last was not done.')),
                ('udr_count', models.PositiveBigIntegerField(default=0, help_text='Its own, that count since it was closed.', verbose_name='UDRs')),
                ('replaced_count', models.PositiveBigIntegerField(default=0, verbose_name='replaced UDRs')),
                ('left_out_count', models.PositiveBigIntegerField(default=0, help_text='Its own whose key was taken outside of the window, or voided, before it was closed.', verbose_name='left out')),
                ('restored_count', models.PositiveBigIntegerField(default=0, verbose_name='restored UDRs')),
                ('difference', models.JSONField(help_text='What closing it changed, by usage class.', null=True)),
                ('claimed_until', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('error', models.TextField(blank=True)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('feed', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ingestion.feed')),
                ('opened_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': [('backfill_usage', 'Can open, close, revert and abandon backfills')],
            },
        ),
        migrations.AddField(
            model_name='usageimport',
            name='backfill',
            field=models.ForeignKey(db_index=False, help_text='The backfill that it was sent into; its UDRs count once that is closed.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='ingestion.backfill'),
        ),
        migrations.AddIndex(
            model_name='usageimport',
            index=models.Index(condition=models.Q(('backfill__isnull', False)), fields=['backfill'], name='usage_import_of_backfill'),
        ),
        migrations.AddIndex(
            model_name='backfill',
            index=models.Index(condition=models.Q(('status__in', ['closing', 'reverting', 'abandoning'])), fields=['id'], name='backfill_to_work'),
        ),
        migrations.AddConstraint(
            model_name='backfill',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='backfill_needs_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='backfill',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='backfill_ends_after_it_starts'),
        ),
    ]
