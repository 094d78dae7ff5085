"""Files are found by their name; submissions have none, and accepting them does not pay for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0010_review")]

    operations = [
        migrations.AddIndex(
            model_name="usageimport",
            index=models.Index(
                fields=["file_name"], condition=models.Q(("file_name", ""), _negated=True), name="usage_import_by_file"
            ),
        ),
    ]
