"""Exports that run as jobs."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

UNFINISHED = models.Q(status__in=["waiting", "running"])
STATUSES = [
    ("waiting", "waiting"),
    ("running", "running"),
    ("done", "done"),
    ("failed", "refused"),
    ("errored", "errored"),
    ("expired", "file deleted"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0004_figures_and_notices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ExportJob",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "screen",
                    models.CharField("list", help_text="The model that the list is of.", max_length=100),
                ),
                ("query", models.TextField(blank=True, help_text="The list's filter, as its address has it.")),
                (
                    "told_filters",
                    models.JSONField("filter", default=list, help_text="The filter in words: pairs of what and which."),
                ),
                (
                    "time_zone",
                    models.CharField(default="UTC", help_text="In which the filter's days are meant.", max_length=64),
                ),
                ("columns", models.JSONField(help_text="The names of the columns, in their order.")),
                (
                    "kind",
                    models.CharField(
                        "as", help_text="One of the kinds of mediation.services.exporting.", max_length=11
                    ),
                ),
                ("status", models.CharField(choices=STATUSES, default="waiting", max_length=7)),
                ("created_at", models.DateTimeField("asked")),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("claimed_until", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("row_total", models.BigIntegerField("rows", help_text="Estimated until it runs, then counted.")),
                ("row_count", models.BigIntegerField("rows written", default=0)),
                ("totals", models.JSONField(default=list, help_text="By currency: rows, and pairs of column and exact sum, as texts.")),
                (
                    "feeds",
                    models.JSONField(help_text="The feeds whose rows the file may hold; empty: every feed.", null=True),
                ),
                ("file_name", models.CharField(blank=True, help_text="In the file storage.", max_length=200)),
                ("byte_size", models.BigIntegerField("bytes", null=True)),
                ("sha256", models.CharField("SHA-256", blank=True, max_length=64)),
                ("expires_at", models.DateTimeField(help_text="When the file is deleted.", null=True)),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "default_permissions": ("add", "view"),
                "permissions": [("view_any_exportjob", "Can view the exports of everybody, and their files")],
                "indexes": [
                    models.Index(condition=UNFINISHED, fields=["id"], name="export_job_unfinished"),
                    models.Index(condition=models.Q(status="done"), fields=["expires_at"], name="export_job_to_expire"),
                    models.Index(fields=["created_by", "id"], name="export_job_owner"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=~models.Q(status="done") | ~models.Q(sha256=""), name="export_job_done_has_a_file"
                    )
                ],
            },
        ),
    ]
