"""The embedded server: shared by processes, gone after the last of them, made in whatever place the checkout lies."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = pytest.mark.slow

CONNECT = """
import os, sys, time
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW data_directory")
    print(*cursor.fetchone(), flush=True)
"""
STAY = CONNECT + "sys.stdin.read()"
STAY_AS_A_CHILD = CONNECT + "os.fork() or os._exit(0)\nos.fork() and os._exit(0)\nsys.stdin.read()"


@pytest.fixture
def home():
    """A folder for the server that any user may enter; it must be gone (the server) when the test ends."""
    with tempfile.TemporaryDirectory(prefix="sluice-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data"
        wait_until(lambda: not servers(folder))


def start(home, script, **options):
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    process = subprocess.Popen(
        [sys.executable, "-c", f"import django\ndjango.setup()\n{script}"],
        cwd=settings.BASE_DIR,
        env=environment | {"SLUICE_DATA_DIR": str(home), "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdout.readline().strip() == str(home / "postgres")
    return process


def end(*processes):
    for process in processes:
        process.stdin.close()
        assert process.wait(10) == 0


def running(naming):
    """The processes whose command line names `naming`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if naming in command:
            found.append(int(folder.name))
    return found


def servers(home):
    return running(f"postgres -D {home}")


def wait_until(question, seconds=20):
    give_up_at = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < give_up_at, f"not within {seconds} s"
        time.sleep(0.1)


def test_processes_share_one_server_and_the_last_one_ends_it(home):
    first, second = start(home, STAY), start(home, STAY)
    assert len(servers(home)) == 1
    first.kill()
    first.wait()
    time.sleep(4)
    assert len(servers(home)) == 1
    end(second)
    wait_until(lambda: not servers(home))


def test_processes_that_start_it_at_once_get_one_server(home):
    with_each_other = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import tests.config.test_embedded as t, pathlib\nt.end(t.start(pathlib.Path({str(home)!r}), t.STAY))",
            ],
            cwd=settings.BASE_DIR,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        )
        for _ in range(4)
    ]
    assert [process.wait(60) for process in with_each_other] == [0] * 4


def test_a_forked_child_keeps_it_and_a_child_that_ends_does_not_stop_it(home):
    parent = start(home, STAY_AS_A_CHILD)
    assert parent.wait(10) == 0
    time.sleep(4)
    assert len(servers(home)) == 1
    parent.stdin.close()
    wait_until(lambda: not servers(home))


def test_it_comes_back_when_it_was_killed(home):
    user = start(home, STAY)
    (server,) = servers(home)
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: servers(home) not in ([], [server]))
    end(start(home, STAY), user)


def test_it_ends_with_its_warden_and_the_next_user_starts_both(home):
    user = start(home, STAY)
    (server,) = servers(home)
    warden = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(warden, signal.SIGKILL)
    wait_until(lambda: server not in servers(home))
    end(start(home, STAY), user)


def test_a_long_path_does_not_hurt(home):
    end(start(home / ("long" * 30) / ("longer" * 20), STAY))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_root_may_keep_it_in_a_folder_that_others_cannot_enter(home):
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    end(start(closed / "data", STAY))
    assert closed.stat().st_mode & 0o777 == 0o701  # others may pass, and still see nothing


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_has_a_server_of_its_own_beside_roots(home):
    end(start(home, STAY))
    own = home.parent / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    try:
        subprocess.run([sys.executable, "-c", ""], user=65534, group=65534, extra_groups=[], check=True, cwd="/")
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this Python cannot be run by others")
    end(start(own / "data", STAY, user=65534, group=65534, extra_groups=[]))


def test_help_needs_no_database(home):
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    command = [sys.executable, "manage.py", "--help"]
    environment |= {"SLUICE_DATA_DIR": str(home)}
    subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert not (home / "postgres").exists()
