"""The time zone in which a person is shown moments."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import config.models.preferences


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0007_roles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Preference",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="preference",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(max_length=64, validators=[config.models.preferences.is_time_zone]),
                ),
            ],
            options={"default_permissions": ()},
        )
    ]
