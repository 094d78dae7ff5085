"""Packed files: told by their first bytes, unpacked as a stream, and bounded before and while they are.

A file is unpacked once and whole. What is nested, cut off, followed by something, or larger than the bounds is refused.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Protocol

from backports import zstd

from mediation.core.reading.zips import ZipRefusedError, check_member, open_zip, refusing_what_is_broken

READ_BYTES = 1 << 16
STEP_BYTES = 1 << 20  # unpacked at a time
FREE_BYTES = 1 << 20  # unpacked before the ratio counts: a small file may well be one sign repeated
MAX_MEMBERS = 10_000  # gzip members or Zstandard frames that may follow each other
ZSTD_WINDOW_LOG = 27  # 128 MiB, what `zstd --long` makes
BODY_WINDOW_LOG = 24  # 16 MiB: over HTTP 8 MiB is all that a sender may count on (RFC 9659), and no body is larger
OFFICE_MARK = "[Content_Types].xml"  # what makes a zip an office document, such as XLSX

GZ, ZIP, ZST = "gz", "zip", "zst"
MAGIC = {b"\x1f\x8b": GZ, b"PK\x03\x04": ZIP, b"PK\x05\x06": ZIP, b"PK\x07\x08": ZIP, b"\x28\xb5\x2f\xfd": ZST}
OTHER_MAGIC = {
    b"\xfd7zXZ\x00": "xz",
    b"BZh91AY&SY": "bzip2",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
    b"\x04\x22\x4d\x18": "LZ4",
}
MAGIC_BYTES = 10


@dataclass(frozen=True)
class Limits:
    """How large a file may become: bytes in all, and bytes for each packed byte once it is past the first MiB.

    window_log: of the memory that Zstandard may ask for, as a power of two.
    """

    unpacked_bytes: int = 4 << 30
    ratio: int = 100
    window_log: int = ZSTD_WINDOW_LOG


class UnpackError(ValueError):
    """A packed file that is not unpacked. `code` for machines names the bound or rule, the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def kind_of(head: bytes) -> str | None:
    """How a file is packed, by its first bytes; None where it is not."""
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:  # a frame that Zstandard readers skip
        return ZST
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)


def unpack(stream: BinaryIO, spool: BinaryIO, limits: Limits | None = None) -> str | None:
    """Write what `stream` unpacks to into `spool`, and return how it was packed: gz, zip or zst.

    Returns None, having written nothing, where the file is not packed or is an office document. stream: seekable, read
    from its start; both are left at their start. Raises UnpackError; what `spool` holds is then to be thrown away.
    """
    limits = limits or Limits()
    stream.seek(0)
    head = stream.read(MAGIC_BYTES)
    stream.seek(0)
    kind = kind_of(head)
    if kind is None:
        if other := _other_archive(head):
            raise UnpackError("unknown_packing", f"The file is packed as {other}. Pack it as gz, zip or zst.")
        return None
    with _refusing(kind):
        if kind == ZIP and _is_office(stream):
            stream.seek(0)
            return None
        sink = _Sink(spool, limits)
        {GZ: _unpack_gz, ZIP: _unpack_zip, ZST: _unpack_zst}[kind](stream, sink)
    spool.seek(0)
    _refuse_nested(spool, sink)
    stream.seek(0)
    spool.seek(0)
    return kind


def unpack_sample(content: bytes, most: int) -> bytes:
    """What a sample in memory unpacks to, at most `most` bytes; itself where it is not packed. Raises UnpackError."""
    if len(content) > most:
        if kind_of(content):
            message = (
                f"A packed sample or a workbook may have {most:,} bytes; this one has more. Give fewer of its rows."
            )
            raise UnpackError("unpacked_bytes", message)
        return content
    spool = BytesIO()
    try:
        kind = unpack(BytesIO(content), spool, Limits(unpacked_bytes=most))
    except UnpackError as refusal:
        if refusal.code != "unpacked_bytes":
            raise
        message = f"Unpacked, the sample is larger than {most:,} bytes. Give fewer of its rows."
        raise UnpackError(refusal.code, message) from None
    return spool.getvalue() if kind else content


def unpack_body(content: bytes, kind: str, most: int) -> bytes:
    """What the body of a request unpacks to, at most `most` bytes. kind: gz or zst. Raises UnpackError."""
    if kind_of(content[:MAGIC_BYTES]) != kind:
        raise UnpackError("not_packed", f"The body is not packed as {kind}, as its Content-Encoding says.")
    spool = BytesIO()
    unpack(BytesIO(content), spool, Limits(unpacked_bytes=most, window_log=BODY_WINDOW_LOG))
    return spool.getvalue()


@contextmanager
def _refusing(kind: str) -> Iterator[None]:
    """Turns what the libraries say of a broken archive into a refusal for people."""
    try:
        with refusing_what_is_broken() if kind == ZIP else nullcontext():
            yield
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise UnpackError("broken_archive", f"The {kind} file is damaged: {error}. Send it again.") from None
    except ZipRefusedError as error:
        raise UnpackError(error.code, str(error)) from None


