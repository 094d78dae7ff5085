"""Who may look after exceptions: what assigning and commenting have in common in the rooms that have exceptions."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import QuerySet

from mediation.services.seeing import feeds_seen

MAX_COMMENT = 4_000
BACKEND = "django.contrib.auth.backends.ModelBackend"


class UnableToAssign(Exception):
    """The exceptions cannot be given to this person."""


class UnableToComment(Exception):
    """There is nothing to say, or too much."""


def people_who_may(permission: str) -> QuerySet[User]:
    """Active people with a permission, given as app_label.codename, by their names."""
    return User.objects.with_perm(permission, backend=BACKEND).order_by("username")


def require_assignable(to: User, permission: str, feed_ids: Iterable[int]) -> None:
    """Raise UnableToAssign unless `to` may clear exceptions of these feeds."""
    if not to.is_active or not to.has_perm(permission):
        raise UnableToAssign(f"{to} may not clear these exceptions. Choose somebody who may.")
    feeds = feeds_seen(to)
    if feeds is not None and not feeds.issuperset(feed_ids):
        raise UnableToAssign(
            f"{to} does not see the feed of these exceptions. Choose somebody else, or grant the feed."
        )


def checked_comment(text: str) -> str:
    """The comment without spaces around it. Raises UnableToComment."""
    said = text.strip().replace("\0", "␀")
    if not said:
        raise UnableToComment("The comment is empty. Say something, or leave it.")
    if len(said) > MAX_COMMENT:
        raise UnableToComment(f"A comment has at most {MAX_COMMENT:,} characters; this one has {len(said):,}.")
    return said
