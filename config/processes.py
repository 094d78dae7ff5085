"""Processes that end with the one that started them, and processes that are started again when they end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

PR_SET_PDEATHSIG = 1
LONGEST_GAP_SECONDS = 10.0
# After so long a life a death is not counted with the ones before.
SETTLED_SECONDS = 60.0

_prctl = getattr(ctypes.CDLL(None), "prctl", None)


def end_with_parent(ending: signal.Signals) -> None:
    """Ask the kernel to send us `ending` when our parent dies, however it dies (Linux; elsewhere nothing happens)."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, int(ending))


class Kept:
    """A process in a group of its own; when it ends, what is left of the group is killed, and it starts again."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.started_at = 0.0
        self._command = command
        self._environment = environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths = 0
        self._start_at = 0.0

    @property
    def group(self) -> int | None:
        """The number of its process group, while it runs."""
        return self._process.pid if self._process else None

    def look(self) -> None:
        """Start it if it does not run and its time has come; to be called every second or so."""
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            say(f"{self.name} ended ({self._process.returncode}), starting it again")
            self.kill()
        if self._process is None and now >= self._start_at:
            self._start(now)

    def _start(self, now: float) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=partial(end_with_parent, signal.SIGTERM),
        )
        self.started_at = now

    def kill(self) -> None:
        """SIGKILL the whole group: a main process that died alone leaves workers and sockets behind."""
        if self._process is None:
            return
        now = time.monotonic()
        self._deaths = self._deaths + 1 if now - self.started_at < SETTLED_SECONDS else 0
        self._start_at = now + min(LONGEST_GAP_SECONDS, 2.0**self._deaths - 1)
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


def signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def processor_seconds(group: int) -> float:
    """The processor time that the living processes of a group have used so far; 0 where /proc does not tell."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended just now
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def say(line: str) -> None:
    """Tell the operator; standard output belongs to what commands print."""
    print(f"sluice: {line}", file=sys.stderr, flush=True)
