"""A rate that charges were made with stays as it is, by whatever way somebody would change it; prices are not negative."""

from django.db import migrations, models
from django.db.models import Q

TRIGGERS = """
CREATE FUNCTION rating_keep_used_rate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.is_used THEN
            RAISE EXCEPTION 'rate % was used: charges name it, so it cannot be deleted', OLD.id
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.is_used AND (NEW.group_id, NEW.usage_class_id, NEW.model, NEW.price, NEW.minimum, NEW.increment, NEW.is_used)
        IS DISTINCT FROM
        (OLD.group_id, OLD.usage_class_id, OLD.model, OLD.price, OLD.minimum, OLD.increment, OLD.is_used) THEN
        RAISE EXCEPTION 'rate % was used: charges name it; end its group and add another instead', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_used_rate BEFORE UPDATE OR DELETE ON rating_rate
    FOR EACH ROW EXECUTE FUNCTION rating_keep_used_rate();

CREATE FUNCTION rating_keep_used_tier() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM rating_rate r WHERE r.is_used
               AND r.id IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.rate_id END,
                            CASE WHEN TG_OP <> 'DELETE' THEN NEW.rate_id END)) THEN
        RAISE EXCEPTION 'the rate of this tier was used: charges name it; end its group and add another instead'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER keep_used_tier BEFORE INSERT OR UPDATE OR DELETE ON rating_tier
    FOR EACH ROW EXECUTE FUNCTION rating_keep_used_tier();
"""
NO_TRIGGERS = """
DROP TRIGGER keep_used_tier ON rating_tier;
DROP FUNCTION rating_keep_used_tier();
DROP TRIGGER keep_used_rate ON rating_rate;
DROP FUNCTION rating_keep_used_rate();
"""
MESSAGE = "A price is zero or more; a negative one would pay whoever uses most."
MARK_USED = "UPDATE rating_rate SET is_used = true WHERE id IN (SELECT DISTINCT rate_id FROM rating_charge)"


class Migration(migrations.Migration):
    dependencies = [("rating", "0003_charges_by_month")]

    operations = [
        migrations.AddField(
            model_name="rate",
            name="is_used",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="Charges were made with it, so it stays as it is.",
                verbose_name="used",
            ),
        ),
        migrations.AddConstraint(
            model_name="rate",
            constraint=models.CheckConstraint(
                condition=Q(price__isnull=True) | Q(price__gte=0),
                name="rate_price_is_not_negative",
                violation_error_message=MESSAGE,
            ),
        ),
        migrations.AddConstraint(
            model_name="tier",
            constraint=models.CheckConstraint(
                condition=Q(price__gte=0), name="tier_price_is_not_negative", violation_error_message=MESSAGE
            ),
        ),
        migrations.RunSQL(MARK_USED, migrations.RunSQL.noop),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
