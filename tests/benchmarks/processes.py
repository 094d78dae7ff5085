"""The real processes of a measurement, started and ended by it, and what they used."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config.processes import signal_group

CHECKOUT = Path(__file__).resolve().parent.parent.parent
A_MINUTE = 60


@contextmanager
def running(
    command: list[str], environment: dict[str, str], log: int | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process and all its children, from start to SIGKILL. log: where what it says goes, if not to our own."""
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=os.environ | environment,
        stdout=sys.stderr if log is None else log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def running_cluster(workers: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The workers as `up` runs them."""
    with running([sys.executable, "-m", "config.cluster"], {"SLUICE_WORKERS": str(workers)}) as process:
        yield process


@contextmanager
def running_web(settings_module: str) -> Iterator[int]:
    """The web server as `up` runs it, with these settings; yields its port once it answers."""
    # Needs Django's settings, which not everybody who starts processes has.
    from config.supervisor import web_command

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(web_command(f"127.0.0.1:{port}"), {"DJANGO_SETTINGS_MODULE": settings_module}) as process:
        wait_until(lambda: is_open(port), process)
        yield port


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(
    question: Callable[[], bool],
    process: "subprocess.Popen[bytes] | None" = None,
    *,
    seconds: float = A_MINUTE,
    every: float = 0.02,
) -> None:
    """Ask until the answer is yes. Raises TimeoutError, or ChildProcessError where the process ended instead."""
    give_up_at = time.monotonic() + seconds
    while not question():
        if process is not None and process.poll() is not None:
            raise ChildProcessError(f"{process.args} ended with {process.returncode}")
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(every)


def children_of(pid: int) -> list[int]:
    """The living children, oldest first."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [child for child in map(int, listed.split()) if state_of(child) not in ("", "Z")]


def state_of(pid: int) -> str:
    """R, S, D, Z …; nothing once the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def peak_mb(pid: int) -> int:
    """The most memory that a living process ever held (VmHWM)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


class Memory:
    """The peaks of a cluster's workers, kept beyond their ends: a worker may be replaced by a younger one."""

    def __init__(self, cluster: int, workers: int) -> None:
        self._cluster, self._workers = cluster, workers
        self._peaks: dict[int, int] = {}

    def look(self) -> None:
        for sentinel in children_of(self._cluster):
            for member in children_of(sentinel):
                self._peaks[member] = max(self._peaks.get(member, 0), peak_mb(member))

    def peaks(self) -> list[int]:
        """The largest first, without the last two: monitor and pusher, which hold little."""
        ordered = sorted(self._peaks.values(), reverse=True)
        return ordered[: max(self._workers, len(ordered) - 2)]
