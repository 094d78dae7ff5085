"""A grant keeps who gave it and why: prepaid credit and one-off allowances are given one by one."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rating', '0009_repricings_keep_their_totals'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='bucketgrant',
            name='given_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bucketgrant',
            name='reason',
            field=models.TextField(blank=True, db_default='', help_text='Why it was given.'),
        ),
    ]
