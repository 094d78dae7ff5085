"""Exceptions that are tried again by themselves, after gaps that grow, until they become something or the gaps end."""

from datetime import datetime

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet

from ingestion import selectors
from ingestion.models import ImportException, UsageImport
from ingestion.services.charged import require_second_person_for_records
from mediation import services as mediation
from mediation.core.retrying import next_try
from mediation.services import acts

log = structlog.get_logger()

MOST_DUE = 10_000  # exceptions that one look takes up


class UnableToRetryLater(Exception):
    """Exceptions that cannot be put on the schedule."""


@acts()
@transaction.atomic
def retry_later(*, exceptions: QuerySet[ImportException], by: User | None, now: datetime) -> int:
    """Have the open exceptions among `exceptions` tried again by themselves, first in a minute; returns how many."""
    mediation.require_permission(by, "ingestion.review_importexception")
    if mediation.asks_for_second_person("void", by):
        chosen = _open_of(exceptions, by)
        asked = list(chosen.order_by("pk").values_list("pk", flat=True))
        require_second_person_for_records(
            exceptions=chosen, does="try exceptions again later", arguments={"ids": asked}, by=by, now=now
        )
    first = next_try(tried=0, now=now)
    return _open_of(exceptions, by).update(next_try_at=first, retry_round=0)


@acts()
@transaction.atomic
def stop_retrying(*, exceptions: QuerySet[ImportException], by: User | None, now: datetime) -> int:
    """Take exceptions off the schedule; returns how many were on it."""
    mediation.require_permission(by, "ingestion.review_importexception")
    count = _open_of(exceptions, by).filter(next_try_at__isnull=False).update(next_try_at=None, retry_round=0)
    log.info("retrying_stopped", count=count, by=getattr(by, "pk", None), at=now.isoformat())
    return count


def _open_of(exceptions: QuerySet[ImportException], by: User | None) -> QuerySet[ImportException]:
    ids = mediation.seen(exceptions, by).filter(status=ImportException.Status.OPEN).order_by().values("pk")
    return ImportException.objects.filter(pk__in=ids, status=ImportException.Status.OPEN)


@transaction.atomic
def retry_due(*, now: datetime) -> bool:
    """Ask for the mediation of exceptions whose next try has come, and settle the one after; False where none is due.

    One whose import is under way waits for its next turn, and has used this one up.
    """
    due = selectors.exceptions_due(now).select_for_update(skip_locked=True).order_by("next_try_at")
    ids_by_round: dict[int, list[int]] = {}
    for pk, tried in due.values_list("pk", "retry_round")[:MOST_DUE]:
        ids_by_round.setdefault(tried, []).append(pk)
    for tried, ids in ids_by_round.items():
        chosen = ImportException.objects.filter(pk__in=ids)
        chosen.update(retry_round=tried + 1, next_try_at=next_try(tried=tried + 1, now=now))
        at_rest = chosen.filter(attempt=F("usage_import__attempt"), usage_import__status=UsageImport.Status.COMPLETED)
        ImportException.objects.filter(pk__in=list(at_rest.values_list("pk", flat=True))).update(
            status=ImportException.Status.REPROCESSING, retry_attempts=0
        )
    return bool(ids_by_round)
