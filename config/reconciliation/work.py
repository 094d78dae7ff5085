"""Large months are counted by a worker: asked for, claimed, counted, kept until somebody asks anew."""

import logging
import time
import traceback
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from config.models import Reconciliation
from config.reconciliation.counting import count_month
from config.reconciliation.lines import as_json
from mediation import services as mediation

log = logging.getLogger(__name__)

Status = Reconciliation.Status
AT_WORK = (Status.WAITING, Status.RUNNING)
PERMISSION = "config.view_reconciliation"
CLAIM = timedelta(minutes=30)
MAX_ATTEMPTS = 5


@transaction.atomic
def ask_to_reconcile(*, month: date, by: User | None, now: datetime) -> Reconciliation:
    """Let a worker count a month anew; what was counted before is shown until then."""
    mediation.require_permission(by, PERMISSION)
    asked, is_new = Reconciliation.objects.get_or_create(
        month=month.replace(day=1), defaults={"asked_at": now, "asked_by": by}
    )
    if not is_new:
        rested = Reconciliation.objects.filter(pk=asked.pk).exclude(status__in=AT_WORK)
        rested.update(status=Status.WAITING, asked_at=now, asked_by=by, attempts=0, claimed_until=None, error="")
        asked.refresh_from_db()
    mediation.ring(name="export", now=now)
    return asked


def months_waiting(now: datetime) -> QuerySet[Reconciliation]:
    """Months that a worker may count: those asked for, and those whose worker is gone."""
    unfinished = Reconciliation.objects.filter(status__in=AT_WORK)
    return unfinished.filter(Q(claimed_until=None) | Q(claimed_until__lt=now))


def reconcile_next_month(*, now: datetime) -> bool:
    """Count the next month that was asked for; False where none waits."""
    asked = _claim(now)
    if asked is None:
        return False
    own = Reconciliation.objects.filter(pk=asked.pk, attempts=asked.attempts)
    began = time.monotonic()
    try:
        as_of = timezone.now()
        lines = count_month(asked.month, is_small=False)
    except Exception:
        log.exception("reconciling crashed", extra={"month": asked.month.isoformat()})
        own.update(error=traceback.format_exc(), claimed_until=now + timedelta(seconds=20))
        return True
    own.update(
        status=Status.DONE,
        claimed_until=None,
        as_of=as_of,
        took_seconds=Decimal(f"{time.monotonic() - began:.3f}"),
        lines=[as_json(line) for line in lines],
        error="",
    )
    return True


@transaction.atomic
def _claim(now: datetime) -> Reconciliation | None:
    asked = months_waiting(now).select_for_update(of=("self",), skip_locked=True).order_by("asked_at", "pk").first()
    if asked is None:
        return None
    if asked.attempts >= MAX_ATTEMPTS:
        said = asked.error or f"The worker died in each of {MAX_ATTEMPTS} attempts."
        Reconciliation.objects.filter(pk=asked.pk).update(status=Status.ERRORED, error=said, claimed_until=None)
        return None
    Reconciliation.objects.filter(pk=asked.pk).update(
        status=Status.RUNNING, attempts=F("attempts") + 1, claimed_until=now + CLAIM
    )
    return Reconciliation.objects.get(pk=asked.pk)
