"""What workers do that belongs to no single room: answer the pulse, sweep up unheard work, keep house."""

import os
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from config import exporting, reconciliation
from config.access import braking
from config.dashboard import figures, noticing
from config.webhooks import delivering, events
from ingestion import selectors as ingestion_selectors
from ingestion import services as ingestion_services
from ingestion.core.locations import Grounds
from mediation import services as mediation_services
from mediation.models import Bell
from rating import selectors as rating_selectors
from rating import services as rating_services

# A task that a killed worker had pulled stays locked for minutes; its bell rings on, unheard.
UNHEARD = timedelta(seconds=30)
# Short enough that other tasks get their turn, and that a worker's memory is looked at.
EXPORTING = timedelta(seconds=20)


def pulse() -> None:
    """Show that the workers live."""
    mediation_services.answer(name="pulse", now=timezone.now())


def sweep() -> None:
    """Ring where work is ready, and ring again what nobody heard."""
    now = timezone.now()
    ring_again(rung_before=now - UNHEARD)
    for name, questions in work_ready(now).items():
        if any(rows.exists() for rows in questions):
            mediation_services.ring(name=name, now=now)


def work_ready(now: datetime) -> dict[str, list[QuerySet[Any]]]:
    """The rows that wait for a worker, by the bell that calls one."""
    return {
        "mediate": [
            ingestion_selectors.chunks_waiting(now=now),
            ingestion_selectors.imports_to_plan(now=now),
            ingestion_selectors.exceptions_to_retry(),
            ingestion_selectors.exceptions_due(now=now),
            ingestion_selectors.corrections_to_work(now=now),
            ingestion_selectors.voids_to_work(now=now),
            ingestion_selectors.backfills_to_work(now=now),
            ingestion_selectors.corrections_to_undo(now=now),
        ],
        "rate": [
            rating_selectors.batches_waiting(now=now),
            rating_selectors.voids_waiting(now=now),
            rating_selectors.restored_waiting(now=now),
            rating_selectors.periods_unsettled(),
            rating_selectors.periods_to_close(),
            rating_selectors.repricings_unfinished(),
            rating_selectors.exception_rerates_waiting(),
            rating_selectors.rating_exceptions_due(now=now),
        ],
        "export": [exporting.jobs_waiting(now=now), reconciliation.months_waiting(now=now)],
        "webhooks": [events.events_to_spread(now=now), delivering.deliveries_due(now=now)],
    }


def ring_again(*, rung_before: datetime) -> None:
    """Send another task for every bell that has been ringing since before then."""
    unheard = Bell.objects.filter(is_ringing=True, rung_at__lt=rung_before)
    for bell in unheard:
        if unheard.filter(pk=bell.pk).update(is_ringing=False):
            mediation_services.ring(name=bell.name, now=timezone.now())


def expire_parts() -> None:
    """Make exceptions of rows that waited long enough for the others of their record."""
    ingestion_services.expire_waiting_parts(now=timezone.now())


def expire_uploads() -> None:
    """Forget files that stopped half way a day ago."""
    ingestion_services.expire_uploads(now=timezone.now())


def poll_pickups() -> None:
    """Take in what lies ready in the pick-up locations."""
    grounds = Grounds(**settings.PICKUP_GROUNDS)
    ingestion_services.poll_pickup_locations(now=timezone.now(), environment=os.environ, grounds=grounds)


def expire_login_tries() -> None:
    """Forget wrong passwords of a day ago."""
    braking.expire_tries()


def make_exports() -> None:
    """Count the months and make the files that somebody asked for; the next bell goes on where there are many."""
    started_at = timezone.now()
    mediation_services.answer(name="export", now=started_at)
    while reconciliation.reconcile_next_month(now=timezone.now()) or exporting.make_next_export(now=timezone.now()):
        if timezone.now() - started_at > EXPORTING:
            mediation_services.ring(name="export", now=timezone.now())
            return


def send_webhooks() -> None:
    """Tell endpoints what happened; the next bell goes on where there is much to tell."""
    started_at = timezone.now()
    mediation_services.answer(name="webhooks", now=started_at)
    while events.spread_events(now=timezone.now()) + delivering.deliver_next(now=timezone.now()):
        if timezone.now() - started_at > EXPORTING:
            mediation_services.ring(name="webhooks", now=timezone.now())
            return


def expire_webhooks() -> None:
    """Forget what was told long ago."""
    while delivering.expire_events(now=timezone.now()):
        pass


def expire_exports() -> None:
    """Delete the files of exports whose time is over."""
    exporting.expire_exports(now=timezone.now())


def count_figures() -> None:
    """Count what the front page tells, as far as it has rested from being counted."""
    figures.count_due(now=timezone.now())


def count_figures_anew() -> None:
    """Count it from the ground up."""
    figures.count_anew(now=timezone.now())


def watch_for_anomalies() -> None:
    """Open, renew and close notices of what is out of the usual range."""
    noticing.watch(now=timezone.now())


def count_busy_periods() -> None:
    """Add up what busy accounts used, as far as it is not; the next time goes on where there is much."""
    started_at = timezone.now()
    while rating_services.count_next_period(now=timezone.now()):
        if timezone.now() - started_at > EXPORTING:
            return


def find_busy_periods() -> None:
    """Look for periods that became busy."""
    rating_services.find_busy_periods()


def make_partitions() -> None:
    """Make the months ahead, so that nothing needs to go to the default partitions."""
    now = timezone.now()
    mediation_services.make_partitions_ahead(now=now)
    rating_services.make_partitions_ahead(now=now)


def open_periods() -> None:
    """Open the billing periods of accounts that owe a minimum, used or not."""
    rating_services.open_due_periods(now=timezone.now())
