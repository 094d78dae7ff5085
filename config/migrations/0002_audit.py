"""Audit: what was changed, by whom, when and why. The triggers of the audited tables are set after each migrate."""

import django.contrib.postgres.indexes
from django.db import migrations, models

# Statement triggers see all rows of a statement at once: ten thousand rows cost one INSERT, not ten thousand.
FUNCTIONS = r"""
CREATE FUNCTION config_audit_kept(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'string' AND length(value #>> '{}') > 2000
        THEN jsonb_build_object(
            'begins', left(value #>> '{}', 500),
            'length', length(value #>> '{}'),
            'sha256', encode(sha256(convert_to(value #>> '{}', 'UTF8')), 'hex'))
        ELSE value END
$$;

CREATE FUNCTION config_audit_row(given jsonb, hidden text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_object_agg(key, CASE WHEN key = ANY(hidden) THEN '"hidden"'::jsonb ELSE config_audit_kept(value) END)
    FROM jsonb_each(given)
$$;

CREATE FUNCTION config_audit_difference(it_was jsonb, it_is jsonb, silent text[], hidden text[])
RETURNS TABLE (before jsonb, after jsonb) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT
        jsonb_object_agg(key, CASE WHEN key = ANY(hidden) THEN '"hidden"' ELSE config_audit_kept(it_was -> key) END),
        jsonb_object_agg(key, CASE WHEN key = ANY(hidden) THEN '"hidden, another one"'
            ELSE config_audit_kept(it_is -> key) END)
    FROM jsonb_object_keys(it_was || it_is) AS key
    WHERE it_was -> key IS DISTINCT FROM it_is -> key AND key <> ALL(silent)
$$;

CREATE FUNCTION config_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    key_column text := TG_ARGV[0];
    silent text[] := TG_ARGV[1]::text[];
    hidden text[] := TG_ARGV[2]::text[];
    owner_column text := TG_ARGV[3];
    owner text := TG_ARGV[4];
    actor bigint := nullif(current_setting('sluice.actor', true), '')::bigint;
    source text := coalesce(nullif(current_setting('sluice.source', true), ''), 'SQL');
    actor_name text := coalesce(nullif(current_setting('sluice.actor_name', true), ''), session_user);
    why text := coalesce(current_setting('sluice.why', true), '');
    request text := coalesce(current_setting('sluice.request', true), '');
    this_transaction bigint := pg_current_xact_id()::text::bigint;
    told record;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                actor_id, actor_name, why, source, request_id)
            VALUES (clock_timestamp(), this_transaction, TG_TABLE_NAME, '', '', '', 'truncate',
                actor, actor_name, why, source, request);
    ELSIF TG_LEVEL = 'ROW' THEN
        IF TG_OP = 'UPDATE' THEN
            SELECT * INTO told FROM config_audit_difference(to_jsonb(OLD), to_jsonb(NEW), silent, hidden);
        ELSIF TG_OP = 'INSERT' THEN
            SELECT NULL::jsonb AS before, config_audit_row(to_jsonb(NEW) - silent, hidden) AS after INTO told;
        ELSE
            SELECT config_audit_row(to_jsonb(OLD) - silent, hidden) AS before, NULL::jsonb AS after INTO told;
        END IF;
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                before, after, actor_id, actor_name, why, source, request_id)
            SELECT clock_timestamp(), this_transaction, TG_TABLE_NAME, the_row ->> key_column, owner,
                coalesce(the_row ->> owner_column, ''), lower(TG_OP), told.before, told.after,
                actor, actor_name, why, source, request
            FROM (SELECT CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END AS the_row) AS the_rows
            WHERE told.before IS NOT NULL OR told.after IS NOT NULL;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                after, actor_id, actor_name, why, source, request_id)
            SELECT clock_timestamp(), this_transaction, TG_TABLE_NAME, the_row ->> key_column, owner,
                coalesce(the_row ->> owner_column, ''), 'insert', config_audit_row(the_row - silent, hidden),
                actor, actor_name, why, source, request
            FROM (SELECT to_jsonb(new_rows) AS the_row FROM new_rows) AS the_rows;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                before, actor_id, actor_name, why, source, request_id)
            SELECT clock_timestamp(), this_transaction, TG_TABLE_NAME, the_row ->> key_column, owner,
                coalesce(the_row ->> owner_column, ''), 'delete', config_audit_row(the_row - silent, hidden),
                actor, actor_name, why, source, request
            FROM (SELECT to_jsonb(old_rows) AS the_row FROM old_rows) AS the_rows;
    ELSE
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                before, after, actor_id, actor_name, why, source, request_id)
            SELECT clock_timestamp(), this_transaction, TG_TABLE_NAME, both_rows.its_key, owner,
                coalesce(both_rows.it_is ->> owner_column, ''), 'update', changed.before, changed.after,
                actor, actor_name, why, source, request
            FROM (
                SELECT its_key, coalesce(it_was, '{}') AS it_was, coalesce(it_is, '{}') AS it_is
                FROM (SELECT to_jsonb(old_rows) ->> key_column AS its_key, to_jsonb(old_rows) AS it_was FROM old_rows)
                    AS before_rows
                FULL JOIN (SELECT to_jsonb(new_rows) ->> key_column AS its_key, to_jsonb(new_rows) AS it_is
                    FROM new_rows) AS after_rows USING (its_key)
            ) AS both_rows
            CROSS JOIN LATERAL config_audit_difference(it_was, it_is, silent, hidden) AS changed
            WHERE changed.after IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION config_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is written once and stays: entries are neither changed nor removed'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE ON config_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION config_keep_audit();
CREATE TRIGGER keep_audit_whole BEFORE TRUNCATE ON config_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION config_keep_audit();
"""
NO_FUNCTIONS = """
DROP TRIGGER keep_audit_whole ON config_auditentry;
DROP TRIGGER keep_audit ON config_auditentry;
DROP FUNCTION config_keep_audit();
DROP FUNCTION config_audit() CASCADE;
DROP FUNCTION config_audit_difference(jsonb, jsonb, text[], text[]);
DROP FUNCTION config_audit_row(jsonb, text[]);
DROP FUNCTION config_audit_kept(jsonb);
"""


