"""Figures of the front page, and notices of what is out of the usual range."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("config", "0003_approvals")]

    operations = []
