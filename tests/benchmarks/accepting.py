"""The third case: posts of 1,000 rows, accepted by the real web server, beside a view that only stores the body."""

import json
import subprocess
import sys
from typing import Any

import psycopg

from tests.benchmarks.bare.urls import TABLE
from tests.benchmarks.ground import ROWS_A_POST, Ground, database_for
from tests.benchmarks.pipeline import is_reconciled
from tests.benchmarks.processes import CHECKOUT, running_web
from tests.benchmarks.world import FEED

CONNECTIONS = 4
ROUNDS = 4
MUST, AIM = 0.5, 1.0


def measure_accept(ground: Ground) -> dict[str, Any]:
    """Turns of both servers in one run, on one database; no worker runs."""
    with database_for("accept", ground) as database:
        database.execute(TABLE)
        with running_web("config.settings") as ours, running_web("tests.benchmarks.bare.settings") as bare:
            order = {"connections": CONNECTIONS, "folder": str(ground.bodies)}
            mine = order | {
                "port": ours,
                "path": f"/api/v1/feeds/{FEED}/usage",
                "headers": {"Authorization": f"Token {ground.token}"},
            }
            its = order | {"port": bare, "path": "/bodies", "headers": {}}
            warm = [_post(mine, 1), _post(its, 1)]
            database.execute("CHECKPOINT")
            turns: dict[str, list[dict[str, Any]]] = {"ours": [], "bare": []}
            for place in range(ROUNDS):
                # Who goes first changes, so that neither always meets what the other left behind.
                for name in ("ours", "bare") if place % 2 == 0 else ("bare", "ours"):
                    turns[name].append(_post(mine if name == "ours" else its, ground.seconds / ROUNDS))
        checks = _checks(database, [warm[0], *turns["ours"]], [warm[1], *turns["bare"]])
        return _result(turns, checks)


def _post(order: dict[str, Any], seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.client"]
    told = subprocess.run(
        command,
        cwd=CHECKOUT,
        input=json.dumps(order | {"seconds": seconds}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(told.stdout)
    return answer


def _accepted(turns: list[dict[str, Any]]) -> int:
    return sum(turn["answers"].get("202", 0) for turn in turns)


def _rate(turns: list[dict[str, Any]]) -> float:
    return _accepted(turns) * ROWS_A_POST / sum(turn["seconds"] for turn in turns)


def _checks(database: psycopg.Connection, ours: list[dict[str, Any]], bare: list[dict[str, Any]]) -> dict[str, bool]:
    accepted = _accepted(ours)
    history = database.execute(
        "SELECT count(*), sum(record_count), sum(waiting_count), count(DISTINCT tracking_id) FROM ingestion_usageimport"
    ).fetchone()
    (bodies,) = database.execute(
        "SELECT count(*) FROM ingestion_importbody b JOIN ingestion_usageimport i ON i.id = b.import_id"
        " WHERE encode(sha256(b.content), 'hex') = i.content_hash AND length(b.content) = i.byte_size"
    ).fetchone()
    records = accepted * ROWS_A_POST
    return {
        "every post was answered with 202": all(set(turn["answers"]) == {"202"} for turn in [*ours, *bare]),
        "every accepted post is a line of the history": history == (accepted, records, records, accepted),
        "every accepted body is stored to the byte": bodies == accepted,
        "the bare view stored every body": database.execute("SELECT count(*) FROM bare_body").fetchone()
        == (_accepted(bare),),
        "reconcile is clean": is_reconciled(),
    }


def _result(turns: dict[str, list[dict[str, Any]]], checks: dict[str, bool]) -> dict[str, Any]:
    rates = {name: _rate(of_name) for name, of_name in turns.items()}
    ratio = rates["ours"] / rates["bare"]
    return {
        "wall_seconds": sum(turn["seconds"] for turn in turns["ours"]),
        "records_a_second": rates["ours"],
        "limit_records_a_second": rates["bare"],
        "turns": {name: [_rate([turn]) for turn in of_name] for name, of_name in turns.items()},
        "posts": {name: _accepted(of_name) for name, of_name in turns.items()},
        "ratio": ratio,
        "must": f"at least {MUST}",
        "aim": f"at least {AIM}",
        "reaches": "aim" if ratio >= AIM else "must" if ratio >= MUST else "neither",
        "checks": checks,
    }
