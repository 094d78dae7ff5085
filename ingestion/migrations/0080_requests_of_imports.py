"""Imports keep the id of the request that they came by."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0050_shapes_of_bodies")]

    operations = [
        migrations.AddField(
            model_name="usageimport",
            name="request_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="As its sender, the log and the audit call the request that it came by.",
                max_length=200,
                verbose_name="request",
            ),
        ),
    ]
