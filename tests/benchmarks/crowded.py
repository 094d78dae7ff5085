"""The seventh case, on demand: in a database that holds many UDRs, how quick are its screens, and an import?"""

import statistics
import time
from typing import Any

import psycopg
from django.db import connection

from tests.benchmarks import customers, rows
from tests.benchmarks.ground import Ground, database_for
from tests.benchmarks.pipeline import (
    HOLD_RATING,
    TABLES,
    UNFINISHED_IMPORTS,
    UNRATED_BATCHES,
    number_of,
    run,
    warm_up,
)
from tests.benchmarks.processes import running_cluster
from tests.benchmarks.world import FEED

MUST_RATIO, AIM_RATIO = 1.25, 1.0
MUST_MS, AIM_MS = 300, 100
OPENINGS = 5
STRIDE = 1_000_000  # between the numbers of one copy's imports and batches and the next one's
SHIFT = {"import": STRIDE, "batch": STRIDE, "udr": STRIDE << 17, "charge": STRIDE << 29}
# Usage of a month more in the past for each copy; the copied rows keep every other column.
COPIES = {
    "ingestion_usageimport": {
        "id": "id + {import}",
        "tracking_id": "gen_random_uuid()",
        "received_at": "received_at - {months}",
        "started_at": "started_at - {months}",
        "ended_at": "ended_at - {months}",
    },
    "ingestion_importchunk": {"id": None, "import_id": "import_id + {import}", "batch_id": "batch_id + {batch}"},
    "mediation_udrbatch": {
        "id": "id + {batch}",
        "import_id": "import_id + {import}",
        "mediated_at": "mediated_at - {months}",
        "finished_at": "finished_at - {months}",
    },
    "mediation_udr": {"id": "id + {udr}", "import_id": "import_id + {import}", "date": "date - {months}"},
    "mediation_udrkey": {"udr_id": "udr_id + {udr}", "key": "key || '~' || {copy}"},
    "rating_charge": {
        "id": "id + {charge}",
        "udr_id": "udr_id + {udr}",
        "import_id": "import_id + {import}",
        "date": "date - {months}",
        "rated_at": "rated_at - {months}",
    },
}


def measure_crowded(ground: Ground) -> dict[str, Any]:
    """Screens of a database with `ground.held` UDRs, and an import into it beside the same into an empty one."""
    with database_for("empty", ground) as database:
        database.execute(HOLD_RATING)
        empty = _import(database, ground, [UNFINISHED_IMPORTS])
    with database_for("crowded", ground) as database:
        _import(database, ground, [UNFINISHED_IMPORTS, UNRATED_BATCHES])
        copies = max(1, ground.held // ground.records - 1)
        _crowd(database, copies)
        pages = _pages()
        customers.make_busy(database)
        usage = customers.ask_for_usage(ground.now)
        held = number_of(database, "SELECT count(*) FROM mediation_udr")
        # What the workers before had pulled when they ended stays locked to them.
        database.execute("DELETE FROM django_q_ormq")
        database.execute("DELETE FROM mediation_bell")
        database.execute(HOLD_RATING)
        _renew_file(ground)
        crowded = _import(database, ground, [UNFINISHED_IMPORTS])
        checks = {
            "the database holds what was asked for": held >= ground.held - ground.records,
            "every new record is a UDR": number_of(database, "SELECT count(*) FROM mediation_udr")
            == held + ground.records,
        }
    return _result(ground, empty, crowded, held, pages, usage, checks)


def _import(database: psycopg.Connection, ground: Ground, waits_for: list[str]) -> dict[str, Any]:
    with running_cluster(ground.workers) as cluster:
        warm_up(database, cluster)
        return run(database, ground, cluster, feed=FEED, waits_for=waits_for)


def _renew_file(ground: Ground) -> None:
    """Other records than those that are held, as many and as long."""
    made = rows.make_rows(
        ground.records, accounts=ground.accounts, seed=ground.seed + 1, now=ground.now, first=3_000_000_000
    )
    with ground.file.open("w") as file:
        file.writelines(f"{row.text}\n" for row in made)


def _crowd(database: psycopg.Connection, copies: int) -> None:
    from mediation.store.partitions import ensure_month_partitions, months_around

    today = database.execute("SELECT current_date").fetchone()[0]
    for table in ("mediation_udr", "rating_charge"):
        ensure_month_partitions(table, months_around(today, back=copies + 2, ahead=1))
    connection.close()
    for copy in range(1, copies + 1):
        values = {name: f"{shift * copy}::bigint" for name, shift in SHIFT.items()}
        values |= {"months": f"interval '{copy} months'", "copy": str(copy)}
        for table, changed in COPIES.items():
            database.execute(_copy(database, table, changed, values).encode())
    database.execute(f"VACUUM (ANALYZE) {TABLES}, ingestion_usageimport, ingestion_importchunk")


def _copy(database: psycopg.Connection, table: str, changed: dict[str, str | None], values: dict[str, str]) -> str:
    """The rows of the first import again, under other numbers."""
    found = database.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' ORDER BY attnum",
        [table],
    ).fetchall()
    names = [name for (name,) in found if changed.get(name, "") is not None]
    sources = [(changed.get(name) or f'"{name}"').format(**values) for name in names]
    first = "udr_id" if table == "mediation_udrkey" else "id"
    limit = {"mediation_udrkey": SHIFT["udr"], "mediation_udr": SHIFT["udr"], "rating_charge": SHIFT["charge"]}
    within = f"{first} < {limit.get(table, SHIFT['import'])}"
    if table == "ingestion_importchunk":
        within = f"import_id < {SHIFT['import']}"
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table} ({quoted}) SELECT {', '.join(sources)} FROM {table} WHERE {within}"


