"""The warden: a process that owns the embedded PostgreSQL server and stops it after its last user has ended.

It counts nothing. Every user holds a shared file lock; when the warden gets that lock for itself, nobody is left,
however they ended. The server dies with its warden, so that there is never one without the other.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

import psycopg

from config.database import embedded
from config.database.embedded import CLUSTER, DATABASE, HOME, LOG, SUPERUSER
from config.processes import end_with_parent

LOOK_EVERY_SECONDS = 0.5
# Commands that follow one another need not wait for the server each time.
LINGER_LOOKS = 4
START_SECONDS = 300
STOP_SECONDS = 300
MAX_LOG_BYTES = 20_000_000
SYSTEM_USER = "sluice"

_asked_to_stop = False


def main(says: int) -> None:
    """Start the server, tell the process at the other end of `says`, and keep the server while it has users."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, _ask_to_stop)
    lock = embedded.open_lock(embedded.WARDEN)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(says, False)
    server = start(owner_of_cluster())
    create_database()
    os.write(says, b"ready")
    os.close(says)
    users = embedded.open_lock(embedded.USERS)
    while not _asked_to_stop and not is_unused(users):
        if server.poll() is not None:
            print("warden: the server ended, starting it again", flush=True)
            server = start(owner_of_cluster())
    stop(server)
    # In this order: who waits for the users' lock must not find the warden still there.
    os.close(lock)
    os.close(users)


def _ask_to_stop(number: int, frame: FrameType | None) -> None:
    global _asked_to_stop
    _asked_to_stop = True


def is_unused(users: int) -> bool:
    """Look for a while; true with the users' lock in hand, so that newcomers wait until the server has stopped."""
    for _ in range(LINGER_LOOKS):
        time.sleep(LOOK_EVERY_SECONDS)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def owner_of_cluster() -> tuple[int, int]:
    """The user and group that the server runs as: its folder's owner; never root, whom PostgreSQL refuses."""
    if CLUSTER.exists():
        owner = CLUSTER.stat()
        return owner.st_uid, owner.st_gid
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        made = shutil.which("useradd") and subprocess.run(command, check=False).returncode in (0, 9)  # noqa: S603
        entry = pwd.getpwnam(SYSTEM_USER if made else "nobody")
    return entry.pw_uid, entry.pw_gid


def start(owner: tuple[int, int]) -> "subprocess.Popen[bytes]":
    """Start the server, made new if need be, and return once it takes connections."""
    if LOG.stat().st_size > MAX_LOG_BYTES:
        os.truncate(LOG, 0)
    if os.geteuid() == 0:
        open_the_programs()
        open_the_way(embedded.binaries(), CLUSTER)
    if not CLUSTER.exists():
        make_cluster(owner)
    socket_dir = make_socket_dir(owner)
    command: list[str | Path] = [
        embedded.binaries() / "postgres",
        "-D",
        CLUSTER,
        "-k",
        socket_dir,
        "-h",
        "",
        "-p",
        "5432",
    ]
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and not _asked_to_stop:
        remove_stale_pid_file()
        server = run_as(owner, command)
        if answers(server, socket_dir, give_up_at):
            return server
        # A server whose warden was killed may still be shutting down.
        time.sleep(1)
    raise SystemExit("warden: the server does not start")


def run_as(owner: tuple[int, int], command: Sequence[str | Path]) -> "subprocess.Popen[bytes]":
    uid, gid = owner
    is_root = os.geteuid() == 0
    return subprocess.Popen(  # noqa: S603
        command,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        # PostgreSQL's fast shutdown: clients are cut off, the data is flushed.
        preexec_fn=partial(end_with_parent, signal.SIGINT),
        user=uid if is_root else None,
        group=gid if is_root else None,
        extra_groups=[] if is_root else None,
    )


def answers(server: "subprocess.Popen[bytes]", socket_dir: Path, give_up_at: float) -> bool:
    """Wait until `server` takes connections; false when it has ended instead."""
    while server.poll() is None and time.monotonic() < give_up_at:
        try:
            psycopg.connect(host=str(socket_dir), user=SUPERUSER, dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.03)
        else:
            return server.poll() is None
    return False


def stop(server: "subprocess.Popen[bytes]") -> None:
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait()


def make_cluster(owner: tuple[int, int]) -> None:
    """Make a new cluster aside and move it into place whole, so that a killed initdb leaves nothing half done."""
    fresh = HOME / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    os.chown(fresh, *owner)
    options: list[str | Path] = ["-D", fresh, "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"]
    # The wheel is built without ICU; the builtin provider orders by code point and knows upper and lower case.
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--username", SUPERUSER]
    options += [f"--set={name}={value}" for name, value in tuning().items()]
    if run_as(owner, [embedded.binaries() / "initdb", *options]).wait() != 0:
        raise SystemExit("warden: initdb failed")
    fresh.rename(CLUSTER)


def tuning() -> dict[str, str]:
    """What differs from PostgreSQL's own settings; it is written into postgresql.conf, so ALTER SYSTEM still rules."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "shared_buffers": f"{max(64, min(1024, memory_mb // 4))}MB",
        "maintenance_work_mem": "128MB",
        "max_connections": "100",
        # Random uniqueness keys cost four times the WAL after each checkpoint, so checkpoints are rare.
        "max_wal_size": "8GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "64",
        "jit": "off",
        # A container's /dev/shm often has 64 MB, too little for a parallel hash join.
        "dynamic_shared_memory_type": "mmap" if _shared_memory_mb() < 512 else "posix",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
    }


def _shared_memory_mb() -> int:
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return 0
    return room.f_frsize * room.f_blocks // 2**20


def make_socket_dir(owner: tuple[int, int]) -> Path:
    """The folder for the socket, entered by its owner (and root) alone, because the server trusts who can enter."""
    path = embedded.socket_dir()
    if path != CLUSTER:
        try:
            path.mkdir(mode=0o700)
            os.chown(path, *owner)
        except FileExistsError:
            found = path.lstat()
            if found.st_uid != owner[0] or found.st_mode & 0o077:
                raise SystemExit(f"warden: {path} belongs to someone else") from None
    return path


def open_the_programs() -> None:
    """Let the server's user read the wheel, where it was installed under a umask that keeps others out."""
    installed = embedded.binaries().parent
    # Beside the package lies the folder of the shared libraries that its programs load.
    for folder in (installed, installed.parent.with_suffix(".libs")):
        for path in (folder, *folder.rglob("*")):
            mode = path.lstat().st_mode
            wanted = mode | 0o004 | (0o001 if mode & 0o100 else 0)
            if mode != wanted and not path.is_symlink():
                path.chmod(wanted & 0o7777)


def open_the_way(*ends: Path) -> None:
    """Let the server's user pass (not list) the folders above its programs and its data, such as /root."""
    for end in ends:
        for folder in end.absolute().parents:
            mode = folder.stat().st_mode if folder.exists() else 0o001
            if not mode & 0o001:
                print(f"warden: opening {folder} for passing (chmod o+x)", flush=True)
                folder.chmod((mode & 0o7777) | 0o001)


def remove_stale_pid_file() -> None:
    """Remove a postmaster.pid whose number now belongs to another program, which PostgreSQL would take for itself."""
    pid_file = CLUSTER / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError, IndexError):
        return
    if name != "postgres":
        pid_file.unlink()


def create_database() -> None:
    with psycopg.connect(
        host=str(embedded.socket_dir()), user=SUPERUSER, dbname="postgres", autocommit=True
    ) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f'CREATE DATABASE "{DATABASE}"'.encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
