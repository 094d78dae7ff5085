"""Pick-up locations as file systems: opened with credentials from the environment, and never waited for without end."""

import base64
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO

from ingestion.core.locations import Grounds, Kind, Location
from ingestion.store.folders import LocalFolders, require_within

PREFIX = "SLUICE_PICKUP_"
KNOWN_HOSTS = f"{PREFIX}KNOWN_HOSTS"
# Seconds. Of a server that does not answer, each of a poll's steps is given up before a minute is over.
CONNECT_SECONDS = 10
READ_SECONDS = 15
READ_AHEAD = 8 << 20
# Slower than that, a file would hold a worker that others wait for.
SLOWEST = 256 << 10  # bytes a second, beyond the grace
GRACE_SECONDS = 30
# A transfer has an end in all, well before its task has: 9 GB at 10 MB/s.
LONGEST_SECONDS = 900


class UnableToReach(OSError):
    """A location that cannot be opened; its text says why and what to do."""


@contextmanager
def opened(location: Location, *, name: str, environment: Mapping[str, str], grounds: Grounds) -> Iterator[Any]:
    """The file system of a location.

    Raises UnableToReach, or OutOfBounds, where it can be told before the first file is asked for.
    name: of the credentials, in the variables SLUICE_PICKUP_{name}_….
    """
    told = {key: environment.get(f"{PREFIX}{name}_{key}", "") for key in _NEEDED[location.kind]}
    if location.kind == Kind.FOLDER:
        require_within(location.path, grounds)
        yield LocalFolders(grounds)
        return
    system = _sftp(location, name, told, environment) if location.kind == Kind.SFTP else _object_store(told, name)
    try:
        yield system
    finally:
        if location.kind == Kind.SFTP:
            system.client.close()


_NEEDED = {
    Kind.FOLDER: (),
    Kind.SFTP: ("USER", "PASSWORD", "KEY_FILE", "KEY_PASSPHRASE"),
    Kind.S3: ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT", "REGION"),
}


