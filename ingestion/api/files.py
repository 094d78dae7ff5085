"""`PUT feeds/{feed}/files/{name}`: a file of any size, at once or in parts, and how far it has come."""

import hashlib
from threading import BoundedSemaphore
from typing import Any, NoReturn, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import selectors, services
from ingestion.api.gates import BACKLOG
from ingestion.api.patience import read_bytes, turn_away
from ingestion.api.schemas import BYTES_HERE, FILE_CODES, FILE_HEADERS, FILE_NAME, FILE_TAKEN, FILE_UNDER_WAY
from ingestion.api.seeing import seen_feed
from ingestion.core.spans import FaultyHeaderError, Span, hex_sha256, is_file_name, sha256_of, span_of
from ingestion.models import Feed, FileUpload, UsageImport
from mediation.api import Problem
from mediation.api.describing import FEED, describe

# What is held in memory, and what is lost of a body at most when its sender breaks off between two parts.
PART_BYTES = 4 << 20
MAX_LENGTH_DIGITS = 15
# In each web process, which has three threads or more: whoever sends slowly leaves the others theirs.
MOST_SENDERS = 1
BUSY_SECONDS = 5

STATUS_OF = {
    "too_large": http.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    "empty_file": http.HTTP_400_BAD_REQUEST,
    "not_the_next_bytes": http.HTTP_416_REQUESTED_RANGE_NOT_SATISFIABLE,
    "digest_mismatch": http.HTTP_422_UNPROCESSABLE_ENTITY,
    "no_upload": http.HTTP_404_NOT_FOUND,
}
_senders = BoundedSemaphore(MOST_SENDERS)


class FileOfFeed(APIView):
    """A file by its name: PUT sends it, or the next bytes of it; GET and HEAD say how far it is; DELETE gives it up."""

    def handle_exception(self, exc: Exception) -> Response:
        answer = super().handle_exception(exc)
        turn_away(self.request._request)
        return answer

    @describe(
        "See how far a file is",
        parameters=[FEED, FILE_NAME, BYTES_HERE],
        responses={200: {"oneOf": [FILE_UNDER_WAY, FILE_TAKEN]}},
        refuses=("unknown_feed", "bad_file_name", "no_upload"),
    )
    def get(self, request: Request, feed: str, name: str) -> Response:
        """How much of it is here; once it is whole, the import that it became. HEAD answers the same in its headers."""
        found, upload = self._asked(request, feed, name)
        if upload is not None:
            return Response(_told(upload), headers=_came(upload.received_size))
        taken = selectors.file_taken(found, name, cast(User, request.user))
        if taken is None:
            _refuse_unknown(name)
        return Response(
            _document(request, taken) | {"status": "taken"}, headers={"X-Content-SHA256": taken.content_hash}
        )

    @describe(
        "Give up a file",
        parameters=[FEED, FILE_NAME],
        request=None,
        responses={204: None},
        refuses=("unknown_feed", "bad_file_name", "no_upload", "upload_busy"),
    )
    def delete(self, request: Request, feed: str, name: str) -> Response:
        """Forget what came of a file that is not whole; refused while another request sends bytes of it."""
        found, _ = self._asked(request, feed, name)
        try:
            services.give_up_upload(feed=found, file_name=name, by=cast(User, request.user), now=timezone.now())
        except services.UnableToUpload as refusal:
            raise _problem(refusal) from None
        return Response(status=http.HTTP_204_NO_CONTENT)

    @describe(
        "Send a file",
        parameters=[FEED, FILE_NAME, *FILE_HEADERS, BYTES_HERE],
        request={"application/octet-stream": {"type": "string", "format": "binary"}},
        responses={202: FILE_TAKEN, 200: FILE_TAKEN, 204: None},
        refuses=FILE_CODES,
    )
    def put(self, request: Request, feed: str, name: str) -> Response:
        """Take a file, or the next bytes of it. 202 once it is whole and an import, 204 while bytes are missing."""
        found, _ = self._asked(request, feed, name)
        BACKLOG.require_low(timezone.now())
        headers = _Headers(request)
        if not _senders.acquire(blocking=False):
            detail = "As many files are being sent as are taken at once. Send it again in a few seconds."
            retry = {"Retry-After": str(BUSY_SECONDS)}
            raise Problem(http.HTTP_503_SERVICE_UNAVAILABLE, "uploads_busy", detail, headers=retry)
        try:
            return self._take(request, found, name, headers)
        except services.UnableToUpload as refusal:
            raise _problem(refusal) from None
        except services.UnableToReceive as refusal:
            raise _refusal(request, refusal) from None
        finally:
            _senders.release()

    def _asked(self, request: Request, feed: str, name: str) -> tuple[Feed, FileUpload | None]:
        if not request.user.has_perm("ingestion.add_usageimport"):
            self.permission_denied(request)
        found = seen_feed(feed, request.user)
        if not is_file_name(name):
            detail = "A file's name has 1 to 200 characters that can be seen, none of them / or \\."
            raise Problem(http.HTTP_400_BAD_REQUEST, "bad_file_name", detail)
        return found, selectors.upload_of(found, name, cast(User, request.user)).first()

    def _take(self, request: Request, feed: Feed, name: str, headers: "_Headers") -> Response:
        with services.hold_upload(
            feed=feed,
            file_name=name,
            span=headers.span,
            content_hash=headers.file_hash,
            by=cast(User, request.user),
            now=timezone.now(),
            most_bytes=settings.MAX_FILE_BYTES,
        ) as upload:
            _keep_body(request, upload, headers)
            if upload.received_size < upload.total_size:
                return Response(status=http.HTTP_204_NO_CONTENT, headers=_came(upload.received_size))
            usage_import, is_repeat = services.finish_upload(upload=upload, now=timezone.now())
        status = http.HTTP_200_OK if is_repeat else http.HTTP_202_ACCEPTED
        return Response(_document(request, usage_import), status=status)


