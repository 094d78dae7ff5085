"""The body of a submission as its headers call it: in which shape it comes, and how it is packed."""

from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from rest_framework import status as http
from rest_framework.request import Request

from ingestion import services
from ingestion.core.bodies import MEDIA_TYPES, Shape
from ingestion.models import Feed
from mediation.api import Problem
from mediation.core.reading import unpacking
from mediation.core.reading.unpacking import GZ, ZST, UnpackError, unpack_body

KINDS = {"gzip": GZ, "x-gzip": GZ, "zstd": ZST}
ENCODINGS = "gzip, zstd"
TOO_LARGE = ("unpacked_bytes", "ratio")  # what UnpackError says of a bomb
SHOWN_CHARS = 100  # of what a sender calls his body


def shape_of(
    request: Request, feed: Feed, shapes: frozenset[Shape], also_called: Mapping[str, Shape]
) -> tuple[Shape, str | None]:
    """The shape and the charset that a request's Content-Type names.

    shapes: what is taken at this door. also_called: by which types beside its own; empty: without any.

    Raises Problem 415.
    """
    sent = request._request
    called = (sent.content_type or "").lower()
    shape = MEDIA_TYPES.get(called) or also_called.get(called)
    if shape is None or shape not in shapes:
        sent_as = f"as {sent.content_type[:SHOWN_CHARS]!r}" if sent.content_type else "without a type"
        raise unsupported(f"A body is not taken {sent_as}.", feed, shapes)
    return shape, (sent.content_params or {}).get("charset")


def unsupported(why: str, feed: Feed, shapes: frozenset[Shape]) -> Problem:
    """415, with what the feed reads instead."""
    read = [name for name in services.media_types_read(feed) if MEDIA_TYPES[name] in shapes]
    detail = f"{why} This feed reads {', '.join(read)}."
    headers = {"Accept-Post": ", ".join(read)}
    return Problem(http.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail, headers=headers)


def body_of(request: HttpRequest) -> bytes:
    """The body, unpacked, and never more than a request may have. Raises Problem 400, 413 or 415."""
    coding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding not in ("", "identity", *KINDS):
        detail = f"A body is not taken packed as {coding[:50]!r}. Pack it as gzip or zstd, or not at all."
        headers = {"Accept-Encoding": ENCODINGS}
        raise Problem(http.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail, headers=headers)
    content = _content(request)
    return _unpacked(content, coding) if coding in KINDS else content


def _content(request: HttpRequest) -> bytes:
    """The body as it comes, also in pieces whose sum nobody said before."""
    if "chunked" not in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        return request.body
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    content: bytes = request.META["wsgi.input"].read(most + 1)
    if len(content) > most:
        raise RequestDataTooBig
    return content


def _unpacked(content: bytes, coding: str) -> bytes:
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    try:
        return unpack_body(content, KINDS[coding], most)
    except UnpackError as error:
        if error.code in TOO_LARGE:
            detail = f"Unpacked, a body may have {most:,} bytes, and 100 times what it was packed. Send less at once."
            raise Problem(http.HTTP_413_REQUEST_ENTITY_TOO_LARGE, "too_large", detail) from None
        if error.code == "members":
            detail = f"The body holds more than {unpacking.MAX_MEMBERS:,} {coding} members one by one. Pack it as one."
            raise Problem(http.HTTP_413_REQUEST_ENTITY_TOO_LARGE, "too_large", detail) from None
        detail = f"The body is not what its Content-Encoding says. {error}"
        raise Problem(http.HTTP_400_BAD_REQUEST, "bad_encoding", detail) from None
