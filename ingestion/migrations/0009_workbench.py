"""Corrections of many exceptions at once."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0008_feed_grants")]

    operations = []
