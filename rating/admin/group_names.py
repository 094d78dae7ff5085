"""How groups of rating exceptions are named in addresses and in words."""

from typing import Any

from django.http import Http404, HttpRequest

from mediation import services as mediation
from mediation.admin import kit
from mediation.admin.workbench import url_of
from rating.models import RatingException
from rating.models.exceptions import BY_IDENTIFIER
from rating.selectors import ExceptionGroup

GROUPS = "rating_ratingexception_groups"
GROUP = "rating_ratingexception_group"
CAUSES = dict(RatingException.Cause.choices)


def group_url(group: ExceptionGroup, name: str = GROUP, *args: Any) -> str:
    """The address of a group's page, or of another page about the group."""
    said = {"feed": group.feed_id, "cause": group.cause, "class": group.usage_class_id, "subject": group.subject}
    return url_of(name, *args, **said)


def group_of(exception: Any) -> ExceptionGroup:
    return ExceptionGroup(exception.feed_id, exception.cause, exception.usage_class_id, exception.subject)


def asked_group(request: HttpRequest) -> ExceptionGroup:
    """The group that the address names; 404 where this person sees no such feed."""
    asked = request.GET
    feed, usage_class = number_in(asked.get("feed", "")), number_in(asked.get("class", ""))
    seen = mediation.feeds_seen(kit.person(request))
    is_said = feed and usage_class and asked.get("cause") in CAUSES and "\0" not in asked.get("subject", "")
    if not is_said or not (seen is None or feed in seen):
        raise Http404("There is no such group.")
    return ExceptionGroup(feed or 0, asked["cause"], usage_class or 0, asked.get("subject", ""))


def number_in(text: str) -> int | None:
    """The number that a parameter of an address holds; None where it is none that a row has."""
    return int(text) if text.isdecimal() and len(text) < 18 else None


def words_of(group: ExceptionGroup) -> str:
    """A group in a few words, for headings and links."""
    subject = group.subject if group.cause in BY_IDENTIFIER else ""
    return f"{CAUSES.get(group.cause, group.cause)}: “{subject}”" if subject else CAUSES.get(group.cause, group.cause)


def crumbs(group: ExceptionGroup | None = None) -> list[tuple[str, str]]:
    """The way back from a page of the workbench."""
    way = [("By group", url_of(GROUPS))]
    return way if group is None else [*way, (words_of(group), group_url(group))]
