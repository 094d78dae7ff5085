"""Measures Sluice beside its limits: `uv run python -m tests.benchmarks [--records N] [--case …] [--json]`."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

USUAL = ("mediate", "rate", "accept", "latency", "rich", "what_if", "core")
CASES = (*USUAL, "crowded")
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "wal_compression")


def main() -> int:
    told = arguments().parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ.setdefault("SLUICE_LOG_LEVEL", "WARNING")
    from config.database import embedded
    from tests.benchmarks import databases, ground

    embedded.HOME.mkdir(parents=True, exist_ok=True)
    # Beside the database rather than in /tmp, which may be memory: what is synced here is to cost what it costs.
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-", dir=embedded.HOME) as folder,
        databases.fresh_database("benchmark") as template,
    ):
        os.environ["SLUICE_PAYLOAD_DIR"] = str(Path(folder) / "payloads")
        say(f"making {told.records:,} rows and {told.accounts:,} accounts …")
        prepared = ground.prepare(
            records=told.records,
            accounts=told.accounts,
            workers=told.workers,
            seconds=told.seconds,
            seed=told.seed,
            held=told.held,
            folder=Path(folder),
            template=template,
        )
        report = {"machine": machine(template), "input": input_of(prepared), "cases": measure(prepared, told.cases)}
    if told.json:
        print(json.dumps(report, default=str))
    else:
        from tests.benchmarks.printing import show

        show(report)
    return 0 if all(all(case["checks"].values()) for case in report["cases"].values()) else 1


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="rows of the file (default %(default)s)")
    parser.add_argument("--accounts", type=int, default=50_000, help="accounts that use (default %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="worker processes (default: the cores)")
    parser.add_argument("--seconds", type=float, help="how long posts go on (default 20, of single records 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the made rows (default %(default)s)")
    parser.add_argument(
        "--held", type=int, default=20_000_000, help="UDRs of the case crowded, which only runs if named (%(default)s)"
    )
    parser.add_argument("--case", dest="cases", action="append", choices=CASES, help="only this one; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    return parser


def measure(prepared: Any, cases: list[str] | None) -> dict[str, Any]:
    import django

    from tests.benchmarks import databases

    os.environ["DATABASE_URL"] = databases.url_of(prepared.template)
    django.setup()
    from tests.benchmarks.accepting import measure_accept
    from tests.benchmarks.core import measure_core
    from tests.benchmarks.crowded import measure_crowded
    from tests.benchmarks.latency import measure_latency
    from tests.benchmarks.pipeline import measure_mediate, measure_rate
    from tests.benchmarks.rich import measure_rich
    from tests.benchmarks.what_if import measure_what_if

    every: dict[str, Callable[[Any], dict[str, Any]]] = {
        "mediate": measure_mediate,
        "rate": measure_rate,
        "accept": measure_accept,
        "latency": measure_latency,
        "rich": measure_rich,
        "what_if": measure_what_if,
        "core": measure_core,
        "crowded": measure_crowded,
    }
    results = {}
    for name in cases or USUAL:
        say(f"measuring {name} …")
        load = os.getloadavg()[0]
        results[name] = every[name](prepared) | {"load_before": load}
        # A fast wrong answer reaches nothing.
        if not all(results[name]["checks"].values()):
            results[name]["reaches"] = "nothing: the result is wrong"
    return results


def machine(template: str) -> dict[str, Any]:
    from tests.benchmarks import databases

    with databases.connect(databases.url_of(template)) as database:
        server = {name: database.execute(f"SHOW {name}").fetchone()[0] for name in (*SETTINGS, "server_version")}
    versions = {name: version(name) for name in ("Django", "polars", "psycopg", "django-q2", "gunicorn")}
    return {
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "versions": {"Python": platform.python_version(), "PostgreSQL": server.pop("server_version"), **versions},
        "server": server,
    }


def input_of(prepared: Any) -> dict[str, Any]:
    from tests.benchmarks.world import CLASSES

    size = prepared.file.stat().st_size
    return {
        "records": prepared.records,
        "bytes": size,
        "bytes_a_record": round(size / prepared.records, 1),
        "accounts": prepared.accounts,
        "classes": len(CLASSES),
        "workers": prepared.workers,
        "seed": prepared.seed,
    }


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
