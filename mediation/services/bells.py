"""Bells: how work that is ready wakes a worker, without one task for each of many small submissions."""

from datetime import datetime

from django.db import transaction
from django_q.tasks import async_task

from mediation import selectors
from mediation.models import Bell

# Who comes when a bell rings. Named as text: mediation knows that there are rooms above it, not what is in them.
TASKS = {
    "mediate": "ingestion.tasks.mediate_waiting",
    "rate": "rating.tasks.rate_waiting",
    "export": "config.tasks.make_exports",
    "webhooks": "config.tasks.send_webhooks",
    "pulse": "config.tasks.pulse",
}
# Seconds that a task may take, where that is more than others have.
TIMEOUTS = {"export": 1_800}


def ring(name: str, now: datetime) -> None:
    """Once this transaction has committed, wake a worker, unless the bell rings already."""
    transaction.on_commit(lambda: ring_now(name, now))


def ring_now(name: str, now: datetime) -> bool:
    """Wake a worker; False where the bell rings already.

    The flag and the task commit together: the broker is this database.
    """
    # Most ring while it rings: for them one question, and no transaction around it.
    if selectors.is_ringing(name):
        return False
    with transaction.atomic():
        Bell.objects.get_or_create(name=name)
        if not Bell.objects.filter(name=name, is_ringing=False).update(is_ringing=True, rung_at=now):
            return False
        async_task(TASKS[name], **({"timeout": TIMEOUTS[name]} if name in TIMEOUTS else {}))
    return True


def answer(name: str, now: datetime) -> None:
    """A worker came: whoever rings from now on wakes another. Call it before looking for work."""
    Bell.objects.update_or_create(name=name, defaults={"is_ringing": False, "answered_at": now})
