"""Filters of lists that a person keeps."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0005_export_jobs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedFilter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "page",
                    models.CharField(help_text="The name of the list's address in the admin.", max_length=200),
                ),
                ("name", models.CharField(max_length=100)),
                ("query", models.CharField(help_text="The parameters of the list's address.", max_length=2000)),
                (
                    "is_shared",
                    models.BooleanField(
                        default=False,
                        help_text="Else it is shown to you alone.",
                        verbose_name="for all who see the list",
                    ),
                ),
                ("created_at", models.DateTimeField()),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["page"], name="saved_filter_of_page")],
                "constraints": [
                    models.UniqueConstraint(fields=("created_by", "page", "name"), name="saved_filter_name_once_a_list")
                ],
            },
        ),
    ]
