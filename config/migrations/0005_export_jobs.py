"""Exports that run as jobs."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("config", "0004_figures_and_notices")]

    operations = []
