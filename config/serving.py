"""The web server's workers: what never becomes a request, since it cannot be read, is refused as a problem too."""

import json
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

CODES = {414: "address_too_long", 417: "expectation_failed", 431: "headers_too_long", 500: "internal_error"}
DETAILS = {
    "address_too_long": "The address is longer than is read here.",
    "expectation_failed": "Nothing but 100-continue may be expected.",
    "headers_too_long": "The headers are longer, or more, than are read here.",
    "internal_error": "We failed, and it is logged. Nothing is half done.",
    "bad_request": "The request cannot be read.",
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's, but that machines are not told in HTML."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        super().handle_error(req, Plain(client), addr, exc)


class Plain:
    """A sender's socket that turns gunicorn's page, which begins with the status, into a problem."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, page: bytes) -> None:
        self._client.sendall(as_problem(page))


def as_problem(page: bytes) -> bytes:
    """The same status, told by RFC 9457."""
    line = page.partition(b"\r\n")[0].decode("latin-1")
    status = int(line.split(" ")[1])
    code = CODES.get(status, "bad_request")
    fault = {"code": code, "detail": DETAILS[code]}
    told = {"type": "about:blank", "status": status, **fault, "errors": [{"pointer": "", **fault}]}
    body = json.dumps(told).encode()
    head = (
        f"{line}\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body
