"""Who looks after an import exception, and what was said about it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0009_workbench"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ExceptionComment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.CharField(max_length=40)),
                ("field", models.CharField(blank=True, max_length=200)),
                ("value", models.CharField(blank=True, max_length=200, verbose_name="offending value")),
                ("text", models.TextField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "comment on import exceptions",
                "verbose_name_plural": "comments on import exceptions",
            },
        ),
        migrations.AddField(
            model_name="importexception",
            name="assigned_to",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="exceptioncomment",
            name="created_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="exceptioncomment",
            name="exception",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="comments",
                to="ingestion.importexception",
            ),
        ),
        migrations.AddField(
            model_name="exceptioncomment",
            name="feed",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="ingestion.feed"
            ),
        ),
        migrations.AddIndex(
            model_name="importexception",
            index=models.Index(
                condition=models.Q(("assigned_to__isnull", False)),
                fields=["assigned_to"],
                name="import_exception_assigned",
            ),
        ),
        migrations.AddIndex(
            model_name="exceptioncomment",
            index=models.Index(
                condition=models.Q(("exception__isnull", False)), fields=["exception"], name="comment_on_exception"
            ),
        ),
        migrations.AddIndex(
            model_name="exceptioncomment",
            index=models.Index(
                condition=models.Q(("exception__isnull", True)),
                fields=["feed", "code", "field", "value"],
                name="comment_on_group",
            ),
        ),
        migrations.AddConstraint(
            model_name="exceptioncomment",
            constraint=models.CheckConstraint(
                condition=models.Q(("text", ""), _negated=True), name="comment_says_something"
            ),
        ),
        migrations.RunSQL(
            """
            CREATE FUNCTION ingestion_keep_comment() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'comments on import exceptions are kept as they were written; write another'
                    USING ERRCODE = 'check_violation';
            END $$;
            CREATE TRIGGER keep_comment BEFORE UPDATE OR DELETE ON ingestion_exceptioncomment
                FOR EACH ROW EXECUTE FUNCTION ingestion_keep_comment();
            """,
            """
            DROP TRIGGER keep_comment ON ingestion_exceptioncomment;
            DROP FUNCTION ingestion_keep_comment();
            """,
        ),
    ]
