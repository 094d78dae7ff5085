"""Who sees and uses which feed."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def keep_what_people_see(apps, schema_editor):
    """Whoever is there already saw every feed so far: each is granted them all."""
    User = apps.get_model("auth", "User")
    Feed = apps.get_model("ingestion", "Feed")
    FeedGrant = apps.get_model("ingestion", "FeedGrant")
    feeds = list(Feed.objects.values_list("pk", flat=True))
    users = User.objects.filter(is_superuser=False).values_list("pk", flat=True)
    grants = (FeedGrant(user_id=user, feed_id=feed) for user in users for feed in feeds)
    FeedGrant.objects.bulk_create(grants, batch_size=1_000)


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0007_find_repeats"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="feed", options={"permissions": [("every_feed", "Can see every feed, also those to come")]}
        ),
        migrations.CreateModel(
            name="FeedGrant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "feed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="ingestion.feed"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="feed_grants",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("user", "feed"), name="feed_grant_once")]},
        ),
        migrations.RunPython(keep_what_people_see, migrations.RunPython.noop),
        # Who may send what is remembered by the processes that take usage, until the stamp changes.
        migrations.RunSQL(
            "CREATE TRIGGER changes_acceptance_stamp AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE"
            " ON ingestion_feedgrant FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_acceptance_stamp()",
            "DROP TRIGGER changes_acceptance_stamp ON ingestion_feedgrant",
        ),
    ]
