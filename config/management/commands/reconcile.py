"""Recounts every promise that SQL can prove."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from config.reconciling import RULES, Difference, differences


class Command(BaseCommand):
    help = (
        "Recount every rule of the house that SQL can prove; exit with 1 and the differing rows if one does not hold."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, **options: Any) -> None:
        found = []
        with transaction.atomic(), connection.cursor() as cursor:
            # One snapshot for all rules: work that goes on meanwhile is not a difference.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for rule in RULES:
                difference = differences(rule)
                mark = "differs" if difference else "holds"
                self.stderr.write(f"{mark:8} {rule.name}: {rule.promise}")
                found += [difference] if difference else []
        if options["json"]:
            self.stdout.write(json.dumps(_document(found), default=str))
        else:
            self._print(found)
        if found:
            raise SystemExit(1)

    def _print(self, found: list[Difference]) -> None:
        for difference in found:
            self.stdout.write(f"\n{difference.rule.name}: {difference.rule.promise}, but not here:")
            self.stdout.write("  ".join(difference.columns))
            for row in difference.rows:
                self.stdout.write("  ".join(map(str, row)))
        self.stdout.write(f"\n{len(RULES) - len(found)} of {len(RULES)} rules hold.")


def _document(found: list[Difference]) -> dict[str, Any]:
    differing = {
        difference.rule.name: [dict(zip(difference.columns, row, strict=True)) for row in difference.rows]
        for difference in found
    }
    return {"is_clean": not found, "rules": [rule.name for rule in RULES], "differences": differing}
