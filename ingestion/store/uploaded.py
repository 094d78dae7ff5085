"""Parts of uploads as files, and all of them read as the one file that they make."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID, uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import Error, connection

FOLDER = "uploads"


def keep_upload_part(token: UUID, byte_start: int, content: bytes) -> str:
    """Store some bytes of an upload; returns the name of their file, which no other part ever has."""
    return default_storage.save(f"{FOLDER}/{token}/{byte_start}-{uuid4().hex}", ContentFile(content))


def delete_stored(names: Iterable[str]) -> None:
    for name in names:
        default_storage.delete(name)


def delete_upload_folder(token: UUID) -> None:
    """Delete every part of an upload, those too that a crash kept from being entered."""
    folder = f"{FOLDER}/{token}"
    with suppress(FileNotFoundError):
        _, names = default_storage.listdir(folder)
        delete_stored(f"{folder}/{name}" for name in names)
    # An empty folder is left where folders exist at all.
    with suppress(OSError, NotImplementedError):
        default_storage.delete(folder)


def upload_tokens() -> list[UUID]:
    """The uploads that have a folder; what else lies beside them, such as `lost+found`, is nobody's upload."""
    try:
        folders, _ = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return []
    return [token for name in folders if (token := _token_of(name))]


def _token_of(name: str) -> UUID | None:
    try:
        token = UUID(name)
    except ValueError:
        return None
    return token if str(token) == name else None


@contextmanager
def being_at(name: str) -> Iterator[None]:
    """Let others know that somebody is at this, as long as it takes or our session lives: see `is_somebody_at`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", [name])
    try:
        yield
    finally:
        # Whoever lost his session is not at it any more.
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_shared(hashtextextended(%s, 0))", [name])


def is_somebody_at(name: str) -> bool:
    """Whether a session, our own too, is `being_at` this."""
    with connection.cursor() as cursor:
        cursor.execute(IS_SOMEBODY_AT, [name])
        return bool(cursor.fetchone()[0])


# A lock of one bigint is shown by its two halves.
IS_SOMEBODY_AT = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ((classid::bigint << 32) | objid::bigint) = hashtextextended(%s, 0))
"""


class Joined(io.RawIOBase):
    """Stored files as one, read once from its start to its end; one of them is open at a time.

    One that is not there has no bytes: whoever counts them finds it out.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._blocks = self._read_all(names)
        self._rest = b""

    @staticmethod
    def _read_all(names: Iterable[str]) -> Iterator[bytes]:
        for name in names:
            with suppress(FileNotFoundError), default_storage.open(name) as part:
                while block := part.read(1 << 20):
                    yield block

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        block = self._rest or next(self._blocks, b"")
        count = min(len(block), len(view))
        view[:count] = block[:count]
        self._rest = block[count:]
        return count
