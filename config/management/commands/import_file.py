"""Puts a usage file through the pipeline."""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.history import has_ended, history_row, work_once
from ingestion import selectors, services
from ingestion.models import Backfill, Feed, UsageImport


class Command(BaseCommand):
    help = "Import a usage file into a feed; with --wait, take part in the work until it is mediated and rated."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("feed", help="the feed's API name or number")
        parser.add_argument("path", type=Path, help="the file")
        parser.add_argument("--wait", action="store_true", help="wait for the end and print the history row")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        parser.add_argument("--backfill", type=UUID, help="the tracking id of the open backfill to put it into")
        parser.add_argument("--again", action="store_true", help="take the file although the feed had it before")

    def handle(
        self, *, feed: str, path: Path, wait: bool, again: bool, backfill: UUID | None = None, **options: Any
    ) -> None:
        found = selectors.feed_by(feed)
        if found is None:
            known = ", ".join(Feed.objects.order_by("api_name").values_list("api_name", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no feed {feed!r}. Feeds: {known}.")
        usage_import = self._receive(found, path, again, self._backfill(found, backfill))
        self.stderr.write(f"Received as {usage_import.tracking_id}.")
        if wait:
            self._wait(usage_import)
        usage_import.refresh_from_db()
        row = history_row(usage_import)
        self.stdout.write(json.dumps(row) if options["json"] else "\n".join(f"{k:22} {v}" for k, v in row.items()))
        if usage_import.status in (UsageImport.Status.FAILED, UsageImport.Status.ERRORED):
            raise SystemExit(1)

    def _backfill(self, feed: Feed, tracking_id: UUID | None) -> Backfill | None:
        if tracking_id is None:
            return None
        backfill = Backfill.objects.filter(feed=feed, tracking_id=tracking_id).first()
        if backfill is None:
            raise CommandError(f"The feed {feed} has no backfill {tracking_id}.")
        return backfill

    def _receive(self, feed: Feed, path: Path, again: bool, backfill: Backfill | None) -> UsageImport:
        if path.is_dir():
            raise CommandError(f"{path} is a folder. Name a file.")
        try:
            with path.open("rb") as stream:
                receive = partial(services.receive_file_into, backfill=backfill) if backfill else services.receive_file
                return receive(
                    feed=feed,
                    stream=stream,
                    file_name=path.name,
                    source=UsageImport.Source.COMMAND,
                    by=None,
                    now=timezone.now(),
                    allow_repeat=again,
                )
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        except services.UnableToBackfill as refusal:
            raise CommandError(str(refusal)) from None
        except services.UnableToReceive as refusal:
            raise CommandError(f"{refusal} (--again insists)" if refusal.earlier else str(refusal)) from None

    def _wait(self, usage_import: UsageImport) -> None:
        shown = 0.0
        while not has_ended(usage_import):
            if not work_once():
                time.sleep(0.2)
            if time.monotonic() - shown > 1:
                shown = time.monotonic()
                self.stderr.write(f"{usage_import.status}: {usage_import.record_count:,} records")
