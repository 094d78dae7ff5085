"""Filters of lists that a person keeps."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("config", "0005_export_jobs")]

    operations = []
