"""The case of single records: 200 posts a second to what `up` starts, and how long until the charge of each is seen."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks import bills, rows, world
from tests.benchmarks.ground import Ground, database_for
from tests.benchmarks.pipeline import is_reconciled, number_of
from tests.benchmarks.processes import CHECKOUT, is_open, running, wait_until

RATE = 200  # posts a second
FEED = "events"
KEY = "TerminatingIdentifier"
FIRST = 2_000_000_000
WARM_POSTS = 400
PATIENCE_SECONDS = 60
STOP_SECONDS = 15
MUST, AIM = 2.0, 1.0  # seconds, of 99 in a hundred
SHARES = (0.5, 0.95, 0.99, 0.999)


def measure_latency(ground: Ground) -> dict[str, Any]:
    """Post at the rate for the time asked; a shorter turn before it is not counted."""
    made = list(_rows(ground, WARM_POSTS + int(RATE * ground.latency_seconds)))
    with database_for("latency", ground) as database:
        feed = _make_feed()
        with running_up(ground.workers) as port:
            order = {
                "rate": RATE,
                "port": port,
                "path": f"/api/v1/feeds/{FEED}/usage",
                "headers": {"Authorization": f"Token {ground.token}"},
                "database": database.info.dsn,
                "feed": feed,
                "since": (min(row.date for row in made) - timedelta(days=1)).isoformat(),
                "patience": PATIENCE_SECONDS,
            }
            _send(order, made[:WARM_POSTS], ground.folder)
            database.execute("CHECKPOINT")
            told = _send(order, made[WARM_POSTS:], ground.folder)
        return _result(told, _checks(database, made, told))


def _rows(ground: Ground, count: int) -> Iterator[rows.Row]:
    return rows.make_rows(count, accounts=ground.accounts, seed=ground.seed, now=ground.now, first=FIRST)


def _make_feed() -> int:
    """A feed of events: each has a key of its own, by which it is known whatever it was sent with."""
    from django.utils import timezone

    from ingestion.models import Feed
    from mediation import services
    from mediation.models import DataProfile

    profile = DataProfile.objects.create(name="events")
    version = services.create_draft(profile=profile, spec=world.spec() | {"uniqueness": [KEY]}, note="", by=None)
    services.activate_version(version=version, by=None, now=timezone.now())
    return Feed.objects.create(name="Events", api_name=FEED, profile=profile).pk


@contextmanager
def running_up(workers: int) -> Iterator[int]:
    """What `up` starts, on a port of its own, which is yielded once it answers; ended as an operator ends it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "manage.py", "up", f"--port={port}", f"--workers={workers}"]
    with running(command, {"SLUICE_LOG_LEVEL": "INFO"}, log=subprocess.DEVNULL) as process:
        wait_until(lambda: is_open(port), process)
        yield port
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def _send(order: dict[str, Any], made: list[rows.Row], folder: Path) -> dict[str, Any]:
    records = folder / "arrivals.txt"
    records.write_text("".join(f"{rows.terminating(row.number)} {json.dumps({'data': [row.text]})}\n" for row in made))
    told = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.arrivals"],
        cwd=CHECKOUT,
        input=json.dumps(order | {"records": str(records)}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


def _checks(database: psycopg.Connection, made: list[rows.Row], told: dict[str, Any]) -> dict[str, bool]:
    charges = database.execute("SELECT count(*), count(DISTINCT udr_id) FROM rating_charge").fetchone()
    added = database.execute(
        "SELECT a.number, sum(c.amount) FROM rating_charge c JOIN rating_account a ON a.id = c.account_id GROUP BY 1"
    ).fetchall()
    keys = {key for (key,) in database.execute("SELECT terminating_identifier FROM mediation_udr").fetchall()}
    return {
        "every post was answered with 202": set(told["statuses"]) == {"202"},
        "the charge of every post was seen": len(told["charged_seconds"]) == told["posts"],
        "every post is a UDR": keys == {str(rows.terminating(row.number)) for row in made},
        "every post has one charge": charges == (len(made), len(made)),
        "no exception and nothing left out": number_of(
            database,
            "SELECT (SELECT count(*) FROM ingestion_importexception) + (SELECT count(*) FROM rating_ratingexception)",
        )
        == 0,
        "each account's charges add up to what its rows must cost": dict(added) == bills.bills_of(made),
        "reconcile is clean": is_reconciled(),
    }


def _result(told: dict[str, Any], checks: dict[str, bool]) -> dict[str, Any]:
    charged = quantiles(told["charged_seconds"])
    seconds = charged["p99"]
    return {
        "wall_seconds": told["sending_seconds"],
        "records_a_second": told["posts"] / told["sending_seconds"],
        "post_to_answer_seconds": quantiles(told["answered_seconds"]),
        "post_to_charge_seconds": charged,
        "latest_start_seconds": told["latest_start_seconds"],
        "resent": told["resent"],
        "load_cpu_share": told["load_cpu_seconds"] / told["sending_seconds"],
        "ratio": seconds,
        "must": f"at most {MUST} s",
        "aim": f"at most {AIM} s",
        "reaches": "aim" if seconds <= AIM else "must" if seconds <= MUST else "neither",
        "checks": checks,
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    """The shares of what was measured, by their usual names, and the most."""
    ordered = sorted(seconds) or [float("inf")]
    told = {f"p{share * 100:g}": ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in SHARES}
    return told | {"max": ordered[-1]}
