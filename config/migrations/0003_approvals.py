"""Approvals: what a second person decides, once."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ONCE = """
CREATE FUNCTION config_keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'waiting' THEN
        RAISE EXCEPTION 'this was decided once and stays as it was decided' USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND (OLD.act, OLD.arguments, OLD.fingerprint, OLD.asked_by_id, OLD.asked_at, OLD.expires_at)
            IS DISTINCT FROM (NEW.act, NEW.arguments, NEW.fingerprint, NEW.asked_by_id, NEW.asked_at, NEW.expires_at) THEN
        RAISE EXCEPTION 'what was asked for stays as it was asked for; ask anew' USING ERRCODE = 'check_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER keep_decision BEFORE UPDATE OR DELETE ON config_approval
    FOR EACH ROW EXECUTE FUNCTION config_keep_decision();
"""
NOT_ONCE = """
DROP TRIGGER keep_decision ON config_approval;
DROP FUNCTION config_keep_decision();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0002_audit"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('act', models.CharField(max_length=40)),
                ('status', models.CharField(choices=[('waiting', 'waiting'), ('approved', 'approved'), ('refused', 'refused'), ('withdrawn', 'withdrawn'), ('expired', 'expired')], default='waiting', max_length=9)),
                ('summary', models.TextField(verbose_name='what is asked for')),
                ('arguments', models.JSONField(help_text='What the act is given; rows by their numbers.')),
                ('value', models.DecimalField(decimal_places=11, help_text='What it may be worth. Empty: nobody knows.', max_digits=38, null=True)),
                ('subject_label', models.CharField(help_text='The model of what it is about.', max_length=100)),
                ('subject_id', models.CharField(blank=True, help_text='Empty: of many.', max_length=40)),
                ('feeds', models.JSONField(default=list, help_text='The feeds whose usage it is about, by their numbers.')),
                ('request_hash', models.CharField(help_text='Of the act and its arguments.', max_length=64)),
                ('fingerprint', models.CharField(max_length=64)),
                ('asked_at', models.DateTimeField()),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('why', models.TextField(blank=True, verbose_name='reason')),
                ('expires_at', models.DateTimeField()),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decision', models.TextField(blank=True, verbose_name='what the second person said')),
                ('outcome', models.TextField(blank=True, verbose_name='what was done')),
            ],
            options={
                'permissions': [('decide_approval', 'Can approve or refuse what others ask for')],
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('status', 'waiting')), fields=['subject_label'], name='approval_waiting')],
                'constraints': [models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), ('status', 'withdrawn'), models.Q(('decided_by', models.F('asked_by')), _negated=True), _connector='OR'), name='nobody_approves_their_own'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('status__in', ['waiting', 'expired'])), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False), ('status__in', ['approved', 'refused', 'withdrawn'])), _connector='OR'), name='an_approval_is_decided_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'refused'), _negated=True), models.Q(('decision', ''), _negated=True), _connector='OR'), name='a_refusal_says_why'), models.UniqueConstraint(condition=models.Q(('status', 'waiting')), fields=('request_hash',), name='approval_is_asked_for_once')],
            },
        ),
        migrations.RunSQL(ONCE, NOT_ONCE),
    ]
