"""How much a token may send in a minute, and how much of it was given out."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0020_limit_tokens"), ("knox", "0009_extend_authtoken_field")]

    operations = [
        migrations.AddField(
            model_name="tokenscope",
            name="requests_per_minute",
            field=models.PositiveIntegerField(
                help_text="Empty: SLUICE_REQUESTS_PER_MINUTE. 0: as many as come.", null=True
            ),
        ),
        migrations.AddField(
            model_name="tokenscope",
            name="records_per_minute",
            field=models.PositiveIntegerField(
                help_text="Empty: SLUICE_RECORDS_PER_MINUTE. 0: as many as come.", null=True
            ),
        ),
        migrations.CreateModel(
            name="TokenQuota",
            fields=[
                (
                    "token",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="knox.authtoken",
                    ),
                ),
                ("minute", models.BigIntegerField()),
                ("requests", models.BigIntegerField()),
                ("records", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
    ]
