"""How import exceptions are assigned and commented on, for the pages of their workbench."""

from functools import partial
from typing import Any

from django.http import HttpRequest

from ingestion import selectors
from ingestion.admin.groups import asked_group, crumbs, group_of, group_url, words_of
from ingestion.selectors import Group
from ingestion.services import reviewing as services
from mediation.admin import reviewing
from mediation.admin.workbench import IMPORT_BENCH


def _asked(request: HttpRequest) -> Group:
    group, _ = asked_group(request)
    return group


def _url(group: Any, *page: str) -> str:
    return group_url(group, *page)


REVIEW = reviewing.Review(
    model="ingestion_importexception",
    may_review=services.MAY_REVIEW,
    may_clear=services.MAY_CLEAR,
    assign=services.assign_exceptions,
    comment_one=services.comment_exception,
    comment_all=services.comment_group,
    asked=_asked,
    group_of=group_of,
    rows_of=selectors.exceptions_of_group,
    comments_on=selectors.comments_on_group,
    url_for=_url,
    words_of=words_of,
    crumbs=crumbs,
)
IMPORT_BENCH.actions.append(partial(reviewing.group_actions, REVIEW))
IMPORT_BENCH.panels.append(partial(reviewing.group_panel, REVIEW))
IMPORT_BENCH.record_panels.append(partial(reviewing.record_panel, REVIEW))
