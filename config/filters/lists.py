"""The lists that filters are kept of, and whether a list understands a filter."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.http import HttpRequest, QueryDict

from mediation.admin import kit

LIST = "_changelist"
# Pages that list something and are no list of Django's: whose right to see them counts, and their parameters.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ingestion_importexception_groups": ("ingestion_importexception", ("feed", "code", "assigned", "age", "by")),
    "rating_ratingexception_groups": (
        "rating_ratingexception",
        ("feed", "cause", "class", "assigned", "age"),
    ),
}


def list_behind(page: str) -> kit.ModelAdmin | None:
    """The screen to which a page belongs; None where no filters are kept of it."""
    wanted = GROUPS[page][0] if page in GROUPS else page.removesuffix(LIST)
    if page not in GROUPS and not page.endswith(LIST):
        return None
    for model, screen in admin.site._registry.items():
        if f"{model._meta.app_label}_{model._meta.model_name}" == wanted and isinstance(screen, kit.ModelAdmin):
            return screen
    return None


def understands(page: str, request: HttpRequest, query: str) -> bool:
    """Whether the page can be filtered like this, for the person at hand."""
    asked = QueryDict(query)
    if page in GROUPS:
        return set(asked) <= set(GROUPS[page][1]) and "\0" not in query and "%00" not in query
    screen: Any = list_behind(page)
    as_if = _as_if(request, asked)
    try:
        screen.get_changelist_instance(as_if)
    except (IncorrectLookupParameters, SuspiciousOperation, ValidationError, ValueError):
        return False
    return True


def _as_if(request: HttpRequest, asked: QueryDict) -> HttpRequest:
    """A request for the list with these parameters, by the same person."""
    as_if = HttpRequest()
    as_if.method, as_if.GET, as_if.META = "GET", asked, request.META  # type: ignore[assignment]
    as_if.user, as_if.session = request.user, request.session
    as_if.path = as_if.path_info = request.path
    return as_if
