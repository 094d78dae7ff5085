"""Twenty kills at random moments of real work: no record is lost or doubled, no charge either, and work resumes."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psycopg
import pytest

from tests.benchmarks.bills import bills_of
from tests.benchmarks.databases import connect, fresh_database, url_of
from tests.benchmarks.processes import CHECKOUT, children_of, wait_until
from tests.benchmarks.rows import make_rows, terminating
from tests.benchmarks.world import FEED, identifier_of

pytestmark = pytest.mark.slow

KINDS = ["busy worker"] * 7 + ["waiting worker"] * 5 + ["cluster"] * 3 + ["sentinel"] + ["web master", "web worker"] * 2
PAUSE_SECONDS = (0.3, 3.0)
ACCOUNTS = 5_000
FIRST_FILE, LATER_FILES, A_POST = 200_000, 30_000, 50
POSTERS = 2
MOST_FILES = 15
A_MINUTE = 60


@dataclass
class Sender:
    """Who sends usage and keeps a book of it: every row that it ever made was acknowledged in the end."""

    seed: int
    now: datetime
    book: list = field(default_factory=list)
    posts: int = 0
    files: int = 0
    repeated_posts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count):
        with self._lock:
            first = len(self.book)
            rows = list(make_rows(count, accounts=ACCOUNTS, seed=self.seed + first, now=self.now, first=first))
            self.book += rows
            return rows

    def send_file(self, count, folder, environment):
        path = folder / f"usage-{self.files}.csv"
        path.write_text("".join(f"{row.text}\n" for row in self.take(count)))
        command = [sys.executable, "manage.py", "import_file", FEED, str(path)]
        subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True)
        self.files += 1

    def post(self, port, token):
        """Send the same body under the same key until it is answered: that is what the key is for."""
        body = json.dumps({"data": [row.text for row in self.take(A_POST)]})
        headers = {
            "Authorization": f"Token {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"post {random.getrandbits(64)}",
        }
        tries = 1
        while (status := answer_to(port, body, headers)) != 202:
            assert status is None or status >= 500, f"a post was refused with {status}"
            tries += 1
            assert tries < 1_000, "the web server did not come back"
            time.sleep(0.1)
        with self._lock:
            self.posts += 1
            self.repeated_posts += tries > 1


def answer_to(port, body, headers):
    """The status, or None where the connection was refused or broke."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", f"/api/v1/feeds/{FEED}/usage", body, headers)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


class Killer:
    """Finds the processes of a running `up`, and kills them."""

    def __init__(self, up, chance):
        self.up, self.chance, self.log = up, chance, []

    def strike(self, kind):
        """SIGKILL one process of a kind, or of another one where none comes up in time."""
        target = self._wait_for(kind, 30)
        if target is None:
            kind, target = next((kind, pid) for kind in sorted(set(KINDS)) if (pid := self._find(kind)))
        with suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)
            self.log.append(kind)

    def _wait_for(self, kind, seconds):
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            if pid := self._find(kind):
                return pid
        return None

    def _find(self, kind):
        mains = {pid: command_of(pid) for pid in children_of(self.up.pid)}
        cluster = [pid for pid, command in mains.items() if "config.cluster" in command]
        web = [pid for pid, command in mains.items() if "gunicorn" in command]
        sentinel = [child for pid in cluster for child in children_of(pid)]
        members = [child for pid in sentinel for child in children_of(pid)]
        if kind.endswith("ing worker") or kind == "busy worker":
            before = {pid: ticks_of(pid) for pid in members}
            # Where others use the processors too, a busy one gets little of them.
            time.sleep(0.2)
            members = [pid for pid in members if (ticks_of(pid) - before[pid] > 0) == (kind == "busy worker")]
        else:
            time.sleep(0.02)
        found = {
            "cluster": cluster,
            "sentinel": sentinel,
            "web master": web,
            "web worker": [child for pid in web for child in children_of(pid)],
        }.get(kind, members)
        return self.chance.choice(found) if found else None


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def ticks_of(pid):
    """Hundredths of a second of processor time."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


@dataclass
class Storm:
    """What a storm left behind: the database, who was killed, and how long it took to work again."""

    database: psycopg.Connection
    environment: dict
    sender: Sender
    killed: list
    resumed_after: float
    done_after: float


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    seed = int(os.environ.get("SLUICE_STORM_SEED") or random.randrange(1_000_000))
    print(f"\nSLUICE_STORM_SEED={seed}")
    folder = tmp_path_factory.mktemp("storm")
    with fresh_database("storm") as name, connect(url_of(name)) as database:
        environment = os.environ | {
            "DATABASE_URL": url_of(name),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SLUICE_DATA_DIR": str(folder / "data"),
            "SLUICE_PAYLOAD_DIR": str(folder / "payloads"),
            "SLUICE_LOG_LEVEL": "WARNING",
        }
        world = [sys.executable, "-m", "tests.benchmarks.world", str(ACCOUNTS)]
        told = subprocess.run(world, cwd=CHECKOUT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        sender = Sender(seed, datetime.now(UTC).replace(microsecond=0))
        left = rage(database, environment, sender, random.Random(seed), told.stdout.split()[-1], folder)
        print(
            f"{len(sender.book):,} records in {sender.files} files and {sender.posts} posts, {sender.repeated_posts} of"
            f" them sent again; killed {dict(Counter(left.killed))}; worked again {left.resumed_after:.1f} s after the"
            f" last kill, done after {left.done_after:.1f} s; at most {most_attempts(database)} attempts at one piece"
        )
        write_book(database, sender.book)
        yield left


def rage(database, environment, sender, chance, token, folder):
    """Send usage without end while twenty processes are killed; then let the work come to its end by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "manage.py", "up", "--port", str(port)]
    with (folder / "up.log").open("wb") as log, ThreadPoolExecutor(POSTERS + 1) as pool:
        up = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        is_over = threading.Event()
        try:
            assert up.stdout.readline().startswith("Sluice serves")
            sender.send_file(FIRST_FILE, folder, environment)
            sending = [pool.submit(keep_posting, sender, port, token, is_over) for _ in range(POSTERS)]
            sending.append(pool.submit(keep_filing, sender, folder, environment, is_over))
            killer = Killer(up, chance)
            for kind in chance.sample(KINDS, len(KINDS)):
                time.sleep(chance.uniform(*PAUSE_SECONDS))
                killer.strike(kind)
            resumed_after, done_after = wait_for_the_end(database, sending, is_over)
        finally:
            is_over.set()
            up.terminate()
            up.wait(15)
    return Storm(database, environment, sender, killer.log, resumed_after, done_after)


