"""The roles of the house, as groups; each migrate gives them the permissions that `config.roles` says."""

from django.db import migrations

from config.roles import make_groups


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0006_saved_filters"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: make_groups(apps), migrations.RunPython.noop),
    ]
