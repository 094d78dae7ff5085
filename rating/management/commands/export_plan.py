"""Writes a version of a rate plan as its document."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rating.models import PlanVersion, RatePlan
from rating.services.transferring import document_text


class Command(BaseCommand):
    help = "Print a version of a rate plan as the JSON document that import_plan reads."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="the plan's name")
        parser.add_argument(
            "--version", dest="number", type=int, help="the version's number; if absent the active one that starts last"
        )

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> Any:
        # Django's own --version would print its version; here it names the plan's.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **options)

    def handle(self, *, name: str, number: int | None, **options: Any) -> None:
        self.stdout.write(document_text(_version(name, number).document))


def _version(name: str, number: int | None) -> PlanVersion:
    """The version asked for; else the active one that starts last, or of a plan without one its newest draft."""
    plan = RatePlan.objects.filter(name=name).first()
    if plan is None:
        known = ", ".join(RatePlan.objects.order_by("name").values_list("name", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no rate plan {name!r}. Plans: {known}.")
    versions = plan.versions.order_by("-number")
    if number is not None:
        version = versions.filter(number=number).first()
    else:
        active = versions.filter(status=PlanVersion.Status.ACTIVE).order_by("-starts_at")
        version = active.first() or versions.first()
    if version is None:
        known = ", ".join(f"{one}" for one in versions.values_list("number", flat=True)) or "none yet"
        raise CommandError(f"{plan} has no version {number or ''}. Versions: {known}.")
    return version
