"""Takes a Data Profile from one JSON document, or one that ships with Sluice."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from mediation.services.profiles import UnableToActivate
from mediation.services.ready_made import ready_made_profile, ready_made_profiles
from mediation.services.transferring import UnableToImportProfile, import_profile, parse_document


class Command(BaseCommand):
    help = "Make a draft version of a Data Profile from a JSON document that export_profile wrote."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("path", type=Path, nargs="?", help="the document")
        source.add_argument("--ready-made", metavar="NAME", help="a profile that ships with Sluice")
        source.add_argument("--list", action="store_true", help="list the profiles that ship with Sluice")
        parser.add_argument("--name", default="", help="another name for the profile than the document's")
        parser.add_argument("--activate", action="store_true", help="let new imports use the version at once")

    def handle(self, *, path: Path | None, name: str, activate: bool, **options: Any) -> None:
        if options["list"]:
            for known, document in ready_made_profiles().items():
                self.stdout.write(f"{known:20} {document['name']}: {document.get('description', '')}")
            return
        try:
            document = self._document(path, options["ready_made"])
            version = import_profile(document=document, by=None, now=timezone.now(), name=name, activate=activate)
        except (UnableToImportProfile, UnableToActivate) as refusal:
            lines = "\n".join(f"  {fault}" for fault in refusal.faults)
            raise CommandError(f"The profile was not taken:\n{lines}") from None
        done = "is active" if activate else "is a draft; --activate lets new imports use it, as does the admin"
        self.stdout.write(f"{version} {done}.")

    def _document(self, path: Path | None, ready_made: str | None) -> dict[str, Any]:
        if path is None:
            try:
                return ready_made_profile(ready_made or "")
            except LookupError as refusal:
                raise CommandError(refusal.args[0]) from None
        try:
            return parse_document(path.read_bytes())
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
