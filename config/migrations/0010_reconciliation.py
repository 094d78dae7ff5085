"""Months that were reconciled by a worker."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

STATUSES = [("waiting", "waiting"), ("running", "running"), ("done", "done"), ("errored", "errored")]


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0008_preferences"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.DateField(help_text="Its first day.", unique=True)),
                ("status", models.CharField(choices=STATUSES, default="waiting", max_length=7)),
                ("asked_at", models.DateTimeField()),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("claimed_until", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("as_of", models.DateTimeField(help_text="The moment that the lines tell of.", null=True)),
                ("took_seconds", models.DecimalField(decimal_places=3, max_digits=9, null=True)),
                (
                    "lines",
                    models.JSONField(
                        default=list, help_text="A list for each feed and day, see config.reconciliation."
                    ),
                ),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(status__in=["waiting", "running"]),
                        fields=["id"],
                        name="reconciliation_to_count",
                    )
                ],
            },
        ),
    ]
