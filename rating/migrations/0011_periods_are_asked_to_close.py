"""Many periods are closed by workers: who asked, since when, and why one was not closed."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rating', '0010_grants_are_given'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='billingperiod',
            name='close_asked_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='to be closed since'),
        ),
        migrations.AddField(
            model_name='billingperiod',
            name='close_asked_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='billingperiod',
            name='close_refusal',
            field=models.TextField(blank=True, db_default='', verbose_name='why it was not closed'),
        ),
        migrations.AddIndex(
            model_name='billingperiod',
            index=models.Index(condition=models.Q(('close_asked_at__isnull', False), ('status', 'open')), fields=['starts_at', 'id'], name='billing_period_to_close'),
        ),
    ]
