"""Since when a void comes again in vain, so that chunks of its feed let it pass."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0100_undone_as_whole")]
    operations = [
        migrations.AddField(
            model_name="usagevoid",
            name="held_up_since",
            field=models.DateTimeField(help_text="Since when its feed was never free at its turn.", null=True),
        ),
    ]
