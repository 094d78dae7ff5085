"""Files that come in parts over HTTP: kept part by part, however often the way breaks, and received once whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from ingestion import selectors, store
from ingestion.core.spans import Span
from ingestion.models import Feed, FileUpload, UploadPart, UsageImport
from ingestion.services.receiving import PERMISSION, UnableToReceive, receive_file, version_to_use
from mediation import services as mediation

KEPT_FOR = timedelta(days=1)  # after the last bytes came
# A hold ends with the session of its holder, so with his process. Of a host that vanished the server may think for
# hours that it lives: its hold lasts as long as the slowest sender that is waited for takes for a part, or as a host
# takes to join a file of 20 GB.
HOLD = timedelta(minutes=2)
HOLD_TO_FINISH = timedelta(minutes=15)
MOST_OPEN = 20  # of a sender, in a feed


class UnableToUpload(Exception):
    """Bytes that are not taken. `received_size`: how far the file has come, where it has begun."""

    def __init__(self, code: str, message: str, *, received_size: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.received_size = received_size


@contextmanager
def hold_upload(
    *, feed: Feed, file_name: str, span: Span, content_hash: str, by: User, now: datetime, most_bytes: int
) -> Iterator[FileUpload]:
    """The upload that a sender goes on with, or begins, held for him alone. Raises UnableToUpload, UnableToReceive.

    It is his until he leaves, or dies.
    content_hash: SHA-256 that the whole file shall have, in hex; empty: whatever was said before. Who digests while he
    sends knows it with the last part only.
    """
    mediation.require_permission(by, PERMISSION)
    mediation.require_feeds(by, [feed.pk])
    version_to_use(feed)
    if span.total > most_bytes:
        raise UnableToUpload("too_large", f"A file of {span.total:,} bytes is larger than is taken: {most_bytes:,}.")
    if span.total == 0:
        raise UnableToUpload("empty_file", "The file has no bytes.")
    holder = uuid4()
    with store.being_at(_at_upload(holder)):
        with transaction.atomic():
            upload = _locked(feed, file_name, by)
            _require_free(upload, now)
            if span.start == 0:
                upload = _begin(upload, feed, file_name, span.total, content_hash, by, now)
            else:
                upload = _go_on(upload, file_name, span, content_hash)
            upload.holder, upload.held_until, upload.expires_at = holder, now + HOLD, now + KEPT_FOR
            upload.save()
        try:
            yield upload
        finally:
            _held(upload).update(holder=None, held_until=None)


def _at_upload(holder: UUID) -> str:
    """What the session of a holder has for as long as it lives."""
    return f"upload held by {holder}"


def _locked(feed: Feed, file_name: str, by: User) -> FileUpload | None:
    return selectors.upload_of(feed, file_name, by).select_for_update(of=("self",)).first()


def _require_free(upload: FileUpload | None, now: datetime) -> None:
    if upload is None or not (upload.holder and upload.held_until and upload.held_until > now):
        return
    if not store.is_somebody_at(_at_upload(upload.holder)):
        return
    message = f"Another request sends bytes of {upload.file_name} right now. Send parts one after the other."
    if upload.received_size == upload.total_size:
        message = f"All of {upload.file_name} is here, and another request makes an import of it right now."
    raise UnableToUpload("upload_busy", message, received_size=upload.received_size)


def _begin(
    before: FileUpload | None, feed: Feed, file_name: str, total: int, content_hash: str, by: User, now: datetime
) -> FileUpload:
    """A new upload; one of the same name that was under way is given up, as its sender begins again."""
    if before is not None:
        _forget(before)
    elif FileUpload.objects.filter(feed=feed, sent_by=by).count() >= MOST_OPEN:
        message = f"{MOST_OPEN} files of yours are on their way into {feed}. Finish them, or give some up by DELETE."
        raise UnableToUpload("too_many_uploads", message)
    try:
        with transaction.atomic():
            return FileUpload.objects.create(
                feed=feed,
                file_name=file_name,
                sent_by=by,
                total_size=total,
                content_hash=content_hash,
                started_at=now,
                expires_at=now + KEPT_FOR,
            )
    except IntegrityError:
        message = f"Another request began to send {file_name} at this very moment. Send parts one after the other."
        raise UnableToUpload("upload_busy", message) from None


def _go_on(upload: FileUpload | None, file_name: str, span: Span, content_hash: str) -> FileUpload:
    if upload is None:
        message = f"Nothing of {file_name} is here, so it begins with byte 0, not {span.start:,}."
        raise UnableToUpload("not_the_next_bytes", message, received_size=0)
    is_other = bool(content_hash and upload.content_hash) and content_hash != upload.content_hash
    if is_other or span.total != upload.total_size:
        message = (
            f"{file_name} was begun as a file of {upload.total_size:,} bytes"
            f"{f' with SHA-256 {upload.content_hash}' if upload.content_hash else ''}; this is another one."
            " Go on with the first, or begin again with byte 0."
        )
        raise UnableToUpload("another_file", message, received_size=upload.received_size)
    if span.start != upload.received_size:
        message = f"{upload.received_size:,} bytes of {file_name} are here: go on with byte {upload.received_size:,}."
        raise UnableToUpload("not_the_next_bytes", message, received_size=upload.received_size)
    upload.content_hash = content_hash or upload.content_hash
    return upload


def keep_bytes(*, upload: FileUpload, content: bytes, now: datetime) -> None:
    """Add bytes to an upload that is held; they are on disk afterwards. Raises UnableToUpload."""
    start = upload.received_size
    stored = store.keep_upload_part(upload.token, start, content)
    with transaction.atomic():
        held = _held(upload).filter(received_size=start)
        if held.update(received_size=F("received_size") + len(content), held_until=now + HOLD):
            UploadPart.objects.create(upload=upload, byte_start=start, stored=stored)
            upload.received_size = start + len(content)
            return
    store.delete_stored([stored])
    raise _overtaken(upload)


def _overtaken(upload: FileUpload) -> UnableToUpload:
    message = f"Another request took {upload.file_name} over. Ask how far it has come."
    return UnableToUpload("upload_busy", message)


def drop_bytes(*, upload: FileUpload, start: int) -> None:
    """Take back what an upload that is held got from byte `start` on."""
    parts = upload.parts.filter(byte_start__gte=start)
    names = [str(part.stored.name) for part in parts]
    with transaction.atomic():
        if not _held(upload).update(received_size=start):
            return
        parts.delete()
    upload.received_size = start
    store.delete_stored(names)


def finish_upload(*, upload: FileUpload, now: datetime) -> tuple[UsageImport, bool]:
    """Receive a whole file; returns the import and whether it is one of before.

    The same sender's same file under the same name is the import that it became then. Raises UnableToUpload where
    another request took it over. Raises UnableToReceive: with code `digest_mismatch` or `same_file` the upload is given
    up, else it can be finished later.
    """
    if not _held(upload).update(held_until=now + HOLD_TO_FINISH):
        raise _overtaken(upload)
    names = upload.parts.order_by("byte_start").values_list("stored", flat=True)
    try:
        usage_import, is_repeat = _receive(upload, list(names), now), False
    except UnableToReceive as refusal:
        if refusal.code == "digest_mismatch" and not _held(upload).exists():
            raise _overtaken(upload) from None  # and its parts went meanwhile
        if refusal.code in ("digest_mismatch", "same_file"):
            _give_up(upload)
        earlier = refusal.earlier
        if earlier is None or (earlier.file_name, earlier.received_by_id) != (upload.file_name, upload.sent_by_id):
            raise
        return earlier, True
    _give_up(upload)
    return usage_import, is_repeat


def _receive(upload: FileUpload, names: list[str], now: datetime) -> UsageImport:
    return receive_file(
        feed=upload.feed,
        stream=store.Joined(names),  # type: ignore[arg-type]
        file_name=upload.file_name,
        source=UsageImport.Source.UPLOAD,
        by=upload.sent_by,
        now=now,
        expected_hash=upload.content_hash,
        # A storage that was emptied or set back has fewer bytes than were counted.
        expected_size=upload.total_size,
    )


def _held(upload: FileUpload) -> QuerySet[FileUpload]:
    return FileUpload.objects.filter(pk=upload.pk, holder=upload.holder)


def give_up_upload(*, feed: Feed, file_name: str, by: User, now: datetime) -> None:
    """Forget a sender's upload and everything of it that was kept. Raises UnableToUpload while somebody sends it."""
    mediation.require_permission(by, PERMISSION)
    mediation.require_feeds(by, [feed.pk])
    with transaction.atomic():
        upload = _locked(feed, file_name, by)
        if upload is None:
            raise UnableToUpload("no_upload", f"You have sent nothing of {file_name} into this feed.")
        _require_free(upload, now)
        _forget(upload)


def _give_up(upload: FileUpload) -> None:
    with transaction.atomic():
        _forget(upload)


def _forget(upload: FileUpload) -> None:
    """The files go once it is sure that the rows are gone: rows without files would be an upload that cannot end."""
    token = upload.token
    upload.delete()
    transaction.on_commit(lambda: store.delete_upload_folder(token))


def expire_uploads(*, now: datetime) -> int:
    """Forget the uploads that nobody went on with for a day, and parts that a crash left behind; how many uploads."""
    count = 0
    while upload := _expired(now):
        _give_up(upload)
        count += 1
    for token in store.upload_tokens():
        # A row is there before its first part is, so what has none is a remainder.
        if not FileUpload.objects.filter(token=token).exists():
            store.delete_upload_folder(token)
    return count


def _expired(now: datetime) -> FileUpload | None:
    is_free = Q(held_until=None) | Q(held_until__lt=now)
    return FileUpload.objects.filter(is_free, expires_at__lt=now).order_by("pk").first()
