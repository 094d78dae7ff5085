"""Guessing passwords is slowed down: what was tried is counted by all processes together."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0060_passing_states"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("silence", "silent feed"),
                    ("spike", "more records than usual"),
                    ("drop", "fewer records than usual"),
                    ("duplicates", "more duplicates than usual"),
                    ("exceptions", "more exceptions than usual"),
                    ("value", "more charged than usual"),
                    ("account", "account charged more than usual"),
                    ("webhook", "webhook endpoint disabled"),
                    ("login", "many wrong passwords"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="LoginTries",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "key",
                    models.CharField(help_text="A digest of what they have in common.", max_length=64, unique=True),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("browser", "a browser that was signed in before"),
                            ("both", "a name from an address"),
                            ("name", "a name from anywhere"),
                            ("address", "an address with any name"),
                        ],
                        max_length=7,
                    ),
                ),
                ("address", models.GenericIPAddressField(help_text="Where the last one came from.", null=True)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("failed_at", models.DateTimeField(help_text="When the last one came.")),
                ("closed_until", models.DateTimeField(help_text="Until then none is looked at.", null=True)),
                ("braked_since", models.DateTimeField(help_text="Since when there are gaps between them.", null=True)),
                (
                    "user",
                    models.ForeignKey(
                        help_text="Who has the name; empty where nobody has.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "wrong sign-ins",
                "verbose_name_plural": "wrong sign-ins",
                "default_permissions": (),
                "indexes": [models.Index(fields=["failed_at"], name="login_tries_by_age")],
            },
        ),
    ]
