"""Who looks after a rating exception, what was said about it, and rating many of them again."""

import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mediation", "0008_paid_by_direction"),
        ("rating", "0013_attempts_at_periods"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RatingExceptionComment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("feed_id", models.BigIntegerField(verbose_name="feed")),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("no_identifier_match", "no service has the identifier"),
                            ("identifier_not_valid_at_date", "identifier not valid at the date"),
                            ("no_rate_plan", "no rate plan"),
                            ("no_rate_group", "no rate group"),
                            ("no_rate", "no rate"),
                            ("final_bill_issued", "final bill issued"),
                            ("system_error", "system error"),
                        ],
                        max_length=30,
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=300)),
                ("text", models.TextField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "comment on rating exceptions",
                "verbose_name_plural": "comments on rating exceptions",
            },
        ),
        migrations.AlterModelOptions(
            name="ratingexception",
            options={
                "permissions": [
                    ("rerate_ratingexception", "Can rerate rating exceptions"),
                    ("writeoff_ratingexception", "Can write off rating exceptions"),
                    (
                        "review_ratingexception",
                        "Can assign rating exceptions, comment on them and have them tried again later",
                    ),
                ]
            },
        ),
        migrations.AddField(
            model_name="ratingexception",
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
            model_name="ratingexception",
            name="next_try_at",
            field=models.DateTimeField(help_text="When it is rated again by itself.", null=True),
        ),
        migrations.AddField(
            model_name="ratingexception",
            name="retry_round",
            field=models.PositiveSmallIntegerField(db_default=0, help_text="How often it was, by the schedule."),
        ),
        migrations.CreateModel(
            name="ExceptionRerate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "status",
                    models.CharField(
                        choices=[("waiting", "waiting"), ("completed", "completed"), ("errored", "errored")],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                (
                    "feed_id",
                    models.BigIntegerField(help_text="Empty: of several feeds.", null=True, verbose_name="feed"),
                ),
                (
                    "group",
                    models.JSONField(help_text="The group that it was asked for; empty: chosen by hand.", null=True),
                ),
                (
                    "exception_count",
                    models.PositiveIntegerField(
                        help_text="That were open when it was asked for.", verbose_name="exceptions"
                    ),
                ),
                ("tried_count", models.PositiveIntegerField(default=0, verbose_name="tried")),
                ("charged_count", models.PositiveIntegerField(default=0, verbose_name="charged")),
                ("created_at", models.DateTimeField(verbose_name="asked at")),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "attempts",
                    models.PositiveSmallIntegerField(default=0, help_text="Of the portion that is being rated."),
                ),
                ("error", models.TextField(blank=True, default="")),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="asked by",
                    ),
                ),
            ],
            options={
                "verbose_name": "rerate of exceptions",
                "verbose_name_plural": "rerates of exceptions",
            },
        ),
        migrations.AddField(
            model_name="ratingexception",
            name="rerate",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="Which is to rate it again.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="exceptions",
                to="rating.exceptionrerate",
            ),
        ),
        migrations.AddField(
            model_name="ratingexceptioncomment",
            name="created_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="ratingexceptioncomment",
            name="exception",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="comments",
                to="rating.ratingexception",
            ),
        ),
        migrations.AddField(
            model_name="ratingexceptioncomment",
            name="usage_class",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="mediation.usageclass",
            ),
        ),
        migrations.AddField(
            model_name="ratingexception",
            name="subject",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.functions.text.Left(
                    models.Case(
                        models.When(
                            cause__in=("no_identifier_match", "identifier_not_valid_at_date"),
                            then=django.db.models.functions.comparison.Coalesce(
                                models.F("identifier"), models.Value("")
                            ),
                        ),
                        default=models.Func(
                            models.F("message"),
                            models.Value("\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC"),
                            models.Value("…"),
                            models.Value("g"),
                            function="regexp_replace",
                            output_field=models.TextField(),
                        ),
                        output_field=models.TextField(),
                    ),
                    300,
                ),
                help_text="What is missing: the identifier that nobody has, or the message without its moments.",
                output_field=models.TextField(),
            ),
        ),
        migrations.AddIndex(
            model_name="ratingexception",
            index=models.Index(
                include=("value", "created_at", "assigned_to"),
                condition=models.Q(("status", "open")),
                fields=["feed_id", "cause", "usage_class", "subject"],
                name="rating_exception_groups",
            ),
        ),
        migrations.AddIndex(
            model_name="ratingexception",
            index=models.Index(
                condition=models.Q(("assigned_to__isnull", False)),
                fields=["assigned_to"],
                name="rating_exception_assigned",
            ),
        ),
        migrations.AddIndex(
            model_name="ratingexception",
            index=models.Index(
                condition=models.Q(("rerate__isnull", False)), fields=["rerate", "id"], name="rating_exception_rerate"
            ),
        ),
        migrations.AddIndex(
            model_name="ratingexception",
            index=models.Index(
                condition=models.Q(("next_try_at__isnull", False), ("status", "open")),
                fields=["next_try_at"],
                name="rating_exception_try_again",
            ),
        ),
        migrations.AddIndex(
            model_name="exceptionrerate",
            index=models.Index(
                condition=models.Q(("status", "waiting")), fields=["id"], name="exception_rerate_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="ratingexceptioncomment",
            index=models.Index(
                condition=models.Q(("exception__isnull", False)),
                fields=["exception"],
                name="rating_comment_on_exception",
            ),
        ),
        migrations.AddIndex(
            model_name="ratingexceptioncomment",
            index=models.Index(
                condition=models.Q(("exception__isnull", True)),
                fields=["feed_id", "cause", "usage_class", "subject"],
                name="rating_comment_on_group",
            ),
        ),
        migrations.AddConstraint(
            model_name="ratingexceptioncomment",
            constraint=models.CheckConstraint(
                condition=models.Q(("text", ""), _negated=True), name="rating_comment_says_something"
            ),
        ),
        migrations.RunSQL(
            """
            CREATE FUNCTION rating_keep_comment() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'comments on rating exceptions are kept as they were written; write another'
                    USING ERRCODE = 'check_violation';
            END $$;
            CREATE TRIGGER keep_comment BEFORE UPDATE OR DELETE ON rating_ratingexceptioncomment
                FOR EACH ROW EXECUTE FUNCTION rating_keep_comment();
            """,
            """
            DROP TRIGGER keep_comment ON rating_ratingexceptioncomment;
            DROP FUNCTION rating_keep_comment();
            """,
        ),
    ]
