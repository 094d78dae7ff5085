"""What charges name cannot be deleted: they hold its number without a foreign key, so nothing else would refuse.

Accounts and plans stay by foreign keys already: a period names its account, a version its plan. Rates and buckets are
made when a version is activated and keep their numbers through all that follow, so they always stay.

A service or identifier stays where a charge of one of its account's periods names it. That reads one account's charges
by the index of periods; what was moved to another account since is not found, and its charges are billed without it.
A usage class stays where an active version prices it or a charge of an open period names it; the lines of statements
refuse by their foreign key.
"""

import django.db.models.deletion
from django.db import migrations, models

TRIGGERS = """
CREATE FUNCTION rating_keep_charged_service() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM rating_charge WHERE service_id = OLD.id AND period_id = ANY (ARRAY(
               SELECT id FROM rating_billingperiod WHERE account_id = OLD.account_id))) THEN
        RAISE EXCEPTION 'charges name service %, so it stays; say when it ended instead', OLD.name
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER keep_charged_service BEFORE DELETE ON rating_service
    FOR EACH ROW EXECUTE FUNCTION rating_keep_charged_service();

CREATE FUNCTION rating_keep_charged_identifier() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM rating_charge WHERE service_identifier_id = OLD.id AND period_id = ANY (ARRAY(
               SELECT p.id FROM rating_billingperiod p JOIN rating_service s USING (account_id)
               WHERE s.id = OLD.service_id))) THEN
        RAISE EXCEPTION 'charges name identifier %, so it stays; say when it ended instead', OLD.identifier
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER keep_charged_identifier BEFORE DELETE ON rating_serviceidentifier
    FOR EACH ROW EXECUTE FUNCTION rating_keep_charged_identifier();

CREATE FUNCTION rating_keep_priced_class() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM rating_planversion WHERE status = 'active' AND jsonb_path_exists(
               document, '$.*[*].rates[*].usage_class ? (@ == $name)', jsonb_build_object('name', OLD.name))) THEN
        RAISE EXCEPTION 'active versions of rate plans price usage class %, so it stays', OLD.name
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM rating_charge WHERE usage_class_id = OLD.id AND period_id = ANY (ARRAY(
               SELECT id FROM rating_billingperiod WHERE status = 'open'))) THEN
        RAISE EXCEPTION 'charges of open billing periods name usage class %, so it stays', OLD.name
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER keep_priced_class BEFORE DELETE ON mediation_usageclass
    FOR EACH ROW EXECUTE FUNCTION rating_keep_priced_class();

CREATE FUNCTION rating_keep_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% keeps its number through all versions of its plan, so it stays', OLD.name
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER keep_number BEFORE DELETE ON rating_rate FOR EACH ROW EXECUTE FUNCTION rating_keep_number();
CREATE TRIGGER keep_number BEFORE DELETE ON rating_bucket FOR EACH ROW EXECUTE FUNCTION rating_keep_number();
"""
NO_TRIGGERS = """
DROP TRIGGER keep_number ON rating_bucket;
DROP TRIGGER keep_number ON rating_rate;
DROP FUNCTION rating_keep_number();
DROP TRIGGER keep_priced_class ON mediation_usageclass;
DROP FUNCTION rating_keep_priced_class();
DROP TRIGGER keep_charged_identifier ON rating_serviceidentifier;
DROP FUNCTION rating_keep_charged_identifier();
DROP TRIGGER keep_charged_service ON rating_service;
DROP FUNCTION rating_keep_charged_service();
"""


def plan_key(related_name, help_text):
    return models.ForeignKey(
        blank=True,
        help_text=help_text,
        null=True,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related_name,
        to="rating.rateplan",
    )


AT_CLOSING = "What was promised is reckoned by the plans that stand here when a period closes."
TO_CHANGE = "To change plans within a month, end this service and add another."


class Migration(migrations.Migration):
    dependencies = [("rating", "0011_periods_are_asked_to_close")]

    operations = [
        migrations.AlterField(
            "account",
            "rate_plan",
            plan_key("accounts", f"Empty: the plan of the parent account, or else the default plan. {AT_CLOSING}"),
        ),
        migrations.AlterField(
            "service",
            "rate_plan",
            plan_key("services", f"Empty: the plan of the package or the account. {AT_CLOSING} {TO_CHANGE}"),
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
