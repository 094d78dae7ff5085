"""Which file of a pick-up location is at hand, and which held up the last look."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0061_pickups_elsewhere")]

    operations = [
        migrations.AddField(
            model_name="pickupstate",
            name="begun_file",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The file at hand; or over which its worker was killed.",
            ),
        ),
        migrations.AddField(model_name="pickupstate", name="begun_at", field=models.DateTimeField(null=True)),
        migrations.AddField(
            model_name="pickupstate",
            name="held_up_by",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The file that held up the last look: it comes last now.",
            ),
        ),
    ]
