"""What the cases of one run share: the made input, the database that they copy, and Django's connection to theirs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg

from tests.benchmarks import bills, databases, rows
from tests.benchmarks.processes import CHECKOUT

ROWS_A_POST = 1_000
BODIES = 64
POST_SECONDS, LATENCY_SECONDS = 20.0, 300.0  # where nobody says how long


@dataclass(frozen=True)
class Ground:
    """A run's input, made as of `now`. bills: what each account owes for it, by number; template: a filled database.

    seconds, latency_seconds: how long is posted, as fast as it goes and one by one.
    """

    records: int
    accounts: int
    workers: int
    seconds: float
    latency_seconds: float
    seed: int
    held: int
    now: datetime
    folder: Path
    bills: dict[str, Decimal]
    template: str
    token: str

    @property
    def file(self) -> Path:
        return self.folder / "rows.csv"

    @property
    def bodies(self) -> Path:
        return self.folder / "bodies"


def prepare(
    *,
    records: int,
    accounts: int,
    workers: int,
    seconds: float | None,
    seed: int,
    held: int,
    folder: Path,
    template: str,
) -> Ground:
    """Make the input, and fill the template: it is migrated and filled once, since that is not what is measured."""
    now = datetime.now(UTC).replace(microsecond=0)
    made = list(rows.make_rows(records, accounts=accounts, seed=seed, now=now))
    with (folder / "rows.csv").open("w") as file:
        file.writelines(f"{row.text}\n" for row in made)
    _write_bodies(folder / "bodies", now, accounts, seed)
    token = _fill(template, accounts)
    return Ground(
        records=records,
        accounts=accounts,
        workers=workers,
        seconds=seconds or POST_SECONDS,
        latency_seconds=seconds or LATENCY_SECONDS,
        seed=seed,
        held=held,
        now=now,
        folder=folder,
        bills=bills.bills_of(made),
        template=template,
        token=token,
    )


def _write_bodies(folder: Path, now: datetime, accounts: int, seed: int) -> None:
    folder.mkdir()
    for place in range(BODIES):
        first = 1_000_000_000 + place * ROWS_A_POST
        made = rows.make_rows(ROWS_A_POST, accounts=accounts, seed=seed + 1 + place, now=now, first=first)
        (folder / f"{place:03d}.json").write_bytes(json.dumps({"data": [row.text for row in made]}).encode())


def _fill(template: str, accounts: int) -> str:
    environment = os.environ | {"DATABASE_URL": databases.url_of(template)}
    command = [sys.executable, "-m", "tests.benchmarks.world", str(accounts)]
    told = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    with databases.connect(databases.url_of(template)) as database:
        database.execute("VACUUM (FREEZE, ANALYZE)")
    return told.stdout.split()[-1]


@contextmanager
def database_for(case: str, ground: Ground) -> Iterator[psycopg.Connection]:
    """A fresh copy of the template, which Django here and every process that is started uses; yields a connection."""
    from django.conf import settings
    from django.db import connection

    payloads = Path(settings.MEDIA_ROOT)
    payloads.mkdir()
    with databases.fresh_database(case, ground.template) as name:
        os.environ["DATABASE_URL"] = databases.url_of(name)
        connection.close()
        connection.settings_dict["NAME"] = name
        try:
            with databases.connect(databases.url_of(name)) as database:
                yield database
        finally:
            connection.close()
            shutil.rmtree(payloads)
