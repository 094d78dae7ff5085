"""Approvals: what a second person decides."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("config", "0002_audit")]

    operations = []
