"""The fourth case: rows mediated by a rich profile, beside the same rows mediated by the plain one."""

import os
import statistics
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg

from tests.benchmarks import rich_world, rows, world
from tests.benchmarks.ground import Ground, database_for
from tests.benchmarks.pipeline import HOLD_RATING, TABLES, UNFINISHED_IMPORTS, is_reconciled, number_of, run, warm_up
from tests.benchmarks.processes import running_cluster

if TYPE_CHECKING:
    from mediation.core.spec import ProfileSpec

ROUNDS = 3
MUST, AIM = 1.5, 1.25
PART_RECORDS = 50_000
PART_RUNS = 7
PROFILES = ("plain", "rich")
STEPS = ("read", "mediate")


def measure_rich(ground: Ground) -> dict[str, Any]:
    """Turns of both profiles in one run, on one database and with one set of workers, each into a feed of its own."""
    made = list(rows.make_rows(ground.records, accounts=ground.accounts, seed=ground.seed, now=_now()))
    folder = ground.folder / "rich"
    folder.mkdir()
    its = replace(ground, folder=folder)
    with its.file.open("w") as file:
        file.writelines(f"{rich_world.text_of(row)}\n" for row in made)
    with database_for("rich", its) as database:
        database.execute(HOLD_RATING)
        _make_feeds()
        turns = _take_turns(database, its)
        checks = _checks(database, its, rich_world.ends_of(made))
        return _result(its, turns, _time_parts(made[:PART_RECORDS]), checks)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _make_feeds() -> None:
    """A feed for each turn: a feed takes the same record once."""
    from django.utils import timezone

    from ingestion.models import Feed
    from mediation import services
    from mediation.models import DataProfile

    rich_world.load_tables()
    rich = DataProfile.objects.create(name="rich")
    version = services.create_draft(profile=rich, spec=rich_world.RICH_SPEC, note="", by=None)
    services.activate_version(version=version, by=None, now=timezone.now())
    profiles = {"plain": Feed.objects.get(api_name=world.FEED).profile, "rich": rich}
    for place in range(ROUNDS):
        for name in PROFILES:
            Feed.objects.create(name=f"{name} {place}", api_name=f"{name}-{place}", profile=profiles[name])


def _take_turns(database: psycopg.Connection, ground: Ground) -> dict[str, list[dict[str, Any]]]:
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in PROFILES}
    with running_cluster(ground.workers) as cluster:
        warm_up(database, cluster)
        for place in range(ROUNDS):
            # Who goes first changes, so that neither always meets what the other left behind.
            for name in PROFILES if place % 2 == 0 else PROFILES[::-1]:
                load = os.getloadavg()[0]
                taken = run(database, ground, cluster, feed=f"{name}-{place}", waits_for=[UNFINISHED_IMPORTS])
                turns[name].append(taken | {"load": load})
    return turns


def _time_parts(made: list[rows.Row]) -> dict[str, list[float]]:
    """CPU seconds of reading and of mediating one part of a file in this process, without the database's part.

    The processor's time rather than the wall's: it is a matter of milliseconds, in which other load shows most.
    """
    import polars as pl

    from mediation import selectors, store
    from mediation.core import reading
    from mediation.core.frames import WINDOWS
    from mediation.core.judging import mediate
    from mediation.core.spec import parse_spec

    specs: dict[str, ProfileSpec] = {"plain": parse_spec(world.spec()), "rich": parse_spec(rich_world.RICH_SPEC)}
    body = "".join(f"{rich_world.text_of(row)}\n" for row in made).encode()
    windows = pl.DataFrame([(1, None, datetime(9999, 1, 1, tzinfo=UTC))], schema=WINDOWS, orient="row")
    catalogue, taken = (
        selectors.catalogue(),
        {f"{step} {name}": [] for name in PROFILES for step in STEPS},
    )
    for _ in range(PART_RUNS + 1):
        for name, spec in specs.items():
            tables = store.tables_of(spec)
            started = time.process_time()
            records = reading.read_part(body, spec, import_id=1, first_number=1, header=None)
            read = time.process_time()
            mediate(records, spec=spec, catalogue=catalogue, windows=windows, tables=tables)
            taken[f"read {name}"].append(read - started)
            taken[f"mediate {name}"].append(time.process_time() - read)
    # The first time builds the tables and warms everything up.
    return {name: seconds[1:] for name, seconds in taken.items()}


