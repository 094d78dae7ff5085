"""Figures of the front page, and notices of what is out of the usual range."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# What was charged since a moment is asked for at every run; charges come in that order, so the index is tiny.
RATED = """
CREATE INDEX IF NOT EXISTS charge_rated ON rating_charge USING brin (rated_at)
WITH (pages_per_range = 32, autosummarize = on)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0003_approvals"),
        ("rating", "0013_attempts_at_periods"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='FigureRun',
            fields=[
                ('key', models.CharField(choices=[('arrivals', 'records received'), ('charges', 'charges'), ('open', 'open exceptions'), ('anomalies', 'anomalies')], max_length=10, primary_key=True, serialize=False)),
                ('as_of', models.DateTimeField(help_text='Nothing younger is in the figures.', null=True)),
                ('took_seconds', models.DecimalField(decimal_places=3, default=0, max_digits=9)),
                ('settled_until', models.DateField(help_text='What is before this day is not counted at every run.', null=True)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='AccountFigure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField(help_text='Its first day.')),
                ('account_id', models.BigIntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('is_settled', models.BooleanField()),
                ('record_count', models.BigIntegerField()),
                ('amount', models.DecimalField(decimal_places=11, max_digits=38)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('month', 'account_id', 'currency', 'is_settled'), name='account_figure_once')],
            },
        ),
        migrations.CreateModel(
            name='ArrivalFigure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('span', models.CharField(choices=[('hour', 'hour'), ('day', 'day')], max_length=4)),
                ('starts_at', models.DateTimeField()),
                ('feed_id', models.BigIntegerField()),
                ('import_count', models.BigIntegerField()),
                ('record_count', models.BigIntegerField()),
                ('imported_count', models.BigIntegerField()),
                ('exception_count', models.BigIntegerField()),
                ('skipped_count', models.BigIntegerField()),
                ('duplicate_count', models.BigIntegerField()),
                ('waiting_count', models.BigIntegerField()),
                ('last_at', models.DateTimeField(help_text='When the last of it came.')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('span', 'starts_at', 'feed_id'), name='arrival_figure_once')],
            },
        ),
        migrations.CreateModel(
            name='ChargeEstimate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('feed_id', models.BigIntegerField(null=True, unique=True)),
                ('usage_class_id', models.BigIntegerField(null=True, unique=True)),
                ('currency', models.CharField(max_length=3)),
                ('record_count', models.BigIntegerField()),
                ('quantity', models.DecimalField(decimal_places=6, max_digits=38)),
                ('amount', models.DecimalField(decimal_places=11, max_digits=38)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('feed_id__isnull', True), ('usage_class_id__isnull', False)), models.Q(('feed_id__isnull', False), ('usage_class_id__isnull', True)), _connector='OR'), name='charge_estimate_is_of_a_feed_or_a_class')],
            },
        ),
        migrations.CreateModel(
            name='ChargeFigure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('feed_id', models.BigIntegerField(null=True)),
                ('usage_class_id', models.BigIntegerField(null=True)),
                ('currency', models.CharField(max_length=3)),
                ('record_count', models.BigIntegerField()),
                ('quantity', models.DecimalField(decimal_places=6, max_digits=38)),
                ('amount', models.DecimalField(decimal_places=11, max_digits=38)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('day', 'feed_id', 'usage_class_id', 'currency'), name='charge_figure_once', nulls_distinct=False)],
                'indexes': [
                    models.Index(fields=['day'], condition=models.Q(('feed_id__isnull', True)), name='charge_figure_of_all_feeds'),
                    models.Index(fields=['day'], condition=models.Q(('usage_class_id__isnull', True)), name='charge_figure_of_all_classes'),
                ],
            },
        ),
        migrations.CreateModel(
            name='OpenFigure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('import', 'import exceptions'), ('rating', 'rating exceptions')], max_length=6)),
                ('feed_id', models.BigIntegerField()),
                ('reason', models.CharField(help_text='The code or the cause.', max_length=40)),
                ('usage_class_id', models.BigIntegerField(null=True)),
                ('count', models.BigIntegerField()),
                ('quantity', models.DecimalField(decimal_places=6, max_digits=38, null=True)),
                ('oldest_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('kind', 'feed_id', 'reason', 'usage_class_id'), name='open_figure_once', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('silence', 'silent feed'), ('spike', 'more records than usual'), ('drop', 'fewer records than usual'), ('duplicates', 'more duplicates than usual'), ('exceptions', 'more exceptions than usual'), ('value', 'more charged than usual'), ('account', 'account charged more than usual')], max_length=10)),
                ('feed_id', models.BigIntegerField(null=True, verbose_name='feed')),
                ('account_id', models.BigIntegerField(null=True, verbose_name='account')),
                ('text', models.TextField(help_text='What was seen, and what is usual.')),
                ('numbers', models.JSONField(help_text='The figures that it was judged by.')),
                ('opened_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(help_text='When it was back in the usual range.', null=True)),
                ('acknowledged_at', models.DateTimeField(null=True)),
                ('comment', models.TextField(blank=True, help_text='What the person who acknowledged it says.')),
                ('acknowledged_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': [('acknowledge_notice', 'Can acknowledge notices')],
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['id'], name='notice_open')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('kind', 'feed_id', 'account_id'), name='one_open_notice_of_a_kind', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('acknowledged_at__isnull', True), models.Q(('comment', ''), _negated=True), _connector='OR'), name='notice_is_acknowledged_with_a_comment')],
            },
        ),
        migrations.RunSQL(RATED, "DROP INDEX IF EXISTS charge_rated"),
    ]
