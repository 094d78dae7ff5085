"""What a pick-up location may look like: a folder, a folder of an SFTP server, or a place in a bucket."""

import posixpath
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

EXAMPLES = "/srv/usage, sftp://user@host.example:22/outgoing, or s3://bucket/outgoing"
_CREDENTIALS = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
# Whoever writes over a slow line gives a file one of these names until it is whole.
UNFINISHED = (".part", ".partial", ".tmp", ".filepart", ".writing")


class FaultyLocationError(ValueError):
    """A location that nothing can be picked up from; its text says what is wrong and what to write."""


class Kind(StrEnum):
    FOLDER = "folder"
    SFTP = "sftp"
    S3 = "s3"


@dataclass(frozen=True)
class Location:
    """path: of a folder; of an object store it begins with the bucket. host, port and user are of a server."""

    kind: Kind
    path: str
    host: str = ""
    port: int = 22
    user: str = ""


@dataclass(frozen=True)
class Grounds:
    """Where pick-up folders of this machine may lie: in one of `roots`, never in a `private` one, but for `own` in it.

    All are absolute paths.
    """

    roots: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    own: str = ""


def location_of(text: str) -> Location:
    """A location as a person wrote it. Raises FaultyLocationError."""
    if "://" not in text:
        return _folder(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise FaultyLocationError(f"The address cannot be read: {error}. Write {EXAMPLES}.") from None
    if parts.password is not None or ("@" in parts.netloc and parts.scheme == "s3"):
        message = "A password or key never stands in an address, where everybody reads it: put it into the environment."
        raise FaultyLocationError(message)
    if parts.query or parts.fragment:
        raise FaultyLocationError(f"An address has nothing behind ? or #. Write {EXAMPLES}.")
    path = unquote(parts.path)
    if parts.scheme == "file" and not parts.netloc:
        return _folder(path)
    if parts.scheme == "s3" and parts.hostname and port is None:
        return Location(Kind.S3, posixpath.normpath(parts.netloc + path))
    if parts.scheme == "sftp" and parts.hostname and path:
        return Location(Kind.SFTP, posixpath.normpath(path), parts.hostname, port or 22, unquote(parts.username or ""))
    raise FaultyLocationError(f"Nothing can be picked up from {text}. Write {EXAMPLES}.")


def _folder(path: str) -> Location:
    if not path:
        raise FaultyLocationError(f"There is no location. Write {EXAMPLES}.")
    if not path.startswith("/"):
        raise FaultyLocationError(f"A folder is written from the root, unlike {path}. Write {EXAMPLES}.")
    return Location(Kind.FOLDER, posixpath.normpath(path))


def is_credentials_name(name: str) -> bool:
    return bool(_CREDENTIALS.fullmatch(name))


def is_finished(name: str) -> bool:
    """Whether a file's name is not one of those that stand for a file being written."""
    return not name.startswith(".") and not name.lower().endswith(UNFINISHED)
