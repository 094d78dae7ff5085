"""Who sees and uses which feed."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0007_find_repeats")]

    operations = []
