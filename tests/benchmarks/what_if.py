"""The fifth case: what rated usage would have cost by a draft, worked out by the workers; only that is stored."""

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
from django.utils import timezone

from tests.benchmarks import bills, rows, world
from tests.benchmarks.ground import Ground, database_for
from tests.benchmarks.pipeline import TABLES, UNFINISHED_IMPORTS, UNRATED_BATCHES, number_of, run, warm_up
from tests.benchmarks.processes import Memory, running_cluster, wait_until

MUST_SECONDS, AIM_SECONDS = 60, 40  # of a million records
MOST_SECONDS = 900
BUCKET_SIZE = 900
READ = (
    "COPY (SELECT * FROM rating_charge c JOIN mediation_udr u ON u.id = c.udr_id AND u.date = c.date)"
    " TO STDOUT (FORMAT binary)"
)
UNFINISHED = "SELECT count(*) FROM rating_repricing WHERE status = 'counting'"
FACTS = "SELECT count(*), sum(id), sum(amount) FROM rating_charge"


def classes_if() -> tuple[world.ClassPrice, ...]:
    """The draft's prices: a third of the classes cost otherwise, one has tiers instead of a price."""
    changes: dict[str, dict[str, Any]] = {
        "data_class": {"price": Decimal("0.009")},
        "data_roaming": {"price": Decimal("0.009")},
        "voice_local": {"price": None, "tiers": ((1_000, Decimal("0.003")), (None, Decimal("0.0021")))},
        "api_get": {"tiers": ((500, Decimal("0.0041")), (None, Decimal("0.002")))},
    }
    return tuple(replace(each, **changes.get(each.name, {})) for each in world.CLASSES)


def measure_what_if(ground: Ground) -> dict[str, Any]:
    """From asking until every account is worked out; the usage was rated before, as in `rate`."""
    with database_for("what_if", ground) as database, running_cluster(ground.workers) as cluster:
        warm_up(database, cluster)
        run(database, ground, cluster, feed=world.FEED, waits_for=[UNFINISHED_IMPORTS, UNRATED_BATCHES])
        database.execute(f"VACUUM (ANALYZE) {TABLES}, rating_repricedaccount")
        before = database.execute(FACTS).fetchone()
        memory = Memory(cluster.pid, ground.workers)
        started = time.perf_counter()
        _ask()

        def is_done() -> bool:
            memory.look()
            return bool(number_of(database, UNFINISHED) == 0)

        wait_until(is_done, cluster, seconds=MOST_SECONDS, every=0.05)
        wall = time.perf_counter() - started
        memory.look()
        checks = _checks(database, ground) | {
            "no charge was touched": database.execute(FACTS).fetchone() == before,
        }
        return _result(database, ground, wall, memory.peaks(), checks)


def _ask() -> None:
    from rating import services
    from rating.models import RatePlan

    now = timezone.now()
    plan = RatePlan.objects.get()
    document = world.plan_document(classes_if(), BUCKET_SIZE)
    draft = services.create_draft(plan=plan, document=document, note="", by=None, now=now)
    services.ask_what_if(version=draft, filters={}, by=None, now=now)


def _checks(database: psycopg.Connection, ground: Ground) -> dict[str, bool]:
    made = rows.make_rows(ground.records, accounts=ground.accounts, seed=ground.seed, now=ground.now)
    must_be = bills.bills_of(made, classes_if(), BUCKET_SIZE)
    found = database.execute(
        "SELECT a.number, r.before, r.after FROM rating_repricedaccount r JOIN rating_account a ON a.id = r.account_id"
    ).fetchall()
    return {
        "every account is worked out": number_of(database, "SELECT status FROM rating_repricing") == "shown",
        "what was charged is what rows cost": {number: was for number, was, _ in found} == ground.bills,
        "what the draft comes to is what rows would cost": {number: would for number, _, would in found} == must_be,
    }


def _result(
    database: psycopg.Connection, ground: Ground, wall: float, peaks: list[int], checks: dict[str, bool]
) -> dict[str, Any]:
    limit = _time_reading(database)
    a_million = wall * 1_000_000 / ground.records
    return {
        "wall_seconds": wall,
        "records_a_second": ground.records / wall,
        "reading_seconds": limit,
        "worker_peak_mb": peaks,
        "ratio": wall / limit,
        "must": f"at most {MUST_SECONDS} s a million records",
        "aim": f"{AIM_SECONDS} s",
        "reaches": "aim" if a_million <= AIM_SECONDS else "must" if a_million <= MUST_SECONDS else "neither",
        "checks": checks,
    }


def _time_reading(database: psycopg.Connection) -> float:
    """Seconds of a bare COPY out of every charge with its UDR: whoever prices them again reads them first."""
    started = time.perf_counter()
    with database.cursor() as cursor, cursor.copy(READ) as copy:
        for _ in copy:
            pass
    return time.perf_counter() - started
