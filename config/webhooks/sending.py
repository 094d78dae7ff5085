"""One request to one webhook: to the address that was checked, in ten seconds, following nothing."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.webhooks.addresses import Network, Target, UnableToReach, resolve

TIMEOUT_SECONDS = 10.0
KEPT_CHARACTERS = 1_000
GONE = 410


@dataclass(frozen=True)
class Answer:
    """What came back. status: None where nothing did, then `error` says why."""

    status: int | None
    text: str
    error: str
    milliseconds: int

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(
    url: str, body: str, headers: Mapping[str, str], *, allowed: Sequence[Network], timeout: float = TIMEOUT_SECONDS
) -> Answer:
    """Send a body of JSON; whatever happens is in the answer. A redirect is an answer, never followed."""
    began = time.monotonic()
    status, text, error = None, "", ""
    try:
        target = resolve(url, allowed)
        status, text = _exchange(target, body, headers, began + timeout)
    except UnableToReach as refusal:
        error = str(refusal)
    except (OSError, http.client.HTTPException, ValueError) as fault:
        is_late = time.monotonic() - began >= timeout
        error = f"no answer within {timeout:g} s" if is_late else f"{type(fault).__name__}: {fault}"
    if status is not None and 300 <= status < 400:
        error = "a redirect, which is not followed"
    return Answer(status, _kept(text), _kept(error), int((time.monotonic() - began) * 1000))


def _kept(text: str) -> str:
    return text[:KEPT_CHARACTERS].replace("\0", "␀")


def _exchange(target: Target, body: str, headers: Mapping[str, str], until: float) -> tuple[int, str]:
    plain = socket.create_connection((target.addresses[0], target.port), timeout=_left(until))
    # Time-outs of sockets count from each byte; this one counts from the beginning.
    watched = plain.dup()
    watchdog = threading.Timer(_left(until), _cut_off, [watched])
    watchdog.daemon = True
    watchdog.start()
    try:
        with _secured(plain, target, until) as connected:
            channel = http.client.HTTPConnection(target.host, target.port)
            channel.sock = connected
            told = {"Host": target.host_header, "User-Agent": "Sluice", "Content-Type": "application/json", **headers}
            channel.request("POST", target.path, body.encode(), told)
            response = channel.getresponse()
            return response.status, response.read(4 * KEPT_CHARACTERS).decode("utf-8", "replace")
    finally:
        watchdog.cancel()
        watched.close()


def _secured(plain: socket.socket, target: Target, until: float) -> socket.socket:
    if target.scheme == "http":
        return plain
    plain.settimeout(_left(until))
    return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.001)


def _cut_off(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself
