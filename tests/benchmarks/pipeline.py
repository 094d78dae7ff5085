"""The first two cases: a file of delimited rows, mediated; and the same, mediated and rated."""

import json
import statistics
import subprocess
import sys
import time
from typing import Any

import psycopg
from django.utils import timezone

from tests.benchmarks import limits
from tests.benchmarks.ground import Ground, database_for
from tests.benchmarks.processes import CHECKOUT, Memory, running_cluster, wait_until
from tests.benchmarks.world import FEED

LIMIT_RUNS = 3
MOST_SECONDS = 1_800
TABLES = "mediation_udr, mediation_udrkey, mediation_udrbatch, rating_charge"

# A bell that rings already sends no task; nobody answers this one, nor is it old enough to be rung again.
HOLD_RATING = "INSERT INTO mediation_bell (name, is_ringing, rung_at) VALUES ('rate', true, '9999-01-01')"

UNFINISHED_IMPORTS = "SELECT count(*) FROM ingestion_usageimport WHERE status NOT IN ('completed', 'failed', 'errored')"
UNRATED_BATCHES = "SELECT count(*) FROM mediation_udrbatch WHERE status IN ('mediated', 'staged', 'superseded')"


def measure_mediate(ground: Ground) -> dict[str, Any]:
    """From the start of receive_file to the completed import; rating does not run."""
    with database_for("mediate", ground) as database:
        database.execute(HOLD_RATING)
        taken = _run(database, ground, waits_for=[UNFINISHED_IMPORTS])
        checks = _checks_of_import(database, ground)
        return _result(database, ground, taken, checks, ["limit_udr"], must=3, aim=2)


def measure_rate(ground: Ground) -> dict[str, Any]:
    """From the start of receive_file until every batch is rated; workers mediate and rate as the bells ring."""
    with database_for("rate", ground) as database:
        taken = _run(database, ground, waits_for=[UNFINISHED_IMPORTS, UNRATED_BATCHES])
        checks = _checks_of_import(database, ground) | _checks_of_charges(database, ground)
        return _result(database, ground, taken, checks, ["limit_udr", "limit_charge"], must=5, aim=3)


def _run(database: psycopg.Connection, ground: Ground, *, waits_for: list[str]) -> dict[str, Any]:
    with running_cluster(ground.workers) as cluster:
        warm_up(database, cluster)
        return run(database, ground, cluster, feed=FEED, waits_for=waits_for)


def run(
    database: psycopg.Connection,
    ground: Ground,
    cluster: "subprocess.Popen[bytes]",
    *,
    feed: str,
    waits_for: list[str],
) -> dict[str, Any]:
    """Send the file into a feed, and wait until running workers have done what is waited for."""
    from ingestion import services
    from ingestion.models import Feed

    memory = Memory(cluster.pid, ground.workers)
    database.execute("CHECKPOINT")

    def is_done() -> bool:
        memory.look()
        return all(number_of(database, question) == 0 for question in waits_for)

    started = time.perf_counter()
    with ground.file.open("rb") as stream:
        services.receive_file(
            feed=Feed.objects.get(api_name=feed),
            stream=stream,
            file_name=ground.file.name,
            source="command",
            by=None,
            now=timezone.now(),
        )
    received = time.perf_counter() - started
    wait_until(is_done, cluster, seconds=MOST_SECONDS, every=0.05)
    wall = time.perf_counter() - started
    memory.look()
    return {"wall_seconds": wall, "receive_seconds": received, "worker_peak_mb": memory.peaks()}


def warm_up(database: psycopg.Connection, cluster: "subprocess.Popen[bytes]") -> None:
    """Let both workers answer something first: a worker that lives for hours has its modules and connection ready."""
    from django_q.tasks import async_task

    for _ in range(20):
        async_task("config.tasks.pulse")
    wait_until(lambda: number_of(database, "SELECT count(*) FROM django_q_ormq") == 0, cluster)


def number_of(database: psycopg.Connection, question: str) -> Any:
    """The one cell that a question is answered with."""
    return database.execute(question).fetchone()[0]


def _checks_of_import(database: psycopg.Connection, ground: Ground) -> dict[str, bool]:
    database.execute(f"VACUUM (ANALYZE) {TABLES}")
    counters = database.execute(
        "SELECT status, record_count, imported_count, exception_count, skipped_count, duplicate_count, waiting_count"
        " FROM ingestion_usageimport"
    ).fetchall()
    return {
        "outcome counters are right": counters == [("completed", ground.records, ground.records, 0, 0, 0, 0)],
        "every record is a UDR": number_of(database, "SELECT count(*) FROM mediation_udr") == ground.records,
        "reconcile is clean": is_reconciled(),
    }


def is_reconciled() -> bool:
    command = [sys.executable, "manage.py", "reconcile", "--json"]
    told = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return told.returncode == 0 and bool(json.loads(told.stdout)["is_clean"])


def _checks_of_charges(database: psycopg.Connection, ground: Ground) -> dict[str, bool]:
    added = database.execute(
        "SELECT a.number, sum(c.amount) FROM rating_charge c JOIN rating_account a ON a.id = c.account_id GROUP BY 1"
    ).fetchall()
    return {
        "every record is charged": number_of(database, "SELECT count(*) FROM rating_charge") == ground.records,
        "each account's charges add up to what its rows must cost": dict(added) == ground.bills,
    }


def _result(
    database: psycopg.Connection,
    ground: Ground,
    taken: dict[str, Any],
    checks: dict[str, bool],
    tables: list[str],
    *,
    must: float,
    aim: float,
) -> dict[str, Any]:
    runs, copied = {}, {}
    for table in tables:
        path = limits.prepare_rows(database, table, ground.folder)
        timed = [limits.time_copy(database, table, path) for _ in range(LIMIT_RUNS)]
        runs[table] = [seconds for seconds, _ in timed]
        copied[table] = {"rows": timed[0][1], "bytes": path.stat().st_size}
        checks |= {f"{table} took every row": all(rows == ground.records for _, rows in timed)}
        path.unlink()
    limit = sum(statistics.median(seconds) for seconds in runs.values())
    ratio = taken["wall_seconds"] / limit
    return {
        **taken,
        "records_a_second": ground.records / taken["wall_seconds"],
        "limit_seconds": limit,
        "limit_runs": runs,
        "limit_rows": copied,
        "ratio": ratio,
        "must": f"at most {must}",
        "aim": f"at most {aim}",
        "reaches": "aim" if ratio <= aim else "must" if ratio <= must else "neither",
        "checks": checks,
    }