def keep_posting(sender, port, token, is_over):
    while not is_over.wait(0.2):
        sender.post(port, token)


def keep_filing(sender, folder, environment, is_over):
    """One file more whenever no part of one waits for a worker; between them there are moments without work."""
    with connect(environment["DATABASE_URL"]) as database:
        while not is_over.wait(1) and sender.files < MOST_FILES:
            unplanned = count(database, "ingestion_usageimport WHERE status = 'received'")
            if not unplanned and not count(database, "ingestion_importchunk WHERE status = 'waiting'"):
                sender.send_file(LATER_FILES, folder, environment)


def wait_for_the_end(database, sending, is_over):
    """Seconds from the last kill until something more was done, and until all of it was."""
    killed_at = time.monotonic()
    done = work_done(database)
    wait_until(lambda: work_done(database) > done, seconds=2 * A_MINUTE, every=0.1)
    resumed_after = time.monotonic() - killed_at
    is_over.set()
    for each in sending:
        each.result(2 * A_MINUTE)
    unfinished = (
        "ingestion_usageimport WHERE status IN ('received', 'waiting', 'running')",
        "mediation_udrbatch WHERE status IN ('mediated', 'staged', 'superseded')",
    )
    wait_until(lambda: not any(count(database, rows) for rows in unfinished), seconds=3 * A_MINUTE, every=0.2)
    return resumed_after, time.monotonic() - killed_at


def count(database, rows):
    return database.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]


def work_done(database):
    return count(database, "ingestion_importchunk WHERE status = 'done'") + count(
        database, "mediation_udrbatch WHERE status = 'rated'"
    )


def most_attempts(database):
    """How often the unluckiest chunk or batch was begun; at five it would be parked for a person to look at."""
    union = "SELECT attempts FROM ingestion_importchunk UNION ALL SELECT attempts FROM mediation_udrbatch"
    return database.execute(f"SELECT max(attempts) FROM ({union}) both_rooms").fetchone()[0]


# The checker: SQL alone, against the sender's book.

BOOK = """
CREATE TABLE storm_sent (terminating text PRIMARY KEY, identifier text, value numeric, date timestamptz);
CREATE TABLE storm_owed (number text PRIMARY KEY, amount numeric)
"""

