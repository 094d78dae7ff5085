"""Taking usage in: the bytes and the history row are durable before anybody is answered."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping
from datetime import datetime
from typing import BinaryIO, NamedTuple
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import transaction

from ingestion import selectors, store
from ingestion.core.bodies import (
    MEDIA_TYPES,
    Body,
    Shape,
    fits_charset,
    header_of,
    look_at,
    media_type_of,
    rows_of,
    shapes_of,
)
from ingestion.core.requests import FaultyRequestError, RequestFault, count_records
from ingestion.models import Feed, IdempotencyKey, UsageImport
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.core.spec import Delimited
from mediation.models import ProfileVersion

PERMISSION = "ingestion.add_usageimport"
MAY_AMEND = "ingestion.void_usage"
SPOOL_BYTES = 1 << 20


class UnableToReceive(Exception):
    """Usage that is not taken, and nothing of it stored. `code` for machines, `faults` where there are several."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        faults: list[RequestFault] | None = None,
        earlier: UsageImport | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.faults = faults or []
        self.earlier = earlier


class Overtaken(UnableToReceive):
    """Something that the acceptance was decided by changed before it was written: look everything up and ask again."""

    def __init__(self) -> None:
        super().__init__(
            "overtaken", "Who may send what changed at this very moment; nothing was taken. Send it again."
        )


class Terms(NamedTuple):
    """What an acceptance was decided on: good for the sender's next submission to the feed while the stamp holds.

    has_claims: header or trailer rows say what the body holds, so that each body has to be looked through.
    """

    stamp: UUID
    feed_id: int
    feed_name: str
    version_id: int
    is_json_feed: bool
    records_path: tuple[str, ...]
    has_claims: bool
    by_id: int | None


class Received(NamedTuple):
    """An accepted submission; a repeated one is the import that its Idempotency-Key named before.

    terms: good for more plain JSON; None of a repeat, and of what came in another shape.
    """

    usage_import: UsageImport
    is_repeat: bool
    terms: Terms | None


class Accepted(NamedTuple):
    """What there is to say of a submission that was accepted on known terms."""

    tracking_id: UUID
    record_count: int


def receive_usage(
    *,
    feed: Feed,
    body: bytes,
    idempotency_key: str | None,
    by: User | None,
    now: datetime,
    stamp: UUID | None = None,
    amend_reason: str = "",
    shape: str = Shape.JSON,
    charset: str | None = None,
) -> Received:
    """Accept the body of an API submission of 1 to 1,000 records. Raises UnableToReceive.

    shape, charset: as its sender calls it; no charset: none was said.
    amend_reason: its records take the place of what their keys stand for, and why; empty: they are new usage.
    stamp: the acceptance stamp as it was before `feed` and `by` were looked up; Overtaken if it is another one by now.
    """
    stamp = stamp or selectors.acceptance_stamp()
    mediation.require_permission(by, PERMISSION)
    mediation.require_feeds(by, [feed.pk])
    if amend_reason:
        mediation.require_permission(by, MAY_AMEND)
    # An amendment is another request than the same records as usage, or than one for another reason.
    request_hash = _request_hash(body, shape, amend_reason)
    if idempotency_key is not None and (known := _known_submission(feed, idempotency_key, request_hash)):
        return Received(known, is_repeat=True, terms=None)
    version = version_to_use(feed)
    _require_readable(version, shape, charset)
    terms = _terms(feed, version, by, stamp, shape)
    if amend_reason:
        _require_amendable(feed, version)
    try:
        looked = look_at(body, shape, mediation.spec_of(version))
    except FaultyRequestError as error:
        raise UnableToReceive(error.faults[0].code, error.faults[0].detail, faults=error.faults) from None
    try:
        file_fields = scan_submission(version, Body(0, body, shape, looked.header_lines))
    except mediation.UnreadableError as error:
        raise UnableToReceive("structure_not_kept", str(error)) from None
    if amend_reason:
        _require_second_person(feed, body, shape, looked.record_count, amend_reason, by)
    submission = _submission(terms, body, looked.record_count, idempotency_key, now)._replace(
        request_hash=request_hash,
        shape=shape,
        header_lines=looked.header_lines,
        header=_json_or_none(looked.header),
        file_fields=_json_or_none(file_fields),
        amend_reason=amend_reason,
    )
    try:
        import_id = store.put_submission(submission, stamp=stamp)
    except store.TwinInFlight as twin:
        raise UnableToReceive("twin_in_flight", str(twin)) from None
    if import_id is not None:
        mediation.ring("mediate", now)
        kept = UsageImport.objects.get(pk=import_id)
        return Received(kept, is_repeat=False, terms=terms if shape == Shape.JSON else None)
    # Its twin came at the same moment and was faster.
    if idempotency_key is not None and (known := _known_submission(feed, idempotency_key, request_hash)):
        return Received(known, is_repeat=True, terms=None)
    raise Overtaken


