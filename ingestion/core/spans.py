"""What the headers of an upload say: which bytes of its file come, and which digest they have."""

import base64
import binascii
import re
from typing import NamedTuple

MAX_NAME_CHARS = 200
_RANGE = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})", re.ASCII)
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([^:]*):")
_HEX = re.compile(r"[0-9A-Fa-f]{64}")


class FaultyHeaderError(ValueError):
    """A header that cannot be read; its text says what is wrong and what to send."""


class Span(NamedTuple):
    """The bytes [start, end) of a file of `total` bytes; none at all where start is end."""

    start: int
    end: int
    total: int


def span_of(content_range: str, byte_count: int) -> Span:
    """Which bytes a request brings. Raises FaultyHeaderError.

    content_range: the header; empty: the whole file. byte_count: of the body. Who brings none says that all are there:
    his stand behind the last.
    """
    if not content_range:
        return Span(0, byte_count, byte_count)
    found = _RANGE.fullmatch(content_range.strip())
    if found is None:
        raise FaultyHeaderError("Content-Range is “bytes first-last/total”, or “bytes */total” with an empty body.")
    total = int(found[3])
    if found[1] is None:
        if byte_count:
            raise FaultyHeaderError("“bytes */total” says that no bytes come, but the body has some.")
        return Span(total, total, total)
    start, end = int(found[1]), int(found[2]) + 1
    if not start < end <= total:
        raise FaultyHeaderError(f"There are no bytes {start}-{end - 1} in a file of {total:,}.")
    if end - start != byte_count:
        raise FaultyHeaderError(f"Content-Range names {end - start:,} bytes, but the body has {byte_count:,}.")
    return Span(start, end, total)


def sha256_of(digest: str, name: str) -> str:
    """The SHA-256 that a digest field (RFC 9530) gives, in hex; empty where there is none. Raises FaultyHeaderError."""
    if not digest:
        return ""
    found = _DIGEST.search(digest)
    try:
        value = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        value = b""
    if len(value) != 32:
        raise FaultyHeaderError(f"{name} is “sha-256=:…:”, with the 32 bytes of the digest in base 64.")
    return value.hex()


def hex_sha256(text: str, name: str) -> str:
    """A SHA-256 in hex as it is compared here; empty where there is none. Raises FaultyHeaderError."""
    if text and not _HEX.fullmatch(text):
        raise FaultyHeaderError(f"{name} is the SHA-256 of the whole file: 64 digits in hex.")
    return text.lower()


def is_file_name(name: str) -> bool:
    """Whether a file can be called so: 1 to 200 characters that can be seen, and no way to another folder."""
    return 1 <= len(name) <= MAX_NAME_CHARS and name.isprintable() and name not in (".", "..") and "\\" not in name
