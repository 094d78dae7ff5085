"""What workers do that belongs to no single room: answer the pulse, sweep up unheard work, keep house."""

from datetime import datetime, timedelta

from django.utils import timezone

from ingestion import selectors as ingestion_selectors
from ingestion import services as ingestion_services
from mediation import services as mediation_services
from mediation.models import Bell
from rating import selectors as rating_selectors
from rating import services as rating_services

# A task that a killed worker had pulled stays locked for minutes; its bell rings on, unheard.
UNHEARD = timedelta(seconds=30)

READY = {
    "mediate": (
        ingestion_selectors.chunks_waiting,
        ingestion_selectors.imports_to_plan,
        ingestion_selectors.exceptions_to_retry,
    ),
    "rate": (rating_selectors.batches_waiting,),
}


def pulse() -> None:
    """Show that the workers live."""
    mediation_services.answer(name="pulse", now=timezone.now())


def sweep() -> None:
    """Ring where work is ready, and ring again what nobody heard."""
    now = timezone.now()
    ring_again(rung_before=now - UNHEARD)
    for name, questions in READY.items():
        if any(question(now=now).exists() for question in questions):
            mediation_services.ring(name=name, now=now)


def ring_again(*, rung_before: datetime) -> None:
    for bell in Bell.objects.filter(is_ringing=True, rung_at__lt=rung_before):
        if Bell.objects.filter(pk=bell.pk, is_ringing=True, rung_at=bell.rung_at).update(is_ringing=False):
            mediation_services.ring(name=bell.name, now=timezone.now())


def poll_pickups() -> None:
    """Take in what lies ready in the pick-up locations."""
    ingestion_services.poll_pickup_locations(now=timezone.now())


def make_partitions() -> None:
    """Make the months ahead, so that nothing needs to go to the default partitions."""
    now = timezone.now()
    mediation_services.make_partitions_ahead(now=now)
    rating_services.make_partitions_ahead(now=now)
