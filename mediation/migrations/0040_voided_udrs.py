"""UDRs that are voided by themselves, and how many of them each batch holds."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mediation", "0008_paid_by_direction"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="udrbatch",
            name="voided_count",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="UDRs that were voided since."),
        ),
        migrations.CreateModel(
            name="VoidedUdr",
            fields=[
                (
                    "id",
                    models.BigIntegerField(db_column="udr_id", help_text="The UDR.", primary_key=True, serialize=False),
                ),
                ("udr_date", models.DateTimeField(help_text="When the usage happened, UTC.")),
                ("feed_id", models.BigIntegerField()),
                ("key", models.TextField(help_text="The key that it held.")),
                ("import_id", models.BigIntegerField()),
                ("record_number", models.BigIntegerField()),
                (
                    "requested_at",
                    models.DateTimeField(
                        help_text="When it was asked for: what came with the key before then is no usage, what comes later is."
                    ),
                ),
                ("request_id", models.UUIDField(help_text="The tracking id of the void or of the import that amends.")),
                ("voided_at", models.DateTimeField()),
                ("reason", models.TextField()),
                ("replaced_by", models.BigIntegerField(help_text="The UDR that amends it.", null=True)),
                (
                    "settled_at",
                    models.DateTimeField(help_text="When nothing that it was charged stood any more.", null=True),
                ),
                (
                    "attempts",
                    models.PositiveSmallIntegerField(default=0, help_text="Of workers to take its charges back."),
                ),
                ("next_try_at", models.DateTimeField(null=True)),
                ("error", models.TextField(blank=True)),
                (
                    "voided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "voided UDR",
                "indexes": [
                    models.Index(fields=["feed_id", "key"], name="voided_udr_key"),
                    models.Index(fields=["feed_id", "requested_at"], name="voided_udr_requested"),
                    models.Index(fields=["request_id"], name="voided_udr_request"),
                    models.Index(fields=["import_id"], name="voided_udr_import"),
                    models.Index(
                        condition=models.Q(("settled_at__isnull", True)), fields=["id"], name="voided_udr_unsettled"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="voided_udr_needs_a_reason"
                    )
                ],
            },
        ),
    ]
