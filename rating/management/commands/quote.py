"""Prices usage against a plan, from two files, without storing or reading anything."""

import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from mediation.core.spec.document import Fault, FaultySpecError
from rating.core.quoting import answer, faulty, parse_json, quote, read_setting, read_together, read_usage
from rating.core.quoting.telling import tell


class Command(BaseCommand):
    help = (
        "Price usage (CSV with a header, or JSON) by a plan document. Nothing is stored and no database is needed. "
        "rating/README.md, “Quote”, says what both files may hold."
    )
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("plan", help="a plan document, or a quote document with plans, accounts, periods and tax")
        parser.add_argument("usage", help="usage as CSV or JSON; - for standard input")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *, plan: str, usage: str, **options: Any) -> None:
        try:
            setting, records = read_together(
                lambda: read_setting(parse_json(_text(plan, "/plan"), "/plan")),
                lambda: read_usage(_text(usage, "/usage")),
            )
            self.stderr.write(f"{len(records)} records read.")
            quoted = quote(setting, records)
        except FaultySpecError as found:
            for fault in found.faults:
                self.stderr.write(str(fault))
            if options["json"]:
                self.stdout.write(json.dumps(faulty(found.faults), ensure_ascii=False))
            raise SystemExit(1) from found
        told = answer(quoted)
        self.stderr.write(f"{len(told['charges'])} charges, {len(told['exceptions'])} exceptions.")
        self.stdout.write(json.dumps(told, ensure_ascii=False) if options["json"] else tell(told))


def _text(path: str, pointer: str) -> str:
    try:
        return Path("/dev/stdin" if path == "-" else path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as unreadable:
        raise FaultySpecError([Fault(pointer, f"{path} cannot be read: {unreadable}")]) from unreadable
