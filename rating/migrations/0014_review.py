"""Who looks after a rating exception, and what was said about it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("rating", "0013_attempts_at_periods")]

    operations = []