def _object_store(told: Mapping[str, str], name: str) -> Any:
    """Without a name of credentials: those of the host."""
    s3fs = _library("s3fs")
    if name and not (told["ACCESS_KEY_ID"] and told["SECRET_ACCESS_KEY"]):
        variables = f"{PREFIX}{name}_ACCESS_KEY_ID and {PREFIX}{name}_SECRET_ACCESS_KEY"
        raise UnableToReach(f"The environment of the workers has no {variables}: set them and start again.")
    system = s3fs.S3FileSystem(
        key=told["ACCESS_KEY_ID"] or None,
        secret=told["SECRET_ACCESS_KEY"] or None,
        endpoint_url=told["ENDPOINT"] or None,
        client_kwargs={"region_name": told["REGION"]} if told["REGION"] else {},
        config_kwargs={"connect_timeout": 5, "read_timeout": READ_SECONDS, "retries": {"total_max_attempts": 2}},
        default_block_size=READ_AHEAD,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    system.retries = 1  # beside those of the client below it
    return system


def _sftp(location: Location, name: str, told: Mapping[str, str], environment: Mapping[str, str]) -> Any:
    paramiko = _library("paramiko")
    user = location.user or told["USER"]
    if not user or not (told["PASSWORD"] or told["KEY_FILE"]):
        variables = f"{PREFIX}{name or 'NAME'}_KEY_FILE (or _PASSWORD){'' if user else ', and _USER'}"
        raise UnableToReach(f"The environment of the workers has no {variables}: set it and start again.")
    known = environment.get(KNOWN_HOSTS) or os.path.expanduser("~/.ssh/known_hosts")
    secrets = {
        "password": told["PASSWORD"] or None,
        "key_filename": told["KEY_FILE"] or None,
        "passphrase": told["KEY_PASSPHRASE"] or None,
    }
    try:
        return _sftp_system(location, known, {"username": user, **secrets})
    except UnableToReach:
        raise
    except paramiko.BadHostKeyException as error:
        message = (
            f"{location.host} shows another host key (SHA256:{fingerprint(error.key.asbytes())}) than {known} has."
            " Somebody may stand in between: ask its owner before you put the new one there."
        )
        raise UnableToReach(message) from None
    except paramiko.AuthenticationException:
        raise UnableToReach(f"{location.host} does not let {user} in: look at the key or password.") from None
    except (paramiko.SSHException, EOFError) as error:
        raise UnableToReach(f"{location.host} does not speak SFTP with us: {error}") from None
    except FileNotFoundError as error:
        raise UnableToReach(f"The key file {error.filename} is not there.") from None
    except OSError as error:
        raise UnableToReach(f"{location.host}, port {location.port}, does not answer: {error}") from None


def _sftp_system(location: Location, known: str, secrets: Mapping[str, Any]) -> Any:
    """fsspec's, but that only hosts are talked to whose keys are known, and none of them for ever."""
    paramiko = _library("paramiko")
    from fsspec.implementations.sftp import SFTPFileSystem

    class KnownHosts(SFTPFileSystem):  # type: ignore[misc]
        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            if os.path.exists(known):
                self.client.load_host_keys(known)
            self.client.set_missing_host_key_policy(self.host_key_policy)
            try:
                self.client.connect(self.host, **self.ssh_kwargs)
                self.ftp = self.client.open_sftp()
                self.ftp.get_channel().settimeout(READ_SECONDS)
            except BaseException:
                self.client.close()
                raise

    return KnownHosts(
        location.host,
        port=location.port,
        host_key_policy=_refusing(paramiko, location, known),
        timeout=CONNECT_SECONDS,
        banner_timeout=CONNECT_SECONDS,
        auth_timeout=CONNECT_SECONDS,
        channel_timeout=CONNECT_SECONDS,
        allow_agent=False,
        look_for_keys=False,
        skip_instance_cache=True,
        **secrets,
    )


def _refusing(paramiko: Any, location: Location, known: str) -> Any:
    """What is done about a host that is not known: it is told how a person makes it known."""

    def refuse(policy: Any, client: Any, hostname: str, key: Any) -> None:
        message = (
            f"The host key of {location.host} is not known: {key.get_name()} SHA256:{fingerprint(key.asbytes())}."
            " If its owner says that this is it, add it:"
            f" ssh-keyscan -t {key.get_name()} -p {location.port} {location.host} >> {known}"
        )
        raise UnableToReach(message)

    return type("Refusing", (paramiko.MissingHostKeyPolicy,), {"missing_host_key": refuse})()


def _library(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise UnableToReach(f"{name} is missing: install the dependency group “remote” and start again.") from None


def fingerprint(key: bytes) -> str:
    """Of a host's key, as ssh shows it."""
    return base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


class Steady:
    """A file of a location, read to its end once; it must come at a pace, and be at the end what it was listed as."""

    def __init__(self, system: Any, entry: Mapping[str, Any], stream: BinaryIO) -> None:
        self._system, self._entry, self._stream = system, entry, stream
        self._came, self._began_at = 0, time.monotonic()
        if hasattr(stream, "prefetch"):
            # Else each 32 KiB wait for an answer.
            stream.prefetch(entry["size"], 64)

    def read(self, count: int) -> bytes:
        """Raises TimeoutError where it comes too slowly, OSError where it was written to meanwhile."""
        block = self._stream.read(count)
        self._came += len(block)
        seconds = time.monotonic() - self._began_at
        if block and seconds > LONGEST_SECONDS:
            came = f"{self._came:,} of its {self._entry['size']:,} bytes came in {LONGEST_SECONDS:,} seconds"
            raise TimeoutError(f"{came}, and no file has longer: have it packed, or put there in smaller files")
        if self._came < (seconds - GRACE_SECONDS) * SLOWEST:
            raise TimeoutError(f"it comes at less than {SLOWEST >> 10} KiB a second")
        if not block:
            now = self._system.info(self._entry["name"])
            if self._came != self._entry["size"] or written_at(now) != written_at(self._entry):
                raise OSError("somebody writes to it")
        return block


def open_entry(system: Any, entry: Mapping[str, Any]) -> Any:
    """An entry of a listing as an open file; read it through `Steady`."""
    return system.open(entry["name"], "rb", block_size=READ_AHEAD if entry.get("StorageClass") else None)


def written_at(entry: Mapping[str, Any]) -> float | None:
    """When a file was written to last, in seconds since 1970; None where its server does not say."""
    written = entry.get("mtime") or entry.get("LastModified")
    return written.timestamp() if isinstance(written, datetime) else written