def receive_more_usage(*, terms: Terms, body: bytes, idempotency_key: str | None, now: datetime) -> Accepted | None:
    """Accept a submission on the terms of one before it, asking nothing again.

    None, and nothing written, where it is not plainly acceptable: `receive_usage` looks closely and says why.
    """
    if terms.has_claims:
        return None
    try:
        record_count = _count(body, terms)
    except FaultyRequestError:
        return None
    submission = _submission(terms, body, record_count, idempotency_key, now)
    try:
        import_id = store.put_submission(submission, stamp=terms.stamp)
    except store.TwinInFlight:
        return None
    if import_id is None:
        return None
    mediation.ring("mediate", now)
    return Accepted(submission.tracking_id, record_count)


def media_types_read(feed: Feed) -> list[str]:
    """What a feed's requests may be sent as."""
    version = mediation_selectors.active_version(feed.profile_id)
    shapes = shapes_of(mediation.spec_of(version)) if version else (Shape.JSON,)
    return [media_type for media_type, shape in MEDIA_TYPES.items() if shape in shapes]


def _require_readable(version: ProfileVersion, shape: str, charset: str | None) -> None:
    """Raise UnableToReceive where a body is sent as what the profile does not read."""
    spec = mediation.spec_of(version)
    if shape not in shapes_of(spec):
        message = f"The profile {version.profile} does not read {media_type_of(shape)}."
        raise UnableToReceive("unsupported_media_type", message)
    if charset is not None and shape != Shape.JSON and not fits_charset(charset, shape, spec):
        encoding = spec.format.encoding if shape == Shape.CSV and isinstance(spec.format, Delimited) else "utf-8"
        message = f"The profile {version.profile} reads {encoding}, and the body is said to be in {charset[:40]!r}."
        raise UnableToReceive("unsupported_media_type", message)


def _request_hash(body: bytes, shape: str, amend_reason: str) -> str:
    """What a repeat has too. An amendment is another request than usage, or than one for another reason; so is each
    shape, whose tag no reason and no JSON begins with."""
    said = amend_reason.encode() + b"\0" if amend_reason else b""
    if shape != Shape.JSON:
        said = b"\0" + shape.encode() + b"\0" + amend_reason.encode() + b"\0"
    return hashlib.sha256(said + body).hexdigest()


