"""What the documents say leaves the tables; the database keeps active versions and issued statements as they are."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

TRIGGERS = """
CREATE FUNCTION rating_keep_active_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'active' THEN
        RAISE EXCEPTION 'version % of the rate plan is active: charges name it, so it stays; draft another', OLD.number
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER keep_active_version BEFORE UPDATE OR DELETE ON rating_planversion
    FOR EACH ROW EXECUTE FUNCTION rating_keep_active_version();

CREATE FUNCTION rating_keep_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a statement was issued and stays as it is: correct it by an adjustment in the open period'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER keep_statement BEFORE UPDATE OR DELETE ON rating_statement
    FOR EACH ROW EXECUTE FUNCTION rating_keep_statement();
CREATE TRIGGER keep_statement_line BEFORE UPDATE OR DELETE ON rating_statementline
    FOR EACH ROW EXECUTE FUNCTION rating_keep_statement();
CREATE TRIGGER keep_statement_tax BEFORE UPDATE OR DELETE ON rating_statementtax
    FOR EACH ROW EXECUTE FUNCTION rating_keep_statement();

CREATE FUNCTION rating_keep_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'closed' THEN
        RAISE EXCEPTION 'the billing period was closed and stays as it is' USING ERRCODE = 'check_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER keep_closed_period BEFORE UPDATE OR DELETE ON rating_billingperiod
    FOR EACH ROW EXECUTE FUNCTION rating_keep_closed_period();
"""
NO_TRIGGERS = """
DROP TRIGGER keep_closed_period ON rating_billingperiod;
DROP FUNCTION rating_keep_closed_period();
DROP TRIGGER keep_statement_tax ON rating_statementtax;
DROP TRIGGER keep_statement_line ON rating_statementline;
DROP TRIGGER keep_statement ON rating_statement;
DROP FUNCTION rating_keep_statement();
DROP TRIGGER keep_active_version ON rating_planversion;
DROP FUNCTION rating_keep_active_version();
"""

CHARGE = """
ALTER TABLE rating_charge ALTER COLUMN counting_period_id SET NOT NULL, ALTER COLUMN version_id SET NOT NULL,
    DROP COLUMN rate_group_id, DROP COLUMN bucket_id
"""
PROTECT = django.db.models.deletion.PROTECT


class Migration(migrations.Migration):
    dependencies = [("rating", "0006_plans_become_documents")]

    operations = [
        migrations.RunSQL(
            CHARGE,
            migrations.RunSQL.noop,
            state_operations=[
                migrations.AlterField(
                    "charge",
                    "version",
                    models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to="rating.planversion"),
                ),
                migrations.AlterField(
                    "charge",
                    "counting_period_id",
                    models.BigIntegerField(help_text="Whose tiers and allowances it used: another than it is billed in where it corrects a closed one."),
                ),
                migrations.RemoveField("charge", "rate_group"),
                migrations.RemoveField("charge", "bucket"),
            ],
        ),
        migrations.DeleteModel("TierPosition"),
        migrations.DeleteModel("BucketBalance"),
        migrations.DeleteModel("Tier"),
        migrations.RemoveConstraint("bucket", "bucket_size_is_positive"),
        migrations.RemoveField("bucket", "usage_classes"),
        migrations.RemoveField("bucket", "size"),
        *(
            migrations.RemoveField("rate", name)
            for name in ("old_group", "usage_class", "model", "price", "minimum", "increment", "is_used")
        ),
        migrations.DeleteModel("RateGroup"),
        migrations.AlterField("rate", "plan", models.ForeignKey(on_delete=PROTECT, related_name="rates", to="rating.rateplan")),
        migrations.AddConstraint("rate", models.UniqueConstraint(fields=("plan", "group", "name"), name="rate_once_a_plan")),
        migrations.RemoveField("statementline", "period"),
        migrations.RemoveField("statementline", "currency"),
        migrations.AlterField("statementline", "statement", models.ForeignKey(on_delete=PROTECT, related_name="lines", to="rating.statement")),
        migrations.AddConstraint("statementline", models.UniqueConstraint(fields=("statement", "position"), name="statement_line_position_once")),
        migrations.AddConstraint(
            "rateplan",
            models.UniqueConstraint(
                condition=Q(("is_default", True)),
                fields=("currency",),
                name="one_default_rate_plan_a_currency",
                violation_error_message="Another rate plan is the default one of this currency already.",
            ),
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
