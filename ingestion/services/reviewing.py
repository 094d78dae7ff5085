"""Who looks after import exceptions, and what is said about them."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from ingestion.models import ExceptionComment, ImportException
from ingestion.selectors import Group
from mediation import services as mediation
from mediation.services.acting import acts
from mediation.services.reviewing import checked_comment, require_assignable

MAY_REVIEW, MAY_CLEAR = "ingestion.review_importexception", "ingestion.correct_importexception"
OPEN = ImportException.Status.OPEN


@acts()
@transaction.atomic
def assign_exceptions(*, exceptions: QuerySet[ImportException], to: User | None, by: User | None, now: datetime) -> int:
    """Give open exceptions to a person who may correct them, or to nobody; returns how many. Raises UnableToAssign."""
    mediation.require_permission(by, MAY_REVIEW)
    chosen = mediation.seen(exceptions, by).filter(status=OPEN).order_by()
    if to is not None:
        require_assignable(to, MAY_CLEAR, set(chosen.values_list("feed_id", flat=True).distinct()))
    return ImportException.objects.filter(pk__in=chosen.values("pk"), status=OPEN).update(assigned_to=to)


@acts()
def comment_exception(*, exception: ImportException, text: str, by: User | None, now: datetime) -> ExceptionComment:
    """Say something about one exception, for good. Raises UnableToComment."""
    group = Group(exception.feed_id, exception.code, exception.field, exception.value)
    return _comment(group, exception, text, by, now)


@acts()
def comment_group(*, group: Group, text: str, by: User | None, now: datetime) -> ExceptionComment:
    """Say something about a group, also for exceptions that come to it later, for good. Raises UnableToComment."""
    return _comment(group, None, text, by, now)


def _comment(
    group: Group, exception: ImportException | None, text: str, by: User | None, now: datetime
) -> ExceptionComment:
    mediation.require_permission(by, MAY_REVIEW)
    mediation.require_feeds(by, [group.feed_id])
    return ExceptionComment.objects.create(
        exception=exception,
        feed_id=group.feed_id,
        code=group.code,
        field=group.field,
        value=group.value,
        text=checked_comment(text),
        created_at=now,
        created_by=by,
    )