class Migration(migrations.Migration):
    dependencies = [("config", "0001_index_the_queue")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("transaction_id", models.BigIntegerField(help_text="Entries of one transaction were changed together.")),
                ("table_name", models.CharField(max_length=63, verbose_name="table")),
                ("object_id", models.TextField(help_text="Its key, as text.", verbose_name="row")),
                (
                    "owner_table",
                    models.CharField(blank=True, help_text="What the row is a part of, where it is.", max_length=63),
                ),
                ("owner_id", models.TextField(blank=True)),
                (
                    "operation",
                    models.CharField(
                        choices=[
                            ("insert", "added"),
                            ("update", "changed"),
                            ("delete", "removed"),
                            ("truncate", "table emptied"),
                        ],
                        max_length=8,
                    ),
                ),
                ("before", models.JSONField(help_text="Of a change only what differs.", null=True)),
                ("after", models.JSONField(null=True)),
                ("actor_id", models.BigIntegerField(null=True)),
                ("actor_name", models.CharField(max_length=150, verbose_name="who")),
                ("why", models.TextField(blank=True)),
                ("source", models.CharField(max_length=20, verbose_name="how")),
                ("request_id", models.TextField(blank=True, verbose_name="request or task")),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["object_id", "table_name", "id"], name="audit_entry_object"),
                    models.Index(fields=["table_name", "id"], name="audit_entry_table"),
                    models.Index(
                        condition=models.Q(("owner_table", ""), _negated=True),
                        fields=["owner_table", "owner_id", "id"],
                        name="audit_entry_owner",
                    ),
                    models.Index(fields=["actor_id", "id"], name="audit_entry_actor"),
                    models.Index(fields=["source", "id"], name="audit_entry_source"),
                    django.contrib.postgres.indexes.BrinIndex(fields=["at"], name="audit_entry_at"),
                ],
            },
        ),
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
    ]
