"""Groups of exceptions may have any offending value, where each record has another one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0011_find_imports_by_file")]

    operations = [
        migrations.AlterField(
            model_name=model,
            name="value",
            field=models.CharField(
                blank=True,
                help_text="None: whatever the value.",
                max_length=200,
                null=True,
                verbose_name="offending value",
            ),
        )
        for model in ("groupcorrection", "exceptioncomment")
    ]
