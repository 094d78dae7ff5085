"""The identifier type that a record is of when its source does not say."""

from django.db import migrations


def add_unknown(apps, schema_editor):
    apps.get_model("mediation", "IdentifierType").objects.get_or_create(name="Unknown")


class Migration(migrations.Migration):
    dependencies = [("mediation", "0002_udr_by_month")]

    operations = [migrations.RunPython(add_unknown, migrations.RunPython.noop)]
