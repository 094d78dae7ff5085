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

-- What is entered of a row: secrets hidden, long texts cut. Most rows have neither, and are entered as they are.
CREATE FUNCTION config_audit_row(given jsonb, hidden text[], mark text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN given ?| hidden OR pg_column_size(given) > 1900 THEN (
        SELECT jsonb_object_agg(key, CASE WHEN key = ANY(hidden) THEN to_jsonb(mark) ELSE config_audit_kept(value) END)
        FROM jsonb_each(given)
    ) ELSE given END
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
    it_was jsonb;
    it_is jsonb;
    same text[] := '{}';
    columns text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                actor_id, actor_name, why, source, request_id)
            VALUES (clock_timestamp(), this_transaction, TG_TABLE_NAME, '', '', '', 'truncate',
                actor, actor_name, why, source, request);
    ELSIF TG_LEVEL = 'ROW' THEN
        IF TG_OP <> 'INSERT' THEN
            it_was := to_jsonb(OLD) - silent;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            it_is := to_jsonb(NEW) - silent;
        END IF;
        IF TG_OP = 'UPDATE' THEN
            same := ARRAY(SELECT key FROM jsonb_object_keys(it_was) AS key WHERE it_was -> key = it_is -> key);
        END IF;
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                before, after, actor_id, actor_name, why, source, request_id)
            SELECT clock_timestamp(), this_transaction, TG_TABLE_NAME, coalesce(it_is, it_was) ->> key_column, owner,
                coalesce(coalesce(it_is, it_was) ->> owner_column, ''), lower(TG_OP),
                config_audit_row(it_was - same, hidden, 'hidden'),
                config_audit_row(it_is - same, hidden, 'hidden, another one'),
                actor, actor_name, why, source, request
            WHERE TG_OP <> 'UPDATE' OR it_is - same <> '{}';
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                after, actor_id, actor_name, why, source, request_id)
            SELECT clock_timestamp(), this_transaction, TG_TABLE_NAME, the_row ->> key_column, owner,
                coalesce(the_row ->> owner_column, ''), 'insert', config_audit_row(the_row - silent, hidden, 'hidden'),
                actor, actor_name, why, source, request
            FROM (SELECT to_jsonb(new_rows) AS the_row FROM new_rows) AS the_rows;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                before, actor_id, actor_name, why, source, request_id)
            SELECT clock_timestamp(), this_transaction, TG_TABLE_NAME, the_row ->> key_column, owner,
                coalesce(the_row ->> owner_column, ''), 'delete', config_audit_row(the_row - silent, hidden, 'hidden'),
                actor, actor_name, why, source, request
            FROM (SELECT to_jsonb(old_rows) AS the_row FROM old_rows) AS the_rows;
    ELSE
        -- Compared column by column as the table's own types: as documents it took seven times as long.
        SELECT string_agg(format('CASE WHEN o.%1$I IS NOT DISTINCT FROM n.%1$I THEN %1$L END', attname), ', ')
            INTO columns FROM pg_attribute WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped;
        EXECUTE format(
            $statement$
            INSERT INTO config_auditentry (at, transaction_id, table_name, object_id, owner_table, owner_id, operation,
                    before, after, actor_id, actor_name, why, source, request_id)
                SELECT clock_timestamp(), $1, $2, its_key, $3, CASE WHEN $3 = '' THEN '' ELSE coalesce(owner_key, '') END, 'update',
                    config_audit_row(it_was, $5, 'hidden'), config_audit_row(it_is, $5, 'hidden, another one'),
                    $6, $7, $8, $9, $10
                FROM (
                    SELECT coalesce(n.%1$I, o.%1$I)::text AS its_key, n.%2$I::text AS owner_key,
                        to_jsonb(o) - unchanged AS it_was, to_jsonb(n) - unchanged AS it_is
                    FROM old_rows AS o FULL JOIN new_rows AS n ON o.%1$I = n.%1$I
                    CROSS JOIN LATERAL (SELECT $4 || array_remove(ARRAY[%3$s], NULL)::text[] AS unchanged) AS compared
                ) AS changed
                WHERE it_is <> '{}' OR it_is IS NULL
            $statement$,
            key_column, coalesce(nullif(owner_column, ''), key_column), columns
        ) USING this_transaction, TG_TABLE_NAME::text, owner, silent, hidden, actor, actor_name, why, source, request;
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
DROP FUNCTION config_audit_row(jsonb, text[], text);
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