class _Headers:
    """What the headers of a PUT say, each looked at before a byte of the body is."""

    span: Span
    file_hash: str  # of the whole file
    part_hash: str  # of this body alone, where it is a part

    def __init__(self, request: Request) -> None:
        headers = request.headers
        if headers.get("Content-Encoding", "identity") != "identity":
            detail = "Send the file as it is, packed or not, without Content-Encoding: it is unpacked when it is read."
            raise Problem(http.HTTP_415_UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail)
        # Without either header there is no body.
        length = headers.get("Content-Length") or ("" if headers.get("Transfer-Encoding") else "0")
        if not (length.isascii() and length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS):
            detail = "Say in Content-Length how long the body is; one of unknown length cannot be resumed."
            raise Problem(http.HTTP_411_LENGTH_REQUIRED, "length_required", detail)
        try:
            content_range = headers.get("Content-Range", "")
            self.span = span_of(content_range, int(length))
            body_hash = sha256_of(headers.get("Content-Digest", ""), "Content-Digest")
            self.file_hash = sha256_of(headers.get("Repr-Digest", ""), "Repr-Digest")
            self.file_hash = self.file_hash or hex_sha256(headers.get("X-Content-SHA256", ""), "X-Content-SHA256")
        except FaultyHeaderError as error:
            raise Problem(http.HTTP_400_BAD_REQUEST, "bad_header", str(error)) from None
        self.part_hash = body_hash if content_range else ""
        if not content_range:
            self.file_hash = self.file_hash or body_hash


def _keep_body(request: Request, upload: FileUpload, headers: _Headers) -> None:
    """Keep what comes, part by part. What cannot be checked against its digest as it came is taken back."""
    start, digest = upload.received_size, hashlib.sha256()
    while upload.received_size < headers.span.end:
        wanted = min(PART_BYTES, headers.span.end - upload.received_size)
        piece = read_bytes(request._request, wanted)
        if piece:
            digest.update(piece)
            services.keep_bytes(upload=upload, content=piece, now=timezone.now())
        if len(piece) < wanted:
            if headers.part_hash:
                services.drop_bytes(upload=upload, start=start)
            _refuse_short(upload)
    if headers.part_hash not in ("", digest.hexdigest()):
        services.drop_bytes(upload=upload, start=start)
        detail = f"The body has SHA-256 {digest.hexdigest()}, not {headers.part_hash}: send these bytes again."
        raise _problem(services.UnableToUpload("digest_mismatch", detail, received_size=start))


def _refuse_short(upload: FileUpload) -> NoReturn:
    detail = f"The body ended early, or came too slowly. Go on with byte {upload.received_size}."
    raise Problem(
        http.HTTP_408_REQUEST_TIMEOUT, "incomplete_body", detail, headers=_came(upload.received_size)
    ) from None


def _refuse_unknown(name: str) -> NoReturn:
    raise Problem(http.HTTP_404_NOT_FOUND, "no_upload", f"You have sent nothing of {name} into this feed.")


def _came(size: int) -> dict[str, str]:
    """Which bytes of a file are here, as a header; none before the first."""
    return {"Range": f"bytes=0-{size - 1}"} if size else {}


def _problem(refusal: services.UnableToUpload) -> Problem:
    headers = _came(refusal.received_size or 0)
    if refusal.code == "upload_busy":
        headers["Retry-After"] = str(BUSY_SECONDS)
    return Problem(STATUS_OF.get(refusal.code, http.HTTP_409_CONFLICT), refusal.code, str(refusal), headers=headers)


def _refusal(request: Request, refusal: services.UnableToReceive) -> Problem:
    links = {}
    if refusal.earlier is not None:
        links["import"] = _address(request, "import", refusal.earlier)
    return Problem(STATUS_OF.get(refusal.code, http.HTTP_409_CONFLICT), refusal.code, str(refusal), links=links)


def _told(upload: FileUpload) -> dict[str, Any]:
    return {
        "feed": upload.feed.api_name,
        "file_name": upload.file_name,
        "status": "on_its_way",
        "received_size": upload.received_size,
        "total_size": upload.total_size,
        "expires_at": upload.expires_at,
    }


def _document(request: Request, usage_import: UsageImport) -> dict[str, Any]:
    return {
        "tracking_id": str(usage_import.tracking_id),
        "feed": usage_import.feed.api_name,
        "file_name": usage_import.file_name,
        "byte_size": usage_import.byte_size,
        "content_hash": usage_import.content_hash,
        "status": usage_import.status,
        "links": {
            "import": _address(request, "import", usage_import),
            "exceptions": _address(request, "import-exceptions", usage_import),
            "records": _address(request, "import-records", usage_import),
        },
    }


def _address(request: Request, name: str, usage_import: UsageImport) -> str:
    return request.build_absolute_uri(reverse(f"api:{name}", args=[usage_import.tracking_id]))
