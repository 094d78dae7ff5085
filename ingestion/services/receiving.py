"""Taking usage in: the bytes and the history row are durable before anybody is answered."""

import hashlib
import tempfile
from datetime import datetime
from typing import BinaryIO, NamedTuple

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from ingestion import selectors, store
from ingestion.core.requests import FaultyRequestError, RequestFault, count_records, raw_records
from ingestion.models import Feed, IdempotencyKey, ImportBody, ImportChunk, UsageImport
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.core.spec import Delimited, parse_spec
from mediation.models import ProfileVersion

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


class Received(NamedTuple):
    """An accepted submission; a repeated one is the import that its Idempotency-Key named before."""

    usage_import: UsageImport
    is_repeat: bool


def receive_usage(*, feed: Feed, body: bytes, idempotency_key: str | None, by: User | None, now: datetime) -> Received:
    """Accept the body of an API submission of 1 to 1,000 records. Raises UnableToReceive."""
    mediation.require_permission(by, "ingestion.add_usageimport")
    content_hash = hashlib.sha256(body).hexdigest()
    if idempotency_key is not None and (known := _known_submission(feed, idempotency_key, content_hash)):
        return Received(known, is_repeat=True)
    version = _version_to_use(feed)
    spec = parse_spec(version.spec)
    is_json_feed = not spec.is_of_rows
    if isinstance(spec.format, Delimited) and not spec.format.columns:
        message = f"The profile of {feed} takes its columns from a file's header; name them in it to take rows here."
        raise UnableToReceive("profile_needs_header", message)
    try:
        record_count = count_records(body, is_json_feed=is_json_feed, records_path=spec.records_path)
    except FaultyRequestError as error:
        raise UnableToReceive(error.faults[0].code, error.faults[0].detail, faults=error.faults) from None
    try:
        file_fields = scan_submission(version, body)
    except mediation.UnreadableError as error:
        raise UnableToReceive("structure_not_kept", str(error)) from None
    try:
        with transaction.atomic():
            usage_import = _store_submission(feed, version, body, content_hash, record_count, file_fields, by, now)
            if idempotency_key is not None:
                IdempotencyKey.objects.create(
                    feed=feed, key=idempotency_key, content_hash=content_hash, usage_import=usage_import
                )
            mediation.ring("mediate", now)
    except IntegrityError:
        # Its twin came at the same moment and was faster.
        known = _known_submission(feed, idempotency_key or "", content_hash)
        if known is None:
            raise
        return Received(known, is_repeat=True)
    return Received(usage_import, is_repeat=False)


def scan_submission(version: ProfileVersion, body: bytes) -> dict[str, str | None] | None:
    """What the header and trailer rows of a request say. Raises UnreadableError where its totals disagree."""
    spec = parse_spec(version.spec)
    if spec.structure is None or not spec.structure.has_claims:
        return None
    rows = raw_records(body, is_json_feed=not spec.is_of_rows, records_path=spec.records_path)
    return mediation.scan_rows(version=version, rows=rows)


def _version_to_use(feed: Feed) -> ProfileVersion:
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


def _store_submission(
    feed: Feed,
    version: ProfileVersion,
    body: bytes,
    content_hash: str,
    record_count: int,
    file_fields: dict[str, str | None] | None,
    by: User | None,
    now: datetime,
) -> UsageImport:
    usage_import = UsageImport.objects.create(
        feed=feed,
        profile_version=version,
        source=UsageImport.Source.API,
        status=UsageImport.Status.WAITING,
        content_hash=content_hash,
        byte_size=len(body),
        file_fields=file_fields,
        received_at=now,
        received_by=by,
        record_count=record_count,
        waiting_count=record_count,
    )
    ImportBody.objects.create(usage_import=usage_import, content=body)
    ImportChunk.objects.create(
        usage_import=usage_import,
        number=1,
        feed_id=feed.pk,
        profile_version_id=version.pk,
        waiting_count=record_count,
    )
    return usage_import


def receive_file(
    *,
    feed: Feed,
    stream: BinaryIO,
    file_name: str,
    source: str,
    by: User | None,
    now: datetime,
    allow_repeat: bool = False,
) -> UsageImport:
    """Take a usage file; its bytes are kept under their content hash. Raises UnableToReceive.

    allow_repeat: take the file although the feed had the same bytes before; its records will be duplicates.
    """
    mediation.require_permission(by, "ingestion.add_usageimport")
    version = _version_to_use(feed)
    with tempfile.TemporaryFile() as spool:
        content_hash, byte_size = _spool(stream, spool)
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
