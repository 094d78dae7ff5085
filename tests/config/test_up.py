"""`up` on the test database: whatever is killed, the work goes on within a minute."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import polars as pl
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.tasks import async_task, fetch

from mediation.models import Bell

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
A_MINUTE = 60


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def up(port):
    command = [sys.executable, "manage.py", "up", "--port", str(port)]
    environment = os.environ | {"DATABASE_URL": address_of_test_database(), "SLUICE_LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith(f"Sluice serves http://127.0.0.1:{port}/")
        wait_for_a_pulse_after(timezone.now())
        yield process
    finally:
        process.terminate()
        process.wait(15)


def address_of_test_database():
    told = connection.settings_dict
    user = f"{quote(told['USER'])}:{quote(told['PASSWORD'])}@" if told["USER"] else ""
    # A socket's folder cannot stand where a host name does.
    return f"postgres://{user}/{told['NAME']}?" + urlencode({"host": told["HOST"], "port": told["PORT"] or 5432})


def wait_until(question, seconds=A_MINUTE):
    give_up_at = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < give_up_at, f"not within {seconds} s"
        time.sleep(0.2)
    return answer


def wait_for_a_pulse_after(moment):
    wait_until(Bell.objects.filter(name="pulse", answered_at__gt=moment).exists)


def processes():
    """Every process as pid -> (parent, command line)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if state != "Z":
            found[int(folder.name)] = (int(parent), command)
    return found


def children(pid, naming=""):
    return [child for child, (parent, command) in processes().items() if parent == pid and naming in command]


def family(pid):
    return [pid, *(member for child in children(pid) for member in family(child))]


def is_served(port):
    try:
        return urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200
    except OSError:
        return False


def test_the_pulse_comes_back_after_all_idle_workers_were_killed(up):
    (cluster,) = children(up.pid, "config.cluster")
    (sentinel,) = children(cluster)
    for member in children(sentinel):
        os.kill(member, signal.SIGKILL)
    wait_for_a_pulse_after(timezone.now())


def test_the_pulse_comes_back_after_one_idle_worker_was_killed_again_and_again(up):
    for _ in range(3):
        (cluster,) = children(up.pid, "config.cluster")
        (sentinel,) = wait_until(lambda main=cluster: children(main))
        os.kill(wait_until(lambda guard=sentinel: children(guard))[0], signal.SIGKILL)
        wait_for_a_pulse_after(timezone.now())


def test_the_cluster_comes_back_whole_after_its_main_process_was_killed(up):
    (cluster,) = children(up.pid, "config.cluster")
    old = family(cluster)
    assert len(old) >= 6
    os.kill(cluster, signal.SIGKILL)
    wait_for_a_pulse_after(timezone.now())
    assert not set(old) & set(processes())


def test_the_web_server_comes_back_after_its_master_was_killed(up, port):
    (master,) = children(up.pid, "gunicorn")
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: children(up.pid, "gunicorn") not in ([], [master]))
    wait_until(lambda: is_served(port))


def test_everything_ends_with_up_even_when_that_was_killed(up):
    whole = family(up.pid)
    assert len(whole) >= 10
    up.kill()
    up.wait()
    wait_until(lambda: not set(whole) & set(processes()), seconds=15)


def test_everything_ends_within_ten_seconds_of_sigterm(up):
    whole = family(up.pid)
    up.terminate()
    assert up.wait(10) == 0
    assert not set(whole) & set(processes())


def group_something():
    """Polars' threads do not survive a fork: had anything used them in the parent, this would hang for ever."""
    return pl.DataFrame({"a": [1, 1, 2]}).group_by("a").len().height


def test_workers_can_use_polars(up):
    task_id = async_task("tests.config.test_up.group_something")
    assert wait_until(lambda: fetch(task_id), seconds=10).result == 2


def test_a_lost_bell_is_rung_again(up):
    """Its task was pulled by a worker that died: the bell rings, nobody comes."""
    long_ago = timezone.now() - timedelta(minutes=5)
    wait_until(lambda: Bell.objects.filter(name="pulse", is_ringing=False).update(is_ringing=True, rung_at=long_ago))
    wait_for_a_pulse_after(timezone.now())