FAULTS = {
    "records lost": """
        SELECT FROM storm_sent s LEFT JOIN mediation_udr u ON u.terminating_identifier = s.terminating
        WHERE u.id IS NULL""",
    "records doubled": """
        SELECT FROM mediation_udr GROUP BY terminating_identifier HAVING count(*) > 1""",
    "records never sent": """
        SELECT FROM mediation_udr u LEFT JOIN storm_sent s ON u.terminating_identifier = s.terminating
        WHERE s.terminating IS NULL""",
    "records changed": """
        SELECT FROM storm_sent s JOIN mediation_udr u ON u.terminating_identifier = s.terminating
        WHERE (u.value, u.udr_usage_identifier, u.date) IS DISTINCT FROM (s.value, s.identifier, s.date)""",
    "records not charged": """
        SELECT FROM storm_sent s LEFT JOIN mediation_udr u ON u.terminating_identifier = s.terminating
        LEFT JOIN rating_charge c ON c.udr_id = u.id WHERE c.id IS NULL""",
    "records charged twice": "SELECT FROM rating_charge GROUP BY udr_id HAVING count(*) > 1",
    "charges of nothing": """
        SELECT FROM rating_charge c LEFT JOIN mediation_udr u ON u.id = c.udr_id WHERE u.id IS NULL""",
    "accounts charged wrongly": """
        SELECT FROM storm_owed o FULL JOIN (
            SELECT a.number, sum(c.amount) AS amount FROM rating_charge c JOIN rating_account a ON a.id = c.account_id
            GROUP BY 1) c USING (number)
        WHERE c.amount IS DISTINCT FROM o.amount""",
    "imports not completed": "SELECT FROM ingestion_usageimport WHERE status <> 'completed'",
}


def write_book(database, book):
    database.execute(BOOK)
    with database.cursor() as cursor:
        with cursor.copy("COPY storm_sent FROM STDIN") as copy:
            for row in book:
                copy.write_row((str(terminating(row.number)), identifier_of(row.account), row.value, row.date))
        with cursor.copy("COPY storm_owed FROM STDIN") as copy:
            for owed in bills_of(book).items():
                copy.write_row(owed)
    database.execute("VACUUM (ANALYZE)")


def faults(database):
    """What is wrong, and how often; nothing where all is well."""
    counted = {name: count(database, f"({query}) fault") for name, query in FAULTS.items()}
    return {name: number for name, number in counted.items() if number}


def test_no_record_and_no_charge_is_lost_or_doubled(storm):
    assert faults(storm.database) == {}
    assert len(storm.sender.book) >= 200_000


def test_every_submission_is_one_line_of_the_history(storm):
    lines = storm.database.execute("SELECT source, count(*) FROM ingestion_usageimport GROUP BY source").fetchall()
    assert dict(lines) == {"command": storm.sender.files, "api": storm.sender.posts}


def test_what_must_be_paid_is_to_the_last_digit_what_the_sender_expects(storm):
    (total,) = storm.database.execute("SELECT sum(amount) FROM rating_charge").fetchone()
    assert total == sum(bills_of(storm.sender.book).values())


def test_work_resumed_by_itself_within_a_minute_of_the_last_kill(storm):
    assert storm.resumed_after < A_MINUTE


def test_the_storm_was_one(storm):
    assert len(storm.killed) == len(KINDS) == 20
    assert {"busy worker", "waiting worker", "cluster"} <= set(storm.killed)


def test_reconcile_is_clean(storm):
    command = [sys.executable, "manage.py", "reconcile", "--json"]
    told = subprocess.run(command, cwd=CHECKOUT, env=storm.environment, capture_output=True, text=True, check=False)
    assert json.loads(told.stdout)["differences"] == {}
    assert told.returncode == 0


ONE_UDR = "SELECT id FROM mediation_udr WHERE terminating_identifier = '4100000777'"


def test_the_checker_finds_one_deleted_udr(storm):
    with storm.database.transaction(force_rollback=True):
        assert storm.database.execute(f"DELETE FROM mediation_udr WHERE id = ({ONE_UDR})").rowcount == 1
        assert faults(storm.database) == {"records lost": 1, "records not charged": 1, "charges of nothing": 1}
    assert faults(storm.database) == {}


def test_the_checker_finds_one_doubled_charge(storm):
    with storm.database.transaction(force_rollback=True):
        storm.database.execute(f"CREATE TEMP TABLE again AS SELECT * FROM rating_charge WHERE udr_id = ({ONE_UDR})")
        storm.database.execute("UPDATE again SET id = id + 2, amount = 1")
        assert storm.database.execute("INSERT INTO rating_charge SELECT * FROM again").rowcount == 1
        assert faults(storm.database) == {"records charged twice": 1, "accounts charged wrongly": 1}
    assert faults(storm.database) == {}
