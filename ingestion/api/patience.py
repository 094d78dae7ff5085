"""Reading a body from a sender who may be slow, or gone: he is waited for, but not for ever."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

from django.http import HttpRequest

STALLED_SECONDS = 30  # without a single byte
GRACE_SECONDS = 30
SLOWEST = 64 << 10  # bytes a second, beyond the grace
BLOCK_BYTES = 64 << 10
LINGER_SECONDS = 0.5
LINGER_BYTES = 512 << 10


def read_bytes(request: HttpRequest, count: int) -> bytes:
    """The next `count` bytes of a body; fewer where its sender hangs up, stalls, or takes far too long for them.

    The server reads until it has what was asked for, so that somebody who sends a byte every few seconds would hold
    its thread for hours: a timer ends that read.
    """
    piece = bytearray()
    with suppress(OSError), _patience(request.META.get("gunicorn.socket"), count):
        while len(piece) < count and (block := request.read(min(BLOCK_BYTES, count - len(piece)))):
            piece += block
    return bytes(piece)


def turn_away(request: HttpRequest) -> None:
    """After a refusal, hear a body out that is nearly over, so that its connection can go on; break off any other.

    The server itself would go on reading for seconds, in a thread that others wait for.
    """
    connection = request.META.get("gunicorn.socket")
    if connection is None:
        return
    timer = Timer(LINGER_SECONDS, _end_reading, [connection])
    timer.daemon = True
    timer.start()
    left = LINGER_BYTES
    with suppress(OSError):
        while left > 0 and (block := request.read(BLOCK_BYTES)):
            left -= len(block)
    timer.cancel()
    if left <= 0:
        _end_reading(connection)


@contextmanager
def _patience(connection: socket.socket | None, count: int) -> Iterator[None]:
    """For as long as `count` bytes may take. connection: None where the server does not show it."""
    if connection is None:
        yield
        return
    timer = Timer(GRACE_SECONDS + count / SLOWEST, _end_reading, [connection])
    timer.daemon = True
    before = connection.gettimeout()
    connection.settimeout(STALLED_SECONDS)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.settimeout(before)


def _end_reading(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
