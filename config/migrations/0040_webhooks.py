"""Webhooks: endpoints, what happened, deliveries and their log; triggers write down what happened."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import config.models.webhooks

# Statements are looked at, not rows, and first of all it is asked whether anybody wants to know: where nobody does, an
# update of a thousand imports costs one look at a small table.
TELL = """
CREATE FUNCTION config_webhooks_wanted() RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(DISTINCT told.event) FROM config_webhookendpoint e, jsonb_array_elements_text(e.events) AS told(event)
    WHERE e.is_enabled
$$;

CREATE FUNCTION config_tell_of_imports() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wanted text[] := config_webhooks_wanted();
BEGIN
    IF 'import.finished' = ANY(wanted) THEN
        INSERT INTO config_webhookevent (type, feed_id, subject_id, occurred_at, due_at, numbers)
        SELECT 'import.finished', n.feed_id, n.id, now(), now(), jsonb_build_object(
            'status', n.status, 'attempt', n.attempt, 'source', n.source, 'received_at', n.received_at,
            'record_count', n.record_count, 'imported_count', n.imported_count,
            'exception_count', n.exception_count, 'skipped_count', n.skipped_count,
            'duplicate_count', n.duplicate_count)
        FROM after n JOIN before o USING (id)
        WHERE n.status IN ('completed', 'failed', 'errored') AND (o.status, o.attempt) IS DISTINCT FROM (n.status, n.attempt);
    END IF;
    IF 'exceptions.opened' = ANY(wanted) THEN
        INSERT INTO config_webhookevent (type, feed_id, subject_id, occurred_at, due_at)
        SELECT 'exceptions.opened', n.feed_id, n.id, now(), now()
        FROM after n JOIN before o USING (id)
        WHERE n.exception_count > CASE WHEN o.attempt = n.attempt THEN o.exception_count ELSE 0 END;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_imports AFTER UPDATE ON ingestion_usageimport
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION config_tell_of_imports();

CREATE FUNCTION config_tell_of_notices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF 'feed.silent' = ANY(config_webhooks_wanted()) THEN
        INSERT INTO config_webhookevent (type, feed_id, subject_id, occurred_at, due_at, numbers)
        SELECT 'feed.silent', feed_id, id, now(), now(), jsonb_build_object('since', opened_at, 'text', text)
        FROM after WHERE kind = 'silence';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_notices AFTER INSERT ON config_notice
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION config_tell_of_notices();

CREATE FUNCTION config_tell_of_statements() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF 'statement.closed' = ANY(config_webhooks_wanted()) THEN
        INSERT INTO config_webhookevent (type, subject_id, occurred_at, due_at, numbers)
        SELECT 'statement.closed', s.id, now(), now(), jsonb_build_object(
            'account_id', p.account_id, 'number', lpad(s.number::text, 8, '0'), 'period_starts_at', p.starts_at,
            'period_ends_at', p.ends_at, 'currency', s.currency, 'total', s.total::text)
        FROM after s JOIN rating_billingperiod p ON p.id = s.period_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_statements AFTER INSERT ON rating_statement
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION config_tell_of_statements();

