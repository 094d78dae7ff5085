"""Usage taken into an open backfill: as any other usage, and the backfill's before anybody can see it."""

import hashlib
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from ingestion.models import Backfill, Feed, IdempotencyKey, UsageImport
from ingestion.services.backfilling import UnableToBackfill
from ingestion.services.receiving import Received, UnableToReceive, receive_file, receive_usage


def receive_usage_into(
    *,
    backfill: Backfill,
    feed: Feed,
    body: bytes,
    idempotency_key: str | None,
    by: User | None,
    now: datetime,
    **options: Any,
) -> Received:
    """Accept a submission into an open backfill. options: of `receive_usage`. Raises UnableToBackfill, UnableToReceive.

    Senders into one backfill follow each other for the moment that it takes to write.
    """
    request_hash = _hash_in(backfill, body, options.get("shape", ""))
    with transaction.atomic():
        known = _known(feed, idempotency_key, backfill, request_hash)
        if known is None:
            _require_open(backfill, feed)
            # Its twin may have been faster while we waited for it.
            known = _known(feed, idempotency_key, backfill, request_hash)
        if known is not None:
            return Received(known, is_repeat=True, terms=None)
        received = receive_usage(feed=feed, body=body, idempotency_key=idempotency_key, by=by, now=now, **options)
        if received.is_repeat:
            raise _reused()
        _put_into(backfill, received.usage_import)
        IdempotencyKey.objects.filter(usage_import=received.usage_import).update(content_hash=request_hash)
    return received._replace(terms=None)


def receive_file_into(*, backfill: Backfill, feed: Feed, allow_repeat: bool = False, **options: Any) -> UsageImport:
    """Take a usage file into an open backfill. options: of `receive_file`. Raises UnableToBackfill, UnableToReceive.

    A file that the feed had before may come again; one that the backfill had, only if its sender insists.
    """
    with transaction.atomic():
        _require_open(backfill, feed)
        usage_import = receive_file(feed=feed, allow_repeat=True, **options)
        if not allow_repeat:
            _require_new_file(usage_import, backfill)
        _put_into(backfill, usage_import)
    return usage_import


def _known(feed: Feed, idempotency_key: str | None, backfill: Backfill, request_hash: str) -> UsageImport | None:
    if idempotency_key is None:
        return None
    known = IdempotencyKey.objects.filter(feed=feed, key=idempotency_key).select_related("usage_import").first()
    if known is not None and known.content_hash != request_hash:
        raise _reused()
    return known.usage_import if known else None


def _reused() -> UnableToReceive:
    message = "This Idempotency-Key was used with another body, or not for this backfill. Take a new key."
    return UnableToReceive("idempotency_key_reused", message)


def _hash_in(backfill: Backfill, body: bytes, shape: str) -> str:
    """Of a request into a backfill: another one than the same body as usual."""
    return hashlib.sha256(f"backfill {backfill.pk} {shape}\0".encode() + body).hexdigest()


def _put_into(backfill: Backfill, usage_import: UsageImport) -> None:
    """Before it is committed: workers see the import when it is the backfill's."""
    UsageImport.objects.filter(pk=usage_import.pk).update(backfill=backfill)
    usage_import.chunks.update(backfill_id=backfill.pk)
    usage_import.backfill = backfill


def _require_open(backfill: Backfill, feed: Feed) -> None:
    """Lock a backfill of the feed that takes usage, until the end of the transaction."""
    if backfill.feed_id != feed.pk:
        raise UnableToBackfill("unknown_backfill", f"The feed {feed} has no backfill {backfill.tracking_id}.")
    status = Backfill.objects.select_for_update(of=("self",)).values_list("status", flat=True).get(pk=backfill.pk)
    if status != Backfill.Status.OPEN:
        raise UnableToBackfill("backfill_not_open", f"The {backfill} is {status}; only an open one takes usage.")


def _require_new_file(usage_import: UsageImport, backfill: Backfill) -> None:
    alike = UsageImport.objects.filter(backfill=backfill, content_hash=usage_import.content_hash)
    earlier = alike.exclude(status=UsageImport.Status.FAILED).exclude(pk=usage_import.pk).first()
    if earlier is not None:
        message = f"The {backfill} had this very file before, tracking id {earlier.tracking_id}."
        raise UnableToReceive("same_file", message, earlier=earlier)
