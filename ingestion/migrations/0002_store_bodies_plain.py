"""Bodies are stored as they came: compressing them would cost the accepting request more than the disk."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE ingestion_importbody ALTER COLUMN content SET STORAGE EXTERNAL",
            "ALTER TABLE ingestion_importbody ALTER COLUMN content SET STORAGE EXTENDED",
        )
    ]
