"""Who sees what of the history: with the right to view, that of his feeds; who may only send, what he sent himself."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import status as http
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ingestion import selectors
from ingestion.models import Feed
from mediation import services as mediation
from mediation.api import Problem


class SendersSeeTheirOwn(BasePermission):
    """Lets in who may view imports, and who may send usage; what is shown is narrowed by `seen_imports` and its kin."""

    def has_permission(self, request: Request, view: Any) -> bool:
        rights = ("ingestion.view_usageimport", "ingestion.view_importexception", "ingestion.add_usageimport")
        return any(request.user.has_perm(right) for right in rights)


def seen_imports(imports: QuerySet[Any], by: Any) -> QuerySet[Any]:
    """Those of `imports` that a person or service user may see."""
    imports = mediation.seen(imports, by)
    return imports if by.has_perm("ingestion.view_usageimport") else imports.filter(received_by=by)


def seen_exceptions(exceptions: QuerySet[Any], by: Any) -> QuerySet[Any]:
    """Those of `exceptions` that a person or service user may see."""
    exceptions = mediation.seen(exceptions, by)
    may_see_all = by.has_perm("ingestion.view_importexception")
    return exceptions if may_see_all else exceptions.filter(usage_import__received_by=by)


def seen_feed(reference: str, by: Any) -> Feed:
    """The feed of this number or API name, if it is there for a person or service user. Raises Problem 404."""
    found = selectors.feed_by(reference)
    seen = mediation.feeds_seen(by)
    if found is None or (seen is not None and found.pk not in seen):
        detail = f"There is no feed {reference!r}; use its number or API name."
        raise Problem(http.HTTP_404_NOT_FOUND, "unknown_feed", detail)
    return found
