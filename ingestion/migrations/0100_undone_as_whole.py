"""Whether a group correction was undone by mediating its imports again as a whole."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0090_files_seen_before"),
    ]

    operations = [
        migrations.AddField(
            model_name="groupcorrection",
            name="is_undone_as_whole",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="By mediating its imports again: some of it was rated, or they were mediated again since.",
                verbose_name="undone as a whole",
            ),
        ),
    ]
