from django.db import migrations


class Migration(migrations.Migration):
    """Workers ask for the oldest unlocked row of their queue five times a second; django-q2 gives that no index."""

    dependencies = [("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX IF NOT EXISTS sluice_queue_ready ON django_q_ormq (key, lock)",
            "DROP INDEX IF EXISTS sluice_queue_ready",
        )
    ]
