"""Corrections of many exceptions at once, that can be undone, and what is tried again by itself."""

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0008_feed_grants"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="GroupCorrection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.CharField(max_length=40)),
                ("field", models.CharField(blank=True, max_length=200)),
                ("value", models.CharField(blank=True, max_length=200, verbose_name="offending value")),
                ("rule", models.JSONField(help_text="As `parse_rule` takes it.")),
                ("reason", models.TextField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("running", "running"),
                            ("completed", "completed"),
                            ("errored", "errored"),
                            ("undoing", "being undone"),
                            ("undone", "undone"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("max_exception_id", models.BigIntegerField()),
                (
                    "last_exception_id",
                    models.BigIntegerField(default=0, help_text="Up to here the exceptions are decided."),
                ),
                (
                    "record_count",
                    models.PositiveIntegerField(
                        default=0, help_text="In the group when it was asked for.", verbose_name="records"
                    ),
                ),
                (
                    "corrected_count",
                    models.PositiveIntegerField(
                        default=0, help_text="Records that the rule changed.", verbose_name="corrected"
                    ),
                ),
                ("resolved_count", models.PositiveIntegerField(default=0, verbose_name="resolved")),
                ("still_count", models.PositiveIntegerField(default=0, verbose_name="still exceptions")),
                (
                    "unchanged_count",
                    models.PositiveIntegerField(
                        default=0, help_text="The rule changed nothing in them.", verbose_name="unchanged"
                    ),
                ),
                (
                    "passed_count",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Not open when their turn came, or their import is mediated again as a whole.",
                        verbose_name="passed over",
                    ),
                ),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("claimed_until", models.DateTimeField(null=True)),
                (
                    "attempts",
                    models.PositiveSmallIntegerField(default=0, help_text="Tries of the portion that is next."),
                ),
                ("error", models.TextField(blank=True)),
                ("undone_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AlterModelOptions(
            name="importexception",
            options={
                "permissions": [
                    ("correct_importexception", "Can correct import exceptions"),
                    ("writeoff_importexception", "Can write off import exceptions"),
                    ("reprocess_importexception", "Can reprocess import exceptions"),
                    ("review_importexception", "Can assign, comment and retry import exceptions"),
                ],
                "verbose_name": "import exception",
            },
        ),
        migrations.RemoveIndex(
            model_name="importexception",
            name="import_exception_open",
        ),
        migrations.AddField(
            model_name="exceptionrevision",
            name="changes",
            field=models.JSONField(help_text="Source field to its text, or to null.", null=True),
        ),
        migrations.AddField(
            model_name="exceptionrevision",
            name="fault_before",
            field=models.JSONField(help_text="Code, field, value and message that it was to mend.", null=True),
        ),
        migrations.AddField(
            model_name="exceptionrevision",
            name="has_resolved",
            field=models.BooleanField(db_default=False, default=False, help_text="Of a group correction."),
        ),
        migrations.AddField(
            model_name="exceptionrevision",
            name="withdrawn_at",
            field=models.DateTimeField(help_text="When its group correction was undone.", null=True),
        ),
        migrations.AddField(
            model_name="importchunk",
            name="correction_id",
            field=models.BigIntegerField(help_text="The group correction that entered it.", null=True),
        ),
        migrations.AddField(
            model_name="importexception",
            name="next_try_at",
            field=models.DateTimeField(blank=True, help_text="When it is mediated again by itself.", null=True),
        ),
        migrations.AddField(
            model_name="importexception",
            name="retry_round",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="How many tries of the schedule are over."
            ),
        ),
        migrations.AddField(
            model_name="importexception",
            name="value",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="The text that the field had, clipped.",
                max_length=200,
                verbose_name="offending value",
            ),
        ),
        migrations.AlterField(
            model_name="exceptionrevision",
            name="raw",
            field=models.TextField(
                help_text="Empty: the text stays as it was.", null=True, verbose_name="record as corrected"
            ),
        ),
        migrations.AddIndex(
            model_name="importchunk",
            index=models.Index(
                condition=models.Q(("correction_id__isnull", False)),
                fields=["correction_id"],
                name="import_chunk_of_correction",
            ),
        ),
        migrations.AddIndex(
            model_name="importexception",
            index=models.Index(
                condition=models.Q(("status", "open")),
                fields=["feed", "code", "field", "value", "id"],
                include=("created_at",),
                name="import_exception_group",
            ),
        ),
        migrations.AddIndex(
            model_name="importexception",
            index=models.Index(
                condition=models.Q(("next_try_at__isnull", False), ("status", "open")),
                fields=["next_try_at"],
                name="import_exception_next_try",
            ),
        ),
        migrations.AddField(
            model_name="groupcorrection",
            name="created_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="groupcorrection",
            name="feed",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="ingestion.feed"),
        ),
        migrations.AddField(
            model_name="groupcorrection",
            name="undone_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="exceptionrevision",
            name="correction",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="revisions",
                to="ingestion.groupcorrection",
            ),
        ),
        migrations.AddIndex(
            model_name="exceptionrevision",
            index=models.Index(
                condition=models.Q(("correction__isnull", False)), fields=["correction"], name="revision_of_correction"
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptionrevision",
            constraint=models.CheckConstraint(
                condition=models.Q(("raw__isnull", False), ("changes__isnull", False), _connector="OR"),
                name="a_revision_changes_something",
            ),
        ),
        migrations.AddIndex(
            model_name="groupcorrection",
            index=models.Index(
                condition=models.Q(("status__in", ["waiting", "running", "undoing"])),
                fields=["id"],
                name="group_correction_to_work",
            ),
        ),
        migrations.AddConstraint(
            model_name="groupcorrection",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="group_correction_needs_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="groupcorrection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "completed"), _negated=True),
                    (
                        "record_count",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    models.F("resolved_count"), "+", models.F("still_count")
                                ),
                                "+",
                                models.F("unchanged_count"),
                            ),
                            "+",
                            models.F("passed_count"),
                        ),
                    ),
                    _connector="OR",
                ),
                name="a_completed_correction_decided_every_record",
            ),
        ),
    ]
