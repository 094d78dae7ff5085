"""Closing a period asks for unfinished batches: over millions of finished ones that has to be an index."""

from django.db import migrations, models

UNFINISHED = models.Q(status__in=["staged", "mediated", "superseded", "errored"])


class Migration(migrations.Migration):
    dependencies = [("mediation", "0006_usual_usage_units")]

    operations = [
        migrations.RemoveIndex(model_name="udrbatch", name="udr_batch_ready"),
        migrations.AddIndex(
            model_name="udrbatch",
            index=models.Index(fields=["id"], condition=UNFINISHED, name="udr_batch_unfinished"),
        ),
    ]
