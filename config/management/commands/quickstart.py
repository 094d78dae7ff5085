"""Shows Sluice at work on a fresh checkout: sample usage by file and over HTTP, through real workers, to charges."""

import argparse
import io
import json
import os
import secrets
import signal
import socket
import time
import urllib.error
import urllib.request
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count
from django.utils import timezone
from knox.models import AuthToken

from config import roles, samples
from config.history import ENDED, history_row, is_work_waiting
from config.supervisor import Supervisor
from ingestion import services
from ingestion.models import Feed, FeedGrant, ImportException, UsageImport
from rating import selectors as rating_selectors
from rating.models import RatingException

LIMIT_SECONDS = 150


class Command(BaseCommand):
    help = "Set Sluice up with sample data, mediate and rate it, show what came of it, and serve until interrupted."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--exit", action="store_true", help="stop after the report")
        parser.add_argument("--port", type=int, help="port to serve on (default: 8000, or a free one if it is taken)")

    def handle(self, *, port: int | None, **options: Any) -> None:
        asked_to_end: list[bool] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked_to_end.append(True))
        # A line for each request would stand between the tables; what goes wrong is still said.
        os.environ.setdefault("SLUICE_LOG_LEVEL", "WARNING")
        self._say("Preparing the database …")
        with Supervisor(port=port or _free_port()) as supervisor:
            samples.load_configuration(now=timezone.now())
            self._wait(supervisor, asked_to_end, supervisor.is_serving, "the web server")
            self._send_usage(supervisor.address)
            self._say("Mediating and rating …")
            self._wait(supervisor, asked_to_end, _is_all_done, "the workers")
            self._report()
            self.stdout.write(f"\nAdmin: {supervisor.address}admin/   login: admin   password: {_admin_password()}")
            self.stdout.flush()
            while not options["exit"] and not asked_to_end:
                supervisor.look()
                time.sleep(1)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _wait(self, supervisor: Supervisor, asked_to_end: list[bool], is_done: Any, what: str) -> None:
        give_up_at = time.monotonic() + LIMIT_SECONDS
        while not is_done():
            if asked_to_end:
                raise CommandError("Interrupted.")
            if time.monotonic() > give_up_at:
                raise CommandError(f"Gave up: {what} did not come within {LIMIT_SECONDS} s. Look at the log above.")
            supervisor.look()
            time.sleep(0.2)

    def _send_usage(self, address: str) -> None:
        """A file by the way of files, rows and JSON records by the HTTP API; sent again, they are answered again."""
        month = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        feed = Feed.objects.get(api_name="rows")
        try:
            services.receive_file(
                feed=feed,
                stream=io.BytesIO(samples.sample_file(month)),
                file_name=f"switch-{month:%Y-%m}.csv",
                source=UsageImport.Source.COMMAND,
                by=None,
                now=timezone.now(),
            )
        except services.UnableToReceive as refusal:
            self._say(str(refusal))
        token = _source_token()
        for feed_name, body in (("rows", samples.sample_rows(month)), ("events", samples.sample_events(month))):
            answer = _post(f"{address}api/v1/feeds/{feed_name}/usage", body, token, f"quickstart-{month:%Y-%m}")
            self._say(f"POST feeds/{feed_name}/usage: {answer['record_count']} records, {answer['tracking_id']}")

    def _report(self) -> None:
        self._say("\nImport history")
        outcomes = ["imported_count", "exception_count", "skipped_count", "duplicate_count"]
        names = ["feed", "source", "status", "record_count", *outcomes, "rated_count", "rating_exception_count"]
        imports = UsageImport.objects.order_by("pk").select_related("feed", "profile_version__profile")
        rows = [history_row(usage_import) for usage_import in imports]
        titles = [name.removesuffix("_count").replace("_", " ") for name in names]
        titles = ["records" if title == "record" else title for title in titles]
        self._table(titles, [[row[name] for name in names] for row in rows])
        self._say("\nExceptions by code")
        open_ones = ImportException.objects.filter(status=ImportException.Status.OPEN)
        by_code = open_ones.values_list("code").annotate(n=Count("pk")).order_by("-n", "code")
        unrated = RatingException.objects.filter(status=RatingException.Status.OPEN)
        by_cause = unrated.values_list("cause").annotate(n=Count("pk")).order_by("-n", "cause")
        self._table(
            ["code", "kind", "count"],
            [[code, "import", count] for code, count in by_code] + [[cause, "rating", n] for cause, n in by_cause],
        )
        self._say("\nCharges by account")
        charges = rating_selectors.charges_by_account()
        self._table(
            ["account", "name", "records", "amount", "currency"],
            [[row["number"], row["name"], row["record_count"], row["total"], row["currency"]] for row in charges],
        )

    def _table(self, titles: list[str], rows: list[list[Any]]) -> None:
        texts = [titles] + [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
        widths = [max(len(row[place]) for row in texts) for place in range(len(titles))]
        for row in texts:
            self._say("  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        if not rows:
            self._say("  none")


def _is_all_done() -> bool:
    has_ended = not UsageImport.objects.exclude(status__in=ENDED).exists()
    return has_ended and not is_work_waiting() and not rating_selectors.batches_unfinished().exists()


def _free_port() -> int:
    for port in (8000, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError("No port is free on this machine. Choose one by --port.")


def _source_token() -> str:
    """A new token of the sample source's service user; the ones before are revoked."""
    user, _ = User.objects.get_or_create(username="sample-source")
    user.groups.set(Group.objects.filter(name=roles.INTEGRATOR))
    for feed in Feed.objects.all():
        FeedGrant.objects.get_or_create(user=user, feed=feed)
    AuthToken.objects.filter(user=user).delete()
    _, token = AuthToken.objects.create(user=user)
    return str(token)


def _admin_password() -> str:
    """The password of the user admin, made and shown when the user is."""
    admin, is_new = User.objects.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
    if not is_new:
        return "as before (manage.py changepassword admin sets another)"
    password = secrets.token_urlsafe(9)
    admin.set_password(password)
    admin.save(update_fields=["password"])
    return password


def _post(address: str, body: bytes, token: str, idempotency_key: str) -> dict[str, Any]:
    request = urllib.request.Request(address, data=body, method="POST")  # noqa: S310 - our own server
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", f"Token {token}")
    request.add_header("Idempotency-Key", idempotency_key)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            document: dict[str, Any] = json.load(answer)
            return document
    except urllib.error.HTTPError as error:
        raise CommandError(f"{address} answered {error.code}: {error.read().decode()}") from None
