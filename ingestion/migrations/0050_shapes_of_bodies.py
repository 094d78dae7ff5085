from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0060_file_uploads")]

    operations = [
        migrations.AddField(
            model_name="importbody",
            name="shape",
            field=models.CharField(
                choices=[
                    ("json", "json"),
                    ("ndjson", "ndjson"),
                    ("csv", "csv"),
                    ("event", "event"),
                    ("events", "events"),
                ],
                db_default="json",
                default="json",
                help_text="How its records stand in it.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="importbody",
            name="header_lines",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="How many of its first lines name its columns, and hold no record."
            ),
        ),
        migrations.AlterField(
            model_name="importbody",
            name="content",
            field=models.BinaryField(help_text="Unpacked, if it came packed."),
        ),
    ]
