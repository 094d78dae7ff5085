"""The roles of the house, as groups with their permissions."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

from config.roles import grant_roles

APPS = {"auth", "knox", "mediation", "ingestion", "rating", "config"}


def make_groups(apps, schema_editor):
    """Permissions are made after all migrations have run; groups that are made by one need them now."""
    for label in APPS & apps.app_configs.keys():
        app = apps.get_app_config(label)
        app.models_module = True
        create_permissions(app, apps=apps, verbosity=0)
        app.models_module = None
    grant_roles(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0006_saved_filters"),
        ("ingestion", "0010_review"),
        ("mediation", "0008_paid_by_direction"),
        ("rating", "0014_review"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
