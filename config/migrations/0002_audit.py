"""Audit: what was changed, by whom, when and why."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("config", "0001_index_the_queue")]

    operations = []
