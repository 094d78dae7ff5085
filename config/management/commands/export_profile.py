"""Writes a Data Profile as one JSON document."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mediation.models import DataProfile, ProfileVersion
from mediation.services.transferring import export_profile


class Command(BaseCommand):
    help = "Print a Data Profile, with its golden samples, as one JSON document that import_profile reads."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="the profile's name")
        parser.add_argument("--version", dest="number", type=int, help="the version's number; the active one if absent")

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> Any:
        # Django's own --version would print its version; here it names the profile's.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **options)

    def handle(self, *, name: str, number: int | None, **options: Any) -> None:
        document = export_profile(version=self._version(name, number))
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))

    def _version(self, name: str, number: int | None) -> ProfileVersion:
        profile = DataProfile.objects.filter(name=name).first()
        if profile is None:
            known = ", ".join(DataProfile.objects.order_by("name").values_list("name", flat=True)[:20]) or "none yet"
            raise CommandError(f"There is no Data Profile {name!r}. Profiles: {known}.")
        versions = profile.versions.order_by("-number")
        chosen = versions.filter(number=number) if number is not None else versions.filter(status="active") or versions
        version = chosen.first()
        if version is None:
            known = ", ".join(f"{one}" for one in versions.values_list("number", flat=True)) or "none yet"
            raise CommandError(f"{profile} has no version {number or ''}. Versions: {known}.")
        return version
