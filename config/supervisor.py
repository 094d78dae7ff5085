"""Keeps the web server and the workers alive: what `up` and `quickstart` run.

    look, once a second ─► a main process ended?           kill its group, start it again
                           every few seconds: sweep        ring where work is ready and nobody was told
                                              pulse        ring a bell that every idle worker answers
                           nobody answered or computed     kill the whole cluster, start it again, ring again
                           for 30 s?

A cluster may be dead with all its processes alive: a worker that was killed while it waited holds the queue's lock.
"""

import os
import socket
import sys
import tempfile
import time
from types import TracebackType

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.utils import timezone

from config import schedules, tasks
from config.processes import Kept, processor_seconds, say
from mediation import services
from mediation.models import Bell

LOOK_SECONDS = 1.0
WATCH_SECONDS = 5.0
PULSE_SECONDS = 10.0
SILENCE_SECONDS = 30.0
# An idle cluster of two workers uses about 2 % of a core.
BUSY_SHARE = 0.25
STOP_SECONDS = 8.0
# One may wait for an outcome and one may take a file from a slow sender: a third goes on serving everybody else.
WEB_THREADS = 3


class Supervisor:
    """The web server and the workers of this database, as a context: started on entry, stopped on exit.

    Whoever opens it calls `look` about once a second, from the thread that opened it: when that thread ends, the kernel
    ends the processes.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 8000, workers: int | None = None) -> None:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.address = f"http://{place}/"
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SLUICE_WORKERS": str(workers or settings.WORKERS),
            "SLUICE_LOG_LEVEL": os.environ.get("SLUICE_LOG_LEVEL", "INFO"),
        }
        self._place = (host, port)
        # Where the web server's processes keep what they count, for /metrics to add up.
        self._counts = tempfile.TemporaryDirectory(prefix="sluice-counts-", ignore_cleanup_errors=True)
        web = environment | {"PROMETHEUS_MULTIPROC_DIR": self._counts.name}
        self._web = Kept("web server", web_command(place), web, settings.BASE_DIR)
        cluster = [sys.executable, "-m", "config.cluster"]
        self._cluster = Kept("workers", cluster, environment, settings.BASE_DIR)
        self._alive_at = self._watched_at = self._pulse_at = self._used_seconds = 0.0

    def __enter__(self) -> "Supervisor":
        prepare_database()
        self._restart_bells()
        self.look()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        both = (self._web, self._cluster)
        for kept in both:
            kept.ask_to_end()
        give_up_at = time.monotonic() + STOP_SECONDS
        while time.monotonic() < give_up_at and not all(kept.has_ended() for kept in both):
            time.sleep(0.1)
        for kept in both:
            kept.kill()
        self._counts.cleanup()

    def look(self) -> None:
        """Start what has ended; every few seconds, see whether the workers live and whether work waits unheard."""
        self._web.look()
        self._cluster.look()
        now = time.monotonic()
        if now - self._watched_at < WATCH_SECONDS:
            return
        try:
            self._watch(now)
        except (DatabaseError, ImproperlyConfigured) as error:
            # Nobody can answer without a database, so silence means nothing now.
            say(f"the database does not answer: {error}")
            connection.close()
            self._alive_at = now
        self._watched_at = now

    def is_serving(self) -> bool:
        """Whether the web server takes connections."""
        try:
            socket.create_connection(self._place, timeout=1).close()
        except OSError:
            return False
        return True

    def _watch(self, now: float) -> None:
        tasks.sweep()
        if now - self._pulse_at >= PULSE_SECONDS:
            services.ring(name="pulse", now=timezone.now())
            self._pulse_at = now
        if self._shows_life(now):
            self._alive_at = now
        if now - max(self._alive_at, self._cluster.started_at) > SILENCE_SECONDS:
            say(f"the workers have been silent for {SILENCE_SECONDS:.0f} s, starting them again")
            self._cluster.kill()
            # Tasks that the dead had pulled stay locked for minutes.
            self._restart_bells()

    def _shows_life(self, now: float) -> bool:
        """Whether a worker answered a bell, or the cluster computed, since we last looked."""
        before, self._used_seconds = self._used_seconds, processor_seconds(self._cluster.group or 0)
        computed = self._used_seconds - before > BUSY_SHARE * (now - self._watched_at)
        answered_at = Bell.objects.aggregate(last=Max("answered_at"))["last"]
        seconds = (timezone.now() - answered_at).total_seconds() if answered_at else SILENCE_SECONDS
        return computed or seconds <= now - self._watched_at

    def _restart_bells(self) -> None:
        tasks.ring_again(rung_before=timezone.now())


def web_command(place: str) -> list[str]:
    """gunicorn with threads: a request mostly waits for the database."""
    options = {
        "bind": place,
        "worker-class": "config.serving.Worker",
        "workers": max(2, os.cpu_count() or 1),
        "threads": WEB_THREADS,
        "timeout": 60,
        "graceful-timeout": int(STOP_SECONDS) - 2,
        "max-requests": 20_000,
        "max-requests-jitter": 2_000,
        "log-level": "warning",
    }
    told = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "gunicorn", "config.wsgi", "--no-control-socket", *told]


def prepare_database() -> None:
    """Migrate if need be, one process at a time, and see to the schedules."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('sluice migrations'))")
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", verbosity=0, interactive=False)
        schedules.set_schedules()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('sluice migrations'))")