class _Sink:
    """Takes unpacked bytes as long as they stay within the bounds."""

    def __init__(self, spool: BinaryIO, limits: Limits) -> None:
        self.spool, self.limits = spool, limits
        self.packed = self.unpacked = 0

    def promise(self, unpacked: int, packed: int) -> None:
        """Refuse, before anything is unpacked, what a file says that it will become."""
        self._check(unpacked, packed)

    def write(self, content: bytes) -> None:
        self.unpacked += len(content)
        self._check(self.unpacked, self.packed)
        self.spool.write(content)

    def _check(self, unpacked: int, packed: int) -> None:
        if unpacked > self.limits.unpacked_bytes:
            most = self.limits.unpacked_bytes
            raise UnpackError("unpacked_bytes", f"Unpacked, the file is larger than {most:,} bytes. Send it in parts.")
        if unpacked > FREE_BYTES + self.limits.ratio * packed:
            ratio = self.limits.ratio
            message = f"The file unpacks to more than {ratio} times its size, as a bomb does. Send it unpacked."
            raise UnpackError("ratio", message)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(READ_BYTES):
        yield block


class _Decompressor(Protocol):
    """What gzip members and Zstandard frames have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def step(self, content: bytes) -> bytes: ...
    @property
    def is_hungry(self) -> bool: ...


class _GzMember:
    def __init__(self) -> None:
        self.inner = zlib.decompressobj(wbits=31)
        self.is_hungry = True

    @property
    def eof(self) -> bool:
        return self.inner.eof

    @property
    def unused_data(self) -> bytes:
        return self.inner.unused_data

    def step(self, content: bytes) -> bytes:
        unpacked = self.inner.decompress(self.inner.unconsumed_tail + content, STEP_BYTES)
        # A full step may have left something inside, even where all that came was taken.
        self.is_hungry = not self.inner.unconsumed_tail and len(unpacked) < STEP_BYTES
        return unpacked


class _ZstFrame:
    def __init__(self, window_log: int) -> None:
        self.inner = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})

    @property
    def eof(self) -> bool:
        return self.inner.eof

    @property
    def unused_data(self) -> bytes:
        return self.inner.unused_data

    @property
    def is_hungry(self) -> bool:
        return self.inner.needs_input

    def step(self, content: bytes) -> bytes:
        return self.inner.decompress(content, STEP_BYTES)


def _unpack_gz(stream: BinaryIO, sink: _Sink) -> None:
    _unpack_members(stream, sink, GZ, _GzMember)


def _unpack_zst(stream: BinaryIO, sink: _Sink) -> None:
    try:
        size = zstd.get_frame_info(stream.read(18)).decompressed_size
    except zstd.ZstdError:
        size = None  # a frame to skip, or a broken one: what comes will say
    packed = stream.seek(0, 2)
    stream.seek(0)
    if size is not None:
        sink.promise(size, packed)
    _unpack_members(stream, sink, ZST, lambda: _ZstFrame(sink.limits.window_log))


def _unpack_members(stream: BinaryIO, sink: _Sink, kind: str, start: Callable[[], _Decompressor]) -> None:
    """Unpack members that follow each other to the file's end, as both formats allow."""
    member, count, is_open = start(), 1, False
    for block in _blocks(stream):
        sink.packed += len(block)
        while block or not member.is_hungry:
            if block and not is_open and not _starts_member(block, kind):
                raise UnpackError("trailing_bytes", f"Something follows the end of the {kind} file. Send it again.")
            sink.write(member.step(block))
            is_open, block = True, b""
            if not member.eof:
                continue
            block = member.unused_data
            member, count, is_open = start(), count + 1, False
            if count > MAX_MEMBERS + 1:
                raise UnpackError("members", f"The file holds more than {MAX_MEMBERS:,} {kind} members one by one.")
    if is_open:
        raise UnpackError("truncated", f"The {kind} file ends in the middle. Send it again once it is whole.")


def _starts_member(block: bytes, kind: str) -> bool:
    """Whether bytes start a member, as far as a block that ends early can tell."""
    is_cut = len(block) < 4 and any(magic.startswith(block) for magic, one in MAGIC.items() if one == kind)
    return is_cut or kind_of(block) == kind


def _is_office(stream: BinaryIO) -> bool:
    return OFFICE_MARK in open_zip(stream).namelist()


def _unpack_zip(stream: BinaryIO, sink: _Sink) -> None:
    archive = open_zip(stream)
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    if len(members) != 1:
        found = ", ".join(repr(member.filename[:60]) for member in members[:5]) or "none"
        raise UnpackError("members", f"The zip file must hold exactly one file; it holds {len(members):,}: {found}.")
    member = members[0]
    check_member(archive, member)
    sink.promise(member.file_size, member.compress_size)
    sink.packed = member.compress_size
    with archive.open(member) as unpacked:
        while block := unpacked.read(STEP_BYTES):
            sink.write(block)
    if sink.unpacked != member.file_size:
        raise UnpackError("truncated", "The zip file holds less than it says. Send it again once it is whole.")


def _refuse_nested(spool: BinaryIO, sink: _Sink) -> None:
    head = spool.read(MAGIC_BYTES)
    kind = kind_of(head)
    if kind == ZIP:
        with _refusing(ZIP):
            if _is_office(spool):
                return
    if nested := kind or _other_archive(head):
        raise UnpackError("nested", f"The file is packed twice: in it is another {nested} file. Pack it once.")


def _other_archive(head: bytes) -> str | None:
    return next((name for magic, name in OTHER_MAGIC.items() if head.startswith(magic)), None)