def _json_or_none(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def _require_amendable(feed: Feed, version: ProfileVersion) -> None:
    """What cannot be told apart by a key of its own, or may be taken back as a whole afterwards, amends nothing."""
    spec = mediation.spec_of(version)
    if not spec.uniqueness and not spec.unique_sources:
        message = f"The profile of {feed} knows records by their whole content: void them, and send the right ones."
        raise UnableToReceive("not_amendable", message)
    if selectors.envelope_of(version.pk) == "file":
        message = f"The profile of {feed} takes a submission as a whole or not at all: void records, and send them."
        raise UnableToReceive("not_amendable", message)


def _require_second_person(
    feed: Feed, body: bytes, shape: str, record_count: int, reason: str, by: User | None
) -> None:
    records = f"{record_count:,} record{'s' if record_count > 1 else ''}"
    mediation.require_second_person(
        kind="void",
        act="amend_usage",
        by=by,
        subject=("ingestion.Feed", str(feed.pk)),
        arguments={"feed": feed.pk, "reason": reason, **told_body(body, shape)},
        summary=f"Amend {records} of {feed}: what was charged for them is taken back. {reason}",
    )


def told_body(body: bytes, shape: str) -> dict[str, str]:
    """A body as JSON can hold it; `body_told` is the way back. Lines of CSV may be in another encoding."""
    if shape == Shape.CSV:
        return {"shape": shape, "base64": base64.b64encode(body).decode()}
    return {"shape": shape, "body": body.decode()}


def body_told(arguments: Mapping[str, str]) -> tuple[bytes, str]:
    """The body, and its shape, that `told_body` told."""
    packed = arguments.get("base64")
    body = arguments["body"].encode() if packed is None else base64.b64decode(packed)
    return body, arguments.get("shape", Shape.JSON)


def _terms(feed: Feed, version: ProfileVersion, by: User | None, stamp: UUID, shape: str) -> Terms:
    spec = mediation.spec_of(version)
    if shape == Shape.JSON and isinstance(spec.format, Delimited) and not spec.format.columns:
        message = (
            f"The profile of {feed} takes its columns from a header; send text/csv with one, or name them in the"
            " profile to take rows here."
        )
        raise UnableToReceive("profile_needs_header", message)
    return Terms(
        stamp=stamp,
        feed_id=feed.pk,
        feed_name=feed.api_name,
        version_id=version.pk,
        is_json_feed=not spec.is_of_rows,
        records_path=spec.records_path,
        has_claims=spec.structure is not None and spec.structure.has_claims,
        by_id=by.pk if by else None,
    )


def scan_submission(version: ProfileVersion, body: Body) -> dict[str, str | None] | None:
    """What the header and trailer rows of a request say. Raises UnreadableError where its totals disagree."""
    spec = mediation.spec_of(version)
    if spec.structure is None or not spec.structure.has_claims:
        return None
    return mediation.scan_rows(version=version, rows=rows_of([body], spec), header=header_of(body, spec))


def version_to_use(feed: Feed) -> ProfileVersion:
    if not feed.is_enabled:
        raise UnableToReceive("feed_disabled", f"The feed {feed} is disabled. Enable it in the admin to take usage.")
    version = mediation_selectors.active_version(feed.profile_id)
    if version is None:
        message = f"The Data Profile {feed.profile} of the feed {feed} has no active version. Activate one."
        raise UnableToReceive("profile_not_active", message)
    return version


def _known_submission(feed: Feed, key: str, content_hash: str) -> UsageImport | None:
    known = IdempotencyKey.objects.filter(feed=feed, key=key).select_related("usage_import").first()
    if known is None:
        return None
    if known.content_hash != content_hash:
        message = "This Idempotency-Key was used with another body. Send the same body, or take a new key."
        raise UnableToReceive("idempotency_key_reused", message)
    return known.usage_import


def _count(body: bytes, terms: Terms) -> int:
    return count_records(body, is_json_feed=terms.is_json_feed, records_path=terms.records_path)


def _submission(
    terms: Terms, body: bytes, record_count: int, idempotency_key: str | None, now: datetime
) -> store.Submission:
    """A submission of plain JSON as it is written."""
    content_hash = hashlib.sha256(body).hexdigest()
    return store.Submission(
        tracking_id=uuid4(),
        feed_id=terms.feed_id,
        version_id=terms.version_id,
        content_hash=content_hash,
        body=body,
        record_count=record_count,
        received_by_id=terms.by_id,
        received_at=now,
        idempotency_key=idempotency_key,
        request_id=mediation.request_at_hand(),
        file_fields=None,
        request_hash=content_hash,
    )


def receive_file(
    *,
    feed: Feed,
    stream: BinaryIO,
    file_name: str,
    source: str,
    by: User | None,
    now: datetime,
    allow_repeat: bool = False,
    expected_hash: str = "",
    expected_size: int | None = None,
) -> UsageImport:
    """Take a usage file; its bytes are kept under their content hash. Raises UnableToReceive.

    allow_repeat: take the file although the feed had the same bytes before; its records will be duplicates.
    expected_hash: SHA-256 in hex that its sender says it has; empty: he says nothing. expected_size: bytes that came.
    """
    mediation.require_permission(by, PERMISSION)
    mediation.require_feeds(by, [feed.pk])
    version = version_to_use(feed)
    with tempfile.TemporaryFile() as spool:
        content_hash, byte_size = _spool(stream, spool)
        if expected_size not in (None, byte_size):
            message = f"{file_name} has {byte_size:,} bytes here, not {expected_size:,}: a part of it was lost."
            raise UnableToReceive("digest_mismatch", f"{message} Send it again from its start.")
        if expected_hash not in ("", content_hash):
            message = f"{file_name} has SHA-256 {content_hash}, not {expected_hash}: send it again from its start."
            raise UnableToReceive("digest_mismatch", message)
        with transaction.atomic():
            store.lock_same_content(feed.pk, content_hash)
            _refuse_same_file(feed, content_hash, file_name, allow_repeat=allow_repeat)
            usage_import = UsageImport.objects.create(
                feed=feed,
                profile_version=version,
                source=source,
                status=UsageImport.Status.RECEIVED,
                file_name=file_name[:500],
                payload=store.keep_file(spool, content_hash, byte_size),
                content_hash=content_hash,
                byte_size=byte_size,
                received_at=now,
                received_by=by,
                request_id=mediation.request_at_hand(),
            )
            mediation.ring("mediate", now)
    return usage_import


def _spool(stream: BinaryIO, spool: BinaryIO) -> tuple[str, int]:
    """Copy `stream` to `spool`; returns the SHA-256 of what it held and its length."""
    digest, byte_size = hashlib.sha256(), 0
    while block := stream.read(SPOOL_BYTES):
        digest.update(block)
        spool.write(block)
        byte_size += len(block)
    spool.seek(0)
    return digest.hexdigest(), byte_size


def _refuse_same_file(feed: Feed, content_hash: str, file_name: str, *, allow_repeat: bool) -> None:
    earlier = None if allow_repeat else selectors.same_file(feed, content_hash)
    if earlier is not None:
        message = (
            f"{feed} had this very file before: {earlier.file_name} on {earlier.received_at:%Y-%m-%d %H:%M} UTC,"
            f" tracking id {earlier.tracking_id}. Insist if it is to be read again."
        )
        raise UnableToReceive("same_file", message, earlier=earlier)
