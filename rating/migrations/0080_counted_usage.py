"""Charges of busy periods added up by day beforehand."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mediation", "0040_voided_udrs"),
        ("rating", "0060_rerates_wait_after_a_crash"),
    ]

    operations = [
        migrations.CreateModel(
            name="CountedPeriod",
            fields=[
                ("period_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("before", models.DateTimeField(help_text="Charges of usage before then are counted. Empty: none is.", null=True)),
                ("has_lines", models.BooleanField(default=False, help_text="They are counted by service and identifier too.")),
                ("counted_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="CountedUsage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period_id", models.BigIntegerField()),
                ("by_line", models.BooleanField(help_text="Told apart by service and identifier too.")),
                ("day", models.DateField()),
                ("feed_id", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("record_count", models.BigIntegerField()),
                ("quantity", models.DecimalField(decimal_places=6, max_digits=38)),
                ("rated_quantity", models.DecimalField(decimal_places=6, max_digits=38)),
                ("free_quantity", models.DecimalField(decimal_places=6, max_digits=38)),
                ("bucket_quantity", models.DecimalField(decimal_places=6, max_digits=38)),
                ("credit", models.DecimalField(decimal_places=11, max_digits=38)),
                ("amount", models.DecimalField(decimal_places=11, max_digits=38)),
                ("plan", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to="rating.rateplan")),
                ("rate", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to="rating.rate")),
                ("service", models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to="rating.service")),
                ("service_identifier", models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to="rating.serviceidentifier")),
                ("usage_class", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to="mediation.usageclass")),
            ],
            options={
                "indexes": [models.Index(fields=["period_id", "by_line", "day"], name="counted_usage_days")],
            },
        ),
    ]
