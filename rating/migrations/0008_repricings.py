"""Repricings: what past usage would cost, shown by account before anything is changed."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rating', '0007_active_versions_and_statements_stay'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Repricing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('rerate', 'rerate'), ('what_if', 'what if')], max_length=7)),
                ('status', models.CharField(choices=[('counting', 'being worked out'), ('shown', 'worked out'), ('waiting', 'being applied'), ('applied', 'applied'), ('errored', 'errored')], default='counting', max_length=8)),
                ('filters', models.JSONField(help_text='Which usage: account, plan, usage class, import, from, until.')),
                ('reason', models.TextField(blank=True, help_text='Why; it stays with what is changed.')),
                ('created_at', models.DateTimeField()),
                ('shown_at', models.DateTimeField(null=True)),
                ('applied_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='Of the accounts that are being worked on.')),
                ('error', models.TextField(blank=True)),
                ('applied_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(blank=True, help_text='What if this version had priced the usage of its plan?', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.planversion')),
            ],
            options={
                'verbose_name': 'rerate or what-if',
                'verbose_name_plural': 'rerates and what-ifs',
                'permissions': [('rerate_charge', 'Can rerate charges'), ('what_if', 'Can ask what usage would cost')],
            },
        ),
        migrations.CreateModel(
            name='RepricedAccount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('udr_count', models.BigIntegerField(verbose_name='UDRs')),
                ('is_done', models.BooleanField(default=False, help_text='In the step that the repricing is at.')),
                ('before', models.DecimalField(decimal_places=11, max_digits=38, null=True)),
                ('after', models.DecimalField(decimal_places=11, max_digits=38, null=True)),
                ('changed_count', models.BigIntegerField(null=True, verbose_name='changed charges')),
                ('refused_count', models.BigIntegerField(null=True, verbose_name='could not be charged')),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rating.account')),
                ('repricing', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='accounts', to='rating.repricing')),
            ],
        ),
        migrations.AddIndex(
            model_name='repricing',
            index=models.Index(condition=models.Q(('status__in', ['counting', 'waiting'])), fields=['id'], name='repricing_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='repricing',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'rerate'), ('version__isnull', True)), models.Q(('kind', 'what_if'), ('version__isnull', False)), _connector='OR'), name='what_if_needs_a_version'),
        ),
        migrations.AddConstraint(
            model_name='repricing',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'rerate'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='rerate_needs_a_reason'),
        ),
        migrations.AddIndex(
            model_name='repricedaccount',
            index=models.Index(condition=models.Q(('is_done', False)), fields=['repricing', 'id'], name='repriced_account_waiting'),
        ),
        migrations.AddConstraint(
            model_name='repricedaccount',
            constraint=models.UniqueConstraint(fields=('repricing', 'account'), name='repriced_account_once'),
        ),
        migrations.AddConstraint(
            model_name='repricedaccount',
            constraint=models.CheckConstraint(condition=models.Q(('udr_count__gte', 0)), name='repriced_udrs'),
        ),
    ]
