"""Requests to void usage by its key, and submissions that amend it."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0012_groups_of_any_value"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="KeyToVoid",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveSmallIntegerField(help_text="Its place in the request, from 1.")),
                ("key", models.TextField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("voided", "voided"),
                            ("already_voided", "voided before"),
                            ("not_found", "not found"),
                            ("refused", "refused"),
                        ],
                        default="waiting",
                        max_length=14,
                    ),
                ),
                ("detail", models.TextField(blank=True, help_text="Why it was refused.")),
                (
                    "udr_id",
                    models.BigIntegerField(
                        help_text="The UDR that is voided by it, or was before.", null=True, verbose_name="UDR"
                    ),
                ),
            ],
            options={
                "verbose_name": "key to void",
                "verbose_name_plural": "keys to void",
            },
        ),
        migrations.CreateModel(
            name="UsageVoid",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("tracking_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("waiting", "waiting"), ("completed", "completed"), ("errored", "errored")],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(help_text="Why it is taken back; it stays with every UDR.")),
                ("received_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                (
                    "content_hash",
                    models.CharField(help_text="SHA-256 of the keys and the reason, in hex.", max_length=64),
                ),
                ("key_count", models.PositiveIntegerField(verbose_name="keys")),
                ("voided_count", models.PositiveIntegerField(default=0, verbose_name="voided")),
                ("already_voided_count", models.PositiveIntegerField(default=0, verbose_name="voided before")),
                ("not_found_count", models.PositiveIntegerField(default=0, verbose_name="not found")),
                ("refused_count", models.PositiveIntegerField(default=0, verbose_name="refused")),
                ("claimed_until", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "void of usage",
                "verbose_name_plural": "voids of usage",
                "permissions": [("void_usage", "Can void and amend usage")],
            },
        ),
        migrations.AddField(
            model_name="importchunk",
            name="amends",
            field=models.BooleanField(db_default=False, default=False, help_text="Its import has a reason to amend."),
        ),
        migrations.AddField(
            model_name="usageimport",
            name="amend_reason",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="Why its records take the place of what their keys stand for; empty: they are new usage.",
            ),
        ),
        migrations.AddIndex(
            model_name="importchunk",
            index=models.Index(
                condition=models.Q(("amends", True), ("status__in", ["waiting", "claimed"])),
                fields=["feed_id", "usage_import"],
                name="import_chunk_to_amend",
            ),
        ),
        migrations.AddField(
            model_name="usagevoid",
            name="feed",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="ingestion.feed"),
        ),
        migrations.AddField(
            model_name="usagevoid",
            name="received_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="keytovoid",
            name="void",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="keys",
                to="ingestion.usagevoid",
            ),
        ),
        migrations.AddIndex(
            model_name="usagevoid",
            index=models.Index(condition=models.Q(("status", "waiting")), fields=["id"], name="usage_void_waiting"),
        ),
        migrations.AddConstraint(
            model_name="usagevoid",
            constraint=models.UniqueConstraint(fields=("feed", "idempotency_key"), name="void_once_an_idempotency_key"),
        ),
        migrations.AddConstraint(
            model_name="usagevoid",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="void_needs_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="keytovoid",
            constraint=models.UniqueConstraint(fields=("void", "number"), name="key_to_void_once"),
        ),
    ]
