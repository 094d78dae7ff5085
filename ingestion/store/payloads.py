"""Files as bytes: payloads kept under their content hash, read in blocks and in parts."""

import hashlib
from collections.abc import Iterator
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection

from ingestion.models import (
    UsageImport,
)

BLOCK_BYTES = 8 << 20


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The bytes of an open file in blocks."""
    while block := stream.read(BLOCK_BYTES):
        yield block


def payload_blocks(usage_import: UsageImport) -> Iterator[bytes]:
    """The bytes of an import's file in blocks."""
    with _open_payload(usage_import) as stream:
        yield from blocks_of(stream)


def _open_payload(usage_import: UsageImport) -> Any:
    return default_storage.open(str(usage_import.unpacked.name or usage_import.payload.name))


def payload_start(usage_import: UsageImport, most_bytes: int) -> bytes:
    """The first bytes of an import's file, unpacked where it came packed."""
    with _open_payload(usage_import) as stream:
        start: bytes = stream.read(most_bytes)
    return start


def open_original(usage_import: UsageImport) -> Any:
    """The file as received, however it is packed."""
    return default_storage.open(str(usage_import.payload.name))


def keep_file(spool: IO[bytes], content_hash: str, byte_size: int) -> str:
    """Store a file under the hash of its content, once for the same bytes; returns its name.

    To be called in a transaction: until it ends, nobody else stores the same bytes. Whoever found them half written
    would take them for the remains of a crash, and write over them.
    """
    name = f"{content_hash[:2]}/{content_hash}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"file:{content_hash}"])
    if default_storage.exists(name):
        if default_storage.size(name) == byte_size:
            return name
        # A crash cut an earlier writing short; no import row can know that file.
        default_storage.delete(name)
    spool.seek(0)
    return default_storage.save(name, File(spool))


def hash_of(stream: Any) -> tuple[str, int]:
    """The SHA-256 of what a seekable file holds, and its length."""
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256")
    # Not where the digest left off: bytes in memory are digested without being read through.
    return digest.hexdigest(), stream.seek(0, 2)


def payload_part(usage_import: UsageImport, start: int, end: int) -> bytes:
    """The bytes [start, end) of an import's file. Raises EOFError where the file is shorter than it was."""
    with _open_payload(usage_import) as stream:
        stream.seek(start)
        content: bytes = stream.read(end - start)
    if len(content) != end - start:
        raise EOFError(f"{usage_import.payload.name} ends before byte {end:,}: the stored file was changed")
    return content
