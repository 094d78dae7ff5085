"""Bells: how work that is ready wakes a worker, without one task for each of many small submissions."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from django.conf import settings
from django.db import Error, connection, transaction
from django_q.tasks import async_task
from psycopg.pq import TransactionStatus

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

# A worker who is through waits for more before he goes: whoever is called anew comes after a fifth of a second and
# more, since the queue is looked at five times a second.
LINGER_SECONDS = 1.0
LOOK_SECONDS = 0.04
# Since he came: then other tasks have their turn, where single records trickle in without end.
STAY_SECONDS = 3.0


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


@contextmanager
def sole(name: str) -> Iterator[bool]:
    """Whether no other worker of any host is at this, for as long as it takes; one that dies is not at it any more.

    After a statement that failed a transaction takes no other, so nobody could say that he is through: then it goes
    back to where this began.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
        (is_sole,) = cursor.fetchone()
    beginning = transaction.savepoint() if is_sole and connection.in_atomic_block else None
    try:
        yield is_sole
    except BaseException:
        # Whoever lost his connection is not at it any more, and is told of that alone.
        with suppress(Error):
            if beginning and connection.connection.info.transaction_status == TransactionStatus.INERROR:
                transaction.savepoint_rollback(beginning)
            _leave(name, is_sole)
        raise
    _leave(name, is_sole)


def _leave(name: str, is_sole: bool) -> None:
    if is_sole:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])


def linger(name: str, is_work_there: Callable[[], bool], *, came_at: float) -> None:
    """Wait until there is work: not for long, not beside another who waits for the same, not as the only worker.

    came_at: when this worker came, by `time.monotonic`.
    Nobody is called while somebody waits (see `selectors.is_ringing`). So look once more for everything that the bell
    is rung for before you go: who rang in between was told that you would.
    """
    if settings.WORKERS == 1:
        return
    give_up_at = min(time.monotonic() + LINGER_SECONDS, came_at + STAY_SECONDS)
    with sole(selectors.lingering(name)) as is_sole:
        while is_sole and time.monotonic() < give_up_at and not is_work_there():
            time.sleep(LOOK_SECONDS)
