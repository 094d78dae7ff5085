"""A stamp that changes with everything that decides whether a submission is accepted, in the same transaction.

It is a random value, not a count: each value stands for one state, also after a rollback or a restored backup.
No model: it is read and compared by SQL alone.
"""

from django.db import migrations

# Every table that an acceptance is decided by. A login writes auth_user.last_login, which decides nothing.
EVERYTHING = "INSERT OR UPDATE OR DELETE"
DECIDING = {
    "knox_authtoken": EVERYTHING,
    "auth_user": "INSERT OR DELETE OR UPDATE OF id, is_active, is_superuser",
    "auth_user_user_permissions": EVERYTHING,
    "auth_user_groups": EVERYTHING,
    "auth_group": EVERYTHING,
    "auth_group_permissions": EVERYTHING,
    "auth_permission": "DELETE OR UPDATE",
    "ingestion_feed": EVERYTHING,
    "mediation_profileversion": EVERYTHING,
}
STAMP = """
CREATE TABLE ingestion_acceptance_stamp (
    is_the_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_row),
    stamp uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO ingestion_acceptance_stamp DEFAULT VALUES;
CREATE FUNCTION ingestion_change_acceptance_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE ingestion_acceptance_stamp SET stamp = gen_random_uuid();
    RETURN NULL;
END $$;
"""
NO_STAMP = "DROP FUNCTION ingestion_change_acceptance_stamp; DROP TABLE ingestion_acceptance_stamp"


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0005_parts_and_file_fields"),
        ("mediation", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [
        migrations.RunSQL(STAMP, NO_STAMP),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER changes_acceptance_stamp AFTER {events} OR TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_acceptance_stamp()",
                f"DROP TRIGGER changes_acceptance_stamp ON {table}",
            )
            for table, events in DECIDING.items()
        ),
    ]
