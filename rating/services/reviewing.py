"""Who looks after rating exceptions, what is said about them, and when they are tried again by themselves."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from mediation import services as mediation
from mediation.core.retrying import next_try
from mediation.services.acting import acts
from mediation.services.reviewing import checked_comment, require_assignable
from rating.models import RatingException, RatingExceptionComment
from rating.selectors import ExceptionGroup

MAY_REVIEW, MAY_CLEAR = "rating.review_ratingexception", "rating.rerate_ratingexception"
OPEN = RatingException.Status.OPEN


class UnableToRetryLater(Exception):
    """Nothing of what was chosen can be tried again by itself."""


@acts()
@transaction.atomic
def assign_exceptions(*, exceptions: QuerySet[RatingException], to: User | None, by: User | None, now: datetime) -> int:
    """Give open exceptions to a person who may clear them, or to nobody; returns how many. Raises UnableToAssign."""
    mediation.require_permission(by, MAY_REVIEW)
    chosen = mediation.seen(exceptions, by).filter(status=OPEN).order_by()
    if to is not None:
        require_assignable(to, MAY_CLEAR, set(chosen.values_list("feed_id", flat=True).distinct()))
    return RatingException.objects.filter(pk__in=chosen.values("pk"), status=OPEN).update(assigned_to=to)


@acts()
def comment_exception(
    *, exception: RatingException, text: str, by: User | None, now: datetime
) -> RatingExceptionComment:
    """Say something about one exception, for good. Raises UnableToComment."""
    group = ExceptionGroup(exception.feed_id, exception.cause, exception.usage_class_id, exception.subject)
    return _comment(group, exception, text, by, now)


@acts()
def comment_group(*, group: ExceptionGroup, text: str, by: User | None, now: datetime) -> RatingExceptionComment:
    """Say something about a group, also for exceptions that come to it later, for good. Raises UnableToComment."""
    return _comment(group, None, text, by, now)


def _comment(
    group: ExceptionGroup, exception: RatingException | None, text: str, by: User | None, now: datetime
) -> RatingExceptionComment:
    mediation.require_permission(by, MAY_REVIEW)
    mediation.require_feeds(by, [group.feed_id])
    return RatingExceptionComment.objects.create(
        exception=exception,
        feed_id=group.feed_id,
        cause=group.cause,
        usage_class_id=group.usage_class_id,
        subject=group.subject,
        text=checked_comment(text),
        created_at=now,
        created_by=by,
    )


@acts()
def retry_later(*, exceptions: QuerySet[RatingException], by: User | None, now: datetime) -> int:
    """Have open exceptions rated again by themselves, with growing gaps; returns how many. See `retrying.GAPS`."""
    mediation.require_permission(by, MAY_REVIEW)
    count = _open(exceptions, by).update(next_try_at=next_try(tried=0, now=now), retry_round=0)
    if not count:
        raise UnableToRetryLater("None of these rating exceptions is open. Choose open ones.")
    return count


@acts()
def stop_retrying(*, exceptions: QuerySet[RatingException], by: User | None, now: datetime) -> int:
    """Have exceptions no longer rated again by themselves; returns how many were."""
    mediation.require_permission(by, MAY_REVIEW)
    return _open(exceptions, by).filter(next_try_at__isnull=False).update(next_try_at=None)


def _open(exceptions: QuerySet[RatingException], by: User | None) -> QuerySet[RatingException]:
    chosen = mediation.seen(exceptions, by).filter(status=OPEN).order_by()
    return RatingException.objects.filter(pk__in=chosen.values("pk"), status=OPEN)
