"""Who looks after an exception, and what was said about it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0009_workbench")]

    operations = []
