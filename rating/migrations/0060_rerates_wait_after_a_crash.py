"""When a rerate of exceptions that crashed is tried next."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rating", "0014_review")]

    operations = [
        migrations.AddField(
            model_name="exceptionrerate",
            name="try_at",
            field=models.DateTimeField(
                help_text="After a crash; empty: at once.", null=True, verbose_name="next try at"
            ),
        ),
    ]