CREATE FUNCTION config_tell_of_buckets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT 'bucket.threshold' = ANY(coalesce(config_webhooks_wanted(), '{}')) THEN
        RETURN NULL;
    END IF;
    -- A grant is told of once for each threshold and refill, whatever is given back and drawn again.
    INSERT INTO config_webhookevent (type, key, subject_id, threshold, occurred_at, due_at, numbers)
    SELECT 'bucket.threshold', concat_ws(':', n.account_id, n.bucket_id, n.service_id,
            extract(epoch FROM n.starts_at)::bigint, n.refills, t.percent),
        n.id, t.percent, now(), now(), jsonb_build_object(
            'account_id', n.account_id, 'bucket', b.name, 'starts_at', n.starts_at, 'ends_at', n.ends_at,
            'granted', n.granted::text, 'used', n.used::text)
    FROM after n
    JOIN rating_bucket b ON b.id = n.bucket_id
    CROSS JOIN (
        SELECT DISTINCT share.percent::int FROM config_webhookendpoint e, jsonb_array_elements_text(e.thresholds) AS share(percent)
        WHERE e.is_enabled AND e.events ? 'bucket.threshold'
    ) t
    WHERE n.used > 0 AND n.used * 100 >= n.granted * t.percent
    ON CONFLICT (key) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_of_new_grants AFTER INSERT ON rating_bucketgrant
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION config_tell_of_buckets();
CREATE TRIGGER tell_of_grants AFTER UPDATE ON rating_bucketgrant
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION config_tell_of_buckets();
"""
SILENT = """
DROP TRIGGER tell_of_imports ON ingestion_usageimport;
DROP TRIGGER tell_of_notices ON config_notice;
DROP TRIGGER tell_of_statements ON rating_statement;
DROP TRIGGER tell_of_new_grants ON rating_bucketgrant;
DROP TRIGGER tell_of_grants ON rating_bucketgrant;
DROP FUNCTION config_tell_of_imports, config_tell_of_notices, config_tell_of_statements, config_tell_of_buckets;
DROP FUNCTION config_webhooks_wanted;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0021_limit_rates"),
        ("ingestion", "0012_groups_of_any_value"),
        ("rating", "0014_review"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, unique=True)),
                ('url', models.TextField(help_text='Where events are sent, such as https://billing.example/sluice.', validators=[django.core.validators.MaxLengthValidator(2000)], verbose_name='address')),
                ('events', models.JSONField(help_text='What it is told of.')),
                ('thresholds', models.JSONField(default=config.models.webhooks.usual_thresholds, help_text="At which shares of a bucket's grant it is told, in percent.")),
                ('is_enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('secret_salt', models.CharField(editable=False, max_length=64)),
                ('secret_check', models.CharField(editable=False, help_text='SHA-256 of the secret.', max_length=64)),
                ('previous_salt', models.CharField(blank=True, editable=False, max_length=64)),
                ('previous_until', models.DateTimeField(editable=False, help_text='Until when the one before signs too.', null=True)),
                ('created_at', models.DateTimeField(editable=False)),
                ('failures', models.PositiveIntegerField(default=0, editable=False, help_text='Tries that failed, one after another.')),
                ('failing_since', models.DateTimeField(editable=False, null=True)),
                ('rests_until', models.DateTimeField(editable=False, help_text='It failed; nothing is sent before.', null=True)),
                ('disabled_reason', models.TextField(blank=True, editable=False, help_text='Why the house stopped sending.')),
                ('created_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('feeds', models.ManyToManyField(blank=True, help_text='Empty: every feed that the owner may see.', related_name='+', to='ingestion.feed')),
                ('owner', models.ForeignKey(help_text='The service user that receives. It is told only of what it may see.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'webhook endpoint',
                'permissions': [('send_webhookendpoint', 'Can send test events to webhook endpoints')],
            },
        ),
        migrations.CreateModel(
            name='WebhookEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.UUIDField(db_default=models.Func(function='gen_random_uuid'), default=config.models.webhooks.new_uid, unique=True)),
                ('type', models.CharField(choices=[('import.finished', 'an import is finished'), ('exceptions.opened', 'exceptions were opened'), ('feed.silent', 'a feed is silent'), ('statement.closed', 'a statement is closed'), ('bucket.threshold', 'a bucket is drawn to a threshold'), ('test', 'test')], max_length=20)),
                ('key', models.CharField(help_text='Of what happens once.', max_length=100, null=True, unique=True)),
                ('feed_id', models.BigIntegerField(null=True, verbose_name='feed')),
                ('subject_id', models.BigIntegerField(help_text='The import, notice, statement or grant.', null=True)),
                ('threshold', models.PositiveSmallIntegerField(null=True)),
                ('occurred_at', models.DateTimeField()),
                ('numbers', models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)),
                ('due_at', models.DateTimeField(help_text='When it is spread at the earliest.')),
                ('spread_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'webhook event',
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('spread_at__isnull', True)), fields=['due_at'], name='webhook_event_to_spread'), models.Index(fields=['occurred_at'], name='webhook_event_occurred'), models.Index(condition=models.Q(('type', 'exceptions.opened')), fields=['feed_id', 'spread_at'], name='webhook_event_of_exceptions')],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='config.webhookevent')),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='config.webhookendpoint')),
                ('body', models.TextField(help_text='As it is sent, each time the same.')),
                ('status', models.CharField(choices=[('waiting', 'waiting'), ('done', 'delivered'), ('failed', 'given up')], default='waiting', max_length=7)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('tries', models.PositiveIntegerField(default=0, help_text='Since it was sent first, or sent again by hand.')),
                ('created_at', models.DateTimeField()),
                ('next_try_at', models.DateTimeField(null=True)),
                ('give_up_at', models.DateTimeField()),
                ('claimed_until', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'webhook delivery',
                'verbose_name_plural': 'webhook deliveries',
                'permissions': [('replay_webhookdelivery', 'Can send webhook deliveries again')],
                'default_permissions': ('view',),
                'indexes': [
                    models.Index(condition=models.Q(('status', 'waiting')), fields=['endpoint', 'next_try_at'], name='webhook_delivery_waiting'),
                    models.Index(fields=['endpoint', 'status', 'created_at'], name='webhook_delivery_of_endpoint'),
                    models.Index(condition=models.Q(('claimed_until__isnull', False)), fields=['claimed_until'], name='webhook_delivery_claimed'),
                ],
                'constraints': [models.UniqueConstraint(fields=('event', 'endpoint'), name='webhook_delivery_once')],
            },
        ),
        migrations.CreateModel(
            name='WebhookAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('status_code', models.PositiveSmallIntegerField(help_text='Empty: there was no answer.', null=True, verbose_name='status')),
                ('answer', models.TextField(blank=True, help_text='Its first 1,000 characters.')),
                ('error', models.TextField(blank=True)),
                ('milliseconds', models.PositiveIntegerField()),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='log', to='config.webhookdelivery')),
            ],
            options={
                'default_permissions': (),
            },
        ),
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
                ],
                max_length=10,
            ),
        ),
        migrations.RunSQL(TELL, SILENT),
    ]
