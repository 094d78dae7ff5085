"""A class may be paid by direction: outbound usage by the originating identifier, inbound by the terminating."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mediation", "0007_index_unfinished_batches")]

    operations = [
        migrations.AlterField(
            model_name="usageclass",
            name="paid_by",
            field=models.CharField(
                choices=[
                    ("usage", "UDR usage identifier"),
                    ("originating", "originating identifier"),
                    ("terminating", "terminating identifier"),
                    ("direction", "by direction (outbound: originating, inbound: terminating; reverse rating: the other)"),
                ],
                default="usage",
                help_text="Which of a record's identifiers names the service that pays.",
                max_length=12,
            ),
        )
    ]