def _checks(database: psycopg.Connection, ground: Ground, ends: rich_world.Ends) -> dict[str, bool]:
    database.execute(f"VACUUM (ANALYZE) {TABLES}")
    counters = database.execute(
        "SELECT f.api_name, i.status, i.record_count, i.imported_count, i.exception_count, i.skipped_count,"
        " i.duplicate_count, i.waiting_count, i.repaired_count"
        " FROM ingestion_usageimport i JOIN ingestion_feed f ON f.id = i.feed_id"
    ).fetchall()
    records, counts = ground.records, ends.counts
    outcome = (counts["imported"], counts["exception"], counts["skipped"], 0, 0, counts["repaired"])
    must_be = {f"plain-{place}": ("completed", records, records, 0, 0, 0, 0, 0) for place in range(ROUNDS)}
    must_be |= {f"rich-{place}": ("completed", records, *outcome) for place in range(ROUNDS)}
    udrs = "mediation_udr u JOIN ingestion_feed f ON f.id = u.feed_id WHERE f.api_name = 'rich-0'"
    return {
        "outcome counters are right": {feed: tuple(told) for feed, *told in counters} == must_be,
        "exceptions name their reasons": _counted(
            database,
            "SELECT code, count(*) FROM ingestion_importexception e JOIN ingestion_feed f ON f.id = e.feed_id"
            " WHERE f.api_name = 'rich-0' GROUP BY 1",
        )
        == ends.codes,
        "values are computed and repaired": number_of(database, f"SELECT sum(value) FROM {udrs}") == ends.value,
        "every UDR has its zone": _extensions(database, udrs, "zone") == ends.zones,
        "every UDR has its segment": _extensions(database, udrs, "segment") == ends.segments,
        "reconcile is clean": is_reconciled(),
    }


def _extensions(database: psycopg.Connection, udrs: str, name: str) -> Counter[str]:
    return _counted(database, f"SELECT extensions ->> '{name}', count(*) FROM {udrs} GROUP BY 1")


def _counted(database: psycopg.Connection, question: str) -> Counter[str]:
    return Counter(dict(database.execute(question).fetchall()))


def _result(
    ground: Ground,
    turns: dict[str, list[dict[str, Any]]],
    parts: dict[str, list[float]],
    checks: dict[str, bool],
) -> dict[str, Any]:
    walls = {name: statistics.median(turn["wall_seconds"] for turn in turns[name]) for name in PROFILES}
    ratio = walls["rich"] / walls["plain"]
    medians = {name: statistics.median(seconds) for name, seconds in parts.items()}
    return {
        "wall_seconds": walls["rich"],
        "records_a_second": ground.records / walls["rich"],
        "plain_seconds": walls["plain"],
        "turns": {name: [turn["wall_seconds"] for turn in turns[name]] for name in PROFILES},
        "loads": {name: [turn["load"] for turn in turns[name]] for name in PROFILES},
        "worker_peak_mb": turns["rich"][-1]["worker_peak_mb"],
        "part_records": min(PART_RECORDS, ground.records),
        "part_seconds": medians,
        "part_ratio": sum(medians[f"{step} rich"] for step in STEPS) / sum(medians[f"{step} plain"] for step in STEPS),
        "ratio": ratio,
        "must": f"at most {MUST}",
        "aim": f"at most {AIM}",
        "reaches": "aim" if ratio <= AIM else "must" if ratio <= MUST else "neither",
        "checks": checks,
    }
