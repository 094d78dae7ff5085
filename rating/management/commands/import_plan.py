"""Takes a plan document as a draft version of the rate plan that it names."""

import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from mediation.core.spec import Fault, FaultySpecError
from rating import services
from rating.models import PlanVersion
from rating.services.transferring import parse_document


class Command(BaseCommand):
    help = (
        "Make a draft version of a rate plan from its JSON document; the plan is made where there is none of its name. "
        "Every fault is printed on standard error. Activate the draft in the admin."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("path", help="the plan document; - for standard input")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *, path: str, **options: Any) -> None:
        try:
            version = services.import_plan(document=parse_document(_content(path)), by=None, now=timezone.now())
        except FaultySpecError as faulty:
            for fault in faulty.faults:
                self.stderr.write(str(fault))
            if options["json"]:
                told = [{"pointer": fault.pointer, "message": fault.message} for fault in faulty.faults]
                self.stdout.write(json.dumps({"faults": told}, ensure_ascii=False))
            raise SystemExit(1) from None
        self.stdout.write(
            json.dumps(_told(version), ensure_ascii=False) if options["json"] else f"{version} is a draft."
        )


def _content(path: str) -> bytes:
    try:
        return Path("/dev/stdin" if path == "-" else path).read_bytes()
    except OSError as unreadable:
        raise FaultySpecError([Fault("/", f"{path} cannot be read: {unreadable.strerror}")]) from unreadable


def _told(version: PlanVersion) -> dict[str, Any]:
    return {"plan": version.plan.name, "version": version.number, "id": version.pk, "status": version.status}
