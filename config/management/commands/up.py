"""Serves Sluice: the web server and the workers for this database, watched over until interrupted."""

import argparse
import signal
import socket
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.supervisor import LOOK_SECONDS, Supervisor


class Command(BaseCommand):
    help = "Run the web server and the workers, and start again what dies. SIGTERM or Ctrl-C ends them."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default %(default)s)")
        parser.add_argument("--workers", type=int, help="worker processes (default: SLUICE_WORKERS, else 2)")

    def handle(self, *, host: str, port: int, workers: int | None, **options: Any) -> None:
        refuse_taken_port(host, port)
        is_asked_to_end = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: is_asked_to_end.append(True))
        with Supervisor(host=host, port=port, workers=workers) as supervisor:
            is_announced = False
            while not is_asked_to_end:
                supervisor.look()
                if not is_announced and supervisor.is_serving():
                    self.stdout.write(f"Sluice serves {supervisor.address}  (admin: {supervisor.address}admin/)")
                    self.stdout.flush()
                    is_announced = True
                time.sleep(LOOK_SECONDS)


def refuse_taken_port(host: str, port: int) -> None:
    """Raise CommandError where somebody else listens already; gunicorn would only try again and again."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as refusal:
            raise CommandError(f"Port {port} of {host} cannot be used ({refusal.strerror}). Choose --port.") from None
