"""Opening zip archives without trusting what they say of themselves."""

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

END, END_BYTES = b"PK\x05\x06", 22
LOCATOR, LOCATOR_BYTES = b"PK\x06\x07", 20
END_64_BYTES = 56
MAX_DIRECTORY_BYTES = 2 << 20  # some 20,000 members; each costs ten times its place in memory
MAX_COMMENT = 0xFFFF
# What the library raises of names, places and content that cannot be.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
    IndexError,
    OverflowError,
    struct.error,
    OSError,
)


class ZipRefusedError(ValueError):
    """An archive that is not opened. `code` for machines; the message says what is wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def refusing_what_is_broken() -> Iterator[None]:
    """Turns whatever the library says of a damaged archive into a refusal for people."""
    try:
        yield
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # a full disk, say: no fault of the file
        raise ZipRefusedError("broken_archive", f"The zip file is damaged: {error}. Send it again.") from None


def open_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """The archive that fills `stream`, which can seek. Raises ZipRefusedError."""
    _check_end(stream)
    with refusing_what_is_broken():
        try:
            archive = zipfile.ZipFile(stream)
        except ValueError as error:  # places and names that cannot be
            raise zipfile.BadZipFile(str(error)) from None
    if min((member.header_offset for member in archive.infolist()), default=0) != 0:
        raise ZipRefusedError("trailing_bytes", "The zip file does not begin where its file does. Send it again.")
    return archive


def _check_end(stream: BinaryIO) -> None:
    """Refuse an archive with something behind its end, and one whose list of members fills the memory."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - MAX_COMMENT - END_BYTES - LOCATOR_BYTES - END_64_BYTES))
    tail = stream.read()
    place = tail.rfind(END)
    if place < 0 or len(tail) < place + END_BYTES:
        raise ZipRefusedError("truncated", "The zip file ends in the middle. Send it again once it is whole.")
    end = tail[place : place + END_BYTES]
    if place + END_BYTES + int.from_bytes(end[20:], "little") != len(tail):
        raise ZipRefusedError("trailing_bytes", "Something follows the end of the zip file. Send it again.")
    directory = int.from_bytes(end[12:16], "little")
    if tail[max(0, place - LOCATOR_BYTES) :].startswith(LOCATOR):
        large = tail[max(0, place - LOCATOR_BYTES - END_64_BYTES) : place]
        directory = int.from_bytes(large[40:48], "little")
    if directory > MAX_DIRECTORY_BYTES:
        raise ZipRefusedError("members", "The zip file holds too many files to be usage.")


def check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse a member that is locked, packed in a rare way, or lies where it cannot. Raises ZipRefusedError."""
    if member.flag_bits & 0x1:
        raise ZipRefusedError("encrypted", "The zip file has a password. Send it without.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ZipRefusedError("unknown_packing", "The zip file uses a rare method. Pack it with deflate.")
    if member.header_offset + member.compress_size > archive.start_dir:
        raise ZipRefusedError("broken_archive", "The zip file is damaged: a file in it reaches beyond its place.")
