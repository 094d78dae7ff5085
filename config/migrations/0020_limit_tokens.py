"""What a token may do beside its user, when it was revoked, and when it was used last."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0010_reconciliation"),
        ("ingestion", "0006_stamp_what_acceptance_depends_on"),
        ("knox", "0009_extend_authtoken_field"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="TokenScope",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "token",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scope", to="knox.authtoken"
                    ),
                ),
                (
                    "name",
                    models.CharField(help_text="Which system, or which of its parts, has the token.", max_length=100),
                ),
                (
                    "feeds",
                    models.JSONField(
                        help_text="The feeds it is limited to, by their numbers. Empty: its user's.", null=True
                    ),
                ),
                (
                    "verbs",
                    models.JSONField(
                        help_text="What it is limited to, see config.access.verbs. Empty: its user's.", null=True
                    ),
                ),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "revoked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("revoke_reason", models.TextField(blank=True)),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(revoked_at__isnull=True, revoke_reason="")
                        | models.Q(revoked_at__isnull=False) & ~models.Q(revoke_reason=""),
                        name="a_revoked_token_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TokenUse",
            fields=[
                (
                    "token",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="use",
                        serialize=False,
                        to="knox.authtoken",
                    ),
                ),
                ("last_used_at", models.DateTimeField()),
                ("last_used_from", models.GenericIPAddressField(null=True)),
            ],
            options={"default_permissions": ()},
        ),
        # Who may send what is remembered by the processes that take usage, until the stamp changes. The last use has
        # a table of its own, since it decides nothing.
        migrations.RunSQL(
            "CREATE TRIGGER changes_acceptance_stamp AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE"
            " ON config_tokenscope FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_acceptance_stamp()",
            "DROP TRIGGER changes_acceptance_stamp ON config_tokenscope",
        ),
    ]