def _pages() -> dict[str, float]:
    """The median time of each list and of the front page, in milliseconds, as a superuser opens them."""
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    client = Client()
    client.force_login(User.objects.create(username="reader", is_staff=True, is_superuser=True))
    lists = {
        model._meta.label: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }
    feed = number_of_first("ingestion.Feed")
    narrowed = {
        "mediation.Udr of a feed": f"{lists['mediation.Udr']}?feed_id={feed}",
        "mediation.Udr of a day": f"{lists['mediation.Udr']}?date__from=2026-01-05&date__to=2026-01-05",
        "rating.Charge of an account": f"{lists['rating.Charge']}?period__account={number_of_first('rating.Account')}",
        "mediation.Udr, the last page that is offered": f"{lists['mediation.Udr']}?p=100",
    }
    addresses = {"the front page": reverse("admin:index"), **lists, **narrowed}
    return {name: _opened(client, address) for name, address in addresses.items()}


def number_of_first(label: str) -> int:
    from django.apps import apps

    return int(apps.get_model(label)._default_manager.earliest("pk").pk)


def _opened(client: Any, address: str) -> float:
    times = []
    for _ in range(OPENINGS):
        started = time.perf_counter()
        answer = client.get(address)
        times.append(1_000 * (time.perf_counter() - started))
        assert answer.status_code == 200, f"{address} answered {answer.status_code}"
    return statistics.median(times)


def _result(
    ground: Ground,
    empty: dict[str, Any],
    crowded: dict[str, Any],
    held: int,
    pages: dict[str, float],
    usage: dict[str, dict[str, float]],
    checks: dict[str, bool],
) -> dict[str, Any]:
    ratio = crowded["wall_seconds"] / empty["wall_seconds"]
    slowest = max(pages.values())
    asked = max(shares["p95"] for shares in usage.values())
    reaches_aim = ratio <= AIM_RATIO and slowest <= AIM_MS and asked <= customers.AIM_MS
    reaches_must = ratio <= MUST_RATIO and slowest <= MUST_MS and asked <= customers.MUST_MS
    return {
        **crowded,
        "records_a_second": ground.records / crowded["wall_seconds"],
        "held": held,
        "empty_seconds": empty["wall_seconds"],
        "page_milliseconds": dict(sorted(pages.items(), key=lambda pair: -pair[1])),
        "usage_milliseconds": usage,
        "ratio": ratio,
        "must": f"at most {MUST_RATIO}, lists in {MUST_MS} ms, usage of a busy account in {customers.MUST_MS} ms (p95)",
        "aim": f"at most {AIM_RATIO}, lists in {AIM_MS} ms, usage of a busy account in {customers.AIM_MS} ms (p95)",
        "reaches": "aim" if reaches_aim else "must" if reaches_must else "neither",
        "checks": checks,
    }
