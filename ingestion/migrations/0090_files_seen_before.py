"""What the last look at a pick-up location saw of files that it did not take."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0062_pickups_with_an_end")]

    operations = [
        migrations.AddField(
            model_name="pickupstate",
            name="seen",
            field=models.JSONField(
                db_default={},
                default=dict,
                help_text="Of files not taken yet: size, moment of writing, since when seen so.",
            ),
        ),
    ]
